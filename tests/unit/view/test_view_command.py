"""The real command: it says where the page is, answers there, and ends as asked."""

import json
import signal
from urllib.request import urlopen

from pipeline.storage.open import open_store
from tests.command import started
from tests.s3_server import new_location, s3_server
from tests.unit.view.viewed import ask, grown, rows, tree_rows

PATIENCE_S = 60


def test_run_on_s3_is_told_like_any_other():
    with s3_server():
        viewed = grown(open_store(new_location()))
        row = tree_rows(viewed)[-1]
        assert ask(viewed, "run")["sealed"] is True
        assert ask(viewed, "node", wave=row["wave"], node=row["node_id"])["prompt"]["proven"]
        assert rows(viewed, "search", q=row["node_id"])[0]["path"] == row["path"]


def test_command_serves_a_run_until_it_is_interrupted(tmp_path):
    viewed = grown(open_store(str(tmp_path / "run")))
    with started("view", str(tmp_path), "--open", "false") as process:
        assert process.stdout.readline().strip() == viewed.store.location
        address = process.stdout.readline().strip()
        with urlopen(f"{address}api/run", timeout=PATIENCE_S) as answer:
            told = json.load(answer)
        assert told["run_id"] == viewed.run_file.run_id
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert address not in errors
