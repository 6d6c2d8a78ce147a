"""How much is a search slowed by `report --watch` beside it?

    python -m benchmarks.watched_search [--repeats 5] [--networks 120] [--out FILE.md]

A search whose every evaluation takes half a second of processor time, on as many workers as there
are cores, alone and watched, in turns.  Told are the elapsed seconds of its evaluations, from the
beginning of the first to the end of the last; the processor seconds that the watching process and
the one that draws the plots had taken when half of the networks were known, which has all that is
done once (the imports); and what they took after that, as a share of the machine's time.  A search
shorter than some minutes that uses every core is drawn when it has ended.
No browser is open: what it draws is the viewer's.
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


def known(archive: Path) -> int:
    """How many networks are in an archive that is being written; 0 if that cannot be told now."""
    try:
        return len(Archive.read(archive))
    except ValueError:
        return 0


def searched(folder: Path, generations: int, watched: bool) -> tuple[float, float, float]:
    """Elapsed seconds of a search's evaluations, the watcher's processor seconds until half of the
    networks were known, and its share of the machine after that."""
    (folder / "busy.py").write_text(PROBLEM.replace("SECONDS", str(SECONDS)))
    (folder / "busy.toml").write_text(DECLARATION)
    run = [sys.executable, str(REPOSITORY / "run_search.py")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    watcher = None
    if watched:
        watcher = subprocess.Popen([*run, "report", "runs/busy/seed-1", "--watch"], **quiet)
        time.sleep(3)  # it was there before
    path = folder / "runs" / "busy" / "seed-1" / "archive.sqlite"
    search = subprocess.Popen([*run, "busy.toml", f"algorithm.generations={generations}"], **quiet)
    while search.poll() is None and known(path) < 10 * (generations + 1):
        time.sleep(1)
    half = time.monotonic()
    once = processor_seconds(watcher.pid) if watcher else 0.0
    assert search.wait() == 0
    share = 0.0
    if watcher:
        after = processor_seconds(watcher.pid) - once
        share = after / (time.monotonic() - half) / (os.cpu_count() or 1)
        watcher.terminate()
        watcher.wait()
    archive = Archive.read(path)
    found = timeline(Evaluations("run", Judge([OBJECTIVES["val_accuracy"]]), archive, 20))
    assert found
    elapsed = max(one.ended for one in found.stints) - min(one.began for one in found.stints)
    return elapsed, once, share


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--networks", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    generations = max(0, chosen.networks // 20 - 1)
    alone, beside, at_once, shares = [], [], [], []
    for repeat in range(chosen.repeats):
        for watched in (False, True) if repeat % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                elapsed, once, share = searched(Path(folder), generations, watched)
            (beside if watched else alone).append(elapsed)
            if watched:
                at_once.append(once)
                shares.append(share)
            said = "watched" if watched else "alone"
            print(f"{said}: {elapsed:.2f} s; {once:.2f} s, {100 * share:.2f} %", flush=True)
    ratios = [watched / one for watched, one in zip(beside, alone, strict=True)]
    lines = [
        "# A search that is watched",
        "",
        f"{machine()}; {chosen.networks} evaluations of half a processor second on "
        f"{os.cpu_count()} workers, median of {chosen.repeats} pairs and their range.",
        "",
        "| alone, s | watched, s | watched / alone | once, processor s | then, of the machine |",
        "|---|---|---|---|---|",
        f"| {median(alone):.2f} | {median(beside):.2f} | {median(ratios):.4f} "
        f"({min(ratios):.4f} to {max(ratios):.4f}) | {median(at_once):.1f} | "
        f"{100 * median(shares):.2f} % "
        f"({100 * min(shares):.2f} to {100 * max(shares):.2f}) |",
        "",
        "`python -m benchmarks.watched_search`",
    ]
    print("\n".join(lines))
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
