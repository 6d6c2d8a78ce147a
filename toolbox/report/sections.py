"""The sections of a report, of plain data that the toolbox knows.

A problem comes in by its space, and by one function: the layers of a network.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import tomlkit

from toolbox.archive import Record
from toolbox.declaration import Declaration
from toolbox.lineage import Birth
from toolbox.quantities import Quantity, as_number, meant
from toolbox.report import figures
from toolbox.report.all_networks import all_networks
from toolbox.report.axes import Axes, Axis
from toolbox.report.evaluations import Evaluations, nondominated
from toolbox.report.finals import finals_facts, finals_sections
from toolbox.report.generations import course, generation_table, parent_table
from toolbox.report.learning_curves import curve_table, learning_curves
from toolbox.report.mattering import importance_sections
from toolbox.report.network_drawing import Layer, network_plot
from toolbox.report.origins import (
    ancestry,
    ancestry_table,
    first_births,
    made_by,
    operator_table,
)
from toolbox.report.page import Fact, Page, Section, Table
from toolbox.report.picking import knee
from toolbox.report.tables import TOP
from toolbox.report.timeline import timeline, timeline_plot, timeline_table
from toolbox.sources import NOTE as LEARNED_FROM
from toolbox.sources import VERDICTS
from toolbox.space import Space


@dataclass(frozen=True)
class Reported:
    """A run of a report.  layers: of a record's network, the image first; [] if they are unknown.

    ended: whether the search came to its end.  retrained: what its networks reached on the test
    images.  tested: the same in a line, by the network's key.  ablated: what single changes of its
    networks did.
    """

    declaration: Declaration
    evaluations: Evaluations
    ended: bool
    space: Space | None
    layers: Callable[[Record], list[Layer]]
    retrained: Sequence[Section] = ()
    tested: Mapping[str, str] = field(default_factory=dict)
    ablated: Sequence[Section] = ()


def report(
    reported: Sequence[Reported], quantities: Mapping[str, Quantity], figures_too: bool = True
) -> Page:
    """The page of some runs that have the same objectives; quantities: what their names mean.

    figures_too: if not, it has only what takes no time: numbers, and what the page itself draws.
    """
    runs = [one.evaluations for one in reported]
    axes = Axes.of(runs, quantities)
    best = [_best(run) for run in runs]
    winners = [number for number, place in enumerate(best) if place is not None]
    winner = min(winners, key=lambda n: runs[n].estimated_losses[best[n], 0], default=None)
    place = None if winner is None else best[winner]
    sections: list[Section] = finals_sections(runs) if figures_too else []
    if winner is not None and not figures_too:
        sections = [Section("All networks", text=EXPLORE, explored=True)]
    elif winner is not None and place is not None:
        sections += _choices(runs, axes, quantities)
        sections.append(_front(runs, axes))
        sections.append(Section("All networks", text=EXPLORE, explored=True))
        for one in reported:
            sections += one.retrained
        spaces = [one.space for one in reported if one.space is not None]
        if len(spaces) == len(runs):
            sections += importance_sections(runs, spaces, quantities)
        for one in reported:
            sections += one.ablated
        sections.append(_progress(runs, axes))
        sections += _generations(runs, axes)
        sections += _tradeoffs(runs, axes)
        sections += _trials(runs, best, axes)
        sections += _network(reported[winner], place, quantities)
        sections += _lineage(runs[winner], place, axes)
        sections += _operators(runs, axes)
    if figures_too:
        sections += [*_workers(runs), _evaluations(runs, axes)]
    declaration = reported[0].declaration
    opened = ""
    if winner is not None and place is not None:
        opened = runs[winner].records[place].key
        if len(axes.objectives) > 1:
            opened = knee(runs[winner].judge, runs[winner].records).key
    networks = _networks(reported, sections, opened, quantities)
    curves = learning_curves(runs, networks, quantities)
    if curves:
        explored = [place for place, section in enumerate(sections) if section.explored]
        at = explored[0] + 1 if explored else len(sections)
        rows = curve_table(runs, curves) if figures_too else []
        sections.insert(at, _curves(curves, rows))
    names = [objective.name for objective in runs[0].judge.objectives]
    names += [name for run in runs for name in run.measured]
    known = {name: meant(name, quantities) for name in names} | dict(quantities)
    return Page(
        title=f"{declaration.name}: what the search found",
        subtitle=(
            f"{', '.join(run.name for run in runs)}: {declaration.algorithm.use}, population "
            f"{declaration.population}, {declaration.generations} generations; objectives "
            + ", ".join(
                f"{meant(objective.name, quantities).heading} ({objective.direction})"
                for objective in declaration.objectives
            )
        ),
        facts=_facts(runs, axes, quantities),
        notes=_notes(reported, winner is not None),
        sections=sections,
        networks=networks,
        opened=opened,
        explored=all_networks(runs, axes, quantities) if opened else {},
        curves=curves,
        quantities=known,
        declaration=tomlkit.dumps(declaration.table()) if figures_too else "",
        sessions=_sessions(runs),
    )


def _facts(
    runs: Sequence[Evaluations], axes: Axes, quantities: Mapping[str, Quantity]
) -> list[Fact]:
    """The numbers at the top; the best of each objective says what its network costs otherwise."""
    networks = len({record.key for run in runs for record in run.records})
    facts = [Fact("networks", f"{networks:,}")]
    if len(axes.objectives) > 1 and (sizes := [len(nondominated(run.losses)) for run in runs]):
        said = ", ".join(f"{size:,}" for size in sizes if size)
        notes = ["of each run"] if len(runs) > 1 else []
        notes += ["by single trainings"] if any(run.estimated for run in runs) else []
        facts += [Fact("on the front", said, ", ".join(notes))] if said else []
    for column, objective in enumerate(axes.objectives):
        found = [(run, places[0]) for run in runs if (places := _order(run, column))]
        if not found:
            continue
        run, place = min(found, key=lambda one: one[0].losses[one[1], column])
        others = [other for other in axes.objectives if other is not objective]
        note = ", ".join(
            f"{other.quantity.words} {other.said(float(value))}"
            for other, value in zip(
                others, numpy.delete(run.fitness[place], column).tolist(), strict=True
            )
        )
        facts.append(
            Fact(
                f"{_superlative(objective)}",
                objective.said(float(run.fitness[place, column])),
                ("in a single training, " if column in run.estimated else "")
                + (f"by a network with {note}" if note else ""),
                run.records[place].key,
            )
        )
    for run in runs:
        whose = f"of {run.name}" if len(runs) > 1 else ""
        facts += [Fact(name, said, whose) for name, said in finals_facts(run, axes).items()]
    facts.append(Fact("searched", _duration(sum(float(run.seconds[-1]) for run in runs))))
    if epochs := sum(run.epochs for run in runs):
        facts.append(Fact("epochs trained", as_number(epochs)))
    if failed := sum(run.shares["failed"] for run in runs):
        facts.append(Fact("failed", f"{failed:,}"))
    return facts


def _superlative(objective: Axis) -> str:
    """The name of an objective's best, for a person."""
    return f"{objective.extreme} {objective.quantity.words}"


def _best(run: Evaluations) -> int | None:
    """The place of the best network by the first objective, by its estimate or its mean where there
    is one; None if none is feasible."""
    if run.standings:
        return run.by_key[run.standings[0].record.key]
    return run.by_key[run.returned[0].key] if run.returned else None


def _order(run: Evaluations, column: int) -> list[int]:
    """The places of the feasible networks, the best by an objective first."""
    places = [place for place in range(len(run.records)) if run.feasible[place]]
    first = [column, *(other for other in range(run.losses.shape[1]) if other != column)]
    return sorted(  # equals by the other objectives, so that the best one is on the front
        places, key=lambda place: (*run.losses[place, first], run.records[place].architecture)
    )


def _duration(seconds: float) -> str:
    """Seconds for a person.

    >>> _duration(4955), _duration(75), _duration(8)
    ('1 h 22 min', '1 min 15 s', '8 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _notes(reported: Sequence[Reported], found: bool) -> list[str]:
    notes = []
    for one in reported:
        run = one.evaluations
        if not one.ended:
            notes.append(
                f"{run.name} has not ended: it is still going on, or was interrupted.  This is "
                f"what its archive held, {len(run.records):,} networks."
            )
        for name, learned in run.archive.noted(LEARNED_FROM, {}).items():
            if verdict := VERDICTS.get(learned["verdict"]):
                notes.append(f"{run.name} learned from {name}: {verdict}.")
        failed = run.shares["failed"]
        if not run.feasible.any():
            message = next((record.message for record in run.records if record.message), "")
            notes.append(
                f"No network of {run.name} was measured within the bounds: {failed:,} failed, "
                f"{run.shares['infeasible']:,} were infeasible.  The first message: {message}"
            )
    if not found:
        notes.append("There is nothing to rank or to plot.")
    return notes


def _row(run: Evaluations, place: int, several: bool) -> dict[str, Any]:
    """A network in a table."""
    record = run.records[place]
    names = [objective.name for objective in run.judge.objectives]
    row: dict[str, Any] = {"run": run.name} if several else {}
    for column, name in enumerate(names):
        row[name] = float(run.fitness[place, column])
        if column in run.estimated:
            loss = run.estimated_losses[place, column]
            row[f"{name}, estimate"] = float(-loss * run.judge.objectives[column].weight)
    for name in ("val_accuracy", "params", "macs", "train_seconds"):
        if name in record.measurement and len(row) < MOST_NUMBERS + several:
            row.setdefault(name, record.measurement[name])
    return row | {"architecture": record.architecture, "key": record.key}


def _choices(
    runs: Sequence[Evaluations], axes: Axes, quantities: Mapping[str, Quantity]
) -> list[Section]:
    """Whom to look at first: of several objectives the balanced one and each one's best, of one
    the top."""
    rows = []
    if len(axes.objectives) == 1:
        ranked = [(run, run.by_key[one.key]) for run in runs for one in run.returned[:TOP]]
        if len(runs) > 1:
            ranked.sort(key=lambda found: found[0].estimated_losses[found[1], 0])
        rows = [_row(run, place, len(runs) > 1) for run, place in ranked[:TOP]]
        name = axes.objectives[0].name
        title = f"The {len(rows)} with the {_superlative(axes.objectives[0])}"
        if any(run.estimated for run in runs):
            table = Table(f"top_{name}", f"{title}, by estimate", rows, ESTIMATE)
        else:
            table = Table(f"top_{name}", title, rows)
        return [Section("Where to start", tables=[table])]
    for run in runs:
        if not run.feasible.any():
            continue
        balanced = run.by_key[knee(run.judge, run.records).key]
        chosen = [("balanced (the knee)", balanced)]
        found = [run.by_key[record.key] for record in run.returned]
        chosen += [
            (
                _superlative(objective) + (", by estimate" if column in run.estimated else ""),
                min(found, key=lambda at: run.estimated_losses[at, column]),
            )
            for column, objective in enumerate(axes.objectives)
        ]
        rows += [{"network": said} | _row(run, place, len(runs) > 1) for said, place in chosen]
    caption = (
        "The knee loses least, in the sum of all objectives, each counted from its best to its "
        "worst on the front; retrain and export take it if nothing else is picked.  The others "
        "are the ends of the front."
    )
    if any(run.estimated for run in runs):
        caption += f"  {ESTIMATE}"
    return [Section("Where to start", tables=[Table("start", "", rows, caption)])]


def _front(runs: Sequence[Evaluations], axes: Axes) -> Section:
    plots = [figures.front_plot(runs, pair) for pair in axes.pairs]
    tables = []
    if len(axes.objectives) > 1:
        for number, run in enumerate(runs):
            after = "" if len(runs) == 1 else f"_{number + 1}"
            places = sorted(nondominated(run.losses), key=lambda place: run.losses[place, 0])
            title = f"The front of {run.name}: {_networks_said(places)}, none better in everything"
            if run.estimated and not run.standings:
                found = [run.by_key[record.key] for record in run.returned]
                rows = [_row(run, place, several=False) for place in found]
                said = f"The front of {run.name} by estimate: {_networks_said(found)}"
                tables.append(Table(f"front_by_estimate{after}", said, rows, RETURNED))
                title = f"The front of {run.name} by single trainings: {_networks_said(places)}"
            rows = [_row(run, place, several=False) for place in places]
            tables.append(Table(f"front{after}", title, rows))
    text = "" if plots else "There is one objective and nothing to hold against it."
    if plots and tables and any(run.estimated for run in runs):
        text = (
            "The plot shows what was measured, in one training of each network.  By estimate, "
            "which allows for luck, other networks may be on the front: they are in the tables."
        )
    title = "The front" if len(axes.objectives) > 1 else "Against what it costs"
    return Section(title, plots, tables, text, side_by_side=True)


MOST_NUMBERS = 5  # columns beside which an architecture can be read; of objectives all are shown
ESTIMATE = (
    "Estimate: what the guide foretells of a network by all others and what its own trainings "
    "reached, each by its precision.  The best single training is mostly a lucky one."
)
RETURNED = (
    "What the search returns, in front.csv of its run folder, and retrain and export pick from."
)
EXPLORE = (
    "Choose what is drawn; the sliders leave out what is worse than a bound.  Drag a rectangle to "
    "zoom in, double-click to see all again, click a point to open it."
)


def _networks_said(places: Sequence[int]) -> str:
    return f"{len(places):,} network{'s' * (len(places) != 1)}"


def _progress(runs: Sequence[Evaluations], axes: Axes) -> Section:
    plots = []
    if len(axes.objectives) > 1:
        plots += [plot for plot in [figures.hypervolume_plot(runs, axes.objectives)] if plot]
    plots += [
        figures.best_plot(runs, objective, column)
        for column, objective in enumerate(axes.objectives)
    ]
    return Section("Progress", plots)


def _generations(runs: Sequence[Evaluations], axes: Axes) -> list[Section]:
    courses = [course(run) for run in runs]
    if not any(courses):
        return []
    plots = [
        figures.generations_plot(runs, courses, objective, column)
        for column, objective in enumerate(axes.objectives)
    ]
    tables = [Table("generations", "Generation by generation", generation_table(runs, courses))]
    if parents := parent_table(runs):
        caption = "Children: individuals that were made of it, alone or with another one."
        tables.append(Table("parents", "Most often selected as a parent", parents, caption))
    text = (
        "All individuals that a generation evaluated, of a network that is already known too; the "
        "failed ones and those beyond the bounds are left out of best, mean and worst."
    )
    plots.append(figures.diversity_plot(runs, courses))
    return [Section("The population", plots, tables, text, side_by_side=True)]


def _tradeoffs(runs: Sequence[Evaluations], axes: Axes) -> list[Section]:
    if not axes.pairs or not axes.colours:
        return []
    pair = axes.pairs[0]
    plots = [figures.tradeoff_plot(runs, pair, third) for third in axes.colours]
    title = f"{pair.y.label} against {pair.x.label}, coloured by a third number"
    return [Section(title[:1].upper() + title[1:], plots, side_by_side=True)]


def _trials(runs: Sequence[Evaluations], best: Sequence[int | None], axes: Axes) -> list[Section]:
    if len(runs) == 1:
        return []
    rows = []
    for run, place in zip(runs, best, strict=True):
        row: dict[str, Any] = {"run": run.name, "networks": len(run.records)}
        row["seconds of searching"] = round(float(run.seconds[-1]), 1)
        if place is not None:
            row |= _row(run, place, several=False)
        rows.append(row)
    first = axes.objectives[0]
    pair = axes.pairs[0] if axes.pairs else None
    other = next((one for one in (pair.x, pair.y) if one != first), first) if pair else first
    plots = [figures.trials_plot(runs, best, first, other)]
    table = Table("trials", f"The best network of each run, by {axes.objectives[0].name}", rows)
    return [Section("The runs side by side", plots, [table])]


def _network(one: Reported, place: int, quantities: Mapping[str, Quantity]) -> list[Section]:
    run = one.evaluations
    record = run.records[place]
    layers = one.layers(record)
    if not layers:
        return []
    rows = [
        {
            "layer": layer.name,
            "output": layer.size,
            "parameters": layer.params,
            "multiply-accumulates": layer.macs,
        }
        for layer in layers
    ]
    name = run.judge.objectives[0].name
    section = Section(
        f"The best network by {meant(name, quantities).words}",
        [network_plot(record.architecture, layers)],
        [Table("network", "", rows, in_page=False)],
    )
    return [section]


def _lineage(run: Evaluations, place: int, axes: Axes) -> list[Section]:
    found = ancestry(run, run.records[place].key)
    if found is None:
        text = "It is not known before the first generation is finished."
        return [Section("The winner's lineage", text=text)]
    if len(found.births) == 1:
        drawn = found.births[0]
        text = f"It has no ancestors: generation {drawn.generation}, {made_by(drawn)}."
        return [Section(f"The winner's lineage ({run.name})", text=text)]
    plot = figures.ancestry_plot(run, found, axes.objectives[0], 0)
    title = "From the best network back to the first population, by the better parent"
    table = Table("lineage", title, ancestry_table(run, found))
    return [Section(f"The winner's lineage ({run.name})", [plot], [table])]


def _operators(runs: Sequence[Evaluations], axes: Axes) -> list[Section]:
    top: set[str] = set()
    for run in runs:
        several = len(axes.objectives) > 1
        places = nondominated(run.losses) if several else _order(run, 0)[:TOP]
        top |= {run.records[place].key for place in places}
    rows = operator_table(runs, top)
    if not rows:
        return []
    where = "on its run's front" if len(axes.objectives) > 1 else f"among its run's top {TOP}"
    caption = (
        "Each individual counts once, for all that made it.  A survivor was in the population "
        "after its generation; where children replace everyone, every child is.  Better than its "
        "parents: it dominates each of them (one objective: a better fitness).  At the top: first "
        f"to reach a network that is {where} now."
    )
    table = Table("operators", "What became of the individuals", rows, caption)
    return [Section("Operators", [figures.operators_plot(rows)], [table])]


def _curves(curves: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Section:
    left_out = curves["left_out"]
    more = f"  {left_out:,} more networks are left out." if left_out else ""
    text = (
        "A line is one network, epoch by epoch; the strong one is the network that is open, and a "
        f"click opens another one.{more}"
    )
    tables = [Table("learning_curves", "", rows, in_page=False)] if rows else []
    return Section("Learning curves", tables=tables, text=text, curves=True)


def _workers(runs: Sequence[Evaluations]) -> list[Section]:
    found = [(run, times) for run in runs if (times := timeline(run))]
    if not found:
        return []
    several = len(runs) > 1
    plots = [
        timeline_plot(times, f"timeline_{number}" if several else "timeline", run.name, several)
        for number, (run, times) in enumerate(found, start=1)
    ]
    rows = [row for run, times in found for row in timeline_table(times, run.name)]
    return [Section("The workers", plots, [Table("timeline", "", rows, in_page=False)])]


def _evaluations(runs: Sequence[Evaluations], axes: Axes) -> Section:
    rows = []
    for run in runs:
        row: dict[str, Any] = {"run": run.name, "individuals": sum(run.shares.values())}
        for kind, count in run.shares.items():
            row[kind] = count
        rows.append(row)
    tables = [Table("evaluations", "Individuals", rows)]
    failures = [
        {
            "run": run.name,
            "status": record.status,
            "message": record.message[:200],
            "architecture": record.architecture,
            "key": record.key,
        }
        for run in runs
        for record in run.records
        if record.failed
    ]
    if failures:
        tables.append(Table("failures", f"{len(failures):,} failures", failures))
    return Section("What was evaluated", [figures.shares_plot(runs)], tables)


def _networks(
    reported: Sequence[Reported],
    sections: Sequence[Section],
    opened: str,
    quantities: Mapping[str, Quantity],
) -> dict[str, dict[str, Any]]:
    """What the panel shows of every network that a point or a row opens."""
    wanted = {opened} if opened else set()
    for section in sections:
        for plot in section.plots:
            wanted |= figures.opened_keys(plot.figure)
        for table in section.tables:
            wanted |= {row["key"] for row in table.shown if "key" in row}
    networks: dict[str, dict[str, Any]] = {}
    for one in reported:
        run = one.evaluations
        births = first_births(run)
        for key in sorted(wanted & set(run.by_key)):
            record = run.records[run.by_key[key]]
            if key not in networks:
                networks[key] = _opened(one, record, births.get(key), quantities)
    return networks


def _opened(
    one: Reported, record: Record, birth: Birth | None, quantities: Mapping[str, Quantity]
) -> dict[str, Any]:
    """The facts are rows of a label, what is said, and the name that was measured, if any."""
    run = one.evaluations
    names = [objective.name for objective in run.judge.objectives]
    values = dict(zip(names, run.fitness[run.by_key[record.key]].tolist(), strict=True))
    facts = [["run", run.name, ""]]
    facts += [["status", record.status, ""]] if record.status != "ok" else []
    for name, value in (values | record.measurement).items():
        quantity = meant(name, quantities)
        said = quantity.said(value) if numpy.isfinite(value) else ""
        facts.append([quantity.words, said, name])
    if record.key in one.tested:
        facts.append(["test accuracy, retrained", one.tested[record.key], ""])
    if birth:
        facts += [["generation", str(birth.generation), ""], ["made by", made_by(birth), ""]]
        parents = [run.by_key.get(run.births[parent].key) for parent in birth.parents]
        facts += [["parent", run.records[p].architecture, ""] for p in parents if p is not None]
    facts += [["message", record.message, ""]] if record.message else []
    layers = one.layers(record) if record.status == "ok" else []
    return {
        "architecture": record.architecture,
        "facts": [*facts, ["key", record.key, ""]],
        "layers": [[layer.name, layer.size, f"{layer.params:,}"] for layer in layers],
    }


def _sessions(runs: Sequence[Evaluations]) -> list[dict[str, str]]:
    sessions = []
    for run in runs:
        for session in run.sessions:
            ended = session["ended"] or "it did not come to its end, or has not yet"
            sessions.append({"run": run.name, **session, "ended": ended})
    return sessions
