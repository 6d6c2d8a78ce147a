"""How a search begins and goes on: the one path of the command line, of compare and of Python.

A declaration is read (`declared`), its problem is made ready to be searched (`prepared`), and the
two are opened in a run folder (`OpenSearch`), which then yields generation after generation.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from deap_nas.learning import keep
from deap_nas.plain_tables import plain
from deap_nas.planning import foreseen
from deap_nas.readiness import make_ready
from deap_nas.refused import refusing
from deap_nas.user_folders import remember
from deap_nas.user_modules import admit
from deap_nas.versions import versions
from problems import PROBLEMS
from toolbox.archive import Archive, Record
from toolbox.assemble import assemble, rehearse
from toolbox.course import Course
from toolbox.declaration import SWAPPED, Declaration, declare, load, read_tables
from toolbox.device_use import device_use
from toolbox.event_log import EventLog
from toolbox.guarded_toolbox import GuardedToolbox
from toolbox.judge import Judge
from toolbox.operator_error import OperatorError
from toolbox.problem import Problem, adapted, own
from toolbox.progress import log_to_file
from toolbox.run_folder import RunFolder
from toolbox.search import Generation, search
from toolbox.signature import prefixed
from toolbox.stopped import SearchStopped
from toolbox.swaps import overridden
from toolbox.work import clock_after, duration

log = logging.getLogger(__name__)


class Follower(AbstractContextManager["Follower"], Protocol):
    """What shows a search to a person; entered while networks are evaluated."""

    def readying(self) -> AbstractContextManager[None]:
        """Around what the problem does before its first evaluation."""

    def expects(self, course: Course) -> None:
        """The search is expected to take this course; not told if nothing is known yet."""

    def record(self, record: Record) -> None:
        """One more network is known, or one of them after more epochs."""

    def generation_done(self, generation: Generation, device_use: Mapping[str, float]) -> None:
        """A generation has ended; how the device was used in it."""


# Makes a follower of: the judge, the keys of what the archive holds, and who else must be told.
NewFollower = Callable[[Judge, Sequence[str], Sequence[EventLog]], Follower]


def declared(
    experiment: Path | Mapping[str, Any], overrides: Sequence[str] = (), name: str = "search"
) -> Declaration:
    """The declaration of a TOML file, or of its tables as a mapping, with `key=value` overrides.

    In a mapping functions and classes may stand themselves in the place of their names.  Modules of
    the user's are found in the current folder and beside the file.  name: of the run folder of a
    mapping; a file has its own.  Raises ValueError, one line, for anything wrong.
    """
    if isinstance(experiment, Mapping):
        admit(Path.cwd())
        tables: dict[str, Any] = plain(experiment)
        overridden(tables, overrides, SWAPPED)
        return declare(tables, PROBLEMS, name=name)
    admit(Path.cwd(), experiment.parent)
    return load(experiment, overrides, PROBLEMS)


def of_seeds(experiment: Path, overrides: Sequence[str], seeds: int | None) -> list[Declaration]:
    """The declarations of the seeds 1 to `seeds`; the one with the declared seed if None.

    Raises ValueError, one line, as `declared` does, and for an override of the seed.
    """
    if seeds is None:
        return [declared(experiment, overrides)]
    if any(text.partition("=")[0].strip() == "seed" for text in overrides):
        raise ValueError(f"--seeds {seeds}: the seeds are 1 to {seeds}; leave seed= out")
    admit(Path.cwd(), experiment.parent)
    tables = read_tables(experiment, overrides)
    numbers = range(1, seeds + 1)
    return [declare({**tables, "seed": seed}, PROBLEMS, experiment.stem) for seed in numbers]


def prepared(declaration: Declaration) -> Problem:
    """The problem of a declaration with its device and its data in place.

    Raises ValueError, one line, for data or a device that cannot be had.
    """
    with prefixed("problem"):
        return adapted(declaration.problem.build()).prepared()


def prepared_silently(declaration: Declaration) -> Problem:
    """The problem of one more seed; its device and data were told of before the first."""
    logger = logging.getLogger("problems")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        return prepared(declaration)
    finally:
        logger.setLevel(level)


def rehearsed(declaration: Declaration) -> Problem:
    """The prepared problem of a search that was tried without any training; says its budget.

    Raises ValueError, one line, for what is wrong with an operator, a bound or an objective.
    """
    for remark in declaration.remarks():
        log.warning("%s", remark)
    problem = prepared(declaration).wanted(declaration.needs)
    rehearse(declaration, problem)
    log.info("budget: at most %s", problem.budget(declaration.most_evaluations))
    if declaration.halving:
        log.info("halving: %s", declaration.halving.said(declaration.population, problem))
    if declaration.finals:
        log.info("finals: %s", declaration.finals.said())
    return problem


@contextmanager
def archived(
    declaration: Declaration, problem: Problem, folder: Path, file: Path
) -> Iterator[tuple[Problem, Archive]]:
    """The problem in a folder that exists, and its archive, which is closed in the end.

    Raises ValueError, one line, if the archive is of another problem.
    """
    problem = problem.in_folder(folder)
    with closing(Archive(declaration.identity(own(problem)), file)) as archive:
        yield problem, archive


class OpenSearch:
    """A search in its run folder: the folder locked, the archive open, the toolbox assembled.

    Use as a context manager.  retry_failed: evaluate again what failed in an earlier run.  command:
    what the person wrote, to be remembered.  events, new_follower: who hears of the search.  Raises
    Refused, one line, if another search is in the folder or it holds another problem.
    """

    def __init__(
        self,
        declaration: Declaration,
        problem: Problem,
        runs: Path,
        new_follower: NewFollower,
        new_events: Callable[[Path], list[EventLog]] = lambda folder: [],
        *,
        retry_failed: bool = False,
        command: str = "",
    ):
        self.declaration = declaration
        self._pointed_out: set[str] = set()
        self.judge = Judge(declaration.objectives, declaration.bounds)
        with ExitStack() as stack:
            with refusing(ValueError, OSError):
                self.folder = stack.enter_context(RunFolder(runs, declaration))
                stack.enter_context(self.folder.removed_unless_declared())
                path = self.folder.path
                self.problem, self.archive = stack.enter_context(
                    archived(declaration, problem, path, self.folder.archive)
                )
                self.events = new_events(path)
                for event_log in self.events:
                    stack.callback(event_log.close)
                known = [record.key for record in self.archive]
                self.follower = new_follower(self.judge, known, self.events)
                self.toolbox: GuardedToolbox = assemble(
                    declaration,
                    self.problem,
                    self.archive,
                    retry_failed=retry_failed,
                    on_record=self._heard,
                )
                stack.callback(self.toolbox.close)
                keep(self.archive, self.toolbox.sources)
                self._use = stack.enter_context(device_use(self.problem.gpu_uuid))
                stack.enter_context(log_to_file(path / "run.log"))
                self.archive.note("declaration", self.folder.write_declaration())
                remember(path, declaration.table())
            log.info(
                "run folder: %s (%d evaluations in its archive)",
                *(self.folder.shown, len(self.archive)),
            )
            log.debug("%s", command)
            log.debug("%s", versions())
            for source in self.toolbox.sources:
                log.info("learn_from: %s", source.said())
            self.folder.begin_session(self.archive, command, versions())
            self._stack = stack.pop_all()

    def __enter__(self) -> "OpenSearch":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child processes, close the archive and unlock the folder."""
        self._stack.close()

    def generations(self) -> Iterator[Generation]:
        """Each generation when it is done; the run folder's files are written meanwhile.

        Raises SearchStopped if the search cannot go on, and Refused if an operator or an objective
        of the user's breaks its contract.
        """
        with self.follower.readying(), refusing(ValueError), _stopping(OSError):
            make_ready(self.declaration, self.toolbox, self.folder.path)
            self._foresee()
        with self.follower, refusing(OperatorError), _stopping(OSError):
            begun = time.process_time()
            for generation in search(self.declaration, self.toolbox):
                summary = self._use.summary()
                row = self.folder.write_generation(generation, summary)
                keep(self.archive, self.toolbox.sources)
                self.follower.generation_done(generation, summary)
                told = row | generation.means(self.declaration.objectives)
                for event_log in self.events:
                    event_log.generation(told)
                if generation.stopped:
                    self._end(generation, time.process_time() - begun)
                yield generation

    def _heard(self, record: Record) -> None:
        """Tell of a record that is known now, and once of each objective that it has no use for."""
        with suppress(Exception):  # of an objective; it is told when the fitness is asked for
            for one, value in self.judge.counted_as_worst(record):
                if one.name not in self._pointed_out:
                    self._pointed_out.add(one.name)
                    log.warning(
                        "objectives: %r is %g for %s, which is not finite, or worse than its worst "
                        "= %g; this network counts as that, and so do others like it",
                        *(one.name, value, record.architecture, one.worst),
                    )
        self.follower.record(record)

    def _foresee(self) -> None:
        """Say how long the search will take, if that can be known before it."""
        problem, carrier = self.toolbox.evaluator.problem, self.toolbox.carrier
        found = foreseen(self.declaration, problem, self.archive, carrier)
        if found:
            course, source = found
            log.info(
                "expected: %d networks in %s, until %s, by %s",
                *(course.networks, duration(course.seconds), clock_after(course.seconds), source),
            )
            self.follower.expects(course)

    def _end(self, generation: Generation, seconds: float) -> None:
        log.debug("leading process: %.3f s of processor time", seconds)
        log.info("stopped: %s", generation.stopped)
        if generation.epochs:
            log.info("epochs trained for it: %s", f"{generation.epochs:,.0f}")
        for event_log in self.events:
            event_log.stopped(generation.stopped)
        for alias, count in self.toolbox.redrawn.items():
            log.info(
                "%s: %s of the drawn children were outside the space or its bounds and were drawn "
                "again, untrained",
                *(alias, f"{count:,}"),
            )
        self.folder.write_population(generation.population, self.problem.space)
        self.folder.write_results(self.judge, self.archive.networks())
        self.folder.end_session(self.archive, generation.stopped)


@contextmanager
def _stopping(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into the end of the search, which can go on later."""
    try:
        yield
    except kinds as error:
        raise SearchStopped(str(error)) from error
