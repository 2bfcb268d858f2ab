"""What pages share: how they look, the elements that they are made of, drawings. Pure.

A page is one file that needs nothing beside it. What it says is up to the room that it is of: this
one sees nothing of ours but `pipeline.plots`.
"""
