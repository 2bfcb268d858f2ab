"""What a tree is and how it grows one level. Pure: values in, values out.

`expand` turns parents into requests, `attach` turns outcomes into candidates, `frontier` turns
kept nodes into the parents of the next level. Ids and seeds come from place alone, so nothing
here depends on the order in which answers arrive. Sees the schemas and nothing else of ours.
"""
