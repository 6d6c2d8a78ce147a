"""Do the genes that a search finds important agree with those of the whole table?

    python -m benchmarks.importance [--table FILE.json] [--seeds 20] [--networks 200]
        [--out FILE.md]

On NAS-Bench-Macro (Su et al., 2021): the report's ranking of the eight genes after some networks of
a search, held against the functional ANOVA of the mean accuracy of all 6,561 networks by Spearman's
rank correlation, of what each gene tells alone and of what each pair tells beyond its genes.
Searches that breed see more of the good networks than of the others; random search does not.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import Any

import numpy
from scipy.stats import spearmanr

from benchmarks.in_memory import search_in_memory
from benchmarks.result_file import keep, machine, parser_of
from benchmarks.search_quality import TABLE
from problems import PROBLEMS
from toolbox.declaration import declare
from toolbox.report.importance import Sampled, foretelling, importance

SEARCHES: Mapping[str, Mapping[str, Any]] = {
    "random search": {"algorithm": "random_search"},
    "genetic algorithm": {"algorithm": "genetic_algorithm"},
    "NSGA-II, accuracy and parameters": {"algorithm": "nsga2"},
}


def shares_of(values: numpy.ndarray) -> tuple[list[float], list[float]]:
    """What each axis of a full table tells alone, and each pair of axes beyond its two."""

    def between(*axes: int) -> float:
        others = tuple(axis for axis in range(values.ndim) if axis not in axes)
        return float(values.mean(axis=others).var())

    alone = [between(axis) for axis in range(values.ndim)]
    pairs = [between(a, b) - alone[a] - alone[b] for a, b in combinations(range(values.ndim), 2)]
    return alone, pairs


def agreement(
    path: str, how: Mapping[str, Any], seed: int, networks: int, true: Sequence[list[float]]
) -> tuple[float, float]:
    """Spearman's correlation of genes and of pairs after one search."""
    tables = {
        "objectives": ["val_accuracy", *(["params"] if how["algorithm"] == "nsga2" else [])],
        "seed": seed,
        "problem": {"use": "tabular", "format": "nas_bench_macro", "path": path},
        "toolbox": {"map": "serial"},
        "algorithm": {"use": how["algorithm"], "population": 20, "generations": 200},
        "stop": {"evaluations": networks},
    }
    if how["algorithm"] == "genetic_algorithm":
        tables["toolbox"]["select"] = {"use": "tournament", "size": 3}
    declaration = declare(tables, PROBLEMS, name="importance")
    toolbox = search_in_memory(declaration)
    judge, space = toolbox.evaluator.judge, toolbox.evaluator.problem.space
    told = foretelling(space, judge, toolbox.evaluator.networks.archive.networks(), 0)
    assert not isinstance(told, str), told
    found = importance(told, Sampled.of(space))
    assert not isinstance(found, str), found
    names = [gene.name for gene in space.genes]
    genes = {one.name: one.alone for one in found.genes}
    pairs = {one.name: one.alone for one in found.pairs}
    in_order = [pairs[f"{a} and {b}"] for a, b in combinations(names, 2)]
    return (
        float(spearmanr([genes[name] for name in names], true[0]).statistic),
        float(spearmanr(in_order, true[1]).statistic),
    )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--table", default=str(TABLE))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--networks", type=int, default=200)
    chosen = parser.parse_args()
    from problems.tables import open_table

    table = open_table(chosen.table, "nas_bench_macro", (), ())
    values = numpy.zeros([len(gene.choices) for gene in table.genes])
    for genome, row in table.rows.items():
        values[genome] = row["test_accuracy"]
    true = shares_of(values)
    lines = [
        "# Importance of genes: a search's networks against the whole table",
        "",
        f"{machine()}; NAS-Bench-Macro on CIFAR-10, {chosen.networks} networks, seeds 1 to "
        f"{chosen.seeds}; Spearman's correlation with the functional ANOVA of all 6,561 networks, "
        "median (least to largest).",
        "",
        f"`python -m benchmarks.importance --seeds {chosen.seeds} --networks {chosen.networks}`",
        "",
        "| search | genes | pairs of genes |",
        "|---|---|---|",
    ]
    for name, how in SEARCHES.items():
        found = [
            agreement(chosen.table, how, seed, chosen.networks, true)
            for seed in range(1, chosen.seeds + 1)
        ]
        cells = [
            f"{median(column):.3f} ({min(column):.3f} to {max(column):.3f})"
            for column in zip(*found, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
