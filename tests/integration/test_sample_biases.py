"""What a snapshot says about its rows as a sample of the model."""

from tests.builders import defects_of, make_spec, memory_store, run_scripted

CONTEXT_FREE = {
    "recipe": "context-free",
    "roots": {"trees": 4},
    "levels": [{"role": "text", "fanout": 30, "max_tokens": 40}],
    "turns": {},
}


def sealed(**scripted):
    store = memory_store()
    spec = make_spec(generation=CONTEXT_FREE, bounds=(2, 100), scripted=scripted)
    snapshot = run_scripted(store, spec)
    assert defects_of(store) == []
    return snapshot


def test_a_run_without_loss_is_an_unbiased_sample():
    assert sealed().biases == ()


def test_lost_rows_are_named_as_a_bias():
    snapshot = sealed(fail_share=0.2)
    assert snapshot.counts.num_failed and snapshot.biases == ("failed requests",)
