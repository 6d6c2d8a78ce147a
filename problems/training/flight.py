"""Several trainings in flight on one device, in turns from one thread.

One small network does not fill a GPU.  Each gets a stream of its own and, step by step, its turn
to queue the next step there; the GPU runs them beside each other.
"""

import gc
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from problems.training.gpu_use import CaptureFailed, require_alive, streams_of, without_graphs

Measurement = dict[str, Any]  # numbers by name, and a learning curve
Turns = Generator[bool, None, Measurement]  # each turn says if it wants the device for itself

MOST_IN_FLIGHT_ON_A_GPU = 16  # by then, starting the steps takes the one thread's whole time
MEMORY_MARGIN = 1.25  # of the largest need seen so far must be free for one more

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Passenger:
    """One network in flight; `bytes` is what it added to the device's memory at its peak.

    job: its genome, or whatever else `begin` takes.  by_itself: nothing else may fly beside it.
    graphs: whether it may use CUDA graphs.
    """

    number: int
    job: Any
    by_itself: bool = False
    graphs: bool = True
    training: Turns | None = None
    stream: torch.cuda.Stream | None = None
    bytes: int = 0

    def on_its_stream(self) -> AbstractContextManager[Any]:
        return torch.cuda.stream(self.stream) if self.stream else nullcontext()


class Flight:
    """Trains what `begin` makes of jobs, such as genomes, up to `most` at a time.

    begin: memory that it takes before it returns, such as for images, is not the network's.
    most: None is 1 on the CPU and what the memory holds on a GPU, 16 at most.
    timed: whether a GPU finishes what others asked of it before a training begins.
    A network that the memory does not hold is begun again when it has the device to itself, and
    half as many fly from then on; only if it does not fit alone is that its result.  One whose
    steps cannot be recorded as a CUDA graph is begun again without graphs.
    """

    def __init__(
        self,
        begin: Callable[[Any], Turns],
        device: str,
        most: int | None = None,
        timed: bool = True,
    ):
        self.begin = begin
        self.device = device
        self.on_gpu = device != "cpu"
        self.most = most or (MOST_IN_FLIGHT_ON_A_GPU if self.on_gpu else 1)
        self.timed = timed
        self._flying: list[Passenger] = []
        self._waiting: deque[Passenger] = deque()  # read, but not begun: at most one of the jobs
        self._grounded: deque[Passenger] = deque()
        self._need = 0
        self._full = False  # there was no memory for one more, and nobody has landed since
        self._warned = False

    def results(self, jobs: Iterable[Any | None]) -> Iterator[tuple[int, Measurement | Exception]]:
        """The number of each job and its measurement, or what it raised, as it is known.

        `jobs` is read only when fewer than `most` are in flight.  It may give None for "not now";
        when nothing is in flight it should rather wait.
        """
        source = iter(jobs)
        begun, exhausted = 0, False
        try:
            while True:
                while self._has_seat():
                    if not self._waiting and not exhausted:
                        try:
                            job = next(source)
                        except StopIteration:
                            exhausted = True
                            break
                        if job is None:
                            break
                        self._waiting.append(Passenger(begun, job))
                        begun += 1
                    if not self._waiting or not self._fits_one_more():
                        break
                    yield from self._turn(self._waiting.popleft(), self._take_off)
                if not self._flying and self._grounded:
                    yield from self._turn(self._grounded.popleft(), self._take_off)
                elif not self._flying and not self._waiting and exhausted:
                    return
                for passenger in tuple(self._flying):
                    yield from self._turn(passenger, self._advance)
        finally:
            for passenger in tuple(self._flying):
                self._leave(passenger)

    def _has_seat(self) -> bool:
        if self._grounded or len(self._flying) >= self.most:
            return False
        return not any(passenger.by_itself for passenger in self._flying)

    def _fits_one_more(self) -> bool:
        """Whether there is memory for one more; asked once a job and landing, not at each turn."""
        if not self._flying or not self.on_gpu:
            return True
        if not self._full and not self._is_free(MEMORY_MARGIN * self._need):
            torch.cuda.empty_cache()  # what those who landed have left
            self._full = not self._is_free(MEMORY_MARGIN * self._need)
        return not self._full

    def _is_free(self, wanted: float) -> bool:
        # What torch reserves and does not use is not counted: graphs in flight own most of it.
        free, _ = torch.cuda.mem_get_info(self.device)
        return free > wanted

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
        except Exception as error:
            result = without_frames(error)
        company = len(self._flying) > 1
        self._leave(passenger)
        if isinstance(result, CaptureFailed) and passenger.graphs:
            self._begin_without_graphs(passenger, result)
        elif isinstance(result, torch.cuda.OutOfMemoryError) and company:
            self._ground(passenger)
        else:
            if self.on_gpu and isinstance(result, RuntimeError):
                require_alive(self.device, result)
            yield passenger.number, result

    def _advance(self, passenger: Passenger) -> bool:
        """One step; whether the next one wants the device for itself."""
        assert passenger.training is not None
        with passenger.on_its_stream():
            return next(passenger.training)

    def _take_off(self, passenger: Passenger) -> None:
        """Begin, and go on alone until the network is ready to fly in company."""
        before = 0
        self._flying.append(passenger)
        passenger.training = self.begin(passenger.job)
        if self.on_gpu:
            passenger.stream = streams_of(self.device).take()
            if self.timed:
                torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
        try:
            with nullcontext() if passenger.graphs else without_graphs():
                while self._advance(passenger):
                    pass
        finally:
            if self.on_gpu:
                passenger.bytes = torch.cuda.max_memory_allocated(self.device) - before
                self._need = max(self._need, passenger.bytes)

    def _leave(self, passenger: Passenger) -> None:
        """Give back all that a network holds, and its stream."""
        self._flying.remove(passenger)
        passenger.training = None
        if passenger.stream:
            streams_of(self.device).give_back(passenger.stream)
            passenger.stream = None
        self._full = False

    def _ground(self, passenger: Passenger) -> None:
        """Make room for the others, and begin this one again when they have landed."""
        self.most = max(1, (len(self._flying) + 1) // 2)
        again = Passenger(passenger.number, passenger.job, True, passenger.graphs)
        self._grounded.append(again)
        gc.collect()
        log.warning("out of memory: from now on %d networks are trained at a time", self.most)

    def _begin_without_graphs(self, passenger: Passenger, error: CaptureFailed) -> None:
        """Begin it again: after a failed capture its generators and torch's allocator may be
        unusable in releases of torch, so that going on from there is not safe."""
        self._waiting.appendleft(Passenger(passenger.number, passenger.job, graphs=False))
        if not self._warned:
            log.warning("networks are trained without a CUDA graph where this happens: %s", error)
        self._warned = True


def without_frames(error: Exception) -> Exception:
    """The same exception, which no longer holds the frames it came through.

    They hold a network and its graphs, and Python's cycle collector may come late.
    """
    known: BaseException | None = error
    seen: set[int] = set()
    while known is not None and id(known) not in seen:
        seen.add(id(known))
        known.__traceback__ = None
        known = known.__cause__ or known.__context__
    return error
