"""Random numbers that modules draw from torch's own generators, for one network alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


class OwnDraws:
    """Lets the modules of a network draw as if there was no other network.

    Networks are trained in turns and go on in other processes; a stochastic depth, the dropout of
    an attention or noise in somebody's own module would draw from what all of them share.  Inside
    `of_the_network` torch's generators, of the CPU and of this device, go on where this network
    left them.

    drawn: whether it has drawn from them so far.  A CUDA graph cannot: what is replayed does not
    pass through the block.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            place = torch.cuda.current_device() if device.index is None else device.index
            self._generators.append(torch.cuda.default_generators[place])
        self._states = [
            torch.Generator(generator.device).manual_seed(seed).get_state()
            for generator in self._generators
        ]
        self.drawn = False

    @contextmanager
    def of_the_network(self) -> Iterator[None]:
        """Some six microseconds on a CPU."""
        shared = [generator.get_state() for generator in self._generators]
        self._set(self._states)
        try:
            yield
        finally:
            states = [generator.get_state() for generator in self._generators]
            self.drawn |= not all(map(torch.equal, states, self._states))
            self._states = states
            self._set(shared)

    def _set(self, states: Sequence[torch.Tensor]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)

    def state(self) -> list[torch.Tensor]:
        """Where it stands; empty if nothing was drawn yet."""
        return list(self._states) if self.drawn else []

    def restore(self, states: Sequence[torch.Tensor]) -> None:
        """Go on where another one stood.  Raises like `set_state` for what is no such state."""
        if states:
            for generator, state in zip(self._generators, states, strict=True):
                torch.Generator(generator.device).set_state(state)
            self._states, self.drawn = list(states), True
