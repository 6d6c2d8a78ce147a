"""Evaluations on a Ray cluster, or on this machine by Ray (the optional package ray).

Placement, retries after a crash and the loss of a machine are Ray's own.  For trusted networks
only: whoever reaches a Ray cluster can run code on it.
"""

import logging
import os
import pickle
import platform
import signal
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any

from annotated_types import Ge, Gt

from toolbox.backends.backend import CARRY_MIB, GATHER_SECONDS, Measuring, one_by_one
from toolbox.backends.child import answer
from toolbox.backends.children import Tickets, pickled
from toolbox.measure import Job, Outcome, one_line


class Ray:
    """A map over Ray's workers, in the order in which they finish.

    address: of a cluster, "auto" for the one this machine belongs to, "local" to start one here.
    gpus_per_worker: what each evaluation reserves of a GPU, 0.5 for two evaluations on each; it
    reserves as many CPUs as an evaluation has threads.  timeout_seconds: an evaluation that takes
    longer is killed.  retries: how often Ray begins an evaluation again whose process or machine
    was lost.  recycle_after: a worker process is replaced after this number of evaluations.
    carry_mib: what a training needs of the run folder travels with it to a machine that does not
    see the folder, if it is no larger; 0 for never.

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
        self.carry_mib = carry_mib
        self.options: dict[str, Any] = {
            "num_cpus": threads,
            "num_gpus": gpus_per_worker,
            "max_retries": retries,
            "max_calls": recycle_after or 0,  # by itself Ray would take a new process for each GPU
        }
        self._connected = False
        self._task: Any = None
        self._sent: tuple[bytes, Any] = b"", None  # a pickled function, and where Ray has it
        if address != "local":  # a cluster that is not there shows before anything begins
            self._connect()

    def _connect(self) -> None:
        """Join the cluster, or start one here, unless this process already has one."""
        if self._ray.is_initialized():
            return
        settings: dict[str, Any] = {}
        if self.address == "local":
            cpus = self.workers * self.options["num_cpus"] if self.workers else None
            settings = {"num_cpus": cpus, "include_dashboard": False}
            # By itself Ray begins again and again what the machine's memory does not hold.
            settings["_system_config"] = {"task_oom_retries": self.options["max_retries"]}
        elif self.workers:
            raise ValueError(
                f"use = 'ray': workers = {self.workers} is for address = 'local'; a cluster has "
                "its own number"
            )
        stop = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(
                address=self.address,
                log_to_driver=False,
                logging_level=logging.WARNING,
                **settings,
            )
        except (ConnectionError, ValueError) as error:
            raise ValueError(
                f"use = 'ray': address = {self.address!r}: {one_line(error)}"
            ) from error
        finally:
            signal.signal(signal.SIGTERM, stop)  # Ray's own would end the process at once
        self._connected = True

    def __call__(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        return one_by_one(self.together(function, jobs))

    def together(
        self, function: Measuring, jobs: Iterable[Job | None]
    ) -> Generator[list[Outcome], None, None]:
        """The same, in lists of those that arrived together."""
        ray = self._ray
        self._connect()
        self._send(pickled(function))
        _, payload = self._sent
        tickets = Tickets(jobs)
        running: dict[Any, tuple[Job, float]] = {}
        try:
            while True:
                while len(running) < self._most_running() and (ticket := tickets.next(idle=True)):
                    reference = self._task.remote(sys.path, payload, ticket.job)
                    running[reference] = (ticket.job, time.monotonic())
                if not running:
                    return
                ray.wait(list(running), timeout=self._patience(running))
                done, _ = ray.wait(list(running), num_returns=len(running), timeout=GATHER_SECONDS)
                outcomes = [self._outcome(running.pop(one)[0], one) for one in done]
                outcomes += self._late(running)
                if outcomes:
                    yield outcomes
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _send(self, function: bytes) -> None:
        """Have Ray hold a pickled function and the task that applies it.

        What is new to Ray reaches each of its workers anew, so the same is not sent again for
        another generation.
        """
        if self._task is None:
            self._task = self._ray.remote(**self.options)(evaluate)
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

    def _patience(self, running: dict[Any, tuple[Job, float]]) -> float | None:
        if self.timeout_seconds is None:
            return None
        first = min(begun for _, begun in running.values())
        return max(0.0, first + self.timeout_seconds - time.monotonic())

    def _late(self, running: dict[Any, tuple[Job, float]]) -> Iterator[Outcome]:
        limit = self.timeout_seconds
        if limit is None:
            return
        now = time.monotonic()
        for reference in [r for r, (_, begun) in running.items() if now - begun >= limit]:
            job, _ = running.pop(reference)
            self._ray.cancel(reference, force=True)
            message = f"not finished after {limit:g} s"
            yield Outcome(job.number, "timeout", message=message, seconds=limit)

    def _outcome(self, job: Job, reference: Any) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(reference)
            return outcome
        except self._ray.exceptions.RayTaskError as error:  # what it let through
            return Outcome(job.number, "error", message=one_line(error.cause or error))
        except self._ray.exceptions.RayError as error:
            message = f"{type(error).__name__}: its process or machine was lost"
            attempts = self.options["max_retries"] + 1
            return Outcome(job.number, "crash", message=message, attempts=attempts)

    def room(self, function: Measuring) -> int:
        """How many jobs are in hand at once."""
        self._connect()
        return self._slots()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._connected:
            self._ray.shutdown()
            self._connected = False
            self._task, self._sent = None, (b"", None)


def evaluate(path: list[str], payload: bytes, job: Job) -> Outcome:
    """In a worker: the pickled function's outcome of a job."""
    sys.path.extend(entry for entry in path if entry not in sys.path)
    outcome = answer(_unpickled(payload), job)
    return replace(outcome, worker=f"{platform.node()} process {os.getpid()}")


@lru_cache(maxsize=2)
def _unpickled(payload: bytes) -> Any:
    return pickle.loads(payload)
