"""Every network of a report as columns, for the plot in the page that a person sets up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from toolbox.quantities import Quantity, meant
from toolbox.report.axes import Axes, axis
from toolbox.report.evaluations import Evaluations, nondominated

MOST = 20_000  # networks; 3 MB of a page that opens in some two seconds with them


def all_networks(
    runs: Sequence[Evaluations], axes: Axes, table: Mapping[str, Quantity]
) -> dict[str, Any]:
    """The feasible networks of all runs, column by column, as JSON data.

    columns: what a name means and what is good.  Of more networks than MOST, the fronts are kept
    and of the others an even sample; left_out says how many are missing.
    """
    objectives = runs[0].judge.objectives
    names = dict.fromkeys(objective.name for objective in objectives)
    names |= {name: None for run in runs for name in run.measured}
    places, fronts = [], []
    for run in runs:
        known = numpy.flatnonzero(run.feasible)
        front = nondominated(run.losses) if len(objectives) > 1 else known[:0]
        rest = numpy.setdiff1d(known, front)
        room = max(1, MOST // len(runs) - len(front))
        kept = rest[:: max(1, -(-len(rest) // room))]
        places.append(numpy.sort(numpy.concatenate([front, kept])))
        fronts.append(set(front.tolist()))
    values = {
        name: [
            float(f"{value:.7g}") if numpy.isfinite(value) else None
            for run, some in zip(runs, places, strict=True)
            for value in run.column(name)[some].tolist()
        ]
        for name in names
    }
    values = {
        name: column
        for name, column in values.items()
        if name in {objective.name for objective in objectives} or len(set(column)) > 1
    }
    columns = [_column(name, axis(name, objectives, table).maximize, table) for name in values]
    records = [run.records[at] for run, some in zip(runs, places, strict=True) for at in some]
    pair = axes.pairs[0] if axes.pairs else None
    third = [one.name for one in axes.objectives if not pair or one not in (pair.x, pair.y)]
    return {
        "columns": columns,
        "objectives": [objective.name for objective in objectives],
        "values": values,
        "architecture": [record.architecture for record in records],
        "key": [record.key for record in records],
        "front": [
            int(at in front) for some, front in zip(places, fronts, strict=True) for at in some
        ],
        "run": [number for number, some in enumerate(places) for _ in some],
        "runs": [run.name for run in runs],
        "left_out": int(sum(run.feasible.sum() for run in runs)) - len(records),
        "y": pair.y.name if pair else objectives[0].name,
        "x": pair.x.name if pair else "order",
        "colour": "run" if len(runs) > 1 else next(iter(third), "order"),
    }


def _column(name: str, maximize: bool, table: Mapping[str, Quantity]) -> dict[str, Any]:
    quantity = meant(name, table)
    return {
        "name": name,
        "label": quantity.title,
        "unit": quantity.unit,
        "scale": quantity.scale,
        "percent": quantity.percent,
        "maximize": maximize,
    }
