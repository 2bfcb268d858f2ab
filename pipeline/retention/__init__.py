"""What a model kept and what it learned, measured on the same items before and after.

`measure` loads a model once and asks it all that a spec names; every item's number is kept.
`compare` sets two of them side by side, item by item, and `page` shows that to a person. Both are
pure; what lies between is an edge to torch and transformers, and imported when it is needed.

To add a measure: a record in `schemas.retention`, a module that fills it, a line in `measure` and
one in `compare`.
"""
