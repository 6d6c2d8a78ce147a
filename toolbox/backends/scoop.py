"""Evaluations on the workers of SCOOP, on one machine or many.

`run_search.py --workers 8` or `--hostfile hosts` start it, or `python -m scoop -n 9 run_search.py`:
one process leads, the others evaluate.  For trusted networks only: SCOOP's broker and workers
exchange pickles without authentication.
"""

import contextlib
import logging
import multiprocessing
import secrets
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Listener
from typing import Annotated

from annotated_types import Ge, Gt

from toolbox.backends.backend import CARRY_MIB, Arrivals, Measuring, one_by_one
from toolbox.backends.child import STOP
from toolbox.backends.children import Care, Ticket, Tickets, pickled
from toolbox.backends.sealed import Sealed, socket_of
from toolbox.backends.station import (
    ALIVE,
    BEAT_SECONDS,
    BROKER_SECONDS,
    SILENT_SECONDS,
    look_for_the_broker,
    stand_ready,
)
from toolbox.measure import Job, Outcome
from toolbox.stopped import SearchStopped

JOIN_SECONDS = 60.0  # this long the first worker may take to arrive

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Worker:
    """The leading process's side of one worker."""

    connection: Sealed
    name: str
    heard: float
    payload: bytes = STOP
    ticket: Ticket | None = None


class Scoop:
    """A map over SCOOP's workers, in the order in which they finish.

    timeout_seconds: an evaluation that takes longer is killed and recorded as a timeout.
    retries: how often an evaluation is begun again whose process crashed or whose worker was lost.
    recycle_after, memory_limit_mib: a worker's child is replaced after this number of
    evaluations, or when it holds more memory than this after one.  carry_mib: what a training needs
    of the run folder travels with it to a machine that does not see the folder, if it is no larger;
    0 for never.

    Raises ValueError if this process was not started by SCOOP, which otherwise would quietly
    evaluate everything in this process.
    """

    def __init__(
        self,
        timeout_seconds: Annotated[float, Gt(0)] | None = None,
        retries: Annotated[int, Ge(0)] = 2,
        recycle_after: Annotated[int, Ge(1)] | None = None,
        memory_limit_mib: Annotated[float, Gt(0)] | None = None,
        carry_mib: Annotated[float, Ge(0)] = CARRY_MIB,
    ) -> None:
        import scoop

        if not getattr(scoop, "IS_RUNNING", False):
            raise ValueError(
                "use = 'scoop': it was not started by SCOOP; start it with "
                "run_search.py --workers 2 ... or python -m scoop -n 3 run_search.py ..."
            )
        if scoop.SIZE < 2:
            raise ValueError(
                f"use = 'scoop': there are no workers with -n {scoop.SIZE}, because one process "
                "leads; at least -n 2 is needed"
            )
        self.care = Care(timeout_seconds, retries, recycle_after, memory_limit_mib)
        self.carry_mib = carry_mib
        self.expected: int = scoop.SIZE - 1
        self._joined = 0
        self._workers: list[Worker] = []
        self._arrivals: list[tuple[Sealed, tuple[str, int]]] = []  # machine and process of each
        self._bell, self._doorbell = multiprocessing.Pipe(duplex=False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._listener: Listener | None = None
        self._begun = 0.0
        self._broker_seen = 0.0

    def __call__(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        return one_by_one(self.together(function, jobs))

    def together(
        self, function: Measuring, jobs: Iterable[Job | None]
    ) -> Generator[list[Outcome], None, None]:
        """The same, in lists of those that arrived together."""
        payload = pickled(function)
        self._invite()
        tickets, arrivals = Tickets(jobs), Arrivals()
        try:
            self._give(payload, tickets)
            while not tickets.exhausted or any(worker.ticket for worker in self._workers):
                arrivals.add(self._collect(tickets, arrivals.patience))
                self._give(payload, tickets)  # before the outcomes are written to the archive
                idle = not any(worker.ticket for worker in self._workers)
                if outcomes := arrivals.take(last=idle):
                    yield outcomes
                    self._give(payload, tickets)  # more jobs may have come of them
        finally:
            for worker in [worker for worker in self._workers if worker.ticket]:
                self._dismiss(worker)  # the map was abandoned: its evaluation is of no use

    def _invite(self) -> None:
        """Open the door and send each of SCOOP's workers there, once."""
        if self._listener:
            return
        import scoop
        from scoop import _types, futures

        # SCOOP asks its broker for every future that has not come back and sends it again if the
        # broker forgot it, which it does after some seconds.
        _types.FutureQueue.askForPreviousFutures = lambda queue: None
        host = scoop.worker.decode().rsplit(":", 1)[0]  # as the workers reach this machine
        local = host in ("127.0.0.1", "localhost")
        key = secrets.token_bytes(32)
        self._listener = Listener(("127.0.0.1" if local else "0.0.0.0", 0), backlog=1024)
        address = (host, self._listener.address[1])
        threading.Thread(target=self._watch_the_door, args=(key,), daemon=True).start()
        invited = [
            futures.submit(stand_ready, address, key, sys.path, self.care)
            for _ in range(self.expected)
        ]
        futures.wait(invited, timeout=0)  # sends them, and never runs one in this process
        self._begun = self._broker_seen = time.monotonic()

    def _watch_the_door(self, key: bytes) -> None:
        """In a thread: ask everybody who knocks for the key, each in a thread of his own, because
        one who says nothing must not keep the others out."""
        assert self._listener is not None
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return  # the door was closed
            threading.Thread(target=self._admit, args=(connection, key), daemon=True).start()

    def _admit(self, connection: Connection, key: bytes) -> None:
        """In a thread: let in a worker that knows the key."""
        try:
            sealed = Sealed.admitted(connection, key, SILENT_SECONDS)
            self._arrivals.append((sealed, sealed.recv()))
            self._doorbell.send_bytes(b"!")
        except (multiprocessing.AuthenticationError, EOFError, OSError) as error:
            connection.close()
            told = isinstance(error, multiprocessing.AuthenticationError)
            level = logging.WARNING if told else logging.DEBUG  # a worker that ended, or a scan
            log.log(level, "someone without the key knocked at the port of this search")

    def _give(self, payload: bytes, tickets: Tickets) -> None:
        for worker in [worker for worker in self._workers if worker.ticket is None]:
            ticket = tickets.next(idle=True)
            if ticket is None:
                return
            worker.ticket = ticket
            try:
                if worker.payload != payload:
                    worker.connection.send(payload)
                    worker.payload = payload
                worker.connection.send(ticket.job)
            except OSError:
                log.debug("%s is gone", worker.name)
                _shut(worker.connection)  # noticed when its answer is waited for

    def _collect(self, tickets: Tickets, patience: float) -> Iterator[Outcome]:
        """Wait until something happens, or these seconds; tell what has become known."""
        seconds = min(BEAT_SECONDS, patience)
        ready = {key.fileobj for key, _ in self._selector.select(seconds)}
        now = time.monotonic()
        if self._bell in ready:
            self._bell.recv_bytes()
            self._welcome(*self._arrivals.pop(0), now)
        for worker in list(self._workers):
            if worker.connection in ready:
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._lose(worker, tickets, "was lost")
                    continue
                worker.heard = now
                if message != ALIVE:
                    assert worker.ticket is not None
                    attempts = worker.ticket.attempts + message.attempts - 1
                    worker.ticket = None
                    yield replace(message, attempts=attempts)
            elif now - worker.heard > SILENT_SECONDS:
                yield from self._lose(worker, tickets, f"was silent for {SILENT_SECONDS:g} s")
        self._check(now)

    def _welcome(self, connection: Sealed, who: tuple[str, int], now: float) -> None:
        machine, process = who
        self._workers.append(Worker(connection, f"worker {process} on {machine}", now))
        self._selector.register(connection, selectors.EVENT_READ)
        self._joined += 1
        log.info("%s joined: %d of %d", self._workers[-1].name, self._joined, self.expected)

    def _lose(self, worker: Worker, tickets: Tickets, how: str) -> Iterator[Outcome]:
        ticket = worker.ticket
        _take_back(worker.connection)
        self._dismiss(worker)
        log.warning("%s %s; %d are left", worker.name, how, len(self._workers))
        if ticket and not tickets.begin_again(ticket, self.care.retries):
            message = f"{worker.name} {how}"
            yield Outcome(ticket.job.number, "crash", message=message, attempts=ticket.attempts)

    def _dismiss(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.connection)
        worker.connection.close()

    def _check(self, now: float) -> None:
        """Raise SearchStopped if nobody is there to go on with, or nobody to lead for."""
        if not self._workers:
            if self._joined == self.expected:
                raise SearchStopped("all workers of SCOOP were lost")
            if now - self._begun > JOIN_SECONDS:
                raise SearchStopped(
                    f"{self._joined} of {self.expected} workers of SCOOP joined, and none is left"
                )
        if now - self._broker_seen > BROKER_SECONDS:
            try:
                look_for_the_broker()
            except OSError as error:
                raise SearchStopped("the launcher of SCOOP is gone") from error
            self._broker_seen = time.monotonic()

    def room(self, function: Measuring) -> int:
        """How many jobs are in hand at once."""
        return self.expected

    def close(self) -> None:
        """Send the workers home."""
        for worker in list(self._workers):
            self._dismiss(worker)
        if self._listener:
            self._listener.close()


def _shut(connection: Sealed) -> None:
    """Say and hear nothing more over it; the next look at it finds its end."""
    with contextlib.suppress(OSError), socket_of(connection) as same:
        same.shutdown(socket.SHUT_RDWR)


def _take_back(connection: Sealed) -> None:
    """Let nothing that is still on its way to a lost worker arrive once the network is back.

    A job among it is another worker's by then, and would be evaluated twice.
    """
    linger = struct.pack("ii", 1, 0)  # closing drops what was not sent, and resets the connection
    with contextlib.suppress(OSError), socket_of(connection) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
