"""What does NSGA-II take itself, ours against pymoo's, where evaluations cost nothing?

    python -m benchmarks.search_overhead [--table FILE.json] [--populations 100 1000]
        [--generations 20] [--repeats 7] [--out FILE.md]

Accuracy, parameters and FLOPs of NAS-Bench-Macro, looked up.  Processor seconds of a generation
without those of the evaluation: pymoo's is one vectorized look-up a generation, ours one call a
network.  Ours does all that a search does: the archive (in memory), lineage, guarded operators, the
front and hypervolume of each generation.  The two take turns in one process, with the same seeds;
the first population is left out.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy
from pymoo.algorithms.moo.nsga2 import NSGA2

from benchmarks.peers import Integers, integer_operators
from benchmarks.result_file import keep, machine, parser_of
from benchmarks.search_quality import MUTATED, TABLE, Stopwatch, problem_of
from problems import PROBLEMS
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.search import search

OBJECTIVES = ("val_accuracy", "params", "flops")


def of_ours(table: str, population: int, generations: int, seed: int) -> list[float]:
    """Seconds of each generation of ours."""
    tables = {
        "objectives": list(OBJECTIVES),
        "seed": seed,
        "problem": {"use": "tabular", "path": table, "format": "nas_bench_macro"},
        "toolbox": {"map": "serial", "mutate": MUTATED},
        "algorithm": {"use": "nsga2", "population": population, "generations": generations},
    }
    declaration = declare(tables, PROBLEMS, name="overhead")
    timed = Stopwatch(declaration.problem.build().prepared())
    toolbox = assemble(declaration, timed, Archive(declaration.identity(timed.problem)))
    with closing(toolbox):
        steps = search(declaration, toolbox)
        return by_generation(lambda: next(steps), lambda: timed.seconds, generations)


def of_pymoo(table: str, population: int, generations: int, seed: int) -> list[float]:
    """Seconds of each generation of pymoo's."""
    problem = problem_of(table, seed)
    choices = [len(gene.choices) for gene in problem.space.genes]
    place = numpy.cumprod([1, *choices[:0:-1]])[::-1]
    known = numpy.zeros((numpy.prod(choices), len(OBJECTIVES)))
    for genome in problem.file.table().rows:
        measurement = problem.evaluate(list(genome))
        known[place @ genome] = [measurement[name] for name in OBJECTIVES]
    known[:, 0] *= -1
    seconds = 0.0

    def losses(x: numpy.ndarray) -> numpy.ndarray:
        nonlocal seconds
        began = time.process_time()
        found = known[x.astype(int) @ place]
        seconds += time.process_time() - began
        return found

    algorithm = NSGA2(pop_size=population, **integer_operators())
    algorithm.setup(
        Integers(choices, len(OBJECTIVES), losses),
        termination=("n_gen", generations + 1),
        seed=seed,
        verbose=False,
    )
    return by_generation(algorithm.next, lambda: seconds, generations)


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
    lines = [
        "# NSGA-II without the evaluations: ours against pymoo",
        "",
        f"{machine()}, pymoo {pymoo_version()}; three objectives, {arguments.generations} "
        f"generations, {arguments.repeats} repeats in turns.",
        "",
        "| population | ours, ms a generation | pymoo | ours / pymoo, pair by pair |",
        "|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for population in arguments.populations:
        ours, pymoos = [], []
        for seed in range(arguments.repeats):
            for found, of in ((ours, of_ours), (pymoos, of_pymoo)):
                found.append(of(table, population, arguments.generations, seed))
        ratios = [sum(a) / sum(b) for a, b in zip(ours, pymoos, strict=True)]
        line = (
            f"| {population:,} | {milliseconds(ours)} | {milliseconds(pymoos)} | "
            f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
        print(line, flush=True)
        lines.append(line)
    keep(lines, arguments.out)


def pymoo_version() -> str:
    from importlib.metadata import version

    from pymoo.functions import is_compiled

    return f"{version('pymoo')} ({'' if is_compiled() else 'not '}compiled)"


if __name__ == "__main__":
    main()
