"""What does it take to go on with a long search, and how does its memory grow?

    python -m benchmarks.replay [--evaluations 100000] [--out FILE.md]

A search of 40 bits that evaluates at no cost, with its archive in a file, once in generations of
100 (NSGA-II) and once without a barrier (regularized_evolution).  It is run to its end and then
again, which repeats its steps and evaluates nothing.  Processor seconds of the whole process, from
the start of Python to the last generation, without the writing of results; resident memory at a
tenth of the evaluations and at the end.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks.result_file import keep, machine, parser_of
from problems.spaces.bit_string import BitString
from toolbox.backends.child import resident_bytes

POPULATION = 100
SPACE = BitString(40)


@dataclass(frozen=True)
class Sums:
    """Two sums of 40 bits whose weights are powers of the golden ratio, so that few are equal."""

    @property
    def space(self) -> BitString:
        return SPACE

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        return {
            "first": sum([1.618 ** (place % 7) for place, bit in enumerate(genome) if bit]),
            "second": sum([1.618 ** (place % 5) for place, bit in enumerate(genome) if not bit]),
        }


class Arriving:
    """A backend in this process whose outcomes arrive 64 at a time."""

    def together(self, function: object, jobs: Iterable[object]) -> Iterator[list[object]]:
        jobs = iter(jobs)
        while hand := [job for job in islice(jobs, self.room(function)) if job is not None]:
            yield [function(job) for job in hand]  # type: ignore[operator]

    def __call__(self, function: object, jobs: Iterable[object]) -> Iterator[object]:
        for outcomes in self.together(function, jobs):
            yield from outcomes

    def room(self, function: object) -> int:
        return 64


def session(folder: str, algorithm: str, generations: int) -> None:
    """Run the search in its folder, or again; its figures as JSON on standard output."""
    from deap_nas import Search

    objectives = [
        {"use": "measured", "name": name, "direction": "maximize", "worst": 0.0}
        for name in ("first", "second")
    ]
    tables = {
        "objectives": objectives,
        "problem": {"use": "benchmarks.replay:Sums"},
        "toolbox": {
            "map": "benchmarks.replay:Arriving",
            "mutate": {"use": "reset_gene", "gene_probability": 0.025},
        },
        "algorithm": {"use": algorithm, "population": POPULATION, "generations": generations},
    }
    resident, evaluated = {}, 0
    for generation in Search(tables, runs=folder, progress=False):
        evaluated += generation.trained + generation.reused
        if generation.number in (generations // 10, generations - 1):  # the last writes results
            resident[evaluated] = resident_bytes() / 2**20
            seconds = time.process_time()
    print(json.dumps({"seconds": seconds, "resident": list(resident.items())}))


def row(algorithm: str, what: str, figures: dict[str, Any]) -> str:
    (few, before), (many, after) = figures["resident"]
    growth = 1024 * (after - before) / (many - few)
    return (
        f"| {algorithm} | {what} | {many:,} | {figures['seconds']:.1f} | "
        f"{1000 * figures['seconds'] / many:.3f} | {before:.0f} | {after:.0f} | {growth:.2f} |"
    )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--evaluations", type=int, default=100_000)
    parser.add_argument("--session", nargs=3, help="of this benchmark's own")
    arguments = parser.parse_args()
    if arguments.session:
        folder, algorithm, generations = arguments.session
        session(folder, algorithm, int(generations))
        return
    generations = arguments.evaluations // POPULATION
    lines = [
        f"# A search of {arguments.evaluations:,} evaluations, and going on with it",
        "",
        f"{machine()}; `python -m benchmarks.replay --evaluations {arguments.evaluations}`; one "
        "run.",
        "",
        "| algorithm | session | evaluations | processor s | ms an evaluation | MiB after a tenth "
        "| MiB at the end | KiB an evaluation |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for algorithm in ("nsga2", "regularized_evolution"):
        with tempfile.TemporaryDirectory() as folder:
            for what in ("first", "again"):
                command = [sys.executable, "-m", "benchmarks.replay", "--session"]
                told = subprocess.run(
                    [*command, folder, algorithm, str(generations)],
                    stdout=subprocess.PIPE,
                    check=True,
                    text=True,
                )
                lines.append(row(algorithm, what, json.loads(told.stdout)))
                print(lines[-1], flush=True)
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
