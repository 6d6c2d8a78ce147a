"""Mean field game, tournament and roulette: what a search finds, and how many networks it keeps.

    python -m benchmarks.selections [--table FILE.json] [--seeds 60] [--population 50]
        [--generations 20] [--out FILE.md]

A genetic algorithm on NAS-Bench-Macro whose selection varies, without and with the re-mutation of
duplicates.  Regret as in search_quality.py, of the network that the search would return and of the
best one evaluated, in points of percent; distinct: different networks in the final population.
Mean and standard error over the seeds, beside random search of as many individuals.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.in_memory import returned, search_in_memory
from benchmarks.noisy_table import ACCURACY, NoisyTable
from benchmarks.result_file import keep, machine, parser_of
from benchmarks.search_quality import OURS_PROBLEMS, TABLE, Scorer, statistics
from toolbox.declaration import declare

SELECTIONS: Mapping[str, Mapping[str, Any]] = {
    "tournament of 3": {"use": "tournament", "size": 3},
    "roulette, by accuracy": {"use": "roulette"},
    "mean field game": {"use": "mean_field_game"},
    "mean field game, no crowding": {"use": "mean_field_game", "crowding": 0.0},
    "mean field game, temperature .1": {"use": "mean_field_game", "temperature": 0.1},
}


def run(
    scorer: Scorer, seed: int, algorithm: Mapping[str, Any], select: Mapping[str, Any]
) -> tuple[float, float, float, float]:
    """Regret returned and regret evaluated, in points; distinct networks evaluated and kept."""
    tables = {
        "objectives": [ACCURACY],
        "seed": seed,
        "problem": {"use": "noisy_table", "path": scorer.table.path, "format": scorer.table.format},
        "toolbox": {"map": "serial", "select": select, "mutate": {"use": "reset_gene"}},
        "algorithm": algorithm,
    }
    declaration = declare(tables, OURS_PROBLEMS, name="selections")
    toolbox = search_in_memory(declaration)
    networks = [record.architecture for record in toolbox.evaluator.networks.records.values()]
    kept = {tuple(one) for one in toolbox.population_now}
    regrets = scorer.regret(returned(toolbox)), scorer.regret(networks)
    return *regrets, len(networks), len(kept)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--table", default=str(TABLE))
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--generations", type=int, default=20)
    chosen = parser.parse_args()
    scorer = Scorer(NoisyTable(chosen.table, format="nas_bench_macro"))
    sizes = {"population": chosen.population, "generations": chosen.generations}
    contestants: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        f"{name}{', re-mutated' if remutations else ''}": (
            {"use": "genetic_algorithm", "remutations": remutations, **sizes},
            select,
        )
        for remutations in (0, 10)
        for name, select in SELECTIONS.items()
    }
    random_search = {"use": "random_search", **sizes}
    contestants["random search"] = random_search, {"use": "nsga2"}
    lines = [
        "# Selections: what is found, and what is kept",
        "",
        f"{machine()}; NAS-Bench-Macro on CIFAR-10, population {chosen.population}, "
        f"{chosen.generations} generations, seeds 0 to {chosen.seeds - 1}; mean ± standard error.",
        "",
        f"`python -m benchmarks.selections --seeds {chosen.seeds} --population "
        f"{chosen.population} --generations {chosen.generations}`",
        "",
        "| selection | regret returned | regret of the best evaluated | networks evaluated | "
        f"distinct of {chosen.population} |",
        "|---|---|---|---|---|",
    ]
    for name, (algorithm, select) in contestants.items():
        columns = zip(
            *(run(scorer, seed, algorithm, select) for seed in range(chosen.seeds)), strict=True
        )
        cells = [
            statistics(column, digits) for column, digits in zip(columns, (3, 3, 0, 1), strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
