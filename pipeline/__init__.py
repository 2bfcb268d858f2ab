"""From a GenerationSpec to sealed shards.

`tree recipes plan curate` are pure: values in, values out. `dialects engines storage` are edges,
each the only place that imports its library. `pool` hosts engines. `generate` is the loop.
"""
