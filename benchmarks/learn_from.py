"""What a search gains by learning from another one of the same space.

    python -m benchmarks.learn_from --rows learn_from.jsonl [--root DATA] [--seeds 20]

Each search is run alone, with a source of the same space, and with one in which nothing can be
learned because the accuracies, or the labels of its images, are shuffled.  On tables also with one
whose ranking is real and wrong: its best network has the worst one's measurement, and so on.  Their
differences are paired by the seed.

Tables: the source saw other noise, on the table itself; the regret of the network returned after
few trainings tells the gain (see search_quality.py).  Images: the source is a search over the
handwritten digits, the search one over a part of Fashion-MNIST, whose returned network is trained
again with fresh seeds on its training and validation images together, and tested once.

What is finished is read from the rows again, so that a benchmark that was stopped goes on.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy

from benchmarks.in_memory import search_in_memory
from benchmarks.noisy_table import NoisyTable
from benchmarks.result_file import Rows, keep, machine, parser_of
from benchmarks.retested import on_test_images
from benchmarks.search_quality import (
    ACCURACY,
    MACRO,
    OURS,
    OURS_PROBLEMS,
    Task,
    declared,
    scorer_of,
)
from problems import PROBLEMS
from problems.datasets.dataset import Part
from problems.datasets.digits import Digits
from toolbox.archive import Archive
from toolbox.declaration import declare
from toolbox.judge import Judge
from toolbox.problem import adapted, own
from toolbox.report.picking import pick
from toolbox.sources import Source

BUDGETS = (25, 50, 100)  # trainings of a search on a table
SOURCE_TRAININGS = 100  # of its source
OTHER_SEEDS = 5_000  # a source's seed is so much larger
NETWORKS, SOURCE_NETWORKS = 24, 60  # trainings of a search over images, and of its source
RETRAININGS = 2
VARIANTS = ("alone", "learning", "shuffled")
ON_TABLES = (*VARIANTS, "reversed")
CELLS = NoisyTable("", format="skip_cells", cost_column="params")
TABLES = {"NAS-Bench-Macro": MACRO, "small cells": CELLS}
GUIDED = "genetic_algorithm, guide"


class ShuffledDigits(Digits):
    """The digits with their labels dealt out anew."""

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        images, labels = super().read(part)
        order = numpy.random.default_rng(0).permutation(len(labels))
        return images, labels[order]


def run(
    tables: dict[str, Any], problems: Any, problem: Any, source: Source | None
) -> tuple[Archive, Judge]:
    """A whole search in this process, with a source to learn from or none."""
    more = {"learn_from": [source.name]} if source else {}
    declaration = declare(tables | more, problems, "learn_from")
    declaration = replace(declaration, sources=(source,) if source else ())
    toolbox = search_in_memory(declaration, problem)
    return toolbox.evaluator.networks.archive, toolbox.evaluator.judge


def dealt(source: Source, how: str) -> Source:
    """The same networks with each other's measurements: shuffled, or the best for the worst."""
    networks = list(source.networks)
    if how == "reversed":
        networks.sort(key=lambda one: one[2][ACCURACY])
    measured = [found for _, _, found in networks]
    if how == "reversed":
        measured.reverse()
    else:
        random.Random(0).shuffle(measured)
    pairs = zip(networks, measured, strict=True)
    return replace(source, networks=[(genome, name, found) for (genome, name, _), found in pairs])


def on_table(name: str, variant: str, seed: int) -> dict[str, Any]:
    """The regret that each budget leaves."""
    table = TABLES[name]

    def searched(seed: int, budget: int, source: Source | None) -> tuple[Archive, Judge]:
        task = Task(GUIDED, "one", seed, (budget,), table, OURS["one"][GUIDED])
        tables = declared(task, budget)
        problem = declare(tables, OURS_PROBLEMS, "learn_from").problem.build()
        return run(tables, OURS_PROBLEMS, problem, source)

    source = None
    if variant != "alone":
        archive, _ = searched(seed + OTHER_SEEDS, SOURCE_TRAININGS, None)
        source = Source.of("source", [archive])
        source = source if variant == "learning" else dealt(source, variant)
    found: dict[str, float] = {}
    for budget in BUDGETS:
        archive, judge = searched(seed, budget, source)
        returned = pick(judge, archive.networks(), "best").architecture
        found[f"{budget}"] = scorer_of(table).regret([returned])
    return found


def image_tables(dataset: Any, epochs: int, networks: int, seed: int) -> dict[str, Any]:
    return {
        "objectives": ["val_accuracy"],
        "seed": seed,
        "bounds": {"params": 6_000},
        "problem": {
            "use": "image_classification",
            "dataset": dataset,
            "space": {"use": "layer_string", "normal": [1, 2], "filters": [2, 16, 2]},
            "training": {
                "epochs": epochs,
                "batch_size": 32,
                "optimizer": "adam",
                "learning_rate": 0.005,
            },
            "device": "cpu",
        },
        "toolbox": {
            "map": "serial",
            "select": {"use": "tournament", "size": 3},
            "mutate": {"use": "reset_gene", "gene_probability": 0.1},
            "screen": "interaction_ranker",
        },
        "algorithm": {
            "use": "genetic_algorithm",
            "population": 8,
            "generations": 100,
            "elite": 4,
            "mutation_probability": 1.0,
        },
        "stop": {"evaluations": networks},
    }


def prepared(tables: dict[str, Any]) -> Any:
    return adapted(declare(tables, PROBLEMS, "learn_from").problem.build()).prepared()


@cache
def digits(variant: str, seed: int) -> Source:
    """What a search over the digits found."""
    tables = image_tables({"use": "digits", "size": 8}, 5, SOURCE_NETWORKS, seed)
    problem = prepared(tables)
    if variant == "shuffled":
        inner = own(problem)
        inner = replace(inner, dataset=ShuffledDigits(**vars(inner.dataset)))
        problem = adapted(inner).prepared()
    archive, _ = run(tables, PROBLEMS, problem, None)
    return Source.of("digits", [archive])


def on_images(root: str, variant: str, seed: int) -> dict[str, Any]:
    """The accuracies of the network that a search over a part of Fashion-MNIST returns."""
    dataset = {"use": "fashion_mnist", "limit": 1500, "validation": 1000, "root": root}
    tables = image_tables(dataset, 3, NETWORKS, seed)
    source = None if variant == "alone" else digits(variant, seed + OTHER_SEEDS)
    problem = prepared(tables)
    archive, judge = run(tables, PROBLEMS, problem, source)
    best = pick(judge, archive.networks(), "best")
    validation = 100 * best.measurement["val_accuracy"]
    test = 100 * on_test_images(own(problem), best.genome, RETRAININGS)
    return {"validation": validation, "test": test}


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Means, standard deviations, and the paired differences to the search alone."""
    from scipy.stats import wilcoxon

    lines = [
        f"| what | told | {' | '.join(ON_TABLES)} | "
        f"{' | '.join(f'{variant} - alone, p' for variant in ON_TABLES[1:])} |",
        "|---" * (1 + 2 * len(ON_TABLES)) + "|",
    ]
    for what in dict.fromkeys(row["what"] for row in rows):
        by = {(r["variant"], r["seed"]): r["found"] for r in rows if r["what"] == what}
        variants = [v for v in ON_TABLES if v in {variant for variant, _ in by}]
        seeds = sorted({s for _, s in by if all((v, s) in by for v in variants)})
        if len(seeds) < 2:
            continue
        for name in by["alone", seeds[0]]:
            values = {v: [by[v, seed][name] for seed in seeds] for v in variants}
            shown = [f"{fmean(values[v]):.3f} ± {stdev(values[v]):.3f}" for v in variants]
            gains = []
            for variant in variants[1:]:
                gain = numpy.subtract(values[variant], values["alone"])
                p = wilcoxon(gain).pvalue if gain.any() else 1.0
                gains.append(f"{gain.mean():+.3f}, {p:.3f}")
            none = [""] * (len(ON_TABLES) - len(variants))
            cells = (*shown, *none, *gains, *none)
            lines.append(f"| {what}, {len(seeds)} seeds | {name} | {' | '.join(cells)} |")
    return lines


def wanted(chosen: argparse.Namespace) -> Iterator[tuple[str, str, int, Callable[..., Any]]]:
    """What is to be run: what on, which variant, seed, and the function of these two."""
    for seed in range(chosen.seeds):
        for name in TABLES:
            for variant in ON_TABLES:
                yield name, variant, 2_000 + seed, lambda v, s, name=name: on_table(name, v, s)
    for seed in range(chosen.image_seeds if chosen.root else 0):
        for variant in VARIANTS:
            yield "Fashion-MNIST", variant, 1 + seed, lambda v, s: on_images(chosen.root, v, s)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="finished searches, JSON lines")
    parser.add_argument("--root", help="the folder of Fashion-MNIST; without it the tables alone")
    parser.add_argument("--seeds", type=int, default=20, help="of the searches on tables")
    parser.add_argument("--image-seeds", type=int, default=10)
    chosen = parser.parse_args()
    rows = Rows(chosen.rows)
    known = {(row["what"], row["variant"], row["seed"]) for row in rows}
    for what, variant, seed, make in wanted(chosen):
        if (what, variant, seed) not in known:
            found = make(variant, seed)
            rows.add({"what": what, "variant": variant, "seed": seed, "found": found})
    lines = [
        "# A search that learns from another one",
        "",
        f"{machine()}; mean ± standard deviation over searches; p: Wilcoxon's signed-rank test.  "
        "Tables: regret of the network returned after so many trainings, points of percent (less "
        f"is better); the source trained {SOURCE_TRAININGS} networks with other noise.  "
        f"Fashion-MNIST: {NETWORKS} trainings of 3 epochs of 1,500 images, accuracies in percent, "
        f"the test accuracy a mean of {RETRAININGS} trainings; the source trained "
        f"{SOURCE_NETWORKS} networks on the digits.",
        "",
        *table(rows),
    ]
    print("\n".join(lines))
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
