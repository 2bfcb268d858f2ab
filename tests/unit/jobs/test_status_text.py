"""What `arborist status` tells beside the levels; refinements are told of in the integration."""

from pathlib import Path

import pytest

from jobs.status import as_json, as_text, standing_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import create_run
from schemas.manifest import Counts
from tests.stored import make_manifest, make_run_file


@pytest.mark.parametrize(
    "asides",
    [{}, {"judge": 1200, "failed:refused": 3}],
)
def test_status_adds_up_what_was_asked_about_turns(tmp_path: Path, asides):
    store = open_store(str(tmp_path))
    run_file = create_run(store, make_run_file())
    counts = Counts(asked=2, kept=2, asides=asides)
    for wave in ("000000", "000001"):
        manifest = make_manifest(wave, counts=counts, run=run_file.run_id)
        Ledger(store).commit(manifest)
    standing = standing_of(store)
    figures, text = as_json(standing), as_text(standing)
    assert figures["asides"] == {kind: 2 * count for kind, count in asides.items()}
    assert (figures["snapshot"], figures["refined"]) == (None, None)
    assert ("asked about turns: 6 failed:refused, 2,400 judge" in text) == bool(asides)
    assert "snapshot" not in text
