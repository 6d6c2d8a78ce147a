"""What a person sees while a search runs: a live bar on a terminal, log lines elsewhere."""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler

from toolbox.archive import Record
from toolbox.course import Course
from toolbox.event_log import EventLog
from toolbox.finals import Standing
from toolbox.judge import Judge
from toolbox.objectives.objective import Objective
from toolbox.quantities import QUANTITIES, Quantity, as_number, meant
from toolbox.search import Generation
from toolbox.work import Work, clock_after, duration, heartbeat, told_work

log = logging.getLogger(__name__)
LOG_LINE = "%(asctime)s %(levelname)s %(message)s"


def log_to_console(console: Console) -> None:
    """Show what is logged: above the live bar on a terminal, as plain lines elsewhere."""
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(
            console=console, show_path=False, show_level=False, highlighter=NullHighlighter()
        )
    else:
        handler = logging.StreamHandler(console.file)
        handler.setFormatter(logging.Formatter(LOG_LINE))
    handler.setLevel(logging.INFO)
    handler.addFilter(heartbeat)
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    for name in ("PIL", "matplotlib", "filelock"):  # chatty at DEBUG, and not about this search
        logging.getLogger(name).setLevel(logging.INFO)
    root.handlers[:] = [handler]


class LogFile(logging.FileHandler):
    """A log file that a full disk may cut short: the archive, which must be whole, tells of it."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Keep everything that is logged, each network with its measurement, at the end of a file."""
    handler = LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_LINE))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


class SearchProgress:
    """Follows a search record by record, by `record`.  Use as a context manager around it.

    most: how many evaluations there are at most, for the time left.  archived: the keys of what the
    archive held before.  events: who else hears of each network.  place: of this search among
    several, (2, 5) for the second of five seeds.
    """

    def __init__(
        self,
        console: Console,
        judge: Judge,
        generations: int,
        most: int,
        archived: Iterable[str] = (),
        events: Sequence[EventLog] = (),
        quantities: Mapping[str, Quantity] = QUANTITIES,
        place: tuple[int, int] = (1, 1),
    ):
        self.judge = judge
        self.place = place
        self.quantities = quantities
        self.events = events
        self.generations = generations
        self.generation = 0
        self.known = self.new = self.reused = self.failed = 0
        self.best: dict[str, float] = {}
        self._seen: set[str] = set()
        self.archived = set(archived)
        self._console = console
        self.work = Work(console, "networks", most)
        self.work.tell = self._details

    @contextmanager
    def readying(self) -> Iterator[None]:
        """Show what a problem does before its first evaluation, such as training a supernet."""
        with told_work(self._console):
            yield

    def __enter__(self) -> "SearchProgress":
        self._refresh()
        self.work.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.work.__exit__(kind, error, traceback)

    def expects(self, course: Course) -> None:
        """The search is expected to take this course."""
        self.work.expect(course.curve)
        self._tell_of_all_seeds(course.seconds, course.seconds)

    def _tell_of_all_seeds(self, left: float, whole: float) -> None:
        """Say how long the searches of all seeds take, if the others are like this one.

        left: seconds of this search that are left; whole: of all of it.
        """
        place, count = self.place
        if place < count:
            left += (count - place) * whole
            log.info(
                "expected with all %d seeds: %s, until %s", count, duration(left), clock_after(left)
            )

    def record(self, record: Record) -> None:
        """One more network is known, or one of them after more epochs or of another seed."""
        for event_log in self.events:
            event_log.network(record)
        if record.seed:  # of the finals: its network is known
            self.known += 1
            self.new += record.key not in self.archived
            self.reused += record.key in self.archived
        elif record.architecture not in self._seen:
            self._seen.add(record.architecture)
            self.known += 1
            self.new += record.key not in self.archived and record.status != "infeasible"
            self.reused += record.key in self.archived
        if record.failed:
            self.failed += 1
            log.warning("%s: %s (%s)", record.status, record.architecture, record.message)
        elif not self.judge.feasible(record):
            log.debug("infeasible: %s (%s)", record.architecture, record.message)
        else:
            if not record.seed:  # a single training of it was its best already
                for objective in self.judge.objectives:
                    self._improve(objective, self.judge.value(objective, record))
            if record.key not in self.archived:  # else an earlier session has logged it
                seed = f" (seed {record.seed})" if record.seed else ""
                log.debug("%s%s: %s", record.architecture, seed, record.measurement)
        self._refresh()

    def generation_done(self, generation: Generation, device_use: Mapping[str, float]) -> None:
        self.generation = generation.number + 1
        log.info(
            "generation %d/%d: evaluated %d, trained %d, reused %d, infeasible %d, failed %d; "
            "%s; %s%.0f s",
            generation.number,
            self.generations,
            generation.evaluated,
            generation.trained,
            generation.reused,
            generation.infeasible,
            generation.failed,
            self._best(),
            f"{as_number(generation.epochs)} epochs, " if generation.epochs else "",
            generation.seconds,
        )
        if not generation.number and not generation.stopped and (left := self.work.seconds_left):
            log.info("expected: %s more, until %s", duration(left), clock_after(left))
            self._tell_of_all_seeds(left, left + generation.seconds)
        if generation.finals:
            log.info("finals: %s", self._finals(generation.finals))
        if device_use:
            log.info("device: %s", ", ".join(f"{k} {v:,.0f}" for k, v in device_use.items()))
        self._refresh()

    def _finals(self, standings: Sequence[Standing]) -> str:
        best = standings[0]
        names = [objective.name for objective in self.judge.objectives]
        means = ", ".join(
            f"{name} {meant(name, self.quantities).short(value)}"
            for name, value in zip(names, best.mean, strict=True)
        )
        if len(names) == 1:
            sure = "that it is the best"
        else:
            sure = f"by {names[0]}, that it is on the front"
        return (
            f"best {means}, mean of {best.trainings} trainings; probability {best.probability:.2f} "
            f"{sure} of {len(standings)} networks: {best.record.architecture}"
        )

    def _improve(self, objective: Objective, value: float) -> None:
        best = self.best.setdefault(objective.name, value)
        if (value - best) * objective.weight > 0:
            self.best[objective.name] = value

    def _best(self) -> str:
        """The best value of each objective; with several of them these are of several networks."""
        said = []
        for objective in self.judge.objectives:
            if objective.name in self.best:
                quantity = meant(objective.name, self.quantities)
                word = quantity.extreme(objective.direction)
                said.append(f"{word} {objective.name} {quantity.short(self.best[objective.name])}")
        return "; ".join(said) or "no network yet"

    def _refresh(self) -> None:
        work = self.work
        if (self.known, self.reused) != (work.done, work.free):
            work.reach(self.known, self.reused)
        place, count = self.place
        seed = f"seed {place}/{count}, " if count > 1 else ""
        generation = min(self.generation, self.generations)
        work.title = f"{seed}generation {generation}/{self.generations}"

    def _details(self) -> str:
        return f"{self._best()}; {self.new} trained, {self.reused} reused, {self.failed} failed"
