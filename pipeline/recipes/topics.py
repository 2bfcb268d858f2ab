"""Topics: the model names what it knows about, from the broad to the narrow.

What the TG paper calls knowledge-guided it does not define. Here coverage is steered rather than
hoped for: a run of this recipe asks for areas of knowledge, drops those that are named twice, asks
for narrower ones within each, and so on; its sealed snapshot is then the `roots.data` of a TG run.
Every level is an assistant's turn after a message of ours (`say`), one topic a line.
"""

from pipeline.recipes.method import Method


class Topics(Method):
    """A tree of topics, to grow other trees from."""

    name = "topics"
    defaults = {
        "curation": {
            "filters": [
                "empty",
                "truncated",
                "role_leak",
                {"filter": "length", "min_chars": 3, "max_chars": 80},
                "refusal",
                "path_repetition",
            ],
            "duplicates": "near",
            # Names that share most of their letters are other topics; case and points are not.
            "near_threshold": 1.0,
        }
    }
    level_defaults = {"assistant": {"temperature": 1.0, "stop": ["\n"], "max_tokens": 24}}
