import importlib.util

import pytest

from pipeline.retention.harness import check_harness, read_results
from schemas.errors import EnvironmentMismatch


def sample(number, **metrics):
    return {
        "doc_id": number,
        "filter": "none",
        "doc_hash": f"d{number}",
        "prompt_hash": f"p{number}",
        **metrics,
    }


def test_results_keep_items_where_the_metric_is_their_mean():
    found = {
        "samples": {"quiz": [sample(1, acc=0.0, ppl=2.0), sample(0, acc=1.0, ppl=4.0)]},
        "results": {
            "quiz": {
                "alias": "quiz",
                "acc,none": 0.5,
                "acc_stderr,none": 0.5,
                "ppl,none": 17.0,
                "ppl_stderr,none": "N/A",
                "sample_len": 2,
            },
            "group": {"acc,none": 0.5},
        },
        "higher_is_better": {"quiz": {"acc": True, "ppl": False}},
    }
    told = dict(read_results(found))
    assert set(told) == {"quiz acc", "quiz ppl"}
    assert told["quiz acc"].by_item == (1.0, 0.0)
    assert told["quiz acc"].error == 0.5 and told["quiz acc"].higher_is_better
    assert told["quiz ppl"].by_item == () and told["quiz ppl"].error is None
    assert not told["quiz ppl"].higher_is_better


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is not None, reason="it is installed")
def test_harness_that_is_not_installed_is_said_before_anything_is_loaded():
    with pytest.raises(EnvironmentMismatch, match=r"arborist\[harness\]"):
        check_harness()
