"""Dialects: from a tokenizer's own chat template to frozen token ids.

`derive_dialect` renders the template with marked texts and reads off what lies between them; no
table of model families exists, and a template that cannot be read is refused with the reason.
`scripted_dialect` needs no model. This room is the only one that imports transformers; it sees
the schemas and nothing else of ours, and never touches a network.

To support another shape of template: add a small template of that shape to
`tests/unit/dialects/chat_shapes.py`, and make its round trip hold.
"""
