"""The tables and pictures of one network's retraining."""

import io
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deap_nas.retraining.kept_seeds import Seed
from toolbox.whole_file import write_table, write_whole

MOST_WRITTEN = 20  # classes: with more of them there is no room for a number in each cell
PER_CLASS = ("precision", "recall", "f1")
BLUE, ORANGE = "#0072b2", "#d55e00"  # of the report, which follows light and dark


def spread(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None of a single value."""
    return stdev(values) if len(values) > 1 else None


def write_report(folder: Path, title: str, classes: Sequence[str], seeds: Sequence[Seed]) -> None:
    """curves.csv and .png, per_class.csv, confusion_matrix.csv and .png, of finished seeds."""
    write_table(
        folder / "curves.csv",
        [{"seed": seed["seed"], **row} for seed in seeds for row in seed["curve"]],
    )
    write_table(folder / "per_class.csv", per_class(classes, seeds))
    confusion = numpy.sum([seed["test"]["confusion"] for seed in seeds], axis=0)
    write_table(
        folder / "confusion_matrix.csv",
        [
            {"true \\ predicted": name, **_named(classes, row.tolist())}
            for name, row in zip(classes, confusion, strict=True)
        ],
    )
    write_whole(folder / "curves.png", _png(curves(title, seeds)))
    write_whole(folder / "confusion_matrix.png", _png(confusion_matrix(title, classes, seeds)))


def per_class(classes: Sequence[str], seeds: Sequence[Seed]) -> list[dict[str, Any]]:
    """Mean and spread over the seeds of each class's scores."""
    rows = []
    for label, name in enumerate(classes):
        row = {"class": name, "test_images": seeds[0]["test"]["support"][label]}
        for score in PER_CLASS:
            values = [seed["test"][score][label] for seed in seeds]
            row |= {f"{score}_mean": mean(values), f"{score}_std": spread(values)}
        rows.append(row)
    return rows


def curves(title: str, seeds: Sequence[Seed]) -> Figure:
    """Loss and accuracy in training, epoch by epoch, a line for each seed."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    marker = "o" if len(seeds[0]["curve"]) < 2 else None  # a line of one point is not seen
    for number, seed in enumerate(seeds):
        epochs = [row["epoch"] for row in seed["curve"]]
        for axes, name in ((loss, "train_loss"), (accuracy, "train_accuracy")):
            axes.plot(
                epochs,
                [row[name] for row in seed["curve"]],
                color=BLUE,
                alpha=0.75,
                marker=marker,
                label=None if number else f"training images, {_seeds(seeds)}",
            )
        accuracy.plot(
            epochs[-1],
            seed["test"]["accuracy"],
            "D",
            color=ORANGE,
            clip_on=False,
            label=None if number else "test images, at the end",
        )
    loss.set_ylabel("loss (mean of the batches)")
    accuracy.set_ylabel("accuracy")
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    accuracy.legend(frameon=False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def confusion_matrix(title: str, classes: Sequence[str], seeds: Sequence[Seed]) -> Figure:
    """Where the images of each class go, and the F1 of each class with its spread."""
    counts = numpy.sum([seed["test"]["confusion"] for seed in seeds], axis=0)
    shares = counts / numpy.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.5, 0.5 * len(classes))
    figure = Figure(figsize=(size + 4.5, size + 0.5), layout="constrained")
    matrix, bars = figure.subplots(1, 2, width_ratios=(size, 3), sharey=True)
    matrix.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    places = range(len(classes))
    tilted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    matrix.set_xticks(places, classes, **(tilted if max(map(len, classes)) > 3 else {}))
    matrix.set_yticks(places, classes)
    matrix.set_xlabel("predicted")
    matrix.set_ylabel("true")
    matrix.set_title(f"% of a class's test images, {_seeds(seeds)}", fontsize=10)
    if len(classes) <= MOST_WRITTEN:
        for (row, column), share in numpy.ndenumerate(shares):
            if share:
                color = "#fefefe" if share > 0.5 else "#111111"  # not the theme's of a report
                text = f"{100 * share:.0f}" if share >= 0.005 else "·"
                matrix.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    rows = per_class(classes, seeds)
    bars.barh(
        places,
        [row["f1_mean"] for row in rows],
        xerr=[row["f1_std"] or 0 for row in rows],
        color=BLUE,
        ecolor=ORANGE,
    )
    bars.set_xlim(0, 1.02)
    bars.set_title("F1 (mean and standard deviation)", fontsize=10)
    bars.tick_params(left=False)
    bars.grid(alpha=0.25, axis="x")
    bars.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _named(classes: Sequence[str], row: Sequence[int]) -> dict[str, int]:
    return dict(zip(classes, row, strict=True))


def _seeds(seeds: Sequence[Seed]) -> str:
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()
