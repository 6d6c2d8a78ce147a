"""Run folders of one whole space, one for each seed -> one compressed CSV.

    python benchmarks/tables/export.py RUN_FOLDER RUN_FOLDER ... --to TABLE.csv.xz

A row for each genome of the space: its choice of each gene, `network` (the digits of the genome
that stands for all that compute the same), params and macs, val_accuracy_1, _2, ... and
test_accuracy_1, _2, ... of each run in the order of its seed, and train_seconds, their mean.  The
table is written if every run has measured every network, and not otherwise.
"""

import argparse
import csv
import io
import lzma
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise, product
from math import prod
from pathlib import Path
from typing import Any

import numpy
from scipy.stats import rankdata, spearmanr

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from deap_nas.finished_run import FinishedRun  # noqa: E402
from problems.whole_file import whole  # noqa: E402
from toolbox.archive import differences  # noqa: E402
from toolbox.problem import adapted  # noqa: E402

LARGEST = 1_000_000  # genomes of a space
ALIKE = ("params", "macs")  # the same in every run
SCORES = ("val_accuracy", "test_accuracy")  # of each run
NAMED = 3  # networks that are missing

Genome = tuple[int, ...]
Measured = Mapping[str, list[Mapping[str, float]]]  # of each architecture in each run


def opened(folders: Sequence[Path]) -> list[FinishedRun]:
    """The runs by their seeds.  Raises ValueError if they differ in more than that."""
    if len(folders) < 2:
        raise ValueError(f"{folders[0]}: one run tells nothing of noise; two at least are needed")
    runs = sorted((FinishedRun.open(folder) for folder in folders), key=seed)
    for run in runs[1:]:
        same = {**run.archive.problem, "seed": seed(runs[0])}
        if changes := differences(runs[0].archive.problem, same):
            raise ValueError(f"{run.path}: it is of another problem: {'; '.join(changes)}")
    for one, other in pairwise(runs):
        if seed(one) == seed(other):
            raise ValueError(f"{other.path}: it has the seed of {one.path}, {seed(one)}")
    return runs


def seed(run: FinishedRun) -> int:
    return int(run.archive.problem["seed"])


def canonical_genomes(space: Any) -> dict[Genome, Genome]:
    """All genomes of a space, each with the one that stands for its network."""
    many = prod(len(gene.choices) for gene in space.genes)
    if many > LARGEST:
        raise ValueError(f"the space has {many:,} genomes; {LARGEST:,} at most make a table")
    return {
        genome: tuple(space.canonical(list(genome)))
        for genome in product(*(range(len(gene.choices)) for gene in space.genes))
        if not space.violation(list(genome))
    }


def measured(runs: Sequence[FinishedRun], architectures: Sequence[str]) -> Measured:
    """What each run has measured.  Raises ValueError if one lacks a network."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in architectures}
    for run in runs:
        records = {
            record.architecture: record
            for record in run.archive
            if record.status == "ok" and run.archive.is_whole(record)
        }
        if missing := [name for name in architectures if name not in records]:
            named = ", ".join(map(repr, missing[:NAMED]))
            raise ValueError(
                f"{run.path}: {len(missing):,} of {len(architectures):,} networks are not measured "
                f"in it, such as {named}; run it to its end first"
            )
        for name in architectures:
            found[name].append(records[name].measurement)
    return found


def rows_of(space: Any, runs: Sequence[FinishedRun]) -> tuple[list[list[Any]], Measured]:
    """The table with its header, and the measurements of its networks."""
    stands_for = canonical_genomes(space)
    architecture = {genome: space.decode(list(genome)) for genome in set(stands_for.values())}
    found = measured(runs, sorted(architecture.values()))
    numbered = [f"{score}_{run}" for score in SCORES for run in range(1, len(runs) + 1)]
    header = [*(gene.name for gene in space.genes), "network", *ALIKE, *numbered, "train_seconds"]
    rows = [header]
    for genome, canonical in stands_for.items():
        of_runs = found[architecture[canonical]]
        rows.append(
            [
                *(gene.choices[index] for gene, index in zip(space.genes, genome, strict=True)),
                "".join(map(str, canonical)),
                *(of_runs[0][name] for name in ALIKE),
                *(round(one[score], 6) for score in SCORES for one in of_runs),
                round(sum(one["train_seconds"] for one in of_runs) / len(of_runs), 4),
            ]
        )
    return rows, found


def compressed(rows: Sequence[Sequence[Any]]) -> bytes:
    """The rows as CSV, compressed with xz: the same bytes for the same rows."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return lzma.compress(text.getvalue().encode(), preset=9 | lzma.PRESET_EXTREME)


def additive_share(space: Any, found: Measured) -> float:
    """How much of the variance of val_accuracy a sum of one number for each gene's choice explains.

    Fitted by least squares to the means of all genomes; 1 if the genes do not interact.
    """
    stands_for = canonical_genomes(space)
    chosen = numpy.array(list(stands_for))
    columns = [
        chosen[:, place] == choice
        for place, gene in enumerate(space.genes)
        for choice in range(len(gene.choices))
    ]
    accuracy = {
        genome: numpy.mean([one["val_accuracy"] for one in found[space.decode(list(genome))]])
        for genome in set(stands_for.values())
    }
    means = numpy.array([accuracy[canonical] for canonical in stands_for.values()])
    terms = numpy.array(columns, dtype=float).T
    rest = means - terms @ numpy.linalg.lstsq(terms, means, rcond=None)[0]
    return float(1 - rest.var() / means.var())


def described(space: Any, found: Measured) -> list[str]:
    """What the table tells of noise, of the runs' agreement and of the best networks, in lines."""
    names = list(found)
    val, test = (
        numpy.array([[100 * one[score] for one in found[name]] for name in names])
        for score in SCORES
    )
    lines = [f"networks: {len(names):,}; trainings of each: {val.shape[1]}"]
    for score, values in zip(SCORES, (val, test), strict=True):
        means = values.mean(axis=1)
        variance = values.var(axis=1, ddof=1)
        top = numpy.argsort(-means)[: max(1, len(names) // 10)]
        pairs = [
            spearmanr(values[:, one], values[:, other]).statistic
            for one, other in combinations(range(values.shape[1]), 2)
        ]
        quartiles = numpy.percentile(means, [0, 25, 50, 75, 90, 100])
        lines += [
            f"{score}, means: minimum, quartiles, 90th percentile, maximum: "
            + " ".join(f"{value:.2f}" for value in quartiles),
            f"{score}, standard deviation of a training: {variance.mean() ** 0.5:.2f} points; of "
            f"the best tenth: {variance[top].mean() ** 0.5:.2f}",
            f"{score}, rank correlation (Spearman) of two trainings: "
            + " ".join(f"{pair:.3f}" for pair in pairs),
        ]
    lines.append(
        f"a sum over the genes explains {additive_share(space, found):.2f} of the variance of the "
        "genomes' mean val_accuracy"
    )
    between = spearmanr(val.mean(axis=1), test.mean(axis=1)).statistic
    lines.append(f"rank correlation of the means of validation and test: {between:.3f}")
    luckiest = [int(column.argmax()) for column in val.T]
    ranks = rankdata(-val.mean(axis=1), method="min").astype(int)
    lines.append(
        "the network with the best single training of each seed is, by its mean, number "
        + ", ".join(str(ranks[number]) for number in luckiest)
    )
    lines += ["", "| val_accuracy | test_accuracy | params | macs | network |", "|-|-|-|-|-|"]
    for number in numpy.argsort(-val.mean(axis=1), kind="stable")[:10]:
        one = found[names[number]][0]
        accuracies = " | ".join(
            f"{values[number].mean():.2f} ({' '.join(f'{v:.2f}' for v in values[number])})"
            for values in (val, test)
        )
        lines.append(f"| {accuracies} | {one['params']:,} | {one['macs']:,} | {names[number]} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("--to", type=Path, required=True, metavar="TABLE.csv.xz")
    chosen = parser.parse_args(arguments)
    try:
        runs = opened(chosen.runs)
        space = adapted(runs[0].problem).space
        rows, found = rows_of(space, runs)
        content = compressed(rows)
        with whole(chosen.to) as part:
            part.write_bytes(content)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"{chosen.to}: {len(rows) - 1:,} genomes, {len(content):,} bytes")
    print("\n".join(described(space, found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
