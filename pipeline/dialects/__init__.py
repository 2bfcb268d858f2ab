"""Dialects: from a tokenizer, and its own chat template if it has one, to frozen token ids.

`derive_dialect` renders the template with marked texts and reads off what lies between them; no
table of model families exists, and a template that cannot be read is refused with the reason. What
begins and ends a plain text is read from the tokenizer and the model's configuration (`ends`). A
speller turns given texts into ids by a dialect. `scripted_dialect` and `ScriptedSpeller` need no
model. This room is the only one of the pipeline that imports transformers; it sees the schemas and
nothing else of ours, and never touches a network.

To support another shape of template: add a small template of that shape to
`tests/unit/dialects/chat_shapes.py`, and make its round trip hold.
"""
