"""The plots of the report, each one matplotlib figure; no global state of pyplot's is touched."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy
from matplotlib import rc_context
from matplotlib.axes import Axes as Subplot
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from toolbox.lineage import Birth
from toolbox.quantities import as_number
from toolbox.report.axes import Axis, Pair, with_prefix
from toolbox.report.evaluations import (
    Evaluations,
    best_so_far,
    hypervolume_so_far,
    nondominated,
    worst_of_the_first,
)
from toolbox.report.generations import Generation
from toolbox.report.origins import Ancestry, made_by

# Okabe & Ito's colours, told apart by the colour-blind too; yellow is left out on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
MOST_OPEN = 1200  # points of a plot that can be opened; the others are drawn as one picture
MOST_BARS = 15  # genes
COLUMN_INCHES, LETTER_INCHES = 0.7, 0.085  # of a legend: a column without its text, and a letter
FEWEST_FOR_A_BAND = 3  # runs; two are seen as their lines
MOST_ANCESTORS = 300  # births of a drawing in which a line can still be followed
STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e7ec",
    "grid.linewidth": 0.8,
    "axes.edgecolor": "#8a93a3",
    "axes.labelcolor": "#1f2733",
    "text.color": "#1f2733",
    "xtick.color": "#4a5464",
    "ytick.color": "#4a5464",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text
}


@dataclass(frozen=True)
class Plot:
    """A figure with what is said under it.  name: of its files."""

    name: str
    title: str
    figure: Figure
    caption: str = ""


def styled() -> AbstractContextManager[None]:
    """In which every figure is drawn and written."""
    return rc_context(STYLE)  # type: ignore[arg-type]


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def front_plot(runs: Sequence[Evaluations], pair: Pair) -> Plot:
    """Every network, y against x, with each run's front marked.

    The front is that of all objectives, as in the table, so a network is marked also where these
    two alone would not put it there; of a single objective, it is the front of these two.
    """
    figure, subplot = _figure(5.6, 4.2)
    drawn = []
    unopened = 0
    share = MOST_OPEN // len(runs)
    several = len(runs[0].judge.objectives) > 1
    for number, run in enumerate(runs):
        x, y = pair.x.values(run), pair.y.values(run)
        losses = numpy.column_stack([pair.x.losses(run), pair.y.losses(run)])
        edge = nondominated(losses)
        edge = edge[numpy.argsort(x[edge])]
        front = nondominated(run.losses) if several else edge
        drawn.append((x, y, front))
        others = numpy.setdiff1d(numpy.flatnonzero(numpy.isfinite(losses).all(axis=1)), front)
        opened = others[:: max(1, -(-len(others) // share))]
        closed = numpy.setdiff1d(others, opened)
        unopened += len(closed)
        style: dict[str, Any] = {"color": colour(number), "linewidths": 0}
        subplot.scatter(x[closed], y[closed], s=9, alpha=0.25, rasterized=True, **style)
        points = subplot.scatter(x[opened], y[opened], s=26, alpha=0.38, **style)
        points.set_urls([f"#{run.records[place].key}" for place in opened])
        if len(front):
            # Between two steps, a network is at least as good in x as is asked for.
            where: Any = "steps-pre" if pair.x.maximize else "steps-post"
            subplot.plot(
                *(x[edge], y[edge]), drawstyle=where, color=colour(number), lw=1.5, zorder=3
            )
            best = subplot.scatter(
                *(x[front], y[front]),
                s=52,
                marker=MARKERS[number % len(MARKERS)],
                color=colour(number),
                edgecolors="white",
                linewidths=0.9,
                zorder=4,
            )
            best.set_urls([f"#{run.records[place].key}" for place in front])
    _scale(subplot, "x", pair.x, [x for x, _, _ in drawn])
    _scale(subplot, "y", pair.y, [y for _, y, _ in drawn], log=not pair.y.maximize)
    below = _look_at_the_front(subplot, pair.y, [y for _, y, _ in drawn], drawn)
    fronts = [
        Line2D([], [], color=colour(n), marker=MARKERS[n % len(MARKERS)], lw=1.5, label=run.name)
        for n, run in enumerate(runs)
    ]
    if len(runs) == 1:
        fronts[0].set_label("front")
        fronts.append(Line2D([], [], color=colour(0), marker="o", lw=0, alpha=0.38, label="others"))
    _legend(figure, fronts)
    caption = "One point is one network; click it to open it.  "
    if len(runs[0].judge.objectives) > 2:
        caption += (
            f"Strong points: the front of all {len(runs[0].judge.objectives)} objectives, the "
            "networks of the table.  The line joins the best of these two objectives alone."
        )
    else:
        caption += (
            "Strong points: the front, the networks that no other one matches in both and beats "
            "in one."
        )
    if unopened:
        caption += f"  {unopened:,} of the other points, the small ones, do not open here."
    if below:
        caption += (
            f"  {below:,} networks lie below what is shown; All networks, further down, shows them."
        )
    return Plot(pair.name, f"{_capital(pair.y.label)} against {pair.x.label}", figure, caption)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _look_at_the_front(
    subplot: Subplot, quality: Axis, columns: list[numpy.ndarray], drawn: list[Any]
) -> int:
    """Leave out what lies far below the front; how many points that are."""
    fronts = numpy.concatenate([y[front] for _, y, front in drawn])
    values = numpy.concatenate(columns)
    values = values[numpy.isfinite(values)]
    if not quality.maximize or len(fronts) < 2 or len(values) < 10:
        return 0
    height = fronts.max() - fronts.min()
    low = min(numpy.median(values), fronts.min()) - 0.25 * height
    if not height or low <= values.min():
        return 0
    subplot.set_ylim(low, fronts.max() + 0.06 * (fronts.max() - low))
    return int((values < low).sum())


def tradeoff_plot(runs: Sequence[Evaluations], pair: Pair, third: Axis) -> Plot:
    """A pair, coloured by a third quantity (reference B's figures 6 and 7)."""
    figure, subplot = _figure(5.6, 4.2)
    x, y, c = (
        numpy.concatenate([one.values(run) for run in runs]) for one in (pair.x, pair.y, third)
    )
    known = numpy.isfinite(numpy.column_stack([x, y, c])).all(axis=1)
    x, y, c = x[known], y[known], c[known]
    order = numpy.argsort(c if third.maximize else -c)  # the best on top
    norm = LogNorm() if len(c) and c.min() > 0 and c.max() / c.min() > 30 else None
    points = subplot.scatter(
        *(x[order], y[order]),
        c=c[order],
        cmap="viridis" if third.maximize else "viridis_r",
        norm=norm,
        s=30 if len(x) < 2000 else 8,
        linewidths=0,
        alpha=0.85,
        rasterized=len(x) > 2000,
    )
    bar = figure.colorbar(points, ax=subplot, pad=0.02)
    bar.set_label(third.label)
    if norm:
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    bar.ax.yaxis.set_major_formatter(third.formatter)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.outline.set_visible(False)
    _scale(subplot, "x", pair.x, [x])
    _scale(subplot, "y", pair.y, [y], log=not pair.y.maximize)
    title = f"Coloured by {third.label}"
    return Plot(f"tradeoff_{third.name}", title, figure)


def best_plot(runs: Sequence[Evaluations], objective: Axis, column: int) -> Plot:
    """The best of one objective so far, against networks and against time."""
    curves = []
    for run in runs:
        best = best_so_far(run.losses[:, column])
        curves.append(-best if objective.maximize else best)
    label = f"{objective.extreme} {objective.label}"
    figure = _against_networks_and_time(runs, curves, label, objective)
    return Plot(f"best_{objective.name}", f"{_capital(label)} so far", figure)


def hypervolume_plot(runs: Sequence[Evaluations], objectives: Sequence[Axis]) -> Plot | None:
    """The hypervolume of all objectives, against networks and against time."""
    reference = worst_of_the_first(runs)
    if reference is None:
        return None
    curves = [hypervolume_so_far(run.losses, reference) for run in runs]
    full = max((curve[-1] for curve in curves), default=0) or 1.0
    curves = [curve / full for curve in curves]
    figure = _against_networks_and_time(runs, curves, "hypervolume, of the largest", None)
    at = ", ".join(
        f"{one.quantity.words} {one.said(-value if one.maximize else value)}"
        for one, value in zip(objectives, reference.tolist(), strict=True)
    )
    caption = (
        f"The volume between the front and the worst of the first {runs[0].population} networks "
        f"of every run ({at}), as a share of the largest, {as_number(full)}."
    )
    return Plot("hypervolume", "Hypervolume so far", figure, caption)


def _against_networks_and_time(
    runs: Sequence[Evaluations],
    curves: Sequence[numpy.ndarray],
    label: str,
    quantity: Axis | None,
) -> Figure:
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    longest = max(float(run.seconds[-1]) for run in runs)
    unit, size = next(
        ((unit, size) for unit, size in (("hours", 3600), ("minutes", 60)) if longest > 2 * size),
        ("seconds", 1),
    )
    several = len(runs) >= FEWEST_FOR_A_BAND
    for number, (run, curve) in enumerate(zip(runs, curves, strict=True)):
        networks = numpy.arange(1, len(curve) + 1)
        # A step has two ends; what lies between is not needed, however many networks there are.
        keep = numpy.flatnonzero(numpy.diff(curve, prepend=numpy.nan, append=numpy.nan)[:-1] != 0)
        keep = numpy.unique([*keep, len(curve) - 1])
        for subplot, x in ((left, networks), (right, run.seconds / size)):
            subplot.plot(
                *(x[keep], curve[keep]),
                drawstyle="steps-post",
                color=colour(number),
                lw=0.9 if several else 1.8,
                alpha=0.6 if several else 1,
                label=run.name,
            )
    if several:
        _band(left, [numpy.arange(1, len(curve) + 1) for curve in curves], curves)
        _band(right, [run.seconds / size for run in runs], curves)
    left.set_xlabel("networks evaluated")
    right.set_xlabel(f"{unit} of searching")
    left.set_ylabel(label)
    left.xaxis.set_major_formatter(lambda value, _: with_prefix(value))
    left.set_xlim(left=0)
    right.set_xlim(left=0)
    if quantity:
        left.yaxis.set_major_formatter(quantity.formatter)
        values = numpy.concatenate(curves)
        values = values[numpy.isfinite(values)]
        if not quantity.maximize and len(values) and values.min() > 0:
            _scale(left, "y", quantity, [values])
            left.set_ylabel(label)
    if len(runs) > 1:
        _legend(figure, right.get_lines())
    return figure


def _band(
    subplot: Subplot, places: Sequence[numpy.ndarray], curves: Sequence[numpy.ndarray]
) -> None:
    """The median of some stepped curves and the band between their least and their largest.

    It ends where the first curve ends, and begins where all of them are known.
    """
    x = numpy.linspace(max(p[0] for p in places), min(p[-1] for p in places), 200)
    rows = [
        curve[numpy.searchsorted(place, x, side="right") - 1]
        for place, curve in zip(places, curves, strict=True)
    ]
    values = numpy.array(rows)
    known = numpy.isfinite(values).all(axis=0)
    x, values = x[known], values[:, known]
    if not len(x):
        return
    subplot.fill_between(
        x, values.min(axis=0), values.max(axis=0), step="post", color="#4a5464", alpha=0.16, lw=0
    )
    subplot.plot(
        *(x, numpy.median(values, axis=0)),
        drawstyle="steps-post",
        color="#1f2733",
        lw=2.4,
        label="median, and the band from the least to the largest",
    )


def trials_plot(
    runs: Sequence[Evaluations], best: Sequence[int | None], quality: Axis, cost: Axis
) -> Plot:
    """The runs side by side: quality of all their networks, and the best one with its cost.

    best: the place of each run's best network, None if it has none.
    """
    figure = Figure(figsize=(9.6, 1.6 + 0.55 * len(runs)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = numpy.arange(len(runs))
    for number, (run, place) in enumerate(zip(runs, best, strict=True)):
        values = quality.values(run)
        values = values[numpy.isfinite(values)]
        if place is None or not len(values):
            continue
        left.boxplot(
            values,
            positions=[number],
            orientation="horizontal",
            widths=0.5,
            showfliers=False,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": colour(number), "alpha": 0.3, "edgecolor": "none"},
            whiskerprops={"color": colour(number)},
            capprops={"color": colour(number)},
            medianprops={"color": colour(number), "linewidth": 2},
        )
        for subplot, one in ((left, quality), (right, cost)):
            value = float(one.values(run)[place])
            if subplot is left:
                subplot.plot([value], [number], "D", color=colour(number), ms=7, zorder=4)
            else:
                subplot.barh(number, value, height=0.5, color=colour(number))
            # Where the best is the least, all other networks lie to its right.
            before = subplot is left and not one.maximize
            subplot.annotate(
                one.said(value),
                (value, number),
                xytext=(-8 if before else 8, 0),
                textcoords="offset points",
                ha="right" if before else "left",
                va="center",
                fontsize=10,
            )
    for subplot, one in ((left, quality), (right, cost)):
        subplot.grid(axis="y", visible=False)
        subplot.margins(x=0.22)
        subplot.xaxis.set_major_formatter(one.formatter)
    left.set_xlabel(quality.label)
    right.set_xlabel(f"{cost.label} of the best network")
    left.set_yticks(places, [run.name for run in runs])
    left.set_ylim(len(runs) - 0.4, -0.6)
    caption = "Left: the middle half of each run's networks, their median, and the best (diamond)."
    return Plot("trials", f"All networks, and {cost.label} of the best", figure, caption)


def shares_plot(runs: Sequence[Evaluations]) -> Plot:
    """What became of the individuals that each run evaluated."""
    kinds = {"measured": "#009E73", "reused": "#56B4E9", "infeasible": "#E69F00"}
    kinds["failed"] = "#D55E00"
    figure, subplot = _figure(9.6, 1.5 + 0.45 * len(runs))
    for number, run in enumerate(runs):
        shares, left = run.shares, 0.0
        total = sum(shares.values()) or 1
        for kind, fill in kinds.items():
            part = 100 * shares[kind] / total
            subplot.barh(number, part, left=left, height=0.6, color=fill)
            if part >= 4:
                subplot.text(
                    left + part / 2,
                    number,
                    f"{part:.0f} %",
                    ha="center",
                    va="center",
                    color="white",
                )
            left += part
    subplot.set_yticks(range(len(runs)), [run.name for run in runs])
    subplot.set_ylim(len(runs) - 0.5, -0.5)
    subplot.set_xlim(0, 100)
    subplot.set_xlabel("share of the individuals (%)")
    subplot.grid(visible=False)
    handles = [Line2D([], [], marker="s", lw=0, ms=9, color=c, label=k) for k, c in kinds.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    caption = (
        "Measured: trained for this search, or served from its archive once.  Reused: a network "
        "that the search had met before.  Infeasible: refused by a rule or a bound."
    )
    return Plot("evaluations", "Measured, reused, infeasible, failed", figure, caption)


def generations_plot(
    runs: Sequence[Evaluations],
    courses: Sequence[Sequence[Generation]],
    objective: Axis,
    column: int,
) -> Plot:
    """Mean of the individuals of each generation, and the band from their best to their worst."""
    figure, subplot = _figure(5.6, 3.9)
    for number, (run, course) in enumerate(zip(runs, courses, strict=True)):
        known = [one for one in course if one.known]
        x = [one.generation for one in known]
        best, mean, worst = (
            numpy.array([getattr(one, name)[column] for one in known])
            for name in ("best", "mean", "worst")
        )
        subplot.fill_between(x, best, worst, color=colour(number), alpha=0.13, lw=0)
        subplot.plot(x, best, color=colour(number), lw=1.2, ls=(0, (4, 2)))
        subplot.plot(x, worst, color=colour(number), lw=1.2, ls=(0, (1, 1.5)))
        subplot.plot(x, mean, color=colour(number), lw=2, label=run.name)
    values = [
        numpy.array([value[column] for one in course for value in (one.best, one.worst)])
        for course in courses
    ]
    _scale(subplot, "y", objective, values, log=not objective.maximize)
    subplot.set_xlabel("generation")
    subplot.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [
        Line2D([], [], color="#4a5464", lw=1.2, ls=(0, (4, 2)), label="best"),
        Line2D([], [], color="#4a5464", lw=2, label="mean"),
        Line2D([], [], color="#4a5464", lw=1.2, ls=(0, (1, 1.5)), label="worst"),
    ]
    _legend(figure, [*handles, *(subplot.get_lines()[2::3] if len(runs) > 1 else [])])
    title = f"{_capital(objective.label)}, generation by generation"
    return Plot(f"generations_{objective.name}", title, figure)


def diversity_plot(runs: Sequence[Evaluations], courses: Sequence[Sequence[Generation]]) -> Plot:
    """How many different networks each generation evaluated, and how many that were new."""
    figure, subplot = _figure(5.6, 3.9)
    for number, (run, course) in enumerate(zip(runs, courses, strict=True)):
        x = [one.generation for one in course]
        for name, style in (("distinct", "-"), ("new", (0, (1, 1.5)))):
            shares = [100 * getattr(one, name) / one.individuals for one in course]
            subplot.plot(x, shares, color=colour(number), lw=1.8, ls=style, label=run.name)
    subplot.set_ylim(0, 103)
    subplot.set_ylabel("share of the individuals (%)")
    subplot.set_xlabel("generation")
    subplot.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [
        Line2D([], [], color="#4a5464", lw=1.8, label="different networks"),
        Line2D([], [], color="#4a5464", lw=1.8, ls=(0, (1, 1.5)), label="new ones"),
    ]
    _legend(figure, [*handles, *(subplot.get_lines()[::2] if len(runs) > 1 else [])])
    return Plot("diversity", "Diversity, generation by generation", figure)


def operators_plot(rows: Sequence[dict[str, Any]]) -> Plot:
    """How many of each operator's children survived their generation."""
    figure, subplot = _figure(9.6, 1.4 + 0.42 * len(rows))
    for number, row in enumerate(rows):
        subplot.barh(number, row["individuals"], height=0.6, color="#c9d3df")
        subplot.barh(number, row["survivors"], height=0.6, color=COLOURS[0])
        said = f"{row['survivors']:,} of {row['individuals']:,} ({row['survivors, %']:g} %)"
        subplot.annotate(
            said,
            (row["individuals"], number),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
        )
    subplot.set_yticks(range(len(rows)), [row["made by"] for row in rows])
    subplot.set_ylim(len(rows) - 0.5, -0.5)
    subplot.margins(x=0.28)
    subplot.set_xlabel("individuals; dark: those that survived their generation")
    subplot.grid(axis="y", visible=False)
    return Plot("operators", "Survivors by operator", figure)


def importance_plot(name: str, title: str, shares: Sequence[tuple[str, float, float]]) -> Plot:
    """The genes that an objective hangs on most.

    shares: the name of each gene, what it tells alone and in all; the most important first.
    """
    shown = shares[:MOST_BARS]
    figure, subplot = _figure(5.6, 1.3 + 0.32 * len(shown))
    for place, (_, alone, in_all) in enumerate(shown):
        subplot.barh(place, 100 * in_all, height=0.7, color="#c9d3df")
        subplot.barh(place, 100 * alone, height=0.4, color=COLOURS[0])
    subplot.set_yticks(range(len(shown)), [gene for gene, _, _ in shown])
    subplot.set_ylim(len(shown) - 0.5, -0.5)
    subplot.set_xlabel("share of the variance (%); blue: alone, grey: in all")
    subplot.grid(axis="y", visible=False)
    left_out = f"The first {len(shown)} of {len(shares)} genes." if len(shares) > MOST_BARS else ""
    return Plot(name, f"What tells {title}", figure, left_out)


def ancestry_plot(run: Evaluations, found: Ancestry, objective: Axis, column: int) -> Plot:
    """The winner's ancestors by generation, and the line through the better parent."""
    figure, subplot = _figure(9.6, 4.6)
    heights: dict[int, float] = {}
    shown = found.births
    if len(shown) > MOST_ANCESTORS:
        shown = found.near
    for birth in shown:
        place = run.by_key.get(birth.key)
        value = numpy.nan if place is None else run.fitness[place, column]
        if numpy.isfinite(value):
            heights[birth.number] = float(value)
    at = {birth.number: (birth.generation, heights.get(birth.number)) for birth in shown}
    line = list(zip(found.line, found.line[1:], strict=False))
    best = {(older.number, newer.number) for older, newer in line}
    for birth in shown:
        for parent in birth.parents:
            (x0, y0), (x1, y1) = at.get(parent, (0, None)), at[birth.number]
            if y0 is None or y1 is None:
                continue
            mine = (parent, birth.number) in best
            subplot.plot(
                *([x0, x1], [y0, y1]),
                color=COLOURS[1] if mine else "#b9c2ce",
                lw=2.4 if mine else 0.9,
                zorder=3 if mine else 2,
            )
    for number, name in enumerate(dict.fromkeys(made_by(birth) for birth in shown)):
        of_it = [b for b in shown if made_by(b) == name and b.number in heights]
        _points(subplot, of_it, heights, run, name, number)
    subplot.xaxis.set_major_locator(MaxNLocator(integer=True))
    subplot.set_xlabel("generation")
    subplot.margins(x=0.05, y=0.12)
    values = numpy.array(list(heights.values()))
    _scale(subplot, "y", objective, [values], log=not objective.maximize)
    figure.legend(loc="outside upper center", ncols=3)
    strangers = len({birth.key for birth in found.births}) - 1
    caption = (
        f"The best network has {strangers:,} other networks among its ancestors; the strong line "
        "follows the better parent."
    )
    if shown is not found.births:
        caption += f"  Shown are those on it and their parents, {len(shown):,} births."
    return Plot("ancestry", "Where the best network comes from", figure, caption)


def _points(
    subplot: Subplot,
    births: Sequence[Birth],
    heights: dict[int, float],
    run: Evaluations,
    name: str,
    number: int,
) -> None:
    points = subplot.scatter(
        [birth.generation for birth in births],
        [heights[birth.number] for birth in births],
        s=58,
        marker=MARKERS[number % len(MARKERS)],
        color=(COLOURS[0], COLOURS[2], COLOURS[4], COLOURS[3], COLOURS[5], COLOURS[6])[number % 6],
        edgecolors="white",
        linewidths=0.9,
        zorder=4,
        label=name,
    )
    points.set_urls([f"#{birth.key}" for birth in births])


def opened_keys(figure: Figure) -> set[str]:
    """The keys of the networks that the points of a figure open."""
    collections = [one for subplot in figure.axes for one in subplot.collections]
    urls = [url for one in collections for url in one.get_urls() or () if url]
    return {url.removeprefix("#") for url in urls}


def _figure(width: float, height: float) -> tuple[Figure, Subplot]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _scale(
    subplot: Subplot,
    axis: str,
    quantity: Axis,
    columns: Iterable[numpy.ndarray],
    log: bool = True,
) -> None:
    """Label an axis and, for values of several magnitudes, make it logarithmic."""
    values = numpy.concatenate(list(columns))
    values = values[numpy.isfinite(values)]
    one = subplot.xaxis if axis == "x" else subplot.yaxis
    if log and len(values) and values.min() > 0 and values.max() / values.min() > 8:
        (subplot.set_xscale if axis == "x" else subplot.set_yscale)("log")
        wide = values.max() / values.min() > 1000
        one.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        one.set_minor_formatter(NullFormatter())
    one.set_major_formatter(quantity.formatter)
    (subplot.set_xlabel if axis == "x" else subplot.set_ylabel)(quantity.label)


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Above the plots, where it covers no point, in as many columns as have room."""
    labels = [str(handle.get_label()) for handle in handles]

    def width(columns: int) -> float:
        return sum(
            COLUMN_INCHES + LETTER_INCHES * max(map(len, labels[place::columns]), default=0)
            for place in range(columns)
        )

    room = figure.get_size_inches()[0]
    columns = next((n for n in range(len(labels), 1, -1) if width(n) <= room), 1)
    # It is filled column by column, and read row by row.
    in_order = [handle for place in range(columns) for handle in handles[place::columns]]
    figure.legend(handles=in_order, loc="outside upper center", ncols=columns)
