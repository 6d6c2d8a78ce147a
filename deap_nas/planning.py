"""How long a search will take, before it begins: what `plan` tells, and a search's first lines.

The pace of the evaluations comes from the archive, or from trials of networks of the very space;
the search's own steps are then followed with it (toolbox/course.py).
"""

import json
import logging
import math
import os
import random
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy

from toolbox.archive import Archive, Record
from toolbox.assemble import assemble
from toolbox.backends.backend import Backend
from toolbox.backends.children import pickled
from toolbox.backends.processes import Processes
from toolbox.backends.serial import Serial
from toolbox.course import Course, at_most, course, served_serially
from toolbox.declaration import Declaration
from toolbox.evaluation import unmoved_generators
from toolbox.measure import Measure, Outcome
from toolbox.operator_error import OperatorError
from toolbox.pace import Pace, Timed, Tried, pace_of_archive, pace_of_trials, timed, tries
from toolbox.power import Power, PowerMeter
from toolbox.problem import Problem, adapted, own
from toolbox.stopped import NothingMeasured

TRIALS = 12  # networks
LONGEST_TRIAL, SHORTEST_TRIAL = 2.0, 0.2  # seconds
TRIALS_SHARE, STEPS_SHARE = 0.005, 0.01  # of a search, for trials in it and to follow its steps
LONGEST_IN_A_SEARCH = 20.0  # seconds of such trials
WORTH_FORESEEING = 10.0  # seconds
DRAWN = 64  # networks, of which those that are tried are chosen by their cost
SAMPLES = 200  # measurements of an archive, among which made-up ones lie
COMMITS = 20
ELSEWHERE = ("ray", "scoop")  # backends whose workers are not this machine's

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a search will take from now on.

    course: of its networks.  most: networks at most.  start_seconds: until the first of them is
    begun; ready_seconds: of what the problem does before them.  pace: of the evaluations; tried:
    networks, for that or for what else they take.  workers: and how many evaluations each has in
    hand.  power: None for the reason in `silence`.
    """

    course: Course
    most: int
    start_seconds: float
    ready_seconds: float
    pace: Pace
    tried: Tried
    workers: int
    at_once: int
    disk_bytes: float
    power: Power | None
    silence: str
    remarks: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """From the command to its end."""
        return self.start_seconds + self.ready_seconds + self.course.seconds

    @property
    def least_seconds(self) -> float:
        """If every training stops as early as it can."""
        return self.seconds - (1 - self.pace.least_share) * self.course.seconds

    @property
    def worker_bytes(self) -> float:
        """The most memory of a worker; 0 if unknown."""
        return self.tried.most("resident_bytes")

    @property
    def gpu_bytes(self) -> float:
        """The most memory of a network on the GPU; 0 if unknown."""
        return self.tried.most("peak_memory_bytes")

    def followed_by(self, other: "Plan") -> "Plan":
        """The plan of two searches, one after the other."""
        return replace(
            self,
            course=self.course.followed_by(other.course),
            most=self.most + other.most,
            start_seconds=self.start_seconds + other.start_seconds,
            ready_seconds=self.ready_seconds + other.ready_seconds,
            disk_bytes=self.disk_bytes + other.disk_bytes,
            remarks=tuple(dict.fromkeys([*self.remarks, *other.remarks])),
        )


def plan(
    declaration: Declaration,
    problem: Problem,
    archive: Archive | None,
    runs: Path,
    seconds: float,
    workers: int | None = None,
    first: Plan | None = None,
) -> tuple[Plan, list[Record]]:
    """The plan of a search, and the records of whole evaluations that were made for it.

    problem: prepared.  archive: of its run folder, if there is one.  seconds: that trials may take.
    workers: how many the search will have, where the declaration does not say.  first: the plan of
    the same search with another seed, which one process runs before this one; no networks are tried
    then.  Raises ValueError, one line, if no network could be tried.
    """
    # A search does all of this until here, too, and several seeds do it once.
    began = 0.0 if first else time.process_time()
    archive = archive or Archive(declaration.identity(own(problem)))
    declared_workers = _workers(declaration, problem)
    slots = (workers or declared_workers) * problem.at_once
    trials = timed(problem, _trial_seconds(seconds))
    tried = first.tried if first else Tried([], [])
    with PowerMeter(problem.gpu_uuid) as meter:
        ready_seconds, others = problem.readying(_trial_seconds(seconds))
        before = _slots_before(archive, declared_workers * problem.at_once)
        pace = pace_of_archive(problem, archive, before)
        if first:
            pace = pace or first.pace
        elif pace is None or not trials.whole:
            tried = _calibrated(declaration, problem, trials, seconds, slots // problem.at_once)
        pace = pace or pace_of_trials(problem, tried)
        for other, networks in others:
            alone, of = adapted(other), pace
            if other is not own(problem):
                brief = timed(alone, _trial_seconds(seconds))
                found = _calibrated(declaration, alone, brief, seconds, slots // problem.at_once)
                of = pace_of_trials(alone, found)
            drawn = _drawn(declaration, problem, TRIALS)
            ready_seconds += networks * fmean(map(of.seconds, drawn)) / slots
    known = [record.measurement for record in archive if record.status == "ok"]
    samples = known[-SAMPLES:] or (tried.measured if trials.whole else [])
    like = samples[0] if samples else dict.fromkeys(problem.measures or (), 1 / 3)
    some = _drawn(declaration, problem, 1)[0]
    commit_seconds, record_bytes = _commits(archive, like, some, runs)
    followed = _followed(declaration, problem, archive, pace, slots, commit_seconds, samples)
    begins = tried.start_seconds if followed.evaluations or ready_seconds else 0.0
    planned = Plan(
        followed,
        declaration.most_evaluations,
        began + begins,
        ready_seconds,
        pace,
        tried,
        slots // problem.at_once,
        problem.at_once,
        followed.evaluations * (record_bytes + tried.mean("kept_bytes")),
        meter.power,
        meter.silence,
        tuple(_remarks(declaration, followed, workers)),
    )
    whole = trials.whole and tried.genomes and not first
    return planned, _records(declaration, problem, tried, archive) if whole else []


def _remarks(declaration: Declaration, followed: Course, workers: int | None) -> Iterator[str]:
    """What the numbers do not say."""
    if not followed.complete:
        yield "the search's own steps cannot be followed without true measurements: upper limits"
    for name in ("target_fitness", "stale_generations"):
        if getattr(declaration.stop, name) is not None:
            yield f"it may end earlier, by stop.{name}"
    if declaration.toolbox["map"].use in ELSEWHERE and workers is None:
        yield "as many workers are assumed as fit this machine, and as fast; --workers says others"


def foreseen(
    declaration: Declaration, problem: Problem, archive: Archive, backend: Any
) -> tuple[Course, str] | None:
    """The course of a search that is about to begin, and what its times rest on.

    None where finding it out would take more than a small share of the search, or where evaluations
    cannot be tried: then the first networks will tell.  backend: the search's own.
    """
    room = getattr(backend, "room", None)
    slots = room(Measure(problem)) if room else 1
    left = declaration.most_evaluations - len(archive)
    pace = pace_of_archive(problem, archive, _slots_before(archive, slots))
    if pace is None:
        if problem.epochs is None or problem.with_trials(SHORTEST_TRIAL) is None or room is None:
            return None
        # A trial takes an epoch at most, so these are no more than a small share of the search.
        epochs = left * (declaration.halving.epochs[0] if declaration.halving else problem.epochs)
        trials = min(TRIALS, int(TRIALS_SHARE * epochs / slots) * slots)
        if trials < 2 * slots:
            return None
        genomes = _drawn(declaration, problem, trials, among=trials)
        tried = tries(backend, timed(problem, 0.0), genomes, LONGEST_IN_A_SEARCH)
        if not tried.genomes:
            return None
        pace = pace_of_trials(problem, tried)
    mean = fmean(map(pace.seconds, _drawn(declaration, problem, TRIALS, among=TRIALS)))
    rough = max(0, left) * mean / slots
    if rough < WORTH_FORESEEING:
        return None
    if _has_own_parts(declaration):  # they may remember that they were called
        return at_most(declaration, len(archive), mean, slots), pace.source
    limit = STEPS_SHARE * rough
    return _followed(declaration, problem, archive, pace, slots, limit_seconds=limit), pace.source


def _has_own_parts(declaration: Declaration) -> bool:
    """Whether functions of the user's breed or select."""
    parts = [declaration.algorithm, *declaration.toolbox.values()]
    return any(":" in part.use for part in parts)


def _slots_before(archive: Archive, now: int) -> int:
    """How many evaluations were in hand when an archive was filled, as far as it tells."""
    tables = tomllib.loads(archive.noted("declaration", ""))
    table = tables.get("toolbox", {}).get("map", {})
    return 1 if table.get("use") == "serial" else int(table.get("workers", now))


def _workers(declaration: Declaration, problem: Problem) -> int:
    """How many processes evaluate; for a backend that is elsewhere, as many as fit this machine."""
    chosen = declaration.toolbox["map"]
    if chosen.use in ELSEWHERE:
        return _room_here(problem)
    backend = chosen.operator({"threads": problem.threads, "gpus": problem.gpus})
    room = getattr(backend, "room", None)
    workers = room(Measure(problem)) // problem.at_once if room else 1
    getattr(backend, "close", lambda: None)()
    return max(1, int(workers))


def _room_here(problem: Problem) -> int:
    return problem.gpus or max(1, (os.cpu_count() or 1) // problem.threads)


def _calibrated(
    declaration: Declaration, problem: Problem, trials: Timed, seconds: float, workers: int
) -> Tried:
    """Networks that were tried in as many processes as the search has, as far as they fit here.

    Raises ValueError, one line, if none could be tried.
    """
    serial = declaration.toolbox["map"].use == "serial"
    at_once = workers * problem.at_once
    count = max(TRIALS, 2 * at_once)
    backend: Backend = Serial()
    # What has no trials may take hours: it is evaluated where it can be killed.
    if trials.whole or not serial:
        with suppress(ValueError):
            pickled(Measure(trials))
            backend = Processes(
                problem.threads,
                problem.gpus,
                min(workers, _room_here(problem)),
                timeout_seconds=max(seconds, SHORTEST_TRIAL) if trials.whole else None,
                retries=0,
            )
    try:
        found = tries(backend, trials, _drawn(declaration, problem, count), seconds)
    finally:
        backend.close()
    if not found.genomes:
        raise ValueError(
            f"no network could be tried: {found.failure}"
            + ("; --seconds allows more" if trials.whole else "")
        )
    return replace(found, start_seconds=0.0) if serial and trials.whole else found


def _trial_seconds(seconds: float) -> float:
    """Of one trial, so that all of them take no more than so many seconds on one worker."""
    return max(SHORTEST_TRIAL, min(LONGEST_TRIAL, seconds / TRIALS))


def _drawn(
    declaration: Declaration, problem: Problem, count: int, among: int = DRAWN
) -> list[list[int]]:
    """Networks as a first population has them, spread by cost over so many, from the middle on."""
    with unmoved_generators():
        random.seed(declaration.seed)
        numpy.random.seed(declaration.seed % 2**32)
        toolbox = assemble(served_serially(declaration), problem, Archive({}))
        drawn = [problem.space.canonical(one) for one in toolbox.population(n=max(among, count))]
    legal = [list(map(int, one)) for one in drawn if not problem.space.violation(one)]
    by_cost = sorted(legal, key=problem.cost)
    step = max(1, len(by_cost) / count)
    spread = [by_cost[int((place + 0.5) * step)] for place in range(min(count, len(by_cost)))]
    return sorted(spread, key=lambda one: abs(by_cost.index(one) - len(by_cost) // 2))


def _followed(
    declaration: Declaration,
    problem: Problem,
    archive: Archive,
    pace: Pace,
    slots: int,
    answer_seconds: float = 0.0,
    samples: Sequence[dict[str, float]] = (),
    limit_seconds: float = math.inf,
) -> Course:
    """The course by the search's own steps, or by arithmetic where they need true measurements."""
    try:
        found = course(
            declaration,
            problem,
            archive,
            pace.seconds,
            slots,
            answer_seconds=answer_seconds,
            samples=samples,
            limit_seconds=limit_seconds,
        )
    except (OperatorError, NothingMeasured, ValueError) as error:
        log.debug("the course of the search cannot be followed: %s", error)
        mean = fmean(map(pace.seconds, _drawn(declaration, problem, TRIALS)))
        found = at_most(declaration, len(archive), mean, slots)
    if pace.epochs and not declaration.halving:  # trainings may stop early
        return replace(found, epochs=found.evaluations * pace.epochs)
    return found


def _commits(
    archive: Archive, measurement: dict[str, float], genome: list[int], runs: Path
) -> tuple[float, float]:
    """Seconds and bytes of keeping a record, on the disk of the run folders."""
    near = next((folder for folder in (runs, *runs.absolute().parents) if folder.is_dir()), None)
    try:
        folder = tempfile.TemporaryDirectory(dir=near)
    except OSError:
        folder = tempfile.TemporaryDirectory()
    with folder as path:
        file = Path(path) / "archive.sqlite"
        with closing(Archive(archive.problem, file)) as written:
            outcome = Outcome(0, "ok", measurement)
            written.add(Record.of("first", genome, "first", outcome))
            size, began = file.stat().st_size, time.perf_counter()
            for number in range(COMMITS):
                written.add(Record.of(f"{number:032}", genome, str(genome), outcome))
            seconds = (time.perf_counter() - began) / COMMITS
            logged = len(json.dumps(measurement)) + len(str(genome))
            return seconds, (file.stat().st_size - size) / COMMITS + logged


def _records(
    declaration: Declaration, problem: Problem, tried: Tried, archive: Archive
) -> list[Record]:
    """The records of whole evaluations."""
    found = []
    for genome, measurement in zip(tried.genomes, tried.measured, strict=True):
        architecture = problem.space.decode(genome)
        reason = declaration.bounds.reason(measurement)
        outcome = Outcome(0, "infeasible" if reason else "ok", measurement, reason)
        found.append(Record.of(archive.key(architecture), genome, architecture, outcome))
    return found
