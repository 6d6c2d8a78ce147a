"""The report's part about finals: how the networks that were trained again stand."""

from collections.abc import Sequence
from typing import Any

from toolbox.report.axes import Axes
from toolbox.report.evaluations import Evaluations
from toolbox.report.page import Section, Table


def finals_sections(runs: Sequence[Evaluations]) -> list[Section]:
    """A table of the finals of all runs; none if there were none."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        names = [objective.name for objective in run.judge.objectives]
        for standing in run.standings:
            row: dict[str, Any] = {"run": run.name} if len(runs) > 1 else {}
            errors = standing.standard_error or (None,) * len(names)
            for place, name in enumerate(names):
                if standing.record.belief:
                    row |= {f"{name}, estimate": standing.estimate[place]}
                row |= {f"{name}, mean": standing.mean[place]}
                row |= {f"{name}, standard error": errors[place]}
            row |= {"trainings": standing.trainings, "failed": standing.failed}
            row |= {"probability": standing.probability}
            record = standing.record
            rows.append(row | {"architecture": record.architecture, "key": record.key})
    if not rows:
        return []
    several = len(runs[0].judge.objectives) > 1
    what = "no other one of these dominates it" if several else "it is the best of these"
    caption = (
        "Means over all trainings of a network, that of the search among them; the standard errors "
        "are of the standard deviation within a network, pooled.  Probability: that "
        f"{what}, if the true values are normally distributed around the means, or the estimates: "
        "what a learned guide believes of a network and its trainings, each by its precision."
    )
    title = "The best networks, trained again with other seeds"
    return [Section("Finals", tables=[Table("finals", title, rows, caption)])]


def finals_facts(run: Evaluations, axes: Axes) -> dict[str, str]:
    """The mean of the first objective of the network that is returned; nothing without finals."""
    if not run.standings:
        return {}
    best, objective = run.standings[0], axes.objectives[0]
    said = f"{objective.said(best.mean[0])} over {best.trainings} trainings"
    return {f"{objective.name} after finals": said}
