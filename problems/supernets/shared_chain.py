"""A supernet of a space of chains: one weight tensor of the largest size a layer, and slices of it.

Slimmable networks (Yu & Huang, arXiv 1903.05134: sandwich rule and in-place distillation), fair
sampling (Chu et al., arXiv 1907.01845), and what was found to rank best among chains (CVPR 2021 NAS
competition, track 1): convolutions and all but the first fully connected layer are sliced
[:out, :in]; batch norms, heads and the first fully connected layer, whose input depends on
everything before it, are not shared between widths.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Le
from torch import nn

from problems.networks.chain import ACTIVATIONS, Standardize, build
from problems.networks.dropout import Dropout
from problems.spaces.chain import count
from problems.spaces.conv_chain import ConvChain
from problems.spaces.gene import Gene
from problems.spaces.layers import Conv, Flatten, GlobalAveragePool, Layer, Linear, Pool
from problems.supernets.supernet import (
    Forward,
    Genome,
    Supernet,
    SupernetPlan,
    cross_entropy,
    smoothed,
)
from problems.training.recipe import Training

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class SharedChain(SupernetPlan):
    """A supernet of a space of convolutions, pools and fully connected layers.

    kernels: "own" weights for each size of a kernel, or the centre "crop" of the largest one's.
    paths: networks a step; among them the largest and the smallest, and in all of them together
    every choice of every gene equally often (within one, if their number is not a multiple of the
    number of choices).  distillation: the share of the largest one's answers, the rest being
    labels, in what the others learn.  dropout: in "all" paths, or in the "largest" alone, since
    what is small or not yet trained has nothing to spare (BigNAS; Yu et al., arXiv 2003.11142).
    """

    kernels: Literal["own", "crop"] = "own"
    paths: Annotated[int, Ge(2)] = 6
    distillation: Annotated[float, Ge(0), Le(1)] = 1.0
    dropout: Literal["all", "largest"] = "largest"

    def paths_a_step(self, space: Any) -> int:
        return self.paths

    def unfit(self, space: Any) -> str:
        if not isinstance(space, ConvChain):
            return "it shares the weights of conv_pool_fc, plain_cnn and pooled_cnn"
        if not _fitting_depths(space):
            return "no network of this space fits the images"
        return ""

    def build(self, space: Any, standardize: Standardize | None = None) -> "SlicedChain":
        return SlicedChain(space, self, standardize)


class SlicedChain(Supernet):
    """The module of a `SharedChain`."""

    def __init__(self, space: ConvChain, plan: SharedChain, standardize: Standardize | None = None):
        super().__init__(space, standardize)
        self.plan = plan
        self._depths = _fitting_depths(space)
        widest, largest_kernel = max(space.filters), max(space.kernels)
        kernels = space.kernels if plan.kernels == "own" else (largest_kernel,)
        self.convolutions, self.norms = nn.ModuleDict(), nn.ModuleDict()
        channels = space.image_shape[0]
        for slot in range(1, max(self._depths) + 1):
            for kernel in kernels:
                self.convolutions[f"{slot}_{kernel}"] = nn.Conv2d(channels, widest, kernel)
            if space.batch_norm != "never":
                for filters in space.filters:
                    # Its statistics are those of one candidate, and are taken when it is scored.
                    self.norms[f"{slot}_{filters}"] = nn.BatchNorm2d(
                        filters, track_running_stats=False
                    )
            channels = widest
        self.first, self.hidden, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        most_hidden, most_units = space.fc_layers[1], max(space.units)
        if most_hidden:
            for name, features in self._flattened().items():
                self.first[name] = nn.Linear(features, most_units)
        for number in range(2, most_hidden + 1):
            self.hidden[str(number)] = nn.Linear(most_units, most_units)
        for width in space.units if most_hidden else space.filters:
            self.heads[str(width)] = nn.Linear(width, space.classes)
        self.dropout = Dropout(space.dropout)

    def _flattened(self) -> dict[str, int]:
        """The number of features of each shape that a fully connected layer can follow."""
        return {
            _name(before): prod(before)
            for genome in _one_of_each(self.space, self._depths)
            for before, layer in _with_inputs(self.space, genome)
            if isinstance(layer, Flatten)
        }

    def paths(self, generator: torch.Generator) -> list[Genome]:
        """The networks of one step: the largest, the smallest, and others."""
        columns = [self._column(gene, generator) for gene in self.space.genes]
        return [list(genome) for genome in zip(*columns, strict=True)]

    def _column(self, gene: Gene, generator: torch.Generator) -> list[int]:
        """A gene's value in each path, each choice as often as the others or once more."""
        paths = self.plan.paths
        choices = [
            index
            for index, choice in enumerate(gene.choices)
            if gene.name != "depth" or choice in self._depths
        ]
        ends = []
        if isinstance(gene.choices[0], int):  # pools and activations have no largest
            ends = [f(choices, key=lambda index: gene.choices[index]) for f in (max, min)]
        # Which choices are there once more, if it is no multiple, is drawn.
        rest = _shuffled(choices, generator)
        if paths < len(choices):
            rest = list(dict.fromkeys([*ends, *rest]))
        values = choices * (paths // len(choices)) + rest[: paths % len(choices)]
        for end in ends:
            values.remove(end)
        return [*ends, *_shuffled(values, generator)]

    def loss_step(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        paths: Sequence[Genome],
        recipe: Training,
        forward: Forward | None = None,
    ) -> torch.Tensor:
        forward = forward or self
        share = self.plan.distillation
        target, total = labels, torch.zeros((), device=labels.device)
        self.dropout.train()
        for genome in paths:  # the largest is the first
            loss, logits = cross_entropy(forward, images, genome, target, recipe)
            (loss / len(paths)).backward()
            total += loss.detach() / len(paths)
            if target is labels and share:
                answers = logits.detach().softmax(dim=1)
                true = smoothed(labels, answers.shape[1], recipe.label_smoothing)
                target = torch.lerp(true, answers, share)
            self.dropout.train(self.plan.dropout == "all")
        return total

    def forward(self, images: torch.Tensor, genome: Genome) -> torch.Tensor:
        functional = nn.functional
        features = images if self.standardize is None else self.standardize(images)
        for layer, slices in self._sliced(genome):
            match layer:
                case Conv(_, kernel, activation, batch_norm=batch_norm):
                    before, odd = (kernel - 1) // 2, kernel % 2
                    if not odd:  # "same": one pixel more on the right and bottom
                        features = functional.pad(features, (before, before + 1) * 2)
                    weight, bias, *norm = slices
                    features = functional.conv2d(features, weight, bias, padding=before * odd)
                    if batch_norm:
                        scale, shift = norm
                        features = functional.batch_norm(
                            features, None, None, scale, shift, training=True
                        )
                    features = ACTIVATIONS[activation]()(features)
                case Pool(kind):
                    pool = functional.max_pool2d if kind == "max" else functional.avg_pool2d
                    features = pool(features, 2)
                case GlobalAveragePool():
                    features = features.mean(dim=(2, 3))
                case Flatten():
                    features = features.permute(0, 2, 3, 1).flatten(1)
                case Linear(_, activation, dropout):
                    features = functional.linear(features, *slices)
                    if activation:
                        features = ACTIVATIONS[activation]()(features)
                    if dropout:
                        features = self.dropout(features)
        return features

    @torch.no_grad()
    def standalone(self, genome: Genome) -> nn.Sequential:
        network = build(self.space.chain(genome), self.space.image_shape)
        inherited = chain.from_iterable(slices for _, slices in self._sliced(genome))
        for weights, slices in zip(network.parameters(), inherited, strict=True):
            weights.copy_(slices)
        if self.standardize is not None:
            network.insert(0, Standardize(self.standardize.mean, self.standardize.std))
        network.to(memory_format=torch.channels_last)
        return network.to(next(self.parameters()).device)

    def _sliced(self, genome: Genome) -> Iterator[tuple[Layer, Tensors]]:
        """Each layer of a network and its weights in the order of a module's: slices."""
        slot, hidden, flattened = 0, 0, ""
        for before, layer in _with_inputs(self.space, genome):
            slices: Tensors = ()
            match layer:
                case Conv(filters, kernel, _, batch_norm=batch_norm):
                    slot += 1
                    slices = self._convolution(slot, kernel, filters, before[0])
                    if batch_norm:
                        slices += tuple(self.norms[f"{slot}_{filters}"].parameters())
                case Linear(_, ""):
                    slices = tuple(self.heads[str(before[0])].parameters())
                case Linear(units):
                    hidden += 1
                    shared = self.first[flattened] if hidden == 1 else self.hidden[str(hidden)]
                    weight, bias = shared.parameters()
                    slices = weight[:units, : before[0]], bias[:units]
                case Flatten():
                    flattened = _name(before)
            yield layer, slices

    def _convolution(self, slot: int, kernel: int, filters: int, channels: int) -> Tensors:
        stored, first = kernel, 0
        if self.plan.kernels == "crop":
            stored = max(self.space.kernels)
            first = (stored - 1) // 2 - (kernel - 1) // 2  # the middle tap stays the middle
        weight, bias = self.convolutions[f"{slot}_{stored}"].parameters()
        taps = slice(first, first + kernel)
        return weight[:filters, :channels, taps, taps], bias[:filters]


def _shuffled(values: list[int], generator: torch.Generator) -> list[int]:
    return [values[index] for index in torch.randperm(len(values), generator=generator).tolist()]


def _fitting_depths(space: ConvChain) -> frozenset[int]:
    """The depths whose networks fit the images: nothing but the number of pools decides it."""
    choices = space.genes[0].choices
    genomes = _one_of_each(space, choices)
    return frozenset(choices[genome[0]] for genome in genomes if not space.violation(genome))


def _one_of_each(space: ConvChain, depths: Iterable[int]) -> Iterator[Genome]:
    """A genome for each of these depths and each width of the convolution that is its last."""
    choices = space.genes[0].choices
    for depth in depths:
        for width in range(len(space.filters)):
            genome = [0] * len(space.genes)
            genome[0] = choices.index(depth)
            genome[space.slots[depth - 1].start] = width
            yield genome


def _with_inputs(space: ConvChain, genome: Genome) -> Iterator[tuple[tuple[int, ...], Layer]]:
    """Each layer of a network and the shape of what goes into it."""
    layers = space.chain(genome)
    before = [space.image_shape, *(one.shape for one in count(layers, space.image_shape))]
    yield from zip(before, layers, strict=False)


def _name(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
