"""How much is a search slowed by `report --watch` beside it?

    python -m benchmarks.watched_search [--repeats 5] [--networks 120] [--out FILE.md]

A search whose every evaluation takes half a second of processor time, on as many workers as there
are cores, alone and watched, in turns.  Told are the elapsed seconds of its evaluations, from the
beginning of the first to the end of the last, and the processor seconds of the watching process
and of the one that draws the plots, as a share of those of the evaluations.  On a busy machine
only the share means something, and it is too large: what is watched for longer costs more.  No
browser is open: what it draws is the viewer's.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.result_file import keep, machine, parser_of
from toolbox.archive import Archive
from toolbox.judge import Judge
from toolbox.objectives import OBJECTIVES
from toolbox.report.evaluations import Evaluations
from toolbox.report.timeline import timeline

REPOSITORY = Path(__file__).parents[1]
SECONDS = 0.5  # of the processor, for each evaluation
PROBLEM = """
import time
from dataclasses import dataclass, field
from problems.spaces.bit_string import BitString

@dataclass(frozen=True)
class Busy:
    space: BitString = field(default_factory=lambda: BitString(24))
    measures = ("val_accuracy", "params")

    def evaluate(self, genome):
        begun = time.thread_time()
        while time.thread_time() - begun < SECONDS:
            sum(range(1000))
        ones = sum(gene * place for place, gene in enumerate(genome)) / 300
        curve = [ones * (1 - 0.6**epoch) for epoch in range(20)]
        return {"val_accuracy": ones, "params": sum(genome) + 1, "learning_curve": curve}
"""
DECLARATION = """
objectives = ["val_accuracy", "params"]
seed = 1
problem = { use = "busy:Busy" }
algorithm = { use = "nsga2", population = 20, generations = 5 }
"""


def processor_seconds(process: int) -> float:
    """Of a process and its children that are alive (Linux)."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(folder.name) == process or int(told[1]) == process:
            total += (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    return total


def searched(folder: Path, generations: int, watched: bool) -> tuple[float, float]:
    """Elapsed seconds of a search's evaluations, and the watcher's processor seconds meanwhile."""
    (folder / "busy.py").write_text(PROBLEM.replace("SECONDS", str(SECONDS)))
    (folder / "busy.toml").write_text(DECLARATION)
    run = [sys.executable, str(REPOSITORY / "run_search.py")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    watcher = None
    if watched:
        watcher = subprocess.Popen([*run, "report", "runs/busy/seed-1", "--watch"], **quiet)
        time.sleep(3)  # it was there before
    subprocess.run([*run, "busy.toml", f"algorithm.generations={generations}"], check=True, **quiet)
    seconds = 0.0
    if watcher:
        seconds = processor_seconds(watcher.pid)
        watcher.terminate()
        watcher.wait()
    archive = Archive.read(folder / "runs" / "busy" / "seed-1" / "archive.sqlite")
    found = timeline(Evaluations("run", Judge([OBJECTIVES["val_accuracy"]]), archive, 20))
    assert found
    return max(s.ended for s in found.stints) - min(s.began for s in found.stints), seconds


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--networks", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    generations = max(0, chosen.networks // 20 - 1)
    alone, beside, shares = [], [], []
    for repeat in range(chosen.repeats):
        for watched in (False, True) if repeat % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                elapsed, seconds = searched(Path(folder), generations, watched)
            (beside if watched else alone).append(elapsed)
            if watched:
                shares.append(seconds / (20 * (generations + 1) * SECONDS))
            said = "watched" if watched else "alone"
            print(f"{said}: {elapsed:.2f} s; {seconds:.2f} s", flush=True)
    ratios = [watched / one for watched, one in zip(beside, alone, strict=True)]
    lines = [
        "# A search that is watched",
        "",
        f"{machine()}; {chosen.networks} evaluations of half a processor second on "
        f"{os.cpu_count()} workers, median of {chosen.repeats} pairs and their range.",
        "",
        "| alone, s | watched, s | watched / alone | the watcher's share |",
        "|---|---|---|---|",
        f"| {median(alone):.2f} | {median(beside):.2f} | {median(ratios):.4f} "
        f"({min(ratios):.4f} to {max(ratios):.4f}) | {100 * median(shares):.2f} % "
        f"({100 * min(shares):.2f} to {100 * max(shares):.2f}) |",
        "",
        "`python -m benchmarks.watched_search`",
    ]
    print("\n".join(lines))
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
