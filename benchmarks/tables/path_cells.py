"""A made-up table of small cells whose genes act together: guides are developed on it.

    python -m benchmarks.tables.path_cells FILE.csv [--seed 0]

A cell is a directed graph of four nodes; each of its six edges carries none, identity, 1x1 or 3x3:
4,096 genomes.  The accuracy follows from the paths between the first and the last node: how deep
the deepest is, how far it sees, whether a short one runs beside it, and how many there are.  Each
pair of edges adds an effect of its own.  Three runs of each differ by noise.  Nothing was trained,
so it proves nothing about networks, and no claim rests on it.
"""

import argparse
import csv
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

OPERATIONS = ("none", "identity", "conv1x1", "conv3x3")
EDGES = tuple(itertools.combinations(range(4), 2))
PATHS = tuple(
    tuple(EDGES.index(edge) for edge in itertools.pairwise((0, *inner, 3)))
    for size in range(3)
    for inner in itertools.combinations((1, 2), size)
)
WEIGHTS = (0, 0, 64, 576)  # of each operation, for 8 channels
RUNS = 3
NOISE = 0.006  # of an accuracy, between runs
TOGETHER = 0.006  # of the effect of a pair of edges


def accuracy(genome: Sequence[int], together: dict[tuple[int, int, int, int], float]) -> float:
    """The true accuracy of a cell, a fraction; .1 if nothing connects its ends.

    together: what the operations of two edges add, by (edge, edge, operation, operation).
    """
    paths = [[genome[edge] for edge in path] for path in PATHS]
    live = [path for path in paths if 0 not in path]
    if not live:
        return 0.1
    depths = [sum(operation > 1 for operation in path) for path in live]
    sight = max(path.count(3) for path in live)
    skips = min(depths) == 0 and max(depths) >= 2
    on_live_paths = {
        edge for path, edges in zip(paths, PATHS, strict=True) if 0 not in path for edge in edges
    }
    pairs = itertools.combinations(sorted(on_live_paths), 2)
    return (
        0.54
        + (0, 0.10, 0.17, 0.12)[max(depths)]
        + (0, 0.07, 0.10, 0.09)[sight]
        + 0.05 * skips
        + 0.01 * min(len(live) - 1, 2)
        - 0.03 * (sum(depths) == 0)
        + sum(together[i, j, genome[i], genome[j]] for i, j in pairs)
    )


def rows(seed: int) -> list[dict[str, str | float]]:
    """A row for each genome: its operations by edge, params, and the accuracy of each run."""
    draw = random.Random(seed)
    together = {
        (i, j, a, b): draw.gauss(0, TOGETHER)
        for i, j in itertools.combinations(range(len(EDGES)), 2)
        for a, b in itertools.product(range(1, 4), repeat=2)
    }
    found: list[dict[str, str | float]] = []
    for genome in itertools.product(range(4), repeat=len(EDGES)):
        true = accuracy(genome, together)
        row: dict[str, str | float] = {
            f"edge{i}{j}": OPERATIONS[one] for (i, j), one in zip(EDGES, genome, strict=True)
        }
        row["params"] = 200 + sum(WEIGHTS[one] for one in genome)
        for run in range(1, RUNS + 1):
            row[f"val_accuracy_{run}"] = round(true + draw.gauss(0, NOISE), 5)
        found.append(row)
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    table = rows(arguments.seed)
    with arguments.file.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
