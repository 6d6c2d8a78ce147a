"""Evaluations in killable, reusable child processes of this one."""

import logging
import multiprocessing
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Annotated, Any

from annotated_types import Ge, Gt

from toolbox.backends.backend import Arrivals, one_by_one
from toolbox.backends.child import STOP, serve
from toolbox.measure import Job, Outcome, Status, one_line, worker_name
from toolbox.operator_error import OperatorError

END_SECONDS = 2.0  # a child that has nothing to do gets this long to end by itself

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Care:
    """How evaluations are looked after.

    timeout_seconds: one that takes longer is killed and recorded as a timeout.  retries: how often
    one is begun again whose process crashed; one that raised an error is not.  recycle_after: a
    child is replaced after this number of evaluations.  memory_limit_mib: a child is replaced that
    holds more resident memory than this after an evaluation.
    """

    timeout_seconds: Annotated[float, Gt(0)] | None = None
    retries: Annotated[int, Ge(0)] = 2
    recycle_after: Annotated[int, Ge(1)] | None = None
    memory_limit_mib: Annotated[float, Gt(0)] | None = None


@dataclass
class Ticket:
    """A job on its way.  attempts: how often it has been begun, the one in hand included."""

    job: Job
    attempts: int = 1
    alone: bool = False  # a child ended with it and others in hand: the next one has only it
    begun: float = 0.0  # by the monotonic clock; 0 if it is not known to be
    deadline: float = float("inf")

    @property
    def seconds(self) -> float:
        """Since it was begun; 0 if it was not."""
        return time.monotonic() - self.begun if self.begun else 0.0


@dataclass(eq=False)
class Child:
    """The parent's side of one child process."""

    rank: int
    process: Any
    connection: Connection
    payload: bytes = STOP
    tickets: dict[int, Ticket] = field(default_factory=dict)
    evaluated: int = 0
    retired: bool = False

    @classmethod
    def start(cls, rank: int) -> "Child":
        # Spawned, not forked: CUDA cannot be used in a forked child, and Windows has no fork.
        context = multiprocessing.get_context("spawn")
        connection, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, rank))
        process.start()
        theirs.close()
        return cls(rank, process, connection)

    def give(self, payload: bytes, ticket: Ticket) -> None:
        """Send a job.  A child that is gone is noticed when its answer is waited for."""
        self.tickets[ticket.job.number] = ticket
        try:
            if payload != self.payload:
                self.connection.send(payload)
                self.payload = payload
            self.connection.send(ticket.job)
        except OSError:
            log.debug("child %d is gone", self.process.pid)

    def end(self, kill: bool = False) -> int | None:
        """Let it end, or kill it; its exit code."""
        if not kill:
            try:
                self.connection.send(STOP)
                self.process.join(END_SECONDS)
            except OSError:
                log.debug("child %d is gone", self.process.pid)
        self.process.kill()
        self.process.join()
        self.connection.close()
        code: int | None = self.process.exitcode
        return code


class Children:
    """A map over `workers` children, in the order in which they finish.

    first_rank: the rank of the first child.  also: other things to wake up for while waiting.
    """

    def __init__(self, workers: int, care: Care, first_rank: int = 0):
        self.workers = workers
        self.care = care
        self.first_rank = first_rank
        self.also: Sequence[Any] = ()
        self._children: dict[int, Child] = {}

    def __call__(
        self, function: Callable[[Job], Outcome], jobs: Iterable[Job | None]
    ) -> Iterator[Outcome]:
        """The outcome of each job as it becomes known.  A None among the jobs means that there is
        none right now."""
        return one_by_one(self.together(function, jobs))

    def together(
        self, function: Callable[[Job], Outcome], jobs: Iterable[Job | None]
    ) -> Generator[list[Outcome], None, None]:
        """The same, in lists of those that arrived together."""
        return self.outcomes(pickled(function), getattr(function, "at_once", 1), jobs)

    def outcomes(
        self, payload: bytes, at_once: int, jobs: Iterable[Job | None]
    ) -> Generator[list[Outcome], None, None]:
        """The same for a pickled function; a child has `at_once` jobs in hand at most."""
        tickets, arrivals = Tickets(jobs), Arrivals()
        try:
            while True:
                self._feed(payload, at_once, tickets)
                idle = not any(child.tickets for child in self._children.values())
                if outcomes := arrivals.take(last=idle):
                    yield outcomes
                elif not idle:
                    arrivals.add(self._collect(tickets, arrivals.patience))
                elif tickets.exhausted:
                    return
                else:
                    wait(self.also)
        finally:
            for child in self._busy():
                self._end(child, kill=True)

    def _feed(self, payload: bytes, at_once: int, tickets: "Tickets") -> None:
        """Give jobs to those who have the fewest, until all have enough."""
        while True:
            ranks = range(self.first_rank, self.first_rank + self.workers)
            load = {rank: self._load(rank, at_once) for rank in ranks}
            rank = min(load, key=load.__getitem__)
            if load[rank] >= at_once:
                return
            ticket = tickets.next(idle=load[rank] == 0)
            if ticket is None:
                return
            if rank not in self._children:
                self._children[rank] = Child.start(rank)
            self._children[rank].give(payload, ticket)

    def _load(self, rank: int, at_once: int) -> int:
        """How many jobs a child has in hand; `at_once` if it is to have no other one now."""
        child = self._children.get(rank)
        if child is None:
            return 0
        full = child.retired or any(ticket.alone for ticket in child.tickets.values())
        return at_once if full else len(child.tickets)

    def _collect(self, tickets: "Tickets", patience: float) -> Iterator[Outcome]:
        """Wait until something happens, or these seconds; tell what has become known."""
        busy = self._busy()
        deadline = min(t.deadline for child in busy for t in child.tickets.values())
        seconds = min(patience, deadline - time.monotonic())
        timeout = None if seconds == float("inf") else max(0.0, seconds)
        watched = [w for child in busy for w in (child.connection, child.process.sentinel)]
        wait([*watched, *self.also], timeout)
        for child in busy:
            yield from self._answers(child)
            if child.tickets and not child.process.is_alive():
                yield from self._answers(child)  # what it sent between the look and its end
                yield from self._died(child, tickets)
            yield from self._late(child, tickets)
            if child.retired and not child.tickets:
                self._end(child)

    def _busy(self) -> list[Child]:
        return [child for child in self._children.values() if child.tickets]

    def _answers(self, child: Child) -> Iterator[Outcome]:
        while True:
            try:
                if not child.connection.poll():
                    return
                answer, memory = child.connection.recv()
            except (EOFError, OSError):
                child.process.join(END_SECONDS)  # its end shows by its process
                return
            if memory is None:
                ticket = child.tickets[answer]
                ticket.begun = time.monotonic()
                ticket.deadline = time.monotonic() + (self.care.timeout_seconds or float("inf"))
                continue
            child.evaluated += 1
            child.retired = self._has_served(child, memory)
            ticket = child.tickets.pop(answer.number)
            yield replace(answer, attempts=ticket.attempts)

    def _has_served(self, child: Child, memory: int) -> bool:
        care = self.care
        if care.recycle_after and child.evaluated >= care.recycle_after:
            return True
        return memory > (care.memory_limit_mib or float("inf")) * 2**20

    def _died(self, child: Child, tickets: "Tickets") -> Iterator[Outcome]:
        """Its jobs are begun again: the only one it had as an attempt of its own, others alone."""
        lost = list(child.tickets.values())
        child.tickets.clear()
        how = _ending(self._end(child, kill=True))
        for ticket in lost:
            if len(lost) > 1:
                tickets.put_back(replace(ticket, alone=True))
            elif tickets.begin_again(ticket, self.care.retries):
                log.warning("an evaluation is begun again: its process %s", how)
            else:
                yield _lost(child, ticket, "crash", f"its process {how}")

    def _late(self, child: Child, tickets: "Tickets") -> Iterator[Outcome]:
        """Of several in one process nobody knows which one hangs: each is then begun alone."""
        now = time.monotonic()
        if not any(ticket.deadline <= now for ticket in child.tickets.values()):
            return
        stopped = list(child.tickets.values())
        child.tickets.clear()
        self._end(child, kill=True)
        if len(stopped) > 1:
            for ticket in stopped:
                tickets.put_back(replace(ticket, alone=True))
            return
        (ticket,) = stopped
        yield _lost(child, ticket, "timeout", f"not finished after {self.care.timeout_seconds:g} s")

    def _end(self, child: Child, kill: bool = False) -> int | None:
        del self._children[child.rank]
        return child.end(kill)

    def close(self) -> None:
        """End them all, whatever they are doing."""
        for child in list(self._children.values()):
            self._end(child, kill=bool(child.tickets))


def _lost(child: Child, ticket: Ticket, status: Status, message: str) -> Outcome:
    """The outcome of a job that its child did not answer."""
    return Outcome(
        ticket.job.number,
        status,
        message=message,
        attempts=ticket.attempts,
        worker=worker_name(child.rank),
        seconds=ticket.seconds,
    )


class Tickets:
    """The jobs that wait: those put back first, then what the source gives."""

    def __init__(self, jobs: Iterable[Job | None]):
        self._source = iter(jobs)
        self._source_ended = False
        self._back: deque[Ticket] = deque()

    @property
    def exhausted(self) -> bool:
        return self._source_ended and not self._back

    def put_back(self, ticket: Ticket) -> None:
        self._back.append(replace(ticket, begun=0.0, deadline=float("inf")))

    def begin_again(self, ticket: Ticket, retries: int) -> bool:
        """Put it back for another attempt, unless it has had them all; whether it was put back."""
        if ticket.attempts > retries:
            return False
        self.put_back(replace(ticket, attempts=ticket.attempts + 1))
        return True

    def next(self, idle: bool) -> Ticket | None:
        """The next one, if there is one now; one that must be alone only if the child is idle."""
        if self._back:
            return self._back.popleft() if idle or not self._back[0].alone else None
        try:
            job = None if self._source_ended else next(self._source)
        except StopIteration:
            self._source_ended = True
            return None
        return None if job is None else Ticket(job)


def pickled(function: Callable[..., Any]) -> bytes:
    """The bytes by which a function travels.  Raises OperatorError, one line, if it cannot."""
    try:
        return pickle.dumps(function)
    except OperatorError:
        raise
    except Exception as error:
        raise OperatorError(
            f"the problem cannot be sent to another process ({one_line(error)}); "
            "toolbox.map = 'serial' does not need that"
        ) from error


def _ending(code: int | None) -> str:
    """How a process ended, in words.

    >>> _ending(7)
    'ended with code 7'
    >>> _ending(-9)
    'was killed by SIGKILL'
    """
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"
