"""torch's optimizers without what only its compiler needs.

The methods of `torch.optim` import torch._dynamo when they are first called, so that the compiler
leaves them alone.  That takes 1.2 s of processor time in each process that trains, which is more
than many a small network takes.  Networks are not compiled here, so these call what is wrapped.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch


class _Uncompiled(torch.optim.Optimizer):
    """Stands before an optimizer of torch's, whose numbers it does not change."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        inspect.unwrap(super().add_param_group)(self, param_group)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = inspect.unwrap(super().state_dict)(self)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        inspect.unwrap(super().load_state_dict)(self, state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        inspect.unwrap(super().zero_grad)(self, set_to_none)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        return inspect.unwrap(super().step)(self, closure)


class SGD(_Uncompiled, torch.optim.SGD):
    pass


class Adam(_Uncompiled, torch.optim.Adam):
    pass


class AdamW(_Uncompiled, torch.optim.AdamW):
    pass
