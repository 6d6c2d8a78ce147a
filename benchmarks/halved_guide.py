"""What a guide is worth where a halving stops most networks on their way.

    python -m benchmarks.halved_guide [--seeds 40] [--first-seed 1] [--networks 60] [--out FILE.md]

A table of trained networks tells no learning curves, so each network is given one: after e of E
epochs it lacks a part of the way, 1 after the first epoch and 0 after the last, by a power law
(Domhan et al., 2015), and every network has a way of its own, of 2 standard deviations of the
table's accuracies, give or take a third of it.  The noise of a training falls from twice the
table's to once.  So after one epoch networks are in about the order that they will be in the end.

Three searches by the same halving: without a guide; with one that learns from what was stopped as
if it had been trained in full; and with one that learns what it would have been worth
(toolbox/screening/on_the_way.py).
"""

from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from statistics import stdev
from typing import Any
from unittest.mock import patch

from benchmarks.in_memory import returned, search_in_memory
from benchmarks.noisy_table import ACCURACY, NoisyTable
from benchmarks.result_file import keep, machine, parser_of
from benchmarks.search_quality import MACRO, objectives_of, scorer_of, statistics
from problems.seeds import seed_of
from problems.tables import SHIPPED
from toolbox.declaration import declare
from toolbox.screening.on_the_way import OnTheWay

EPOCHS = 6
RATE = 0.7
WAY, APART = 2.0, 1 / 3  # of the accuracies' standard deviation; of the way itself
TABLES = {
    "NAS-Bench-Macro": MACRO,
    "small cells": NoisyTable(str(SHIPPED["skip_cells"]), format="skip_cells", cost_column="macs"),
}


@dataclass(frozen=True)
class Curved(NoisyTable):
    """A table whose networks have learning curves."""

    epochs = EPOCHS

    @property
    def measures(self) -> tuple[str, ...]:
        return (*super().measures, "epochs", "trained_epochs")

    def evaluate(  # type: ignore[override]
        self, genome: list[int], epochs: int = EPOCHS, key: str = "", seed: int = 0
    ) -> dict[str, float]:
        whole = super().evaluate(genome, seed)
        network = self.space.decode(self.space.canonical(list(genome)))
        drawn = Random(seed_of(f"{self.seed} {network} {epochs} of {EPOCHS}"))
        own = Random(seed_of(f"curve of {network}")).gauss(1, APART)
        left = (EPOCHS / epochs) ** RATE - 1
        way = WAY * _spread(replace(self, seed=0)) * left / (EPOCHS**RATE - 1)
        noise = drawn.gauss(0, self.truth.noise) * (1 / epochs if left else 0)
        return {
            **whole,
            ACCURACY: whole[ACCURACY] - way * own + noise,
            "epochs": epochs,
            "trained_epochs": epochs,
        }


@cache
def _spread(table: Curved) -> float:
    return stdev(table.truth.accuracy.values())


def curved(name: str, seed: int) -> Curved:
    table = TABLES[name]
    return Curved(table.path, table.format, cost_column=table.cost_column, seed=seed)


def declared(table: Curved, guided: bool, networks: int, objectives: int) -> dict[str, Any]:
    cost = table.cost_column
    ways = {1: {"use": "genetic_algorithm", "elite": 5, "mutation_probability": 1.0}}
    parts = {"path": table.path, "format": table.format, "cost_column": cost, "seed": table.seed}
    one = {"select": {"use": "tournament", "size": 5}}
    return {
        "objectives": objectives_of(table)[:objectives],
        "seed": table.seed,
        "problem": {"use": "curved", **parts},
        "halving": {"epochs": [1, 3], "keep": 0.5},
        "toolbox": {
            "map": "serial",
            "mutate": {"use": "reset_gene", "gene_probability": 0.1},
            "screen": "interaction_ranker" if guided else "everyone",
            **(one if objectives == 1 else {}),
        },
        "algorithm": ways.get(objectives, {"use": "nsga2", "offspring": 5})
        | {"population": 10, "generations": networks},
        "stop": {"evaluations": networks},
    }


@contextmanager
def as_they_are():
    """A guide that takes what was stopped for what was trained in full."""
    with (
        patch.object(OnTheWay, "losses", lambda self, records: self.judge.losses(records)),
        patch.object(OnTheWay, "stopped", lambda self, record: False),
    ):
        yield


def score(table: Curved, guided: bool, networks: int, objectives: int) -> float:
    """The regret of the network that is returned, in points; of two objectives, the share of the
    table's hypervolume, in percent."""
    tables = declared(table, guided, networks, objectives)
    declaration = declare(tables, {"curved": Curved}, name="halved")
    names = returned(search_in_memory(declaration))
    scorer = scorer_of(table)
    return scorer.regret(names) if objectives == 1 else scorer.share(names)


WAYS: dict[str, tuple[bool, Callable[[], Any]]] = {
    "no guide": (False, nullcontext),
    "a guide that takes them as they are": (True, as_they_are),
    "a guide that learns what they would be worth": (True, nullcontext),
}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--networks", type=int, default=60, help="asked for by a search")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    lines = [
        "# A guide beside a halving",
        "",
        f"{machine()}.  {arguments.networks} networks, halving after 1 and 3 of {EPOCHS} epochs; "
        f"{len(seeds)} seeds from {seeds[0]}, mean and standard error.",
    ]
    for objectives, what in ((1, "regret, points"), (2, "hypervolume, % of the table's")):
        lines += ["", f"| {what} | {' | '.join(TABLES)} |", "|---|" + "---|" * len(TABLES)]
        for name, (guided, way) in WAYS.items():
            asked = guided, arguments.networks, objectives
            with way():
                scores = [[score(curved(one, seed), *asked) for seed in seeds] for one in TABLES]
            cells = [statistics(found, digits=2) for found in scores]
            lines.append(f"| {name} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    print("\n".join(lines))
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
