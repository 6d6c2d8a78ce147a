"""The networks that a function of somebody's own builds, as a space: `use = "my_net:build"`.

Its genes are in `problems.spaces.typed_function`; here is what needs the network itself.
"""

import logging
from dataclasses import dataclass
from functools import cache

from torch import nn

from problems.networks.plan import counted, module_of, plan_of
from problems.spaces.typed_function import TypedFunction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnNetwork(TypedFunction):
    """The space of a typed function.

    A genome for which the function raises ValueError, or whose planes collapse, is no network of
    the space.
    """

    def violation(self, genome: list[int]) -> str:
        """Why a genome is not a network of this space; empty if it is one."""
        found = counted(plan_of(self, genome), self.image_shape, self.classes)
        if found.wrong:
            _warn(found.refusal)
        return found.refusal

    def module(self, genome: list[int]) -> nn.Module:
        """The genome's network with its first weights."""
        return module_of(plan_of(self, genome), self.image_shape, self.classes)


@cache  # once for each message
def _warn(refusal: str) -> None:
    log.warning("networks are left out of the search: %s", refusal)
