"""Learning-rate schedules: each is a factor of the declared learning rate."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class Constant:
    """The declared learning rate throughout."""

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Step:
    """Times `factor_per_step` after every `every` epochs."""

    every: Annotated[int, Ge(1)] = 10
    factor_per_step: Annotated[float, Gt(0), Le(1)] = 0.1

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        return self.factor_per_step ** (step // steps_per_epoch // self.every)


@dataclass(frozen=True)
class Exponential:
    """Times `factor_per_epoch` after every epoch."""

    factor_per_epoch: Annotated[float, Gt(0), Le(1)] = 0.95

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        return self.factor_per_epoch ** (step // steps_per_epoch)


@dataclass(frozen=True)
class Cosine:
    """From the declared rate down to 0 along half a cosine, batch by batch (arXiv 1608.03983)."""

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        return (1 + math.cos(math.pi * step / (steps_per_epoch * epochs))) / 2


@dataclass(frozen=True)
class OneCycle:
    """Up to the declared rate in `warm_up` of the batches, then down, along cosines.

    Smith & Topin, arXiv 1708.07120.  It begins at `start` of the rate and ends at `end` of it.
    """

    warm_up: Annotated[float, Gt(0), Lt(1)] = 0.3
    start: Annotated[float, Gt(0), Le(1)] = 0.04
    end: Annotated[float, Ge(0), Le(1)] = 4e-6

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        last = steps_per_epoch * epochs - 1
        peak = self.warm_up * (last + 1) - 1
        if step <= peak:
            return _cosine(self.start, 1.0, step / peak if peak else 1.0)
        return _cosine(1.0, self.end, (step - peak) / (last - peak))


def _cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


Schedule = Constant | Step | Exponential | Cosine | OneCycle

SCHEDULES = {
    "constant": Constant,
    "cosine": Cosine,
    "exponential": Exponential,
    "one_cycle": OneCycle,
    "step": Step,
}
