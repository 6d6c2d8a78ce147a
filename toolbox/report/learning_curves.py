"""How the trainings of a report's networks went, epoch by epoch, for its page."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy

from toolbox.learning_curve import EPOCH
from toolbox.quantities import Quantity, meant
from toolbox.report.evaluations import Evaluations

MOST = 2_000  # networks, beside those that the page opens anyway; half a megabyte


def learning_curves(
    runs: Sequence[Evaluations], opened: Collection[str], table: Mapping[str, Quantity]
) -> dict[str, Any]:
    """The curves of networks by key, and what their names mean, as JSON data; {} if none was kept.

    opened: the keys of networks whose curves must be among them.  Of more others than MOST an even
    sample by the first objective is taken; left_out says how many are missing.
    """
    curves: dict[str, Any] = {}
    left_out = 0
    for run in runs:
        order = numpy.argsort(run.losses[:, 0], kind="stable").tolist()  # NaN at the end
        told = [run.records[place] for place in order if run.records[place].curve]
        others = [record for record in told if record.key not in opened]
        step = max(1, -(-len(others) * len(runs) // MOST))
        left_out += len(others) - len(others[::step])
        for record in [*(one for one in told if one.key in opened), *others[::step]]:
            curves[record.key] = json.loads(record.curve)
    names = dict.fromkeys(name for curve in curves.values() for name in curve if name != EPOCH)
    if not names:
        return {}
    return {
        "left_out": left_out,
        "names": [
            {
                "name": name,
                "label": quantity.label or name.replace("_", " "),
                "unit": quantity.unit,
                "scale": quantity.scale,
                "percent": quantity.percent,
            }
            for name in names
            for quantity in [meant(name, table)]
        ],
        "of": curves,
    }


def curve_table(runs: Sequence[Evaluations], curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each network and epoch of the curves that a page shows."""
    rows = []
    for run in runs:
        for key, curve in curves.get("of", {}).items():
            if key not in run.by_key:
                continue
            architecture = run.records[run.by_key[key]].architecture
            length = max(map(len, curve.values()))
            for place in range(length):
                row = {"run": run.name, "epoch": curve.get(EPOCH, range(1, length + 1))[place]}
                row |= {name: values[place] for name, values in curve.items() if name != EPOCH}
                rows.append(row | {"architecture": architecture, "key": key})
    return rows
