"""What engines did is left for reports, and stops nothing where it cannot be."""

import pytest

from pipeline.storage.engine_uses import ENGINES, read_uses, write_uses
from schemas.engine_use import EnginesUsed, EngineUse
from schemas.errors import StoreError
from tests.builders import memory_store


def used(attempt: str, began_at: float) -> EnginesUsed:
    one = EngineUse(
        name="main-0", up_s=9.5, at_work_s=7, prompt_tokens=5, cached_tokens=3, sampled_tokens=2
    )
    return EnginesUsed(
        run_id="r", attempt=attempt, began_at=began_at, loading_s=1.5, engines=(one,)
    )


def test_uses_are_read_in_order_of_time():
    store = memory_store()
    written = [used("b", 2.0), used("a", 10.0), used("b", 11.0)]
    for one in reversed(written):
        write_uses(store, one)
    assert read_uses(store) == written


def test_damaged_uses_are_passed_by(caplog: pytest.LogCaptureFixture):
    store = memory_store()
    write_uses(store, used("a", 1.0))
    store.create(f"{ENGINES}/b-0000000002000.json", b"{")
    assert read_uses(store) == [used("a", 1.0)]
    assert "b-0000000002000.json" in caplog.text


def test_store_that_refuses_stops_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def refuse(name: str, payload: bytes) -> None:
        raise StoreError("no")

    store = memory_store()
    monkeypatch.setattr(store, "create", refuse)
    write_uses(store, used("a", 1.0))
    assert "not recorded" in caplog.text and read_uses(store) == []
