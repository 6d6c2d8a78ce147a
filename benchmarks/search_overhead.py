"""What does a search take itself, ours against pymoo's, where evaluations cost nothing?

    python -m benchmarks.search_overhead [--populations 100 1000 10000] [--generations 10]
        [--repeats 5] [--out FILE.md]

NSGA-II with two objectives and the genetic algorithm with one, on two spaces: 40 bits, and chains
of convolutions, 20 genes of which some are inert; each of their genomes is a network.  Both sides
vary in the same way: uniform crossover of 9 pairs in 10, then each gene takes another choice with
probability 1 / genes.  The losses are weighted sums of the genes, so that hardly a genome is asked
for twice.

Processor time without that of the evaluations: pymoo's is one vectorized step a generation, ours
one call a network.  Ours does all that a search does: the archive (in memory), the network behind
each genome, lineage, guarded operators, the front and hypervolume of each generation.  The two take
turns in one process, with the same seeds; the first population is left out.
"""

import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.mutation import Mutation
from pymoo.functions import is_compiled
from pymoo.operators.crossover.ux import UX
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from benchmarks.peers import Integers
from benchmarks.result_file import keep, machine, parser_of
from benchmarks.search_quality import Stopwatch
from problems.spaces.bit_string import BitString
from problems.spaces.conv_chain import ConvChain
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.search import search

SPACES: dict[str, Any] = {
    "40 bits": BitString(40),
    "chain": ConvChain(depth=(1, 8), pool_after="second_and_last", batch_norm="gene"),
}
ALGORITHMS: dict[str, tuple[str, int]] = {  # ours, and its number of objectives
    "NSGA-II": ("nsga2", 2),
    "genetic algorithm": ("genetic_algorithm", 1),
}
CROSSOVER = 0.9


@cache
def weights(genes: int) -> list[list[float]]:
    """Of each gene in each of two sums, the same in every run."""
    draw = random.Random(0)
    return [[draw.uniform(-1, 1) for _ in range(genes)] for _ in range(2)]


@dataclass(frozen=True)
class WeightedSums:
    """Two sums of genes, each with weights of its own, to be minimized."""

    of: str

    @property
    def space(self) -> Any:
        return SPACES[self.of]

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        return {
            f"sum{number}": sum([weight * gene for weight, gene in zip(row, genome, strict=True)])
            for number, row in enumerate(weights(len(genome)))
        }


class ResetGene(Mutation):
    """Each gene takes another of its choices with probability 1 / genes, as our `reset_gene`."""

    def _do(
        self, problem: Any, X: numpy.ndarray, *args: Any, random_state: Any, **kwargs: Any
    ) -> numpy.ndarray:
        choices = (problem.xu + 1).astype(int)
        hit = (random_state.random(X.shape) < 1 / len(choices)) & (choices > 1)
        moved = X + 1 + numpy.floor(random_state.random(X.shape) * (choices - 1)).astype(int)
        return numpy.where(hit, moved % choices, X)


def of_ours(
    space: str, algorithm: str, population: int, generations: int, seed: int
) -> list[float]:
    """Seconds of each generation of ours."""
    use, objectives = ALGORITHMS[algorithm]
    genes = len(SPACES[space].genes)
    tables = {
        "seed": seed,
        "objectives": [
            {"use": "measured", "name": f"sum{n}", "direction": "minimize", "worst": 1000.0}
            for n in range(objectives)
        ],
        "problem": {"use": "benchmarks.search_overhead:WeightedSums", "of": space},
        "toolbox": {
            "map": "serial",
            "mate": "uniform",
            "mutate": {"use": "reset_gene", "gene_probability": 1 / genes},
            **({"select": {"use": "tournament", "size": 2}} if objectives == 1 else {}),
        },
        "algorithm": {
            "use": use,
            "population": population,
            "generations": generations,
            "crossover_probability": CROSSOVER,
            "mutation_probability": 1.0,
        },
    }
    declaration = declare(tables, {}, name="overhead")
    timed = Stopwatch(declaration.problem.build())
    toolbox = assemble(declaration, timed, Archive(declaration.identity(timed.problem)))
    with closing(toolbox):
        steps = search(declaration, toolbox)
        return by_generation(lambda: next(steps), lambda: timed.seconds, generations)


def of_pymoo(
    space: str, algorithm: str, population: int, generations: int, seed: int
) -> list[float]:
    """Seconds of each generation of pymoo's."""
    _, objectives = ALGORITHMS[algorithm]
    choices = [len(gene.choices) for gene in SPACES[space].genes]
    each = numpy.array(weights(len(choices))[:objectives]).T
    seconds = 0.0

    def timed(x: numpy.ndarray) -> numpy.ndarray:
        nonlocal seconds
        began = time.process_time()
        found = x.astype(int) @ each
        seconds += time.process_time() - began
        return found

    made = (NSGA2 if objectives == 2 else GA)(
        pop_size=population,
        sampling=IntegerRandomSampling(),
        crossover=UX(prob=CROSSOVER),
        mutation=ResetGene(),
    )
    problem = Integers(choices, objectives, timed)
    made.setup(problem, termination=("n_gen", generations + 1), seed=seed, verbose=False)
    return by_generation(made.next, lambda: seconds, generations)


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


def microseconds(repeats: list[list[float]], population: int) -> str:
    """Median and extremes over the repeats of the time for a network, in microseconds."""
    each = [1e6 * sum(spent) / len(spent) / population for spent in repeats]
    return f"{median(each):.0f} ({min(each):.0f} to {max(each):.0f})"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--populations", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    generations, repeats = arguments.generations, arguments.repeats
    built = "compiled" if is_compiled() else "not compiled"
    lines = [
        "# A search without the evaluations: ours against pymoo",
        "",
        f"{machine()}, numpy {version('numpy')}, moocore {version('moocore')}, deap "
        f"{version('deap')}, pymoo {version('pymoo')} ({built}); {generations} generations, "
        f"{repeats} repeats in turns; microseconds of processor time for a network, median "
        "(extremes) of the repeats.",
        "",
        f"`python -m benchmarks.search_overhead --generations {generations} --repeats {repeats}`",
        "",
        "| algorithm | space | population | ours | pymoo | ours / pymoo, pair by pair |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for algorithm in ALGORITHMS:
        for space in SPACES:
            for population in arguments.populations:
                found: dict[Any, list[list[float]]] = {of_ours: [], of_pymoo: []}
                for seed in range(repeats):
                    for of in found:
                        found[of].append(of(space, algorithm, population, generations, seed))
                ours, pymoos = found.values()
                ratios = [sum(a) / sum(b) for a, b in zip(ours, pymoos, strict=True)]
                line = (
                    f"| {algorithm} | {space} | {population:,} | "
                    f"{microseconds(ours, population)} | {microseconds(pymoos, population)} | "
                    f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
                )
                print(line, flush=True)
                lines.append(line)
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
