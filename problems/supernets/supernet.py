"""What every supernet has: the networks of a space in one module, with shared weights.

A declaration (`SupernetPlan`, a frozen dataclass on the shelf `SUPERNETS`) makes a module
(`Supernet`) of a space.  `problems.supernets.training` trains the module, whatever it is, and
`problems.weight_sharing` scores a candidate as `standalone(genome)`: an ordinary network with the
inherited weights copied in, whose batch norms are then recalibrated.  So the shared forward is for
training alone, and all else is the same code as for any other network.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import nn

from problems.networks.chain import Standardize
from problems.training.recipe import Training

Genome = list[int]
Forward = Callable[[torch.Tensor, Genome], torch.Tensor]


class Supernet(nn.Module, ABC):
    """All networks of a space; images (N, *image_shape) as float32 in [0, 1].

    standardize: what the images go through first, if the recipe normalizes.
    """

    def __init__(self, space: Any, standardize: Standardize | None = None):
        super().__init__()
        self.space = space
        self.standardize = standardize

    @abstractmethod
    def paths(self, generator: torch.Generator) -> list[Genome]:
        """The networks of one training step, drawn from a generator on the CPU."""

    @abstractmethod
    def forward(self, images: torch.Tensor, genome: Genome) -> torch.Tensor:
        """The logits (N, classes) of one network, computed with the shared weights."""

    @abstractmethod
    def standalone(self, genome: Genome) -> nn.Sequential:
        """One network by itself, with a copy of the weights that it inherits, on their device.

        The same module, layer for layer, as `ImageClassification.untrained` makes, in the same
        memory layout.  The statistics of its batch norms, if it has any, are yet to be taken.
        """

    def loss_step(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        paths: Sequence[Genome],
        recipe: Training,
        forward: Forward | None = None,
    ) -> torch.Tensor:
        """Add the gradients of one step, and return its loss, detached: the mean over the paths.

        images, labels: one batch on the device.  forward: what computes the logits in place of
        this module itself, such as a DistributedDataParallel around it.  Without distillation each
        path learns from the labels.
        """
        forward = forward or self
        total = torch.zeros((), device=labels.device)
        for genome in paths:
            loss = cross_entropy(forward, images, genome, labels, recipe)[0] / len(paths)
            loss.backward()
            total += loss.detach()
        return total


def cross_entropy(
    forward: Forward,
    images: torch.Tensor,
    genome: Genome,
    target: torch.Tensor,
    recipe: Training,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and logits (float32) of one path in the recipe's precision.

    target: labels (N,), or probabilities (N, classes), which are not smoothed once more.
    """
    with torch.autocast(
        images.device.type,
        torch.bfloat16,
        enabled=recipe.precision == "bfloat16",
        cache_enabled=False,  # a slice is made anew for each path, so nothing would be found
    ):
        logits = forward(images, genome)
    logits = logits.float()
    smoothing = 0.0 if target.is_floating_point() else recipe.label_smoothing
    return nn.functional.cross_entropy(logits, target, label_smoothing=smoothing), logits


def smoothed(labels: torch.Tensor, classes: int, smoothing: float) -> torch.Tensor:
    """Labels (N,) as smoothed probabilities (N, classes), float32."""
    certain = nn.functional.one_hot(labels, classes).float()
    return certain * (1 - smoothing) + smoothing / classes


@dataclass(frozen=True, kw_only=True)
class SupernetPlan(ABC):
    """How a supernet is made and trained.

    training: its recipe.  recalibration: how many training images the batch norms of a candidate
    take their statistics from.  shards: equal parts of each batch, in which batch norm sees its own
    part alone; several processes can train the supernet if their number divides that of the shards.
    """

    training: Training = field(default_factory=lambda: Training(epochs=30))
    recalibration: Annotated[int, Ge(1)] = 2_000
    shards: Annotated[int, Ge(1)] = 1

    def __post_init__(self) -> None:
        recipe = self.training
        if recipe.early_stop != "never" or recipe.keep != "last":
            key = "early_stop" if recipe.early_stop != "never" else "keep"
            legal = "never" if key == "early_stop" else "last"
            raise ValueError(
                f"training.{key} = {getattr(recipe, key)!r}: a supernet is trained to its last "
                f"epoch, since no one network's score tells when to stop; legal is {legal!r}"
            )
        if self.shards > 1 and recipe.batch_size % self.shards:
            raise ValueError(
                f"shards = {self.shards}: training.batch_size = {recipe.batch_size} is not a "
                "multiple of it"
            )

    def paths_a_step(self, space: Any) -> int:
        """How many networks are run forward and backward in one training step."""
        return 1

    @abstractmethod
    def unfit(self, space: Any) -> str:
        """Why there is no such supernet of a space; empty if there is."""

    @abstractmethod
    def build(self, space: Any, standardize: Standardize | None = None) -> Supernet:
        """The module with its first weights, drawn from torch's generator, on the CPU."""
