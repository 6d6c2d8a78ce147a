"""Tell how long a search will take, and what of disk, memory and energy, before it begins.

  plan EXPERIMENT.toml [key=value ...]
  plan RUN_FOLDER [key=value ...]
  plan EXPERIMENT.toml --seeds N      of the seeds 1 to N, one after the other

Some networks of the search space are trained for a few steps, in as many processes as the search
has, and the search's own steps are followed with what that took.  Where the run folder has an
archive, what it holds is not counted again, and its times are taken.  Nothing is written, but for
whole evaluations into an archive that exists."""

import argparse
import json
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from deap_nas.finished_run import declared as declared_in
from deap_nas.finished_run import notice_edits
from deap_nas.learning import taught
from deap_nas.opening import archived, of_seeds, prepared_silently, rehearsed
from deap_nas.output import console_on
from deap_nas.planning import ELSEWHERE, Plan, plan
from deap_nas.user_folders import admit_again
from toolbox.archive import Archive, Record, differences
from toolbox.course import served_serially
from toolbox.declaration import Declaration
from toolbox.problem import Problem, own
from toolbox.run_folder import RunFolder
from toolbox.work import clock_after, duration

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: runs"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=20.0, help="that trials may take; default: 20"
    )
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="how many the search will have"
    )
    parser.add_argument(
        "--seeds", type=_positive, metavar="N", help="of the seeds 1 to N, as the search has it"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON, in seconds and bytes"
    )


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r}: a number of seconds above 0 is needed")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of at least 1 is needed")
    return int(text)


def run(chosen: argparse.Namespace) -> int:
    """Print the plan; 0.  Raises ValueError."""
    from toolbox.progress import log_to_console

    shown = sys.stderr if chosen.json else sys.stdout
    log_to_console(console_on(shown))
    path, runs = chosen.experiment, chosen.runs
    if path.is_dir():
        if not (path / "archive.sqlite").is_file():
            raise ValueError(f"{path}: it is no run folder; there is no archive.sqlite in it")
        admit_again(path)
        notice_edits(path, declared_in(path), Archive.read(path / "archive.sqlite"))
        if chosen.seeds:
            raise ValueError(f"--seeds {chosen.seeds}: {path} is of one seed; name the experiment")
        declarations = [declared_in(path, chosen.overrides)]
        runs = path.absolute().parent.parent
    else:
        declarations = of_seeds(path, chosen.overrides, chosen.seeds)
    first: Plan | None = None
    in_all: Plan | None = None
    for declaration in declarations:
        planned = _planned(declaration, runs, chosen, first)
        first = first or planned
        in_all = in_all.followed_by(planned) if in_all else planned
    assert in_all
    for line in [json.dumps(numbers(in_all))] if chosen.json else lines(in_all):
        print(line)
    return 0


def _planned(
    declaration: Declaration, runs: Path, chosen: argparse.Namespace, first: Plan | None
) -> Plan:
    """The plan of one search.  first: that of the first seed of several."""
    folder = runs / declaration.name / f"seed-{declaration.seed}"
    declaration = taught(declaration, folder / "archive.sqlite")
    if first:
        problem = prepared_silently(declaration).wanted(declaration.needs)
    else:
        elsewhere = declaration.toolbox["map"].use in ELSEWHERE  # it need not be there yet
        problem = rehearsed(served_serially(declaration) if elsewhere else declaration)
    archive = _archive(folder, declaration, problem)
    if archive is not None:
        problem = problem.in_folder(folder)
    planned, records = plan(
        declaration, problem, archive, runs, chosen.seconds, workers=chosen.workers, first=first
    )
    if archive is not None and records:
        _keep(runs, declaration, problem, records)
    return planned


def numbers(planned: Plan) -> dict[str, Any]:
    """The plan for a program."""
    course, power = planned.course, planned.power
    return {
        "networks": course.networks,
        "most_networks": planned.most,
        "evaluations": course.evaluations,
        "served": course.served,
        "duplicates": course.reused,
        "epochs": course.epochs,
        "seconds": planned.seconds,
        "least_seconds": planned.least_seconds,
        "start_seconds": planned.start_seconds,
        "ready_seconds": planned.ready_seconds,
        "workers": planned.workers,
        "disk_bytes": planned.disk_bytes,
        "worker_bytes": planned.worker_bytes or None,
        "watt_hours": power.watts * planned.seconds / 3600 if power else None,
        "watt_hours_source": power.source if power else None,
        "watt_hours_estimated": power.estimated if power else None,
        "source": planned.pace.source,
        "remarks": list(planned.remarks),
    }


def _archive(folder: Path, declaration: Declaration, problem: Problem) -> Archive | None:
    """The archive that the search would go on with.  Raises ValueError if it would be refused."""
    if not (folder / "archive.sqlite").is_file():
        return None
    archive = Archive.read(folder / "archive.sqlite")
    wanted = Archive(declaration.identity(own(problem)))
    if changes := differences(archive.problem, wanted.problem):
        raise ValueError(
            f"problem: {archive.path} was begun with another one ({'; '.join(changes)}); declare "
            "it as it was, or choose another folder with --runs"
        )
    return archive


def _keep(runs: Path, declaration: Declaration, problem: Problem, records: list[Record]) -> None:
    """Put whole evaluations into the archive of a run folder in which no search is running."""
    with suppress(ValueError), RunFolder(runs, declaration) as opened:
        file = opened.path / "archive.sqlite"
        with archived(declaration, problem, opened.path, file) as (_, archive):
            for record in records:
                if archive.get(record.key) is None:
                    archive.add(record)
            log.info("kept in its archive: %d evaluations", len(records))


def lines(planned: Plan) -> list[str]:
    """The plan for a person."""
    course = planned.course
    again = f", {course.reused:,} individuals are duplicates" if course.reused else ""
    archive = f", {course.served:,} evaluations of them in the archive" if course.served else ""
    rows = [("networks", f"{course.networks:,} of at most {planned.most:,}{again}{archive}")]
    if course.epochs:
        rows.append(("epochs", f"{course.epochs:,.0f}"))
    took = f"{duration(planned.seconds)}, of which {duration(planned.start_seconds)} to start"
    if planned.ready_seconds:
        took += f" and {duration(planned.ready_seconds)} to make the problem ready"
    if planned.pace.least_share < 1:
        took += f"; {duration(planned.least_seconds)} if every training stops as early as it can"
    rows.append(("time", took))
    rows.append(("finished", f"{clock_after(planned.seconds)}, if it begins now"))
    rows.append(("disk", _bytes(planned.disk_bytes)))
    beside = f" x {planned.at_once} at once" if planned.at_once > 1 else ""
    workers = f"{planned.workers} worker{'s' * (planned.workers > 1)}{beside}"
    if planned.worker_bytes:
        memory = f"{_bytes(planned.worker_bytes)} for each of {workers}"
        if planned.gpu_bytes:
            memory += f", {_bytes(planned.gpu_bytes)} on the GPU for a network"
    else:
        memory = f"unknown, {workers}"
    rows.append(("memory", memory))
    if planned.power:
        kind = "an estimate by" if planned.power.estimated else "counted by"
        hours = planned.power.watts * planned.seconds / 3600
        energy = f"{hours:,.3g} Wh at {planned.power.watts:.0f} W, {kind} {planned.power.source}"
    else:
        energy = f"unknown: {planned.silence}"
    rows.append(("energy", energy))
    rows.append(("known from", planned.pace.source))
    rows += [("note", remark) for remark in planned.remarks]
    return [f"{name:<12}{text}" for name, text in rows]


def _bytes(size: float) -> str:
    """A size for a person.

    >>> [_bytes(size) for size in (0, 1500, 2_000_000, 3e9)]
    ['0 bytes', '1.5 KiB', '1.9 MiB', '2.8 GiB']
    """
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} bytes" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
