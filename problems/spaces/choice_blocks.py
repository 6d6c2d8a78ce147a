"""Stacks of layers that are each one of a few blocks: the spaces of single-path supernets.

An architecture is written as one digit a layer, the number of its choice, as NAS-Bench-Macro does.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, ClassVar

from annotated_types import MinLen

from problems.spaces.chain import Chain, count, totals
from problems.spaces.gene import Gene, Positive, SomeLayers
from problems.spaces.layers import (
    Block,
    ConvNorm,
    GlobalAveragePool,
    InvertedResidual,
    Layer,
    Linear,
    Shuffle,
)

Numbers = Annotated[tuple[Positive, ...], MinLen(1)]


@dataclass(frozen=True)
class ChoiceBlocks(ABC):
    """Layers in stages; a stage's first layer has stride 2 and brings its width.

    stages: how many layers each has, widths: how many channels.  stem: the filters of the 3x3
    convolution before them; last: of the 1x1 convolution after them, which global average pooling
    and a linear layer follow.

    A genome has a gene for each layer.  Where a stage's identities stand makes no other network of
    it, but other weights of a supernet, and the published table has each of them: so every genome
    is its own canonical one.
    """

    stages: Annotated[tuple[SomeLayers, ...], MinLen(1)]
    widths: Numbers
    stem: Positive
    last: Positive
    image_shape: tuple[int, int, int] = field(default=(3, 32, 32), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    names: ClassVar[tuple[str, ...]] = ()  # of the choices, in the order of their digits
    stem_stride: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.stages):
            raise ValueError(
                f"widths = {list(self.widths)}: {len(self.stages)} are needed, one for each stage"
            )

    @abstractmethod
    def block(self, choice: int, filters: int, stride: int, channels: int) -> Block | None:
        """The block of a choice for a layer of so many `channels` before it; None is no layer."""

    @cached_property
    def choices(self) -> tuple[tuple[Block | None, ...], ...]:
        """For each layer the block of each choice; None for one that does nothing."""
        layers, channels = [], self.stem
        for length, filters in zip(self.stages, self.widths, strict=True):
            for number in range(length):
                stride = 1 if number else 2
                layers.append(
                    tuple(
                        self.block(choice, filters, stride, channels)
                        for choice in range(len(self.names))
                    )
                )
                channels = filters
        return tuple(layers)

    @property
    def before(self) -> Chain:
        """The layers before the choices."""
        return (ConvNorm(self.stem, 3, self.stem_stride),)

    @property
    def after(self) -> Chain:
        """The layers after the choices."""
        return (ConvNorm(self.last), GlobalAveragePool(), Linear(self.classes))

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        return tuple(Gene(f"layer{n}", self.names) for n in range(1, sum(self.stages) + 1))

    @cached_property
    def slots(self) -> tuple[slice, ...]:
        return tuple(slice(layer, layer + 1) for layer in range(sum(self.stages)))

    @cached_property
    def parts(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Genes that belong together, by kind: positions in the genome."""
        ends = [sum(self.stages[: number + 1]) for number in range(len(self.stages))]
        stages = tuple(
            tuple(range(end - length, end)) for end, length in zip(ends, self.stages, strict=True)
        )
        return {"layers": tuple((layer,) for layer in range(ends[-1])), "stages": stages}

    def decode(self, genome: list[int]) -> str:
        """One digit a layer."""
        return "".join(map(str, genome))

    def encode(self, architecture: str) -> list[int]:
        """The genome of a string of digits.  Raises ValueError if it is none of this space."""
        legal = "".join(str(choice) for choice in range(len(self.names)))
        if len(architecture) != len(self.genes) or not set(architecture) <= set(legal):
            described = ", ".join(f"{digit} {name}" for digit, name in enumerate(self.names))
            raise ValueError(
                f"{architecture!r}: {len(self.genes)} digits are needed, one a layer: {described}"
            )
        return [int(digit) for digit in architecture]

    def canonical(self, genome: list[int]) -> list[int]:
        return list(genome)

    def violation(self, genome: list[int]) -> str:
        return ""

    def chain(self, genome: list[int]) -> Chain:
        """The layers of the network, head included."""
        chosen = [choices[gene] for choices, gene in zip(self.choices, genome, strict=True)]
        layers: list[Layer] = [block for block in chosen if block is not None]
        return (*self.before, *layers, *self.after)

    def known(self, genome: list[int]) -> dict[str, float]:
        """What arithmetic tells of the network, by the names of a measurement."""
        return dict(totals(count(self.chain(genome), self.image_shape), self.image_shape))


@dataclass(frozen=True)
class MobileBlocks(ChoiceBlocks):
    """8 layers of identity or one of two MobileNetV2 blocks, for CIFAR-10.

    The space of NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922), which trained all 6,561
    networks.  An identity that changes the shape is a 1x1 convolution with batch norm.

    >>> space = MobileBlocks()
    >>> space.decode(space.encode("02012100"))
    '02012100'
    >>> space.known(space.encode("02012100"))["params"]
    890666
    """

    stages: Numbers = (2, 3, 3)
    widths: Numbers = (64, 128, 256)
    stem: Positive = 32
    last: Positive = 1280

    names: ClassVar[tuple[str, ...]] = ("identity", "expansion 3 kernel 3", "expansion 6 kernel 5")

    def block(self, choice: int, filters: int, stride: int, channels: int) -> Block | None:
        if choice == 0:
            if stride == 1 and channels == filters:
                return None
            return ConvNorm(filters, 1, stride, relu=False)
        expansion, kernel = ((3, 3), (6, 5))[choice - 1]
        return InvertedResidual(filters, expansion, kernel, stride)


@dataclass(frozen=True)
class ShuffleBlocks(ChoiceBlocks):
    """20 layers of four ShuffleNetV2 blocks: kernels 3, 5, 7, and Xception, for ImageNet.

    The space of single-path one-shot (Guo et al., arXiv 1904.00420).  Its published networks have
    a dropout of 0.1 before the last layer and no bias in it, which these have not.

    >>> space = ShuffleBlocks()
    >>> len(space.genes), len(space.names) ** len(space.genes)
    (20, 1099511627776)
    """

    stages: Numbers = (4, 4, 8, 4)
    widths: Numbers = (64, 160, 320, 640)
    stem: Positive = 16
    last: Positive = 1024
    image_shape: tuple[int, int, int] = field(default=(3, 224, 224), metadata={"declared": False})
    classes: int = field(default=1000, metadata={"declared": False})

    names: ClassVar[tuple[str, ...]] = ("kernel 3", "kernel 5", "kernel 7", "xception")
    stem_stride: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        grows = [self.stem, *self.widths]
        if grows != sorted(set(grows)) or any(width % 2 for width in self.widths):
            raise ValueError(
                f"widths = {list(self.widths)}: each is even and larger than the one before it, "
                f"the stem's {self.stem} first"
            )

    def block(self, choice: int, filters: int, stride: int, channels: int) -> Block:
        xception = choice == 3
        return Shuffle(filters, 3 if xception else (3, 5, 7)[choice], stride, xception)
