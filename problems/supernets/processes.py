"""The processes that train one supernet together, as `torchrun` starts them.

A step's batch is divided into the supernet's `shards`, whose batch norms each see their own part
alone.  How many processes work on the shards then changes no result, but for the order in which
sums are added up: a training may go on with another number of them.
"""

import gc
import importlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


class Together:
    """What a module computes here, with the mean of all processes' gradients, until they part."""

    def __init__(self, module: nn.Module):
        # Whatever is on no path of a step has no gradient.
        self.module: nn.Module | None = DistributedDataParallel(module, find_unused_parameters=True)

    def __call__(self, *inputs: Any) -> torch.Tensor:
        if self.module is None:
            raise RuntimeError("the processes that trained this together have parted")
        return cast(torch.Tensor, self.module(*inputs))

    def part(self) -> None:
        """Let go of the process group."""
        self.module = None


@dataclass(frozen=True)
class Processes:
    """This process, number `rank` of `world`.  Alone it is 0 of 1."""

    rank: int = 0
    world: int = 1
    made: list[Together] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files and tells a person."""
        return self.rank == 0

    def together(self, module: nn.Module) -> Callable[..., torch.Tensor]:
        """The module, or what computes it here and takes the mean of all processes' gradients."""
        if self.world == 1:
            return module
        self.made.append(Together(module))
        return self.made[-1]

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of all processes' values, in place."""
        if self.world > 1:
            distributed.all_reduce(value)
            value /= self.world
        return value

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def part(self) -> None:
        """End the process group, its threads included.

        They end with its last reference, not before.  Those that are left when the interpreter ends
        abort the process now and then: they let go of tensors, for which they need the interpreter.
        """
        for together in self.made:
            together.part()
        gc.collect()
        distributed.destroy_process_group()


ALONE = Processes()


@dataclass(frozen=True)
class Share:
    """Which images of each step are this process's: so many of the shards of its batch.

    Raises ValueError if the processes cannot share them evenly.
    """

    shards: int = 1
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        if self.shards % self.processes.world:
            raise ValueError(
                f"supernet.shards = {self.shards}: a multiple of the {self.processes.world} "
                "processes is needed"
            )

    @property
    def here(self) -> int:
        """How many of the shards are this process's."""
        return self.shards // self.processes.world

    def steps(self, images: int, batch_size: int) -> list[tuple[int, int]]:
        """Where the batch of each step of an epoch begins and ends.

        The last one is cut to a multiple of the shards, and left out if fewer than two images are
        left for one of them, of which batch norm could not take statistics.
        """
        whole, rest = divmod(images, batch_size)
        steps = [(step * batch_size, (step + 1) * batch_size) for step in range(whole)]
        rest -= rest % self.shards
        if rest >= 2 * self.shards or not steps:
            steps.append((whole * batch_size, whole * batch_size + rest))
        return steps

    def own(self, begin: int, end: int) -> slice:
        """This process's part of a batch."""
        size = (end - begin) // self.processes.world
        begin += self.processes.rank * size
        return slice(begin, begin + size)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """This process among those that torchrun started; alone if it started none.

    device: "cpu", where they talk by gloo, or "cuda", the GPU of its number on the machine for
    each, by NCCL.  Raises ValueError for any other.
    """
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    # Imported later, its functions' defaults would keep the process group for good.
    importlib.import_module("torch.distributed.nn.functional")
    if device == "cpu":
        distributed.init_process_group("gloo")
    elif device == "cuda":
        own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(own)  # what "cuda" is from here on
        distributed.init_process_group("nccl", device_id=own)
    else:
        raise ValueError(f"device = {device!r}: under torchrun each process has its own: cpu, cuda")
    # Of 1x1 convolutions, whose gradients' memory layout is anybody's guess; it changes nothing.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    processes = Processes(distributed.get_rank(), distributed.get_world_size())
    try:
        yield processes
    finally:
        processes.part()
