"""The loss of Ray is told in time, and to nobody's waiting if need be."""

import logging
import socket

import pytest

from pipeline.pool.ray_pulse import Door, Pulse, answers, head_door, node_door
from schemas.errors import RETRY, NoEngine

DOOR = Door("head", "127.0.0.1:1", patience_s=6, end_s=12)


class Visit:
    """A pulse over one door, whose time and answers are the test's."""

    def __init__(self) -> None:
        self.now, self.there = 0.0, True
        self.ended: list[int] = []
        self.pulse = Pulse(
            [DOOR],
            "See to it",
            knock=lambda address: self.there,
            end=self.ended.append,
            clock=lambda: self.now,
        )

    def listen(self, rounds: int, apart_s: float = 2.0) -> None:
        for _ in range(rounds):
            self.now += apart_s
            self.pulse.listen_once()


def test_require_while_all_answers_nothing_is_lost():
    visit = Visit()
    visit.listen(100)
    visit.pulse.require()
    assert visit.pulse.hears_all()
    assert visit.ended == []


def test_require_silence_beyond_patience_raises_what_is_lost_and_what_to_do():
    visit = Visit()
    visit.there = False
    visit.listen(3)
    visit.pulse.require()
    assert not visit.pulse.hears_all()
    visit.listen(1)
    with pytest.raises(
        NoEngine, match=r"head at 127\.0\.0\.1:1 .* 8 s.* See to it, .*same command"
    ) as raised:
        visit.pulse.require()
    assert raised.value.exit_code == RETRY


def test_require_head_that_comes_back_in_time_is_not_lost():
    visit = Visit()
    for _ in range(5):
        visit.there = False
        visit.listen(3)
        visit.there = True
        visit.listen(1)
        visit.pulse.require()
    assert visit.ended == []


def test_require_process_paused_for_long_nothing_is_lost():
    visit = Visit()
    visit.listen(1, apart_s=3600)
    visit.there = False
    visit.listen(1, apart_s=3600)
    visit.pulse.require()


def test_listen_nobody_asks_the_process_is_ended_with_a_word(caplog: pytest.LogCaptureFixture):
    visit = Visit()
    visit.there = False
    with caplog.at_level(logging.CRITICAL):
        visit.listen(6)
        assert visit.ended == []
        visit.listen(1)
    assert visit.ended == [RETRY]
    assert "Ray was lost" in caplog.text


def test_listen_told_and_still_there_the_process_is_ended_in_silence(
    caplog: pytest.LogCaptureFixture,
):
    visit = Visit()
    visit.there = False
    visit.listen(4)
    with pytest.raises(NoEngine):
        visit.pulse.require()
    visit.listen(3)
    assert visit.ended == [RETRY]
    assert not caplog.text


def test_answers_listening_socket_and_closed_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert answers(address)
    assert not answers(address)


def test_head_door_ends_before_ray_would_end_the_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_gcs_rpc_server_reconnect_timeout_s", raising=False)
    door = head_door("a:1")
    assert door.patience_s < door.end_s < 60
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "600")
    assert 300 < head_door("a:1").patience_s < head_door("a:1").end_s < 600
    assert node_door("a:1").patience_s < door.patience_s
