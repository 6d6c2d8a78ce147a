"""The tables that a search prints when it ends."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from toolbox.archive import Record
from toolbox.judge import Judge
from toolbox.quantities import QUANTITIES, Quantity, meant
from toolbox.report.ranking import front, ranking

TOP = 5
ALWAYS_SHOWN = ("val_accuracy", "params")  # of a network, whatever the objectives are
LONGEST_FRONT = 20


def result_tables(
    judge: Judge, networks: Sequence[Record], quantities: Mapping[str, Quantity]
) -> list[Table]:
    """The front for several objectives, and the top five by each objective."""
    tables = []
    objectives = judge.objectives
    if len(objectives) > 1:
        found = front(judge, networks)
        title = f"Pareto front: {len(found)} networks"
        step = max(1, -(-len(found) // LONGEST_FRONT))
        if step > 1:
            title += f", one in {step} shown"
        tables.append(_table(title, found[::step], judge, quantities))
    for objective in objectives:
        best = ranking(judge, networks, objective)[:TOP]
        tables.append(_table(f"Top {len(best)} by {objective.name}", best, judge, quantities))
    return tables


def print_results(
    console: Console,
    judge: Judge,
    networks: Sequence[Record],
    quantities: Mapping[str, Quantity] = QUANTITIES,
) -> None:
    """Show the tables of a finished search."""
    for table in result_tables(judge, networks, quantities):
        console.print(table)
        console.print()


def _table(
    title: str, records: Sequence[Record], judge: Judge, quantities: Mapping[str, Quantity]
) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    objectives = {objective.name: objective for objective in judge.objectives}
    measured = {name for record in records for name in record.measurement}
    also = [name for name in ALWAYS_SHOWN if name in measured and name not in objectives]
    for name in (*objectives, *also):
        table.add_column(meant(name, quantities).heading, justify="right", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for record in records:
        values = [*judge.fitness(record), *(record.measurement[name] for name in also)]
        shown = zip((*objectives, *also), values, strict=True)
        numbers = [meant(name, quantities).number(value) for name, value in shown]
        table.add_row(*numbers, record.architecture)
    return table
