"""What a search of the recipe beside the architecture gains over one recipe, at equal budget.

    python -m benchmarks.joint_search --root DATA --rows joint_search.jsonl

Each search trains the same number of networks for the same number of epochs, in one process:
"fixed" by the recipe of experiments/quickstart.toml, and "joint" each by a recipe of its own.  Its
best network by validation accuracy is trained again with fresh seeds on the training and validation
images together, for as many epochs by the recipe that it was found with, and tested once.  The
differences are paired by the seed of the search.  What is finished is read from the rows again, so
that a benchmark that was stopped goes on.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.result_file import Rows, keep, machine, parser_of
from benchmarks.retested import on_test_images
from problems import PROBLEMS
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.problem import adapted, own
from toolbox.report.picking import pick
from toolbox.search import search

DATA: dict[str, dict[str, Any]] = {
    "digits": {"dataset": {"use": "digits", "size": 8}, "epochs": 5},
    "Fashion-MNIST": {
        "dataset": {"use": "fashion_mnist", "limit": 1000, "validation": 1000},
        "epochs": 3,
    },
}
SPACE = {
    "use": "plain_cnn",
    "depth": [1, 3],
    "filters": [4, 8, 12, 16],
    "kernels": [3, 5],
    "pool_after": [1, 2],
}
SEARCHED = {
    "batch_size": {"among": [16, 32, 64]},
    "optimizer": {"among": ["sgd", "adam"]},
    "learning_rate": {"between": [3e-4, 3e-1], "scale": "log"},
    "momentum": {"between": [0.0, 0.9], "values": 4},
    "schedule": {"among": ["constant", "cosine", "one_cycle"]},
    "label_smoothing": {"among": [0.0, 0.1]},
    "augmentation": {"among": [{"crop_padding": 0}, {"crop_padding": 1}]},
}
RECIPES: dict[str, dict[str, Any]] = {
    "fixed": {"batch_size": 32, "optimizer": "adam", "learning_rate": 0.005},
    "joint": SEARCHED,
}
NETWORKS = 24  # trainings of a search
ACCURACIES = ("val_accuracy", "test_accuracy")


def found(data: str, recipe: str, seed: int, root: str | None, retrainings: int) -> dict[str, Any]:
    """What one search returns, and how it does on the test images."""
    said = DATA[data]
    located = {"root": root} if root and said["dataset"]["use"] == "fashion_mnist" else {}
    tables = {
        "objectives": ["val_accuracy"],
        "seed": seed,
        "problem": {
            "use": "image_classification",
            "dataset": said["dataset"] | located,
            "space": SPACE,
            "training": {"epochs": said["epochs"], **RECIPES[recipe]},
            "device": "cpu",
        },
        "toolbox": {
            "map": "serial",
            "select": {"use": "tournament", "size": 3},
            "mutate": {"use": "shift_gene", "gene_probability": 0.15},
        },
        "algorithm": {
            "use": "genetic_algorithm",
            "population": 8,
            "generations": 100,
            "elite": 2,
            "mutation_probability": 1.0,
        },
        "stop": {"evaluations": NETWORKS},
    }
    declaration = declare(tables, PROBLEMS, "joint_search")
    problem = adapted(declaration.problem.build()).prepared()
    begun = time.process_time()
    toolbox = assemble(declaration, problem, Archive(declaration.identity(own(problem))))
    for _ in search(declaration, toolbox):
        pass
    seconds = time.process_time() - begun
    networks = toolbox.evaluator.networks
    assert len(networks.archive) == NETWORKS
    best = pick(networks.judge, networks.archive.networks(), "best")
    alone, genome = own(problem).of_one(best.genome)
    return {
        "data": data,
        "recipe": recipe,
        "seed": seed,
        "architecture": best.architecture,
        "params": best.measurement["params"],
        "val_accuracy": best.measurement["val_accuracy"],
        "test_accuracy": on_test_images(alone, genome, retrainings),
        "search_seconds": seconds,
    }


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The means of each recipe, and the paired differences, in points of percent."""
    from scipy.stats import wilcoxon

    lines = [
        "| images | recipe | searches | validation | test | params | search, s |",
        "|---|---|---|---|---|---|---|",
    ]
    by = {(row["data"], row["recipe"], row["seed"]): row for row in rows}
    for data in DATA:
        for recipe in RECIPES:
            some = [row for row in rows if (row["data"], row["recipe"]) == (data, recipe)]
            if len(some) > 1:
                shown = [_shown([100 * row[name] for row in some]) for name in ACCURACIES]
                params, seconds = (
                    fmean(row[name] for row in some) for name in ("params", "search_seconds")
                )
                lines.append(
                    f"| {data} | {recipe} | {len(some)} | {' | '.join(shown)} | {params:,.0f} | "
                    f"{seconds:.0f} |"
                )
    lines += [
        "",
        "| images | joint - fixed: validation | test | joint is better | p |",
        "|---|---|---|---|---|",
    ]
    for data in DATA:
        seeds = [s for d, r, s in by if (d, r) == (data, "joint") and (data, "fixed", s) in by]
        pairs = [(by[data, "joint", seed], by[data, "fixed", seed]) for seed in seeds]
        if len(pairs) > 1:
            gains = [[100 * (a[name] - b[name]) for a, b in pairs] for name in ACCURACIES]
            better = sum(gain > 0 for gain in gains[1])
            lines.append(
                f"| {data} | {_shown(gains[0])} | {_shown(gains[1])} | {better} of {len(pairs)} | "
                f"{wilcoxon(gains[1]).pvalue:.3f} |"
            )
    return lines


def _shown(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f} ± {stdev(values):.2f}"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--root", help="the folder of Fashion-MNIST")
    parser.add_argument("--rows", type=Path, required=True, help="finished searches, JSON lines")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--retrainings", type=int, default=2)
    chosen = parser.parse_args()
    rows = Rows(chosen.rows)
    known = {(row["data"], row["recipe"], row["seed"]) for row in rows}
    for seed in range(1, chosen.seeds + 1):
        for data in DATA:
            for recipe in RECIPES:
                if (data, recipe, seed) not in known:
                    rows.add(found(data, recipe, seed, chosen.root, chosen.retrainings))
    lines = [
        "# The recipe searched with the architecture",
        "",
        f"{machine()}; {NETWORKS} networks a search, retrained {chosen.retrainings} times. "
        "Mean and standard deviation over searches, in percent; p: Wilcoxon's signed-rank test of "
        "the test accuracies.",
        "",
        *table(rows),
    ]
    print("\n".join(lines))
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
