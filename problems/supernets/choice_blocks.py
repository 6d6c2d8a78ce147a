"""A supernet of choice blocks: each choice of each layer has weights of its own, one path a step.

Single-path one-shot (Guo et al., arXiv 1904.00420): uniform sampling, batch norm without scales
and shifts, statistics taken for each candidate.  Strict fairness: FairNAS (Chu et al., arXiv
1907.01845).
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import nn

from problems.networks.blocks import BlockModule
from problems.networks.chain import Standardize, build
from problems.spaces import choice_blocks
from problems.spaces.chain import count
from problems.spaces.layers import Shape
from problems.supernets.supernet import Genome, Supernet, SupernetPlan


@dataclass(frozen=True, kw_only=True)
class ChoiceBlocks(SupernetPlan):
    """A supernet of a space of choice blocks.

    fairness: "uniform" draws one path a step; "strict" draws as many as a layer has choices, so
    that each choice of each layer is on exactly one of them.  Their gradients' mean is taken: over
    many steps a block then moves as far by the one as by the other, at one learning rate.
    """

    fairness: Literal["uniform", "strict"] = "uniform"

    def paths_a_step(self, space: Any) -> int:
        return 1 if self.fairness == "uniform" else len(space.names)

    def unfit(self, space: Any) -> str:
        if not isinstance(space, choice_blocks.ChoiceBlocks):
            return "it shares the weights of mobile_blocks and shuffle_blocks"
        return ""

    def build(self, space: Any, standardize: Standardize | None = None) -> "SinglePath":
        return SinglePath(space, self, standardize)


class SinglePath(Supernet):
    """The module of a `ChoiceBlocks`.  Its batch norms always use the statistics of their batch."""

    def __init__(
        self,
        space: choice_blocks.ChoiceBlocks,
        plan: ChoiceBlocks,
        standardize: Standardize | None = None,
    ):
        super().__init__(space, standardize)
        self.plan = plan
        shape: Shape = space.image_shape
        self.before = build(space.before, shape, shared=True)
        *_, last = count(space.before, shape)
        shape = last.shape
        self.layers = nn.ModuleList()
        for choices in space.choices:
            blocks: list[nn.Module] = [
                nn.Identity() if block is None else BlockModule(block, shape[0], shared=True)
                for block in choices
            ]
            self.layers.append(nn.ModuleList(blocks))
            # All choices of a layer lead to one shape, and at least one of them does something.
            *_, last = count([block for block in choices if block is not None][:1], shape)
            shape = last.shape
        self.after = build(space.after, shape, shared=True)

    def paths(self, generator: torch.Generator) -> list[Genome]:
        many = self.plan.paths_a_step(self.space)
        columns = [
            torch.randperm(len(gene.choices), generator=generator)[:many].tolist()
            for gene in self.space.genes
        ]
        return [list(genome) for genome in zip(*columns, strict=True)]

    def forward(self, images: torch.Tensor, genome: Genome) -> torch.Tensor:
        features = images if self.standardize is None else self.standardize(images)
        features = self.before(features)
        for choices, gene in zip(self.layers, genome, strict=True):
            features = choices[gene](features)  # type: ignore[index]
        return cast(torch.Tensor, self.after(features))

    @torch.no_grad()
    def standalone(self, genome: Genome) -> nn.Sequential:
        network = build(self.space.chain(genome), self.space.image_shape)
        chosen = [
            choices[gene]  # type: ignore[index]
            for choices, gene in zip(self.layers, genome, strict=True)
        ]
        shared = [
            *self.before,
            *(block for block in chosen if not isinstance(block, nn.Identity)),
            *self.after,
        ]
        for module, inherited in zip(network, shared, strict=True):
            # Scales of 1 and shifts of 0, which a new batch norm has, are what none is.
            module.load_state_dict(inherited.state_dict(), strict=False)
        if self.standardize is not None:
            network.insert(0, Standardize(self.standardize.mean, self.standardize.std))
        network.to(memory_format=torch.channels_last)
        return network.to(next(self.parameters()).device)
