"""Evolve convolutional networks by a declaration."""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from deap_nas import job_limit
from deap_nas.learning import all_taught
from deap_nas.opening import OpenSearch, of_seeds, prepared_silently, rehearsed
from deap_nas.output import as_argument, console_on, failing
from deap_nas.refused import refusing
from toolbox.declaration import Declaration
from toolbox.event_log import EventLog, JsonLines, TensorBoard, tensorboard_writer
from toolbox.judge import Judge
from toolbox.problem import Problem
from toolbox.progress import SearchProgress, log_to_console
from toolbox.quantities import as_number, quantities_with
from toolbox.report.evaluations import Evaluations, hypervolume_so_far, worst_of_the_first
from toolbox.report.ranking import front
from toolbox.report.tables import print_results
from toolbox.run_folder import RunFolder
from toolbox.trackers import TRACKERS, Tracked, flattened
from toolbox.whole_file import write_table

log = logging.getLogger(__name__)


def run(chosen: argparse.Namespace) -> int:
    """Check everything, then search; 0.

    Raises Refused for a user's error, and SearchStopped if the search cannot go on.
    """
    shown = sys.stderr if chosen.json else sys.stdout
    screen = console_on(shown)
    log_to_console(screen)
    job_limit.tell()
    with refusing(ValueError):
        new_writer = tensorboard_writer() if chosen.tensorboard else None
        trackers = {name: TRACKERS[name]() for name in TRACKERS if getattr(chosen, name)}
        # SCOOP started this process as its leading one.
        overrides = [*chosen.overrides, *(["toolbox.map.use=scoop"] if chosen.leader else [])]
        declarations = all_taught(
            (one, RunFolder(chosen.runs, one).archive)
            for one in of_seeds(chosen.experiment, overrides, chosen.seeds)
        )
        problem = rehearsed(declarations[0])

    def new_events(declaration: Declaration, folder: Path) -> list[EventLog]:
        events: list[EventLog] = [JsonLines(failing(sys.stdout))] if chosen.json else []
        events += [TensorBoard(folder / "tensorboard", new_writer)] if new_writer else []
        for name, begin in trackers.items():
            from deap_nas.reporting import write_report  # it draws, which is slow to import

            run = begin(chosen.runs, folder, flattened(declaration.table()))
            events.append(Tracked(name, run, partial(write_report, [folder])))
        return events

    rows, runs = [], []
    for number, declaration in enumerate(declarations):
        if number:
            with refusing(ValueError):
                problem = prepared_silently(declaration).wanted(declaration.needs)
        row, run = _search(chosen, declaration, problem, new_events, screen)
        rows.append(row)
        runs.append(run)
    if chosen.seeds:
        if len(declaration.objectives) > 1:
            for row, share in zip(rows, _hypervolumes(runs), strict=True):
                row["hypervolume, of the largest"] = share
        folder = chosen.runs / declarations[0].name
        write_table(folder / "summary.csv", rows)
        screen.print(_table(rows))
        now = as_argument(folder)
        log.info("written: %s; now: run_search.py report %s", folder / "summary.csv", now)
    return 0


def _search(
    chosen: argparse.Namespace,
    declaration: Declaration,
    problem: Problem,
    new_events: Callable[[Declaration, Path], list[EventLog]],
    screen: Any,
) -> tuple[dict[str, Any], Evaluations]:
    """Search in a run folder; the row of the summary over several seeds, and what was evaluated."""
    quantities = quantities_with(problem.quantities)

    def new_follower(judge: Judge, known: Sequence[str], events: Sequence[EventLog]) -> Any:
        most, seeds = declaration.most_evaluations, chosen.seeds or 1
        place = (declaration.seed, seeds) if seeds > 1 else (1, 1)
        return SearchProgress(
            screen, judge, declaration.generations, most, known, events, quantities, place
        )

    with OpenSearch(
        declaration,
        problem,
        chosen.runs,
        new_follower,
        partial(new_events, declaration),
        retry_failed=chosen.retry_failed,
        command=chosen.command,
    ) as opened:
        *_, last = opened.generations()
        networks = opened.archive.networks()
        print_results(screen, opened.judge, networks, quantities)
        path = opened.folder.shown
        now = "" if chosen.seeds else f"; now: run_search.py report {as_argument(path)}"
        log.info("written: %s and the rest of %s%s", path / opened.folder.results.name, path, now)
        known = opened.toolbox.evaluator.networks.records
        row: dict[str, Any] = {"seed": declaration.seed, "networks": len(known)}
        names = [objective.name for objective in declaration.objectives]
        row |= {f"best_{name}": value for name, value in zip(names, last.best, strict=True)}
        if len(names) > 1:
            row["front"] = len(front(opened.judge, networks))
    return row, Evaluations("", opened.judge, opened.archive, declaration.population)


def _hypervolumes(runs: Sequence[Evaluations]) -> list[float]:
    """What each run's front dominates, from one point for all runs, as a share of the largest."""
    reference = worst_of_the_first(runs)
    if reference is None:
        return [0.0] * len(runs)
    volumes = [float(hypervolume_so_far(run.losses, reference)[-1]) for run in runs]
    return [volume / (max(volumes) or 1.0) for volume in volumes]


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The searches of several seeds, and the median of each number over them."""
    table = Table(title=f"{len(rows)} seeds", title_justify="left", box=None, pad_edge=False)
    names = list(rows[0])
    for name in names:
        table.add_column(name, justify="right")
    middle: dict[str, Any] = {"seed": "median"}
    for name in names[1:]:
        values = [row[name] for row in rows if row[name] is not None]
        middle[name] = median(values) if values else None
    for row in (*rows, middle):
        table.add_row(
            *("-" if v is None else v if isinstance(v, str) else as_number(v) for v in row.values())
        )
    return table
