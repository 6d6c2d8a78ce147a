"""How many evaluations a minute pass through the archive where an evaluation costs nothing?

    python -m benchmarks.evaluations_per_minute nas-bench-macro_cifar10.json [--out FILE.md]

`Evaluator.map` over an archive in memory, the serial backend and the published table of
NAS-Bench-Macro: all its networks, each once, and as many draws from 200 of them, in batches as
an algorithm asks for them.  Then a whole search by NSGA-II, its operators and its ranking included.
All of it happens in one thread and waits for nothing, so the time is the processor's, which other
programs on the machine hardly change.
"""

import itertools
import random
import statistics
import time
from collections.abc import Callable

from benchmarks.result_file import keep, machine, parser_of
from problems import PROBLEMS
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.backends import Serial
from toolbox.declaration import Declaration, declare
from toolbox.evaluation import Evaluator
from toolbox.individual import Individual
from toolbox.judge import Judge
from toolbox.networks import Networks
from toolbox.problem import adapted
from toolbox.search import search

POPULATION, GENERATIONS = 100, 30


def declared(table: str) -> Declaration:
    """A search over the table in a file for accuracy and FLOPs."""
    return declare(
        {
            "objectives": ["val_accuracy", "flops"],
            "problem": {"use": "tabular", "format": "nas_bench_macro", "path": table},
            "toolbox": {"map": "serial"},
            "algorithm": {"use": "nsga2", "population": POPULATION, "generations": GENERATIONS},
        },
        PROBLEMS,
        "evaluations_per_minute",
    )


def through_the_archive(declaration: Declaration, genomes: list[list[int]], batch: int) -> float:
    """Evaluations per minute of all genomes, in batches, in an archive that begins empty."""
    problem = declaration.problem.build().prepared()
    archive = Archive(declaration.identity(problem))
    judge = Judge(declaration.objectives)
    evaluator = Evaluator(Networks(adapted(problem), judge, archive))
    individuals = [Individual(genome, (1.0, -1.0)) for genome in genomes]
    backend = Serial()
    start = time.process_time()
    for first in range(0, len(individuals), batch):
        evaluator.map(backend, evaluator.evaluate, individuals[first : first + batch])
    return 60 * len(individuals) / (time.process_time() - start)


def through_a_search(declaration: Declaration) -> float:
    """Evaluations per minute of a search, with all that it does besides."""
    problem = declaration.problem.build().prepared()
    toolbox = assemble(declaration, problem, Archive(declaration.identity(problem)))
    start = time.process_time()
    evaluated = sum(generation.evaluated for generation in search(declaration, toolbox))
    return 60 * evaluated / (time.process_time() - start)


def row(what: str, measured: Callable[[], float], runs: int) -> str:
    figures = [measured() for _ in range(runs)]
    spread = f"{min(figures):,.0f} to {max(figures):,.0f}"
    return f"| {what} | {statistics.median(figures):,.0f} | {spread} |"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("table", help="the table as NAS-Bench-Macro publishes it")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    declaration = declared(arguments.table)
    every = [list(genome) for genome in itertools.product(range(3), repeat=8)]
    draw = random.Random(1)
    draw.shuffle(every)
    repeated = draw.choices(every[:200], k=len(every))
    lines = [
        "# Evaluations a minute through the archive in memory",
        "",
        f"{machine()}; NAS-Bench-Macro, {len(every):,} networks, serial, "
        f"processor time; median of {arguments.runs} runs and their range.",
        "",
        "| what | evaluations per minute | range |",
        "|---|---|---|",
    ]
    for batch in (20, 100, 1000):
        for what, genomes in (("each once", every), ("draws from 200", repeated)):

            def measured(genomes: list[list[int]] = genomes, batch: int = batch) -> float:
                return through_the_archive(declaration, genomes, batch)

            lines.append(row(f"{what}, batches of {batch:,}", measured, arguments.runs))
    what = f"a search by NSGA-II, population {POPULATION}, {GENERATIONS} generations"
    lines.append(row(what, lambda: through_a_search(declaration), arguments.runs))
    print("\n".join(lines))
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
