"""How each network is trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, cast

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from problems.device import Precision
from problems.spaces.ranges import SearchedKey
from problems.training.augmentation import Augmentation
from problems.training.optimizers import SGD, Adam, AdamW
from problems.training.schedules import SCHEDULES, Constant, Schedule
from problems.training.searched import fixed, with_ranges


@dataclass(frozen=True)
class Training:
    """How each network is trained: cross-entropy on shuffled batches.

    `early_stop` watches the validation loss or accuracy and ends the training when it has not
    improved by more than `min_delta` for `patience` epochs.  `keep`: the weights and scores of the
    "last" epoch, or of the "best" one by what is watched (by accuracy if nothing is).
    `normalize`: standardize each channel by the training images' mean and deviation.
    `gradient_clip`: the largest norm of the gradient.  `precision` is that of the convolutions and
    matrix products of a training step; weights, losses and all scores are float32.  "tf32" needs a
    GPU; "auto" is decided by `problems.training.precision`.
    `searched`: the keys of which a declaration says a range (problems/spaces/ranges.py) where a
    value stands; their fields hold one value of it, and `fixed` makes the recipe of one network.
    """

    epochs: Annotated[int, Ge(1)] = 5
    batch_size: Annotated[int, Ge(1)] = 128
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 0.01
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    schedule: Schedule = field(default_factory=Constant, metadata={"shelf": SCHEDULES})
    augmentation: Augmentation = field(default_factory=Augmentation)
    normalize: bool = False
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    gradient_clip: Annotated[float, Gt(0)] | None = None
    early_stop: Literal["never", "loss", "accuracy"] = "never"
    patience: Annotated[int, Ge(1)] = 2
    min_delta: Annotated[float, Ge(0)] = 0.0
    keep: Literal["last", "best"] = "last"
    initialization: Literal["torch", "glorot"] = "torch"
    precision: Precision = "float32"
    searched: tuple[SearchedKey, ...] = field(default=(), metadata={"declared": False})

    def __post_init__(self) -> None:
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum = {self.momentum}: only optimizer = 'sgd' has one")

    @classmethod
    def with_ranges(cls, table: Any, read: Callable[[Mapping[str, Any]], Any]) -> Self:
        """The recipe of a declaration's table; see `problems.training.searched`."""
        return cast(Self, with_ranges(cls(), table, read))

    def fixed(self, values: Mapping[str, Any]) -> Self:
        """The recipe in which the searched keys have these values, by their dotted names."""
        return cast(Self, fixed(self, values))

    def values_of(self, name: str) -> tuple[Any, ...]:
        """The values that a key may have: those of its range, or the one that it has."""
        found = (key.values for key in self.searched if key.name == name)
        return next(found, (getattr(self, name),))

    def notices(self, image_shape: tuple[int, int, int]) -> list[str]:
        """What a person should know of a recipe that is legal, a line each."""
        lines = []
        if self.values_of("early_stop") == ("never",):
            for name in ("patience", "min_delta"):
                if (value := getattr(self, name)) != getattr(type(self), name):
                    lines.append(f"{name} = {value}: without effect, since early_stop = 'never'")
        padding, side = self.augmentation.crop_padding, min(image_shape[1:])
        if padding >= side:
            lines.append(
                f"augmentation.crop_padding = {padding}: images have {side} pixels a side, so that "
                "some are cropped to nothing but padding"
            )
        return lines

    def optimizer_for(self, network: nn.Module, fused: bool = True) -> torch.optim.Optimizer:
        """The optimizer of the network's weights, in its fastest form for their device.

        fused: the form for networks whose weights all have a gradient in each step; torch's fused
        SGD fails if some have a momentum already and others not yet.
        """
        parameters = list(network.parameters())
        shared: dict[str, Any] = {
            "lr": self.learning_rate,
            "weight_decay": self.weight_decay,
            "fused": fused,
            "foreach": not fused,
        }
        if self.optimizer != "sgd":  # its count of steps must be a tensor in a CUDA graph
            shared["capturable"] = parameters[0].is_cuda
        match self.optimizer:
            case "sgd":
                return SGD(parameters, momentum=self.momentum, **shared)
            case "adam":
                return Adam(parameters, **shared)
            case "adamw":
                return AdamW(parameters, **shared)
