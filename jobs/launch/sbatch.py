"""Sends a batch script to Slurm by `sbatch`."""

from collections.abc import Callable

from jobs.launch.parcel import Parcel
from jobs.launch.sbatch_script import job_name, sbatch_script
from jobs.launch.tools import call


def send(parcel: Parcel, say: Callable[[str], None]) -> None:
    """Submit the script, unless a job of the run is waiting or running."""
    name = job_name(parcel)
    found = call(["squeue", "--me", "--noheader", f"--name={name}", "--format=%i %T"]).split("\n")
    there = [line for line in found if line.strip()]
    if there:
        say(f"job {there[0].strip()} is there already, and is left alone")
        job = there[0].split()[0].partition("_")[0]
    else:
        job = call(["sbatch", "--parsable"], sbatch_script(parcel)).strip().partition(";")[0]
        say(f"submitted job {job}")
    say(
        f"to see how it is: `squeue --job {job}`; to follow it: `tail -F {name}-{job}*.out`; to "
        f"stop it, resumable: `scancel --signal=TERM --batch {job}`"
    )
