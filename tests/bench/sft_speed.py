"""Tokens a second of training, beside a bare loop over the same rows in the same process.

    .venv/bin/python -m tests.bench.sft_speed --model packaged --dtype float32 --steps 3

Rows are of random ids, all of one length, and every id is learned. The bare loop is a forward with
the model's own loss, a backward, a clip and a step of AdamW. The two take turns. Tokens a second of
CPU time of the whole process are told beside: other work on the machine disturbs these less.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset

from jobs.prepare_model import packaged_location
from jobs.trainee import load_trainee
from jobs.training.output import stay_offline
from pipeline.sft.model import load_model
from pipeline.sft.rows.prepare import Mixture
from pipeline.sft.training.train import train
from schemas.sft_spec import SftSpec

SEED = 0


class Silent:
    """A watch that keeps the speeds."""

    def __init__(self) -> None:
        self.speeds: list[float] = []
        self.cpu: list[float] = []
        self._since = 0.0

    def say(self, words: str) -> None:
        """Not shown."""

    def began(self, steps: int, done: int) -> None:
        """Looks at the clock."""
        self._since = time.process_time()

    def logged(self, figures: dict[str, float]) -> None:
        """Kept."""
        now = time.process_time()
        self.speeds.append(figures["tokens_per_s"])
        self.cpu.append(figures["tokens"] / (now - self._since))
        self._since = now

    def stopping(self) -> bool:
        """Never."""
        return False


def bare(location: str, rows: np.ndarray, dtype: str, steps: int) -> tuple[list[float], ...]:
    """Speeds of the bare loop, by step; and a second of CPU time."""
    model = load_model(location).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5)
    speeds, cpu = [], []
    for step in range(steps):
        began, used = time.perf_counter(), time.process_time()
        ids = torch.from_numpy(rows[step])
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        speeds.append(ids.numel() / (time.perf_counter() - began))
        cpu.append(ids.numel() / (time.process_time() - used))
    return speeds, cpu


def ours(location: str, rows: np.ndarray, dtype: str, objective: str) -> tuple[list[float], ...]:
    """Speeds of our trainer, by step, without loading and saving; and a second of CPU time."""
    table = rows.reshape(-1, rows.shape[-1]).tolist()
    columns = {"input_ids": table, "labels": table, "part": [0] * len(table)}
    with tempfile.TemporaryDirectory() as folder:
        spec = SftSpec.model_validate(
            {
                "model": location,
                "output": folder,
                "parts": {"rows": {"data": {"files": "none"}, "objective": objective}},
                "training": {
                    "batch_rows": rows.shape[1],
                    "dtype": dtype,
                    "save_every": 10**6,
                    "learning_rate": 1e-5,
                },
            }
        )
        mixture = Mixture(Dataset.from_dict(columns), {"rows": {}}, {"rows": {}})
        watch = Silent()
        train(spec, load_trainee(location), mixture, watch)
    return watch.speeds, watch.cpu


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="packaged")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--objective", default="next_token")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    stay_offline()
    location = str(Path(packaged_location(args.model)))
    draw = np.random.default_rng(SEED)
    rows = draw.integers(10, 1000, (args.steps, args.rows, args.tokens))
    found: dict[str, list[float]] = {"bare": [], "ours": [], "bare_cpu": [], "ours_cpu": []}
    for _ in range(args.rounds):
        sides = {
            "bare": bare(location, rows, args.dtype, args.steps),
            "ours": ours(location, rows, args.dtype, args.objective),
        }
        for name, (speeds, cpu) in sides.items():
            found[name] += speeds
            found[f"{name}_cpu"] += cpu
    best = {name: round(max(speeds), 1) for name, speeds in found.items()}
    middle = {name: round(statistics.median(speeds), 1) for name, speeds in found.items()}
    print(
        json.dumps(
            vars(args)
            | {"threads": torch.get_num_threads(), "best": best, "median": middle}
            | {"ours_over_bare": round(middle["ours_cpu"] / middle["bare_cpu"], 3)}
        )
    )


if __name__ == "__main__":
    main()
