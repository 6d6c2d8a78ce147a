"""The table that a search prints when it ends."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from toolbox.archive import Record
from toolbox.finals import Standing, estimated_fitness, mean_fitness, standings
from toolbox.judge import Judge
from toolbox.quantities import QUANTITIES, Quantity, as_number, meant
from toolbox.report.ranking import front, ranking

TOP = 5
ALWAYS_SHOWN = ("val_accuracy", "params")  # of a network, whatever the objectives are
LONGEST_FRONT = 20


def result_tables(
    judge: Judge, networks: Sequence[Record], quantities: Mapping[str, Quantity]
) -> list[Table]:
    """The finals, and the front of several objectives, or the top five by the only one.

    With a learned guide by its estimates, which are shown.  After finals their table is the front,
    or the ranking by the one objective.
    """
    tables = []
    objectives = judge.objectives
    how = ", estimated by the guide and all trainings" if any(r.belief for r in networks) else ""
    if found := standings(judge, networks):
        tables.append(_finals(found, judge, quantities))
    if len(objectives) == 1 and not found:
        best = ranking(judge, networks, objectives[0])[:TOP]
        title = f"Top {len(best)} by {objectives[0].name}{how}"
        tables.append(_table(title, best, judge, quantities))
    if len(objectives) > 1 and (how or not found):
        records = front(judge, networks)
        title = f"Pareto front{how}: {len(records)} network{'s' * (len(records) != 1)}"
        if len(records) > LONGEST_FRONT:
            title += f", {LONGEST_FRONT} of them shown"
            last = len(records) - 1  # both ends are shown
            places = [round(n * last / (LONGEST_FRONT - 1)) for n in range(LONGEST_FRONT)]
            records = [records[place] for place in places]
        tables.append(_table(title, records, judge, quantities))
    return tables


def print_results(
    console: Console,
    judge: Judge,
    networks: Sequence[Record],
    quantities: Mapping[str, Quantity] = QUANTITIES,
) -> None:
    """Show what a finished search found."""
    for table in result_tables(judge, networks, quantities):
        console.print(table)
    console.print()


def _finals(found: Sequence[Standing], judge: Judge, quantities: Mapping[str, Quantity]) -> Table:
    one = len(judge.objectives) == 1
    estimated = any(standing.record.belief for standing in found)
    by = "estimate" if estimated else "mean"
    title = f"Finals: {len(found)} networks by the {by} of their trainings"
    if not one:
        on_front = {record.key for record in front(judge, [s.record for s in found])}
        title = f"Pareto front of the finals: {len(on_front)} of {len(found)} networks, by {by}s"
        found = [standing for standing in found if standing.record.key in on_front]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    names = [objective.name for objective in judge.objectives]
    for name in names:
        table.add_column(meant(name, quantities).heading, justify="right", no_wrap=True)
        table.add_column("s.e.", justify="right", no_wrap=True)
        if estimated:
            table.add_column("estimate", justify="right", no_wrap=True)
    table.add_column("trainings", justify="right")
    table.add_column("P(best)" if one else "P(on front)", justify="right", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for standing in found:
        errors = standing.standard_error or (None,) * len(names)
        numbers = []
        values = zip(names, standing.mean, errors, standing.estimate, strict=True)
        for name, mean, error, estimate in values:
            numbers.append(meant(name, quantities).number(mean))
            numbers.append("-" if error is None else as_number(error))
            if estimated:
                numbers.append(meant(name, quantities).number(estimate))
        failed = f" ({standing.failed} failed)" if standing.failed else ""
        table.add_row(
            *numbers,
            f"{standing.trainings}{failed}",
            f"{standing.probability:.2f}",
            standing.record.architecture,
        )
    return table


def _table(
    title: str, records: Sequence[Record], judge: Judge, quantities: Mapping[str, Quantity]
) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    objectives = {objective.name: objective for objective in judge.objectives}
    known = {name for record in records for name in record.measurement}
    also = [name for name in ALWAYS_SHOWN if name in known and name not in objectives]
    columns: list[tuple[str, list[float]]] = []
    reached = zip(*(mean_fitness(judge, record) for record in records), strict=True)
    estimated = zip(*(estimated_fitness(judge, record) for record in records), strict=True)
    for name, own, estimates in zip(objectives, reached, estimated, strict=False):
        columns.append((name, list(own)))
        if own != estimates:
            columns.append((name, list(estimates)))
    columns += [(name, [record.measurement[name] for record in records]) for name in also]
    names = [name for name, _ in columns]
    for place, name in enumerate(names):
        said = "estimate" if name in names[:place] else meant(name, quantities).heading
        table.add_column(said, justify="right", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for row, record in enumerate(records):
        numbers = [meant(name, quantities).number(values[row]) for name, values in columns]
        table.add_row(*numbers, record.architecture)
    return table
