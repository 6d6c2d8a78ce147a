"""The report's part about which genes matter."""

from collections.abc import Mapping, Sequence
from typing import Any

from toolbox.quantities import Quantity, meant
from toolbox.report.evaluations import Evaluations
from toolbox.report.figures import Plot, importance_plot
from toolbox.report.importance import Importance, Sampled, Share, foretelling, importance
from toolbox.report.page import Section, Table
from toolbox.space import Space

MOST_PAIRS = 10  # of an objective
LEAST_PAIR = 0.005  # of the variance; less is not told from nothing
TITLE = "Which genes matter"
CAPTION = (
    "Alone: the share of the variance over the whole space that the gene tells by itself; in all: "
    "with every way in which it acts together with others.  Best and worst choice: in the mean "
    "over all networks, which need not be so beside the other genes of a certain network.  Where a "
    "rule of the space ties genes together, each tells what it tells of the others too."
)


def importance_sections(
    runs: Sequence[Evaluations], spaces: Sequence[Space], quantities: Mapping[str, Quantity]
) -> list[Section]:
    """What each objective hangs on, by the networks of all runs, or of the first where their spaces
    differ."""
    alike = all(_genes(space) == _genes(spaces[0]) for space in spaces)
    told = runs if alike else runs[:1]
    records = [record for run in told for record in run.records]
    judge = runs[0].judge
    found: dict[str, Importance] = {}
    lines = [] if alike else [f"The spaces of the runs differ; this is {runs[0].name} alone."]
    sampled: Sampled | None = None
    for column, objective in enumerate(judge.objectives):
        name = meant(objective.name, quantities).words
        foretold = foretelling(spaces[0], judge, records, column)
        if not isinstance(foretold, str):
            sampled = sampled or Sampled.of(spaces[0])
            foretold = _or_why_not(found, objective.name, importance(foretold, sampled))
        lines.append(f"{name[:1].upper()}{name[1:]}: {foretold}.")
    plots = [_plot(name, one, quantities) for name, one in found.items()]
    return [Section(TITLE, plots, _tables(found), "  ".join(lines), side_by_side=True)]


def _or_why_not(found: dict[str, Importance], name: str, answer: Importance | str) -> str:
    if isinstance(answer, str):
        return answer
    found[name] = answer
    return (
        f"from {answer.told.networks:,} networks, whose order among each other is foretold with a "
        f"Kendall's tau of {answer.told.tau:.2f} (1: always the right order)"
    )


def _plot(name: str, one: Importance, quantities: Mapping[str, Quantity]) -> Plot:
    title = meant(name, quantities).words
    return importance_plot(
        f"importance_{name}", title, [(g.name, g.alone or 0.0, g.in_all or 0.0) for g in one.genes]
    )


def _tables(found: Mapping[str, Importance]) -> list[Table]:
    tables = []
    for kind, title in (
        ("genes", "Gene by gene"),
        ("parts", "Part by part"),
        ("pairs", "Pairs that act together"),
    ):
        rows = [
            {"objective": name} | _row(share, kind)
            for name, one in found.items()
            for share in _shown(getattr(one, kind), kind)
        ]
        if rows:
            caption = CAPTION if kind == "genes" else ""
            if kind == "pairs":
                caption = "What two genes tell together beyond what each of them tells alone."
            tables.append(Table(f"importance_{kind}", title, rows, caption))
    return tables


def _shown(shares: Sequence[Share], kind: str) -> Sequence[Share]:
    if kind != "pairs":
        return shares
    return [share for share in shares[:MOST_PAIRS] if (share.alone or 0.0) >= LEAST_PAIR]


def _row(share: Share, kind: str) -> dict[str, Any]:
    if kind == "genes":
        return {
            "gene": share.name,
            "alone, %": _percent(share.alone),
            "in all, %": _percent(share.in_all),
            "best choice": share.best,
            "worst choice": share.worst,
        }
    if kind == "parts":
        return {"part": share.name, "in all, %": _percent(share.in_all)}
    return {"pair": share.name, "together, %": _percent(share.alone)}


def _percent(share: float | None) -> float:
    return round(100 * (share or 0.0), 2)


def _genes(space: Space) -> list[tuple[str, str]]:
    return [(gene.name, repr(list(gene.choices))) for gene in space.genes]
