"""Several trainings in flight on one device, in turns from one thread.

One small network does not fill a GPU.  Each gets a stream of its own and, step by step, its turn
to queue the next step there; the GPU runs them beside each other.
"""

import gc
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

Measurement = dict[str, float]
Training = Generator[bool, None, Measurement]  # yields whether it wants the device for itself

MOST_ON_A_GPU = 16  # by then, starting the steps takes the one thread's whole time
SPARE = 1.25  # of the largest need seen so far must be free for one more

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Passenger:
    """One network in flight; `bytes` is what it added to the device's memory at its peak.

    job: its genome, or whatever else `begin` takes.
    """

    number: int
    job: Any
    by_itself: bool = False
    training: Training | None = None
    stream: AbstractContextManager = field(default_factory=nullcontext)
    bytes: int = 0


class Flight:
    """Trains what `begin` makes of jobs, such as genomes, up to `most` at a time.

    most: None is 1 on the CPU and what the memory holds on a GPU, 16 at most.
    A network that the memory does not hold is begun again when it has the device to itself, and
    half as many fly from then on; only if it does not fit alone is that its result.
    """

    def __init__(self, begin: Callable[[Any], Training], device: str, most: int | None = None):
        self.begin = begin
        self.device = device
        self.on_gpu = device != "cpu"
        self.most = most or (MOST_ON_A_GPU if self.on_gpu else 1)
        self._flying: list[Passenger] = []
        self._grounded: deque[Passenger] = deque()
        self._need = 0

    def results(self, jobs: Iterable[Any | None]) -> Iterator[tuple[int, Measurement | Exception]]:
        """The number of each job and its measurement, or what it raised, as it is known.

        `jobs` is read only when there is room for one more.  It may give None for "not now";
        when nothing is in flight it should rather wait.
        """
        source = iter(jobs)
        begun, exhausted = 0, False
        while True:
            while not exhausted and self._has_room():
                try:
                    job = next(source)
                except StopIteration:
                    exhausted = True
                    break
                if job is None:
                    break
                passenger = Passenger(begun, job)
                begun += 1
                yield from self._turn(passenger, self._take_off)
            if not self._flying and self._grounded:
                yield from self._turn(self._grounded.popleft(), self._take_off)
            elif not self._flying and exhausted:
                return
            for passenger in tuple(self._flying):
                yield from self._turn(passenger, self._advance)

    def _has_room(self) -> bool:
        if self._grounded or len(self._flying) >= self.most:
            return False
        if any(passenger.by_itself for passenger in self._flying):
            return False
        return not self._flying or self._free_bytes() > SPARE * self._need

    def _free_bytes(self) -> float:
        if not self.on_gpu:
            return float("inf")
        free, _ = torch.cuda.mem_get_info(self.device)
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return free + kept

    def _turn(
        self, passenger: Passenger, action: Callable[[Passenger], object]
    ) -> Iterator[tuple[int, Measurement | Exception]]:
        """Let one network go on; its result, if that was its last turn."""
        result: Measurement | Exception
        try:
            action(passenger)
            return
        except StopIteration as landed:
            memory = {"peak_memory_bytes": passenger.bytes} if self.on_gpu else {}
            result = landed.value | memory
        except torch.cuda.OutOfMemoryError as error:
            if len(self._flying) > 1:
                self._ground(passenger)
                return
            result = error
        except Exception as error:
            result = error
        self._flying.remove(passenger)
        passenger.training = None
        yield passenger.number, result

    def _advance(self, passenger: Passenger) -> bool:
        """One step; whether the next one wants the device for itself."""
        assert passenger.training is not None
        with passenger.stream:
            return next(passenger.training)

    def _take_off(self, passenger: Passenger) -> None:
        """Begin, and go on alone as long as the time of the steps is taken."""
        before = 0
        self._flying.append(passenger)
        passenger.training = self.begin(passenger.job)
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
            torch.cuda.empty_cache()  # memory of a graph that is gone serves no other one
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            passenger.stream = torch.cuda.stream(torch.cuda.Stream(self.device))
        try:
            while self._advance(passenger):
                pass
        finally:
            if self.on_gpu:
                passenger.bytes = torch.cuda.max_memory_allocated(self.device) - before
                self._need = max(self._need, passenger.bytes)

    def _ground(self, passenger: Passenger) -> None:
        """Make room for the others, and begin this one again when they have landed."""
        self.most = max(1, len(self._flying) // 2)
        self._flying.remove(passenger)
        self._grounded.append(Passenger(passenger.number, passenger.job, by_itself=True))
        passenger.training = None
        gc.collect()
        log.warning("out of memory: from now on %d networks are trained at a time", self.most)
