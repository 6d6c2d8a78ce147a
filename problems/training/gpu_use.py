"""How trainings use a GPU: what is recorded as CUDA graphs, how far ahead they run, their streams.

Nothing here changes what is measured, only how fast.  Each can be switched off, so that its effect
can be measured (see docs/gpu.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import torch
from annotated_types import Ge

RAMP_UP_KERNELS = 300  # an idle GPU's clock is low; some milliseconds of work raise it

_graphs_allowed = ContextVar("graphs_allowed", default=True)


@dataclass(frozen=True)
class GpuUse:
    """How the training of one network uses a GPU.

    steps_per_graph: how many training steps are recorded as one CUDA graph, where it is replayed
    often enough to pay; 1: each step is a graph of its own; 0: no graphs at all.
    rest_graphs: whether the smaller last batch of an epoch and the scoring become graphs too.
    turns_ahead: how many turns of one network may wait in the GPU's queue, so that a slow network
    does not make the others wait for a place in it; 0: as many as the queue holds.
    """

    steps_per_graph: Annotated[int, Ge(0)] = 8
    rest_graphs: bool = True
    turns_ahead: Annotated[int, Ge(0)] = 8


USUAL_GPU_USE = GpuUse()


class CaptureFailed(RuntimeError):
    """Work could not be recorded as a CUDA graph; the message is the reason."""


@contextmanager
def without_graphs() -> Iterator[None]:
    """Trainings that begin inside the block use no CUDA graphs."""
    token = _graphs_allowed.set(False)
    try:
        yield
    finally:
        _graphs_allowed.reset(token)


def graphs_allowed() -> bool:
    return _graphs_allowed.get()


class Streams:
    """The streams of one GPU that trainings of this process use, one after another.

    torch hands out 32 streams in turn, so that two networks may get the same one, and cuBLAS keeps
    a workspace for each stream that it was ever used on.  These are made once and used again.
    """

    def __init__(self, device: str):
        self.device = device
        self._free: list[torch.cuda.Stream] = []
        self._made = 0

    def take(self) -> torch.cuda.Stream:
        """A stream that nobody else has, with cuBLAS's workspaces in place."""
        if self._free:
            return self._free.pop()
        stream = torch.cuda.Stream(self.device)
        with torch.cuda.stream(stream):
            if not self._made:
                busy = torch.ones(1 << 18, device=self.device)
                for _ in range(RAMP_UP_KERNELS):
                    busy.mul_(1.0)
            # cuBLAS has a handle for the thread of the forward pass and one for the backward pass.
            weight = torch.ones(8, 8, device=self.device, requires_grad=True)
            torch.addmm(weight[0], weight, weight).sum().backward()
        torch.cuda.synchronize(self.device)
        self._made += 1
        return stream

    def give_back(self, stream: torch.cuda.Stream) -> None:
        self._free.append(stream)


@lru_cache
def streams_of(device: str) -> Streams:
    """The streams of a GPU, the same ones for all trainings of this process."""
    return Streams(device)


def require_alive(device: str, error: Exception) -> None:
    """Raise SystemExit if the GPU answers nothing more in this process.

    After an illegal access, a failed assertion on the device or a driver's reset, every later call
    of this process fails.  Only a new process can go on, and one is begun where evaluations run in
    children.  (By CUDA's documentation: only a GPU can show it.)
    """
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        told = " ".join(str(error).split())
        raise SystemExit(f"{device} answers no more in this process: {told}") from None
