"""How close to ideal do many workers come, and what does the leading process need for each network?

    python -m benchmarks.scaling [--workers 64] [--seconds 1] [--backends scoop ray]
        [--out FILE.md]

Evaluations that only sleep, so that all time beyond that is the search's own.  Generations of ten
evaluations for each worker, looked at from the second one on, when all workers have joined; the
same number without a barrier; and ten generations of one evaluation for each, with a barrier after
each, after forty others: Ray begins its workers while evaluations are running.
"""

import csv
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result_file import keep, machine, parser_of
from problems.spaces.bit_string import BitString

REPOSITORY = Path(__file__).parents[1]
DECLARATION = """
objectives = ["ones"]
[problem]
use = "benchmarks.scaling:Sleeping"
[algorithm]
use = "{algorithm}"
population = {population}
generations = {generations}
"""


@dataclass(frozen=True)
class Sleeping:
    """As many ones as possible, a second for each try."""

    length: int = 48
    seconds: float = 1.0
    seed: int = 0

    @property
    def space(self) -> BitString:
        return BitString(self.length)

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        time.sleep(self.seconds)
        return {"ones": sum(genome)}


def measured(
    options: list[str], algorithm: str, population: int, before: int, generations: int
) -> tuple[float, float]:
    """Evaluations a second in the generations after those `before`, and the leading process's own
    time for each evaluation in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {"population": population, "generations": before - 1 + generations}
        text = DECLARATION.format(algorithm=algorithm, **sizes)
        (folder / "scaling.toml").write_text(text, encoding="utf-8")
        command = [sys.executable, REPOSITORY / "run_search.py", folder / "scaling.toml"]
        subprocess.run(
            [*command, "--runs", folder, *options],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        run = folder / "scaling" / "seed-0"
        with (run / "generations.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        log = (run / "run.log").read_text(encoding="utf-8")
    seconds = float(rows[-1]["seconds"]) - float(rows[before - 1]["seconds"])
    evaluated = sum(int(row["trained"]) for row in rows[before:])
    found = re.search(r"leading process: ([\d.]+) s of processor time", log)
    assert found, log
    own = float(found[1]) / sum(int(row["trained"]) for row in rows)
    return evaluated / seconds, own * 1000


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each evaluation")
    parser.add_argument("--backends", nargs="+", default=["scoop", "ray"])
    arguments = parser.parse_args()
    workers, seconds = arguments.workers, arguments.seconds
    options = {
        "scoop": ["--workers", str(workers)],
        "ray": [f"toolbox.map={{use='ray', workers={workers}}}"],
        "processes": [f"toolbox.map={{use='processes', workers={workers}}}"],
    }
    lines = [
        f"# {workers} workers on tasks of {seconds:g} s",
        "",
        f"{machine()}; `python -m benchmarks.scaling --workers {workers} --seconds {seconds:g}`; "
        "one run.",
        "",
        "| backend | algorithm | evaluations a generation | evaluations a second | share of the "
        "ideal | leading process, ms an evaluation |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    many = max(1, round(1 / seconds))  # generations, so that each row takes as long
    for backend in arguments.backends:
        for algorithm, population, before, generations in (
            ("random_search", 10 * workers, 1, many),
            ("regularized_evolution", 10 * workers, 1, many),
            ("random_search", workers, 40 * many, 10 * many),
        ):
            changes = [*options[backend], f"problem.seconds={seconds}"]
            rate, own = measured(changes, algorithm, population, before, generations)
            line = (
                f"| {backend} | {algorithm} | {population} | {rate:.0f} | "
                f"{rate * seconds / workers:.1%} | {own:.2f} |"
            )
            lines.append(line)
            print(line, flush=True)
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
