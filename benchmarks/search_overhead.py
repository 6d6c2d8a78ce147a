"""What does NSGA-II take itself, ours against pymoo's, where evaluations cost nothing?

    python -m benchmarks.search_overhead [--table FILE.json] [--populations 100 1000]
        [--generations 20] [--repeats 7] [--out FILE.md]

Three objectives on two spaces: accuracy, parameters and FLOPs of NAS-Bench-Macro (8 genes of 3,
6,561 networks), and three weighted sums of 40 bits, where hardly a genome is asked for twice.

Processor seconds of a generation without those of the evaluation: pymoo's is one vectorized step a
generation, ours one call a network.  Ours does all that a search does: the archive (in memory),
lineage, guarded operators, the front and hypervolume of each generation.  The two take turns in one
process, with the same seeds; the first population is left out.
"""

import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.functions import is_compiled

from benchmarks.peers import Integers, integer_operators
from benchmarks.result_file import keep, machine, parser_of
from benchmarks.search_quality import MUTATED, TABLE, Stopwatch
from problems import PROBLEMS
from problems.spaces.bit_string import BitString
from problems.tabular import Tabular
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.search import search

OBJECTIVES = ("val_accuracy", "params", "flops")
BITS = 40


@cache
def weights() -> list[list[float]]:
    """Of each bit in each of three sums, the same in every run."""
    draw = random.Random(0)
    return [[draw.uniform(-1, 1) for _ in range(BITS)] for _ in range(3)]


@dataclass(frozen=True)
class WeightedSums:
    """Three sums of bits, each with weights of its own, all to be minimized."""

    @property
    def space(self) -> BitString:
        return SPACE

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        return {
            f"sum{number}": sum(weight for weight, bit in zip(row, genome, strict=True) if bit)
            for number, row in enumerate(weights())
        }


SPACE = BitString(BITS)


def tables_of(space: str, table: str) -> dict[str, Any]:
    """What the declarations of the two spaces differ in."""
    if space == "table":
        return {
            "objectives": list(OBJECTIVES),
            "problem": {"use": "tabular", "path": table, "format": "nas_bench_macro"},
            "toolbox": {"map": "serial", "mutate": MUTATED},
        }
    sums = [{"use": "measured", "name": f"sum{number}"} for number in range(3)]
    return {
        "objectives": [{**one, "direction": "minimize", "worst": BITS} for one in sums],
        "problem": {"use": "benchmarks.search_overhead:WeightedSums"},
        "toolbox": {"map": "serial", "mutate": {"use": "reset_gene", "gene_probability": 1 / BITS}},
    }


def of_ours(space: str, table: str, population: int, generations: int, seed: int) -> list[float]:
    """Seconds of each generation of ours."""
    sizes = {"population": population, "generations": generations}
    tables = {"seed": seed, "algorithm": {"use": "nsga2", **sizes}, **tables_of(space, table)}
    declaration = declare(tables, PROBLEMS, name="overhead")
    problem = declaration.problem.build()
    problem = problem.prepared() if hasattr(problem, "prepared") else problem
    timed = Stopwatch(problem)
    toolbox = assemble(declaration, timed, Archive(declaration.identity(problem)))
    with closing(toolbox):
        steps = search(declaration, toolbox)
        return by_generation(lambda: next(steps), lambda: timed.seconds, generations)


def of_pymoo(space: str, table: str, population: int, generations: int, seed: int) -> list[float]:
    """Seconds of each generation of pymoo's."""
    choices, losses = vectorized(space, table)
    seconds = 0.0

    def timed(x: numpy.ndarray) -> numpy.ndarray:
        nonlocal seconds
        began = time.process_time()
        found = losses(x.astype(int))
        seconds += time.process_time() - began
        return found

    algorithm = NSGA2(pop_size=population, **integer_operators())
    problem = Integers(choices, 3, timed)
    algorithm.setup(problem, termination=("n_gen", generations + 1), seed=seed, verbose=False)
    return by_generation(algorithm.next, lambda: seconds, generations)


@cache
def vectorized(space: str, table: str) -> tuple[list[int], Callable]:
    """The genes' numbers of choices, and the losses of genomes (n, genes) as (n, 3)."""
    if space != "table":
        each = numpy.array(weights()).T
        return [2] * BITS, lambda x: x @ each
    problem = Tabular(path=table, format="nas_bench_macro").prepared()
    choices = [len(gene.choices) for gene in problem.space.genes]
    place = numpy.cumprod([1, *choices[:0:-1]])[::-1]
    known = numpy.zeros((numpy.prod(choices), len(OBJECTIVES)))
    for genome in problem.file.table().rows:
        measurement = problem.evaluate(list(genome))
        known[place @ genome] = [measurement[name] for name in OBJECTIVES]
    known[:, 0] *= -1
    return choices, lambda x: known[x @ place]


def by_generation(
    step: Callable[[], Any], evaluating: Callable[[], float], generations: int
) -> list[float]:
    """Processor seconds of each call of `step` but the first, less those of evaluating."""
    step()
    spent = []
    for _ in range(generations):
        began, before = time.process_time(), evaluating()
        step()
        spent.append(time.process_time() - began - (evaluating() - before))
    return spent


def milliseconds(repeats: list[list[float]]) -> str:
    """Median and extremes over the repeats of the mean generation."""
    each = [1000 * sum(spent) / len(spent) for spent in repeats]
    return f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--populations", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    table = str(arguments.table.absolute())
    built = "compiled" if is_compiled() else "not compiled"
    lines = [
        "# NSGA-II without the evaluations: ours against pymoo",
        "",
        f"{machine()}, numpy {version('numpy')}, moocore {version('moocore')}, deap "
        f"{version('deap')}, pymoo {version('pymoo')} ({built}); three objectives, "
        f"{arguments.generations} generations, {arguments.repeats} repeats in turns; median "
        "(extremes) of the mean generation.",
        "",
        f"`python -m benchmarks.search_overhead --generations {arguments.generations} "
        f"--repeats {arguments.repeats}`",
        "",
        "| space | population | ours, ms a generation | pymoo | ours / pymoo, pair by pair |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for space, name in (("table", "NAS-Bench-Macro"), ("sums", f"{BITS} bits")):
        for population in arguments.populations:
            ours, pymoos = [], []
            for seed in range(arguments.repeats):
                for found, of in ((ours, of_ours), (pymoos, of_pymoo)):
                    found.append(of(space, table, population, arguments.generations, seed))
            ratios = [sum(a) / sum(b) for a, b in zip(ours, pymoos, strict=True)]
            line = (
                f"| {name} | {population:,} | {milliseconds(ours)} | {milliseconds(pymoos)} | "
                f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
            )
            print(line, flush=True)
            lines.append(line)
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
