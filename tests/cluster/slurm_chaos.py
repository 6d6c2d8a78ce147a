"""Kill searches that run as jobs of SLURM at random moments, and look as `tests.chaos` does.

    python -m tests.cluster.slurm_chaos [--rounds 20] [--seed 0]

A round is one kill, with SIGKILL: of the leading process, a worker, a child that evaluates, the
launcher, one of SLURM's own (srun, slurmstepd, the batch script), or of the whole job by `scancel`.
A job that ended for it is submitted again as it was.  Needs what the tests of SLURM need, see
docs/clusters.md.
"""

import argparse
import contextlib
import os
import random
import signal
import time
from collections import Counter

from tests import chaos
from tests.cluster.machines import REPOSITORY, Machines
from tests.cluster.slurm import Slurm

WHOLE_JOB = "job"
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT", "OUT_OF_MEMORY")
KINDS = {  # what stands in the command line of each; the first that fits
    "slurmstepd": "step daemon of SLURM",
    "slurm_script": "batch script",
    "spawn_main": "child",
    "--origin": "root",
    "scoop.bootstrap": "worker",
    "--hostfile": "launcher",
    "srun": "srun",
}


def of_job(job: str) -> dict[str, list[int]]:
    """The processes of a job, by what they are."""
    kinds: dict[str, list[int]] = {}
    for pid, entry in chaos.processes():
        with contextlib.suppress(OSError):
            command = chaos.command_line(entry)
            mine = f"SLURM_JOB_ID={job}\0".encode() in (entry / "environ").read_bytes()
            kind = next((kind for mark, kind in KINDS.items() if mark in command), None)
            if kind and (mine or f"slurmstepd: [{job}." in command):
                kinds.setdefault(kind, []).append(pid)
    return kinds


def disturb(slurm: Slurm, seed: int, rounds: int, luck: random.Random) -> Counter[str]:
    """One search with at most so many kills; what was killed."""
    with chaos.prepared(seed) as folder:
        for name in ("run_search.py", "examples"):
            (folder / name).symlink_to(REPOSITORY / name)
        expected = chaos.uninterrupted(folder, seed)
        (folder / "log").unlink()
        search = chaos.Search(folder, "scoop", seed)
        kills: Counter[str] = Counter()

        def submitted() -> str:
            options = (f"seed={seed}", "toolbox.map={use='scoop', retries=50}")
            script = "examples/slurm/scoop.sbatch"
            return slurm.submit("--no-requeue", script, "chaos.toml", *options, cwd=folder)

        job = submitted()
        while (state := slurm.state(job)[0]) != "COMPLETED":
            search.look()
            if state in ENDED:
                chaos.wait_until_gone([], folder, "slurm")
                job = submitted()
                continue
            time.sleep(luck.uniform(0, 3.0 if luck.random() < 0.7 else 10.0))
            found: dict[str, list[int]] = {**of_job(job), WHOLE_JOB: [int(job)]}
            if kills.total() >= rounds or slurm.state(job)[0] != "RUNNING":
                continue
            kind = luck.choice(sorted(found))
            if kind == WHOLE_JOB:
                slurm.run("scancel", "--signal=KILL", "--full", job)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(luck.choice(found[kind]), signal.SIGKILL)
            kills[kind] += 1
            with (folder / "output").open("a", encoding="utf-8") as output:
                print(f"{time.strftime('%T')} job {job}: killed: {kind} of {found}", file=output)
        search.check(expected)
        return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    luck, start = random.Random(arguments.seed), time.monotonic()
    kills: Counter[str] = Counter()
    searches = 0
    with Machines("login", "n1", "n2") as machines:
        slurm = Slurm(machines)
        slurm.start()
        while kills.total() < arguments.rounds:
            seed = arguments.seed * 1000 + searches
            kills += disturb(slurm, seed, arguments.rounds - kills.total(), luck)
            searches += 1
    what = ", ".join(f"{count} x {kind}" for kind, count in sorted(kills.items()))
    print(
        f"slurm: {kills.total()} kills ({what}) in {searches} searches, "
        f"{time.monotonic() - start:.0f} s: nothing lost, nothing repeated"
    )


if __name__ == "__main__":
    main()
