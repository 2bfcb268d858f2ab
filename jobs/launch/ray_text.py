"""What a submission to Ray would ask for, to be read before it is sent."""

from jobs.launch.parcel import Parcel
from jobs.launch.ray_job import SPEC_NAME, ray_job, working_dir_of
from jobs.launch.yaml_text import documents


def as_text(parcel: Parcel) -> str:
    """The first job of each driver, and the spec that is sent along."""
    execution, sent = parcel.spec.execution, working_dir_of(parcel)
    jobs = [ray_job(parcel, driver, 1)._asdict() for driver in range(execution.drivers)]
    files = f"{SPEC_NAME} and what lies in {sent}" if sent else SPEC_NAME
    for job in jobs:
        job["runtime_env"] = {**job["runtime_env"], "working_dir": files}
    return documents([*jobs, {SPEC_NAME: parcel.text}])
