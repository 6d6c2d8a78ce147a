"""What finals are worth: the regret of the network that a search returns, with and without them.

  python -m benchmarks.finals --table nas-bench-macro_cifar10.json --budget 100 --seeds 40

The table is NAS-Bench-Macro.  A network is worth its published mean, and each training is that and
fresh noise, normal with the standard deviation of the three published runs of the 500 best.  All
searches of a row spend the same number of trainings, finals included.  Regret: what the returned
network lacks to the best of the table, in points of percent; nothing of it is seen by the search.
"""

import argparse
import math
import random
from statistics import fmean, stdev

from problems.seeds import seed_of
from problems.tables.nas_bench_macro import GENES
from problems.tabular import Tabular
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.report.picking import pick
from toolbox.search import search

BEST = 500  # networks whose noise counts


class NoisyTable:
    """NAS-Bench-Macro with fresh noise on the mean of each network."""

    measures = ("val_accuracy",)
    reseeds = True

    def __init__(self, path: str, seed: int = 0):
        self.table, self.seed = Tabular(path, "nas_bench_macro"), seed
        self.space = self.table.space
        rows = sorted(self.space.file.table().rows.values(), key=lambda row: -row["test_accuracy"])
        self.best = rows[0]["test_accuracy"]
        variances = [stdev(row["val_accuracy"]) ** 2 for row in rows[:BEST]]
        self.deviation = math.sqrt(fmean(variances))

    def truth(self, genome: list[int]) -> float:
        return float(self.space.file.table().rows[tuple(genome)]["test_accuracy"])

    def evaluate(self, genome: list[int], seed: int = 0) -> dict[str, float]:
        draw = random.Random(seed_of(f"{self.seed} {self.space.decode(genome)} {seed}"))
        return {"val_accuracy": self.truth(genome) + draw.gauss(0, self.deviation)}


def regret(path: str, budget: int, finals: tuple[int, int] | None, screen: str, seed: int) -> float:
    """Of the network that one search returns, in points of percent."""
    tables = {
        "objectives": ["val_accuracy"],
        "seed": seed,
        "problem": {"use": "noisy", "path": path},
        "toolbox": {
            "map": "serial",
            "select": {"use": "tournament", "size": 5},
            "mutate": {"use": "reset_gene", "gene_probability": 1 / len(GENES)},
            "screen": screen,
        },
        "algorithm": {
            "use": "genetic_algorithm",
            "population": 20,
            "generations": 20 * budget,
            "elite": 5,
            "mutation_probability": 1.0,
        },
        "stop": {"evaluations": budget},
        "finals": {"networks": finals[0], "seeds": finals[1]} if finals else {},
    }
    declaration = declare(tables, {"noisy": NoisyTable}, "finals")
    problem = NoisyTable(path, seed)
    toolbox = assemble(declaration, problem, Archive({}))
    for _ in search(declaration, toolbox):
        pass
    networks = toolbox.evaluator.networks
    trained = len(networks.archive)
    assert trained == budget, f"{trained} trainings, not {budget}"
    returned = pick(networks.judge, networks.archive.networks(), "best")
    return 100 * (problem.best - problem.truth(returned.genome))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--screen", default="everyone")
    parser.add_argument(
        "--finals", nargs="*", default=["0x0", "5x2", "10x2"], metavar="NETWORKSxSEEDS"
    )
    chosen = parser.parse_args()
    print(f"{chosen.budget} trainings, screen {chosen.screen}, {chosen.seeds} seeds")
    for text in chosen.finals:
        networks, seeds = map(int, text.split("x"))
        finals = (networks, seeds) if networks else None
        found = [
            regret(chosen.table, chosen.budget, finals, chosen.screen, seed)
            for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds)
        ]
        error = stdev(found) / math.sqrt(len(found))
        print(f"{text:>6}  regret {fmean(found):.3f} +- {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
