"""What `retrain` left in a run folder, as sections of the report."""

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from deap_nas.retraining.kept_seeds import Seed, read_seed
from deap_nas.retraining.pictures import confusion_matrix, curves, per_class, spread
from toolbox.archive import Archive
from toolbox.quantities import QUANTITIES
from toolbox.report.figures import Plot
from toolbox.report.page import Section, Table

ACCURACY = QUANTITIES["test_accuracy"]


def retrained_sections(
    folder: Path, archive: Archive, run: str
) -> tuple[list[Section], dict[str, str]]:
    """The sections of a folder of retrainings, and the test accuracy of each network by its key.

    Nothing of a folder that is not there.  run: the run's name, for the names of files.
    """
    found = {
        path: seeds
        for path in sorted(folder.glob("*-*/"))
        if (seeds := [s for file in sorted(path.glob("seed-*.json")) if (s := read_seed(file))])
        and (path / "per_class.csv").is_file()
    }
    known = {record.key: record for record in archive}
    found = {path: seeds for path, seeds in found.items() if _key(seeds) in known}
    if not found:
        return [], {}
    rows, tested = [], {}
    sections = []
    for path, seeds in found.items():
        record = known[_key(seeds)]
        accuracies = [seed["test"]["accuracy"] for seed in seeds]
        f1 = [mean(seed["test"]["f1"]) for seed in seeds]
        rows.append(
            {
                "val_accuracy": record.measurement.get("val_accuracy"),
                "test_accuracy": mean(accuracies),
                "spread of test_accuracy": spread(accuracies),
                "F1, mean of the classes": mean(f1),
                "its spread": spread(f1),
                "seeds": len(seeds),
                "epochs": len(seeds[0]["curve"]),
                "epochs of the search": record.measurement.get("epochs"),
                "params": record.measurement.get("params"),
                "architecture": record.architecture,
                "key": record.key,
            }
        )
        tested[record.key] = _said(accuracies)
        sections.append(_of_one(path, seeds, record.architecture, _said(accuracies), run))
    rows.sort(key=lambda row: -row["test_accuracy"])
    caption = (
        "Each network was trained anew on the training and the validation images together, once "
        "for each seed, and scored on test images that no search has seen.  Spread: the sample "
        "standard deviation over the seeds.  A retraining of fewer epochs than the search's says "
        "little of the network."
    )
    table = Table(f"retrained_{_in_a_file_name(run)}", "", rows, caption)
    return [Section(f"On the test images ({run})", tables=[table]), *sections], tested


def _key(seeds: Sequence[Seed]) -> str:
    return str(seeds[0]["identity"]["key"])


def _in_a_file_name(run: str) -> str:
    return run.replace("/", "_")


def _said(accuracies: Sequence[float]) -> str:
    deviation = spread(accuracies)
    around = f" ± {100 * deviation:.2f}" if deviation is not None else ""
    number = len(accuracies)
    seeds = f"{number} seed{'s' if number > 1 else ''}"
    return f"{100 * mean(accuracies):.2f}{around} % ({seeds})"


def _of_one(
    path: Path, seeds: Sequence[Seed], architecture: str, accuracy: str, run: str
) -> Section:
    """The learning curves, the confusion matrix and the classes of one network."""
    with (path / "per_class.csv").open(encoding="utf-8", newline="") as file:
        classes = [row["class"] for row in csv.DictReader(file)]
    name = f"{_in_a_file_name(run)}_{path.name}"
    rows: list[dict[str, Any]] = [
        {"class": row["class"], "test images": row["test_images"]}
        | {
            f"{score}{said}": row[f"{score}_{kind}"]
            for score in ("precision", "recall", "f1")
            for kind, said in (("mean", ""), ("std", ", spread"))
        }
        for row in per_class(classes, seeds)
    ]
    return Section(
        f"{architecture}  Test accuracy {accuracy}",
        [
            Plot(
                f"confusion_{name}",
                "Where the images of each class go",
                confusion_matrix("", classes, seeds),
            ),
            Plot(f"curves_{name}", "Training, epoch by epoch", curves("", seeds)),
        ],
        [Table(f"per_class_{name}", "Class by class, mean over the seeds", rows)],
    )
