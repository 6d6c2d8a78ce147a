"""A complete space of small cells with skip connections, and what its table is made with.

A cell is a directed graph of four nodes.  Node 0 is its input, node 3 its output; each of the six
edges from an earlier to a later node does one of four things to what the earlier one holds, and a
node holds the sum of what comes in.  That makes 4 ** 6 = 4,096 genomes.  It is the cell of
NAS-Bench-201 (Dong & Yang, ICLR 2020, arXiv 2001.00326) with one operation less.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import permutations, product
from typing import Any

import torch
from torch import nn

from problems.datasets.digits import Digits
from problems.datasets.splits import Split
from problems.spaces.gene import Gene
from problems.training.loop import logits_of

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ("none", "identity", "1x1", "3x3")
KERNELS = {2: 1, 3: 3}  # of the operations that are convolutions

Genome = tuple[int, ...]
Sum = tuple[int, ...]  # numbers of terms, sorted: 0 is the cell's input, n its n-th convolution


@dataclass(frozen=True)
class Cell:
    """What a cell computes: its convolutions, each after those that it depends on, and its output.

    convolutions: the kernel of each and the terms of the sum that it is applied to.  output: the
    terms of the sum that is the cell's output; none if nothing reaches it.  A term that reaches a
    sum on two ways stands in it twice.
    """

    convolutions: tuple[tuple[int, Sum], ...]
    output: Sum


def computed(genome: Genome) -> Cell:
    """What a genome's cell computes; two genomes have the same if and only if they compute the same
    with some weights of one for any of the other.

    An identity is contracted, for its end holds the terms of its beginning.  A convolution of
    nothing is nothing, and one that does not reach the output is left out.  The convolutions are
    numbered in a way that does not depend on the nodes that they stand between.
    """
    found: list[tuple[int, Sum]] = []
    held: list[Sum] = [(0,)]
    for end in range(1, 4):
        terms: list[int] = []
        for (begin, to), operation in zip(EDGES, genome, strict=True):
            if to != end or not held[begin]:
                continue
            if operation in KERNELS:
                found.append((KERNELS[operation], held[begin]))
                terms.append(len(found))
            elif operation:
                terms += held[begin]
        held.append(tuple(sorted(terms)))
    return _renumbered(found, held[-1])


def _renumbered(found: list[tuple[int, Sum]], output: Sum) -> Cell:
    """The cell without what its output does not depend on, numbered in the one canonical way."""
    alive: set[int] = set()
    waiting = set(output) - {0}
    while waiting:
        alive |= waiting
        waiting = {term for number in waiting for term in found[number - 1][1]} - {0} - alive
    unfolded: dict[int, tuple[Any, ...]] = {0: (0,)}  # depth, kernel, and what it is applied to
    for number in sorted(alive):
        kernel, terms = found[number - 1]
        sources = sorted(unfolded[term] for term in terms)
        unfolded[number] = (1 + max(source[0] for source in sources), kernel, tuple(sources))
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number in alive:
        groups.setdefault(unfolded[number], []).append(number)
    ordered = [permutations(groups[key]) for key in sorted(groups)]
    # What unfolds to the same may differ in what is shared: the least of all such numberings.
    convolutions, least = min(
        _told(found, output, [number for group in order for number in group])
        for order in product(*ordered)
    )
    return Cell(convolutions, least)


def _told(
    found: list[tuple[int, Sum]], output: Sum, order: list[int]
) -> tuple[tuple[tuple[int, Sum], ...], Sum]:
    new = {0: 0} | {number: place for place, number in enumerate(order, 1)}

    def renamed(terms: Sum) -> Sum:
        return tuple(sorted(new[term] for term in terms))

    convolutions = tuple((found[n - 1][0], renamed(found[n - 1][1])) for n in order)
    return convolutions, renamed(output)


def genomes() -> Iterator[Genome]:
    """All genomes, in the order of their digits."""
    return product(range(len(OPERATIONS)), repeat=len(EDGES))


@cache
def canonical_genomes() -> dict[Genome, Genome]:
    """For each genome the first one that computes the same."""
    first: dict[Cell, Genome] = {}
    return {genome: first.setdefault(computed(genome), genome) for genome in genomes()}


@cache
def networks() -> tuple[Genome, ...]:
    """The genomes of which each computes something else, and together all that there is."""
    return tuple(dict.fromkeys(canonical_genomes().values()))


@dataclass(frozen=True)
class SkipCells:
    """Stem, cell, reduction, the same cell again, global average pool, linear.

    The stem is a 1x1 convolution, the reduction an average pool of 2x2 and a 1x1 convolution to
    twice the width, so that only the cells look at more than a pixel; each convolution is followed
    by batch norm and ReLU.

    An architecture names the operations of the six edges 0-1 0-2 1-2 0-3 1-3 2-3.

    >>> space = SkipCells()
    >>> space.decode(space.canonical(space.encode("identity 3x3 1x1 none none identity")))
    'none none none none none none'
    """

    width: int = 6
    image_shape: tuple[int, int, int] = field(default=(1, 8, 8), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    @property
    def genes(self) -> tuple[Gene, ...]:
        return tuple(Gene(f"edge{begin}{end}", OPERATIONS) for begin, end in EDGES)

    def decode(self, genome: list[int]) -> str:
        return " ".join(OPERATIONS[operation] for operation in genome)

    def encode(self, architecture: str) -> list[int]:
        """The genome of an architecture.  Raises ValueError if it is none."""
        words = architecture.split()
        if len(words) != len(EDGES) or not set(words) <= set(OPERATIONS):
            raise ValueError(
                f"{architecture!r}: {len(EDGES)} words are needed, one an edge: "
                f"{', '.join(OPERATIONS)}"
            )
        return [OPERATIONS.index(word) for word in words]

    def canonical(self, genome: list[int]) -> list[int]:
        """The first genome that computes the same."""
        return list(canonical_genomes()[tuple(genome)])

    def violation(self, genome: list[int]) -> str:
        return ""

    def module(self, genome: list[int]) -> nn.Module:
        """The network; one that nothing flows through answers the same for every image."""
        cell, width = computed(tuple(genome)), self.width
        if not cell.output:
            return nn.Sequential(Nothing(2 * width), nn.Linear(2 * width, self.classes))
        return nn.Sequential(
            convolution(self.image_shape[0], width, 1),
            CellModule(cell, width),
            nn.AvgPool2d(2),
            convolution(width, 2 * width, 1),
            CellModule(cell, 2 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, self.classes),
        )


def convolution(channels: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(filters, momentum=0.2),  # a training has few steps
        nn.ReLU(inplace=True),
    )


class CellModule(nn.Module):
    """(N, width, H, W) -> the same shape."""

    def __init__(self, cell: Cell, width: int):
        super().__init__()
        self.cell = cell
        self.convolutions = nn.ModuleList(
            convolution(width, width, kernel) for kernel, _ in cell.convolutions
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = [images]
        for module, (_, terms) in zip(self.convolutions, self.cell.convolutions, strict=True):
            values.append(module(_sum(values, terms)))
        return _sum(values, self.cell.output)


def _sum(values: list[torch.Tensor], terms: Sum) -> torch.Tensor:
    total = values[terms[0]]
    for term in terms[1:]:
        total = total + values[term]
    return total


class Nothing(nn.Module):
    """(N, ...) -> zeros (N, features)."""

    def __init__(self, features: int):
        super().__init__()
        self.features = features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.new_zeros(len(images), self.features)


def every_network(space: SkipCells, index: int) -> list[int]:
    """The genome of one network after the other: an operator for `toolbox.individual`.

    After the last comes the first again; the rehearsal before a search draws a second population.
    """
    return list(networks()[index % len(networks())])


def test_accuracy(network: nn.Module, device: torch.device) -> float:
    """The share of the held-out test images of the digits that a network classifies rightly.

    A search must never select by it.  The search that calls it selects nothing: it trains every
    network of the space once, and what it leaves is a table.
    """
    test = _test_images(str(device))
    return (logits_of(network, test).argmax(dim=1) == test.labels).double().mean().item()


@lru_cache(maxsize=1)
def _test_images(device: str) -> Split:
    return Split.on(device, *Digits().read("test"))
