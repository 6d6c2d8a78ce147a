"""A block of your own in a space of your own."""

from dataclasses import dataclass, field

from problems.spaces.chain import Chain
from problems.spaces.gene import Gene
from problems.spaces.layers import Block, Branches, ConvNorm, GlobalAveragePool, Linear, Unit


@dataclass(frozen=True)
class Residual(Block):
    """Two convolutions and a shortcut; what it costs and its module follow from its branches."""

    filters: int
    kernel: int

    def branches(self, channels: int) -> Branches:
        first, second = Unit(channels, self.kernel), Unit(channels, self.kernel, relu=False)
        return Branches((first, second), join="add")


@dataclass(frozen=True)
class Residuals:
    """A stem, then as many residual blocks as have a kernel, then the head."""

    widths: tuple[int, ...] = (8, 16, 32)
    image_shape: tuple[int, int, int] = field(default=(1, 16, 16), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    @property
    def genes(self) -> tuple[Gene, ...]:
        kernels = [Gene(f"kernel{number}", (0, 3, 5)) for number in (1, 2, 3)]  # 0 is no block
        return (Gene("width", self.widths), *kernels)

    def _chosen(self, genome: list[int]) -> list[int]:
        return [gene.choices[index] for gene, index in zip(self.genes, genome, strict=True)]

    def canonical(self, genome: list[int]) -> list[int]:
        """The blocks that are there in front: where the missing ones stand changes nothing."""
        kernels = [index for index in genome[1:] if index]
        return [genome[0], *kernels, *([0] * (len(genome) - 1 - len(kernels)))]

    def decode(self, genome: list[int]) -> str:
        width, *kernels = self._chosen(self.canonical(genome))
        return " ".join([f"width {width}:", *(f"k{kernel}" for kernel in kernels if kernel)])

    def violation(self, genome: list[int]) -> str:
        return ""

    def chain(self, genome: list[int]) -> Chain:
        width, *kernels = self._chosen(self.canonical(genome))
        blocks = [Residual(width, kernel) for kernel in kernels if kernel]
        return (ConvNorm(width, 3, 2), *blocks, GlobalAveragePool(), Linear(self.classes))
