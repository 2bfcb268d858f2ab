"""What pilots said of the runs at a location, one small file each, beside the pilots themselves."""

from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.estimate import Estimate

PILOTS = "pilot"
"""The folder of a location in which its pilots lie, each a run."""
ESTIMATES = "estimates"


def write_estimate(pilots: Store, estimate: Estimate) -> None:
    """Keep what a pilot says, beside what it said before of other prices or engines."""
    made_ms = round(estimate.made_at * 1000)
    name = f"{ESTIMATES}/{estimate.run_id}-{estimate.pilot}-{made_ms:013}.json"
    settle(pilots, name, estimate.to_bytes())


def read_estimate(pilots: Store, run_id: str) -> Estimate | None:
    """What the largest pilot of a run said of it last; None where it had none."""
    found = []
    for name in pilots.list(ESTIMATES):
        if name.startswith(f"{ESTIMATES}/{run_id}-"):
            where = f"{pilots.location}/{name}"
            found.append(Estimate.from_bytes(pilots.read(name), name=where))
    return max(found, key=lambda one: (one.pilot_candidates, one.made_at), default=None)
