"""Evaluations on a Ray cluster, or on this machine by Ray (the optional package ray).

Placement and the replacement of lost processes and machines are Ray's own.  What was lost with one
is given to Ray again from here: only then can each attempt be timed by itself.  For trusted
networks only: whoever reaches a Ray cluster can run code on it.
"""

import contextlib
import logging
import os
import pickle
import platform
import signal
import socket
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any

from annotated_types import Ge, Gt

from toolbox.backends.backend import CARRY_MIB, GATHER_SECONDS, Measuring, one_by_one
from toolbox.backends.child import answer
from toolbox.backends.children import Ticket, Tickets, pickled
from toolbox.measure import Job, Outcome, one_line

log = logging.getLogger(__name__)
KNOCK_SECONDS = 10.0  # a machine that is there answers within


class Ray:
    """A map over Ray's workers, in the order in which they finish.

    address: of a cluster, "auto" for the one this machine belongs to, "local" to start one here.
    gpus_per_worker: what each evaluation reserves of a GPU, 0.5 for two evaluations on each; it
    reserves as many CPUs as an evaluation has threads.  timeout_seconds: an evaluation that takes
    longer is killed; waiting for a place or for a new process does not count.  retries: how often
    an evaluation is begun again whose process or machine was lost.  recycle_after: a worker
    process is replaced after this number of evaluations.  carry_mib: what a training needs of
    the run folder travels with it to a machine that does not see the folder, if it is no larger; 0
    for never.

    Raises ValueError if ray is not installed.
    """

    def __init__(
        self,
        threads: int,
        address: str = "local",
        workers: Annotated[int, Ge(1)] | None = None,
        gpus_per_worker: Annotated[float, Ge(0)] = 0.0,
        timeout_seconds: Annotated[float, Gt(0)] | None = None,
        retries: Annotated[int, Ge(0)] = 2,
        recycle_after: Annotated[int, Ge(1)] | None = None,
        carry_mib: Annotated[float, Ge(0)] = CARRY_MIB,
    ):
        try:
            import ray
        except ImportError as error:
            raise ValueError(
                "use = 'ray': the package ray is not installed; pip install 'deap-nas[ray]'"
            ) from error
        self._ray = ray
        self.address = address
        self.workers = workers
        self.timeout_seconds = timeout_seconds
        self.retries = retries
        self.carry_mib = carry_mib
        self.options: dict[str, Any] = {
            "num_cpus": threads,
            "num_gpus": gpus_per_worker,
            "max_retries": 0,  # also not what the machine's memory did not hold
            "max_calls": recycle_after or 0,  # by itself Ray would take a new process for each GPU
        }
        self._connected = False
        self._left: list[Any] = []  # tasks that nobody waits for any longer
        self._task: Any = None
        self._beginnings: Any = None  # who is told when an evaluation begins, if that matters
        self._sent: tuple[bytes, Any] = b"", None  # a pickled function, and where Ray has it
        # What is not there, a cluster or a machine with enough, shows before anything is written.
        if address != "local" or gpus_per_worker or threads > (os.cpu_count() or 1):
            self._connect()

    def _connect(self) -> None:
        """Join the cluster, or start one here, unless this process already has one."""
        if self._ray.is_initialized():
            return
        settings: dict[str, Any] = {}
        if self.address == "local":
            cpus = self.workers * self.options["num_cpus"] if self.workers else None
            settings = {"num_cpus": cpus, "include_dashboard": False}
        elif self.workers:
            raise ValueError(
                f"use = 'ray': workers = {self.workers} is for address = 'local'; a cluster has "
                "its own number"
            )
        else:
            _knock(self.address)
            # Ray would try twenty times, each of them for 40 s.
            os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
        stop = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(
                address=self.address,
                log_to_driver=False,
                logging_level=logging.WARNING,
                **settings,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"use = 'ray': address = {self.address!r}: {one_line(error)}"
            ) from error
        finally:
            signal.signal(signal.SIGTERM, stop)  # Ray's own would end the process at once
        self._connected = True
        self._look_for_a_place()

    def _look_for_a_place(self) -> None:
        """Say so if no machine has room for an evaluation: Ray would wait for one in silence.

        Raises ValueError where none can join.
        """
        needed = {"CPU": self.options["num_cpus"], "GPU": self.options["num_gpus"]}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(has.get(what, 0) >= n for what, n in needed.items()) for has in nodes):
            return
        asked = " and ".join(f"{n:g} {what}" for what, n in needed.items() if n)
        most = [
            f"{max((has.get(what, 0) for has in nodes), default=0):g} {what}" for what in needed
        ]
        message = (
            f"an evaluation needs {asked} of one machine (problem.threads, gpus_per_worker), and "
            f"there are at most {' and '.join(most)}"
        )
        if self.address == "local":
            self.close()
            raise ValueError(f"use = 'ray': {message}")
        log.warning("%s: nothing is evaluated until a larger one joins", message)

    def __call__(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        return one_by_one(self.together(function, jobs))

    def together(
        self, function: Measuring, jobs: Iterable[Job | None]
    ) -> Generator[list[Outcome], None, None]:
        """The same, in lists of those that arrived together."""
        ray = self._ray
        self._connect()
        self._end_what_is_left()
        self._send(pickled(function))
        _, payload = self._sent
        tickets = Tickets(jobs)
        running: dict[Any, Ticket] = {}
        try:
            while True:
                while len(running) < self._most_running() and (ticket := tickets.next(idle=True)):
                    reference = self._task.remote(sys.path, payload, ticket.job, self._beginnings)
                    running[reference] = self._timed(ticket)
                if not running:
                    return
                ray.wait(list(running), timeout=self._patience(running))
                done, _ = ray.wait(list(running), num_returns=len(running), timeout=GATHER_SECONDS)
                outcomes = []
                for reference in done:
                    ticket = running.pop(reference)
                    outcome = self._outcome(ticket, reference)
                    lost = outcome.status == "crash"
                    if not (lost and tickets.begin_again(ticket, self.retries)):
                        outcomes.append(outcome)
                outcomes += self._late(running)
                if outcomes:
                    yield outcomes
        finally:
            self._left += running

    def _end_what_is_left(self) -> None:
        """End what was in hand when somebody stopped asking for outcomes.

        Not at once: what stops asks no more, and then all ends by itself with the connection.  A
        task that is finished while it is cancelled ends the whole process by a failed check of
        Ray's (ray-project/ray#54738; seen with 2.60).
        """
        for reference in self._left:
            self._ray.cancel(reference, force=True)
        self._left = []

    def _send(self, function: bytes) -> None:
        """Have Ray hold a pickled function and the task that applies it.

        What is new to Ray reaches each of its workers anew, so the same is not sent again for
        another generation.
        """
        if self._task is None:
            self._task = self._ray.remote(**self.options)(evaluate)
            if self.timeout_seconds is not None:
                self._beginnings = self._ray.remote(Beginnings).options(**self._here()).remote()
        if self._sent[0] != function:
            self._sent = function, self._ray.put(function)

    def _most_running(self) -> float:
        """All at once, for Ray to place; with a timeout, as many as can begin at once."""
        return float("inf") if self.timeout_seconds is None else self._slots()

    def _slots(self) -> int:
        has = self._ray.cluster_resources()
        slots = has.get("CPU", 1) / self.options["num_cpus"]
        if self.options["num_gpus"]:
            slots = min(slots, has.get("GPU", 0) / self.options["num_gpus"])
        return max(1, int(slots))

    def _here(self) -> dict[str, Any]:
        """How Ray keeps an actor on this machine, without a share of it, and begins it again."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self._ray.get_runtime_context().get_node_id()
        place = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        return {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": place}

    def _timed(self, ticket: Ticket, age: float = 0.0) -> Ticket:
        """With the moment when it may be late, if it has evaluated for `age` seconds now."""
        if self.timeout_seconds is None:
            return ticket
        return replace(ticket, deadline=time.monotonic() + self.timeout_seconds - age)

    def _patience(self, running: dict[Any, Ticket]) -> float | None:
        """The seconds until one may be late."""
        if self.timeout_seconds is None:
            return None
        return max(0.0, min(one.deadline for one in running.values()) - time.monotonic())

    def _late(self, running: dict[Any, Ticket]) -> Iterator[Outcome]:
        """What has evaluated for too long is ended; what began later is looked at again later."""
        limit, now = self.timeout_seconds, time.monotonic()
        if limit is None or all(now < one.deadline for one in running.values()):
            return
        ages: dict[str, float] = {}
        names = {reference: reference.task_id().hex() for reference in running}
        with contextlib.suppress(self._ray.exceptions.RayError):  # they are being begun again
            ages = self._ray.get(self._beginnings.ages.remote(list(names.values())))
        for reference, name in names.items():
            ticket, age = running[reference], ages.get(name, 0.0)
            if age < limit:
                running[reference] = self._timed(ticket, age)
                continue
            del running[reference]
            self._ray.cancel(reference, force=True)
            message = f"not finished after {limit:g} s"
            number, attempts = ticket.job.number, ticket.attempts
            yield Outcome(number, "timeout", message=message, attempts=attempts, seconds=limit)

    def _outcome(self, ticket: Ticket, reference: Any) -> Outcome:
        number, attempts = ticket.job.number, ticket.attempts
        try:
            outcome: Outcome = self._ray.get(reference)
            return replace(outcome, attempts=attempts)
        except self._ray.exceptions.RayTaskError as error:  # what it let through
            message = one_line(error.cause or error)
            return Outcome(number, "error", message=message, attempts=attempts)
        except self._ray.exceptions.RayError as error:
            message = f"{type(error).__name__}: its process or machine was lost"
            return Outcome(number, "crash", message=message, attempts=attempts)

    def room(self, function: Measuring) -> int:
        """How many jobs are in hand at once."""
        self._connect()
        return self._slots()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._connected:
            self._ray.shutdown()
            self._connected = False
            self._task, self._beginnings, self._sent = None, None, (b"", None)
        elif self._ray.is_initialized():  # of whoever began it
            self._end_what_is_left()
        self._left = []


def _knock(address: str) -> None:
    """Raise ValueError, one line, if the address is a `host:port` and nobody listens there."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise ValueError(
                f"use = 'ray': address = {address!r}: nothing answers there ({one_line(error)})"
            ) from error


class Beginnings:
    """An actor of Ray that is told when evaluations begin, by the names of Ray's tasks.

    Ray itself tells nobody when a task was given a place and a process.
    """

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    def begins(self, name: str) -> None:
        self._begun[name] = time.monotonic()

    def ages(self, names: list[str]) -> dict[str, float]:
        """The seconds since those of them began that have; all others are forgotten."""
        self._begun = {name: self._begun[name] for name in names if name in self._begun}
        now = time.monotonic()
        return {name: now - begun for name, begun in self._begun.items()}


def evaluate(path: list[str], payload: bytes, job: Job, beginnings: Any = None) -> Outcome:
    """In a worker: the pickled function's outcome of a job.

    beginnings: the actor that is told of it.
    """
    if beginnings:
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(beginnings.begins.remote(ray.get_runtime_context().get_task_id()))
    sys.path.extend(entry for entry in path if entry not in sys.path)
    outcome = answer(_unpickled(payload), job)
    return replace(outcome, worker=f"{platform.node()} process {os.getpid()}")


@lru_cache(maxsize=2)
def _unpickled(payload: bytes) -> Any:
    return pickle.loads(payload)
