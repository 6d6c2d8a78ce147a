"""Genome strings: `NC|RC filters kernel activation;` repeated, then `FL activation;`.

NC is a normal convolution (stride 1, "same"), RC a reduction convolution (stride 2, "valid").
A network has any number of NC and exactly two RC, in any order.  The head is fixed: global
average pooling, Linear to 64, the FL activation, Linear to the classes, the FL activation again.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import chain as flatten
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen

from problems.spaces.chain import Chain, misfit
from problems.spaces.gene import Gene, Layers, Positive, choice_of
from problems.spaces.layers import Conv, GlobalAveragePool, Linear

ACTIVATIONS = ("relu", "sigmoid", "tanh", "swish", "gelu")
REDUCTIONS = 2  # every network has exactly this many RC layers
HIDDEN_UNITS = 64
LARGEST_KERNEL = 7
GENES_PER_SLOT = 4  # kind, filters, kernel, activation

Slot = tuple[str, int, int, str]


@dataclass(frozen=True)
class LayerString:
    """The space of genome strings with `normal` NC layers and two RC layers.

    normal: fewest and most NC layers.  filters: smallest, largest, step.  A genome has a slot of
    four genes (kind, filters, kernel, activation) for each possible layer, then the FL activation;
    a slot of kind "off" is inert.  `image_shape` and `classes` come from the data set.

    >>> space = LayerString(normal=(1, 1), filters=(2, 16, 2), kernels=(3,))
    >>> genome = space.encode("RC 4 3 relu;NC 2 3 tanh;RC 8 3 gelu;FL swish;")
    >>> space.decode(genome)
    'RC 4 3 relu;NC 2 3 tanh;RC 8 3 gelu;FL swish;'
    """

    normal: tuple[Layers, Layers] = (1, 3)
    filters: tuple[Positive, Positive, Positive] = (2, 16, 2)
    kernels: Annotated[tuple[Annotated[int, Ge(1), Le(LARGEST_KERNEL)], ...], MinLen(1)] = (3, 4, 5)
    activations: Annotated[tuple[str, ...], MinLen(1)] = ACTIVATIONS
    image_shape: tuple[int, int, int] = field(default=(1, 28, 28), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    def __post_init__(self) -> None:
        if self.normal[0] > self.normal[1]:
            raise ValueError(f"normal = {list(self.normal)}: the fewest come first, then the most")
        if self.filters[0] > self.filters[1]:
            raise ValueError(
                f"filters = {list(self.filters)}: smallest, largest, step, in this order"
            )
        for number, activation in enumerate(self.activations):
            if activation not in ACTIVATIONS:
                raise ValueError(
                    f"activations[{number}] = {activation!r}: {_unknown_activation(activation)}"
                )
        for name in ("kernels", "activations"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} = {list(getattr(self, name))}: a choice is named twice")

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        fewest, most = self.normal
        return ("NC", "RC") if fewest == most else ("off", "NC", "RC")

    @cached_property
    def slots(self) -> tuple[slice, ...]:
        """Where each layer's genes stand in a genome."""
        layers = self.normal[1] + REDUCTIONS
        return tuple(
            slice(GENES_PER_SLOT * layer, GENES_PER_SLOT * (layer + 1)) for layer in range(layers)
        )

    @cached_property
    def parts(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Genes that belong together, by kind: positions in the genome."""
        layers = tuple(tuple(range(slot.start, slot.stop)) for slot in self.slots)
        return {"layers": layers, "head": ((len(self.genes) - 1,),)}

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        smallest, largest, step = self.filters
        per_slot = (
            ("kind", self.kinds),
            ("filters", tuple(range(smallest, largest + 1, step))),
            ("kernel", tuple(self.kernels)),
            ("activation", tuple(self.activations)),
        )
        layers = [
            Gene(f"layer{number}.{name}", choices)
            for number in range(1, len(self.slots) + 1)
            for name, choices in per_slot
        ]
        return (*layers, Gene("head.activation", tuple(self.activations)))

    def _layers(self, genome: list[int]) -> tuple[list[Slot], str]:
        values = [gene.choices[index] for gene, index in zip(self.genes, genome, strict=True)]
        slots = [tuple(values[slot]) for slot in self.slots]
        return [slot for slot in slots if slot[0] != "off"], values[-1]

    def decode(self, genome: list[int]) -> str:
        """The genome string; inert genes leave no trace in it."""
        layers, head = self._layers(genome)
        return "".join(f"{' '.join(map(str, layer))};" for layer in layers) + f"FL {head};"

    def encode(self, architecture: str) -> list[int]:
        """The canonical genome of a genome string.

        Raises ValueError that names the offending part: bad grammar, not exactly two RC, a value
        that this space does not contain, or a kernel that does not fit the image.
        """
        layers, head = parse(architecture)
        fewest, most = self.normal
        if not fewest <= len(layers) - REDUCTIONS <= most:
            raise ValueError(
                f"{architecture!r} has {len(layers) - REDUCTIONS} NC layers; "
                f"this space has {fewest} to {most}"
            )
        values: list[Any] = list(flatten.from_iterable(layers))
        genome = []
        for gene, value in zip(self.genes, values, strict=False):
            genome.append(choice_of(gene, value, architecture))
        genome += [0] * (GENES_PER_SLOT * len(self.slots) - len(genome))
        genome.append(choice_of(self.genes[-1], head, architecture))
        if reason := self.violation(genome):
            raise ValueError(f"{architecture!r}: {reason}")
        return genome

    def canonical(self, genome: list[int]) -> list[int]:
        """The same network's one genome: layers in front, inert genes 0."""
        on = [genome[slot] for slot in self.slots if self.kinds[genome[slot.start]] != "off"]
        packed = list(flatten.from_iterable(on))
        inert = GENES_PER_SLOT * len(self.slots) - len(packed)
        return packed + [0] * inert + genome[-1:]

    def violation(self, genome: list[int]) -> str:
        """Why a genome is not a network of this space; empty if it is one."""
        layers, _ = self._layers(genome)
        reductions = sum(kind == "RC" for kind, *_ in layers)
        if reductions != REDUCTIONS:
            return f"{reductions} RC layers, where exactly {REDUCTIONS} are needed"
        if len(layers) - reductions < self.normal[0]:
            return (
                f"{len(layers) - reductions} NC layers, where at least {self.normal[0]} are needed"
            )
        return misfit(self.chain(genome), self.image_shape)

    def chain(self, genome: list[int]) -> Chain:
        """The layers of the network, head included."""
        layers, head = self._layers(genome)
        convolutions = (
            Conv(filters, kernel, activation)
            if kind == "NC"
            else Conv(filters, kernel, activation, stride=2, padding="valid")
            for kind, filters, kernel, activation in layers
        )
        return (
            *convolutions,
            GlobalAveragePool(),
            Linear(HIDDEN_UNITS, head),
            Linear(self.classes, head),
        )


def parse(architecture: str) -> tuple[list[Slot], str]:
    """The layers of a genome string and its FL activation.

    Knows the grammar and not the bounds of one space.  Raises ValueError that names the offending
    part.
    """
    *parts, rest = architecture.split(";")
    if rest.strip():
        raise ValueError(f"{rest.strip()!r} in {architecture!r} does not end with ';'")
    if not parts or parts[-1].split()[:1] != ["FL"]:
        raise ValueError(f"{architecture!r} does not end with 'FL activation;'")
    layers = [_parse_layer(part.strip()) for part in parts[:-1]]
    match parts[-1].split():
        case ["FL", head]:
            _check_activation(head, parts[-1])
        case _:
            raise ValueError(f"{parts[-1].strip()!r}: 'FL activation' is needed")
    reductions = sum(kind == "RC" for kind, *_ in layers)
    if reductions != REDUCTIONS:
        raise ValueError(
            f"{architecture!r} has {reductions} RC layers; exactly {REDUCTIONS} are needed"
        )
    return layers, head


def _parse_layer(part: str) -> Slot:
    match part.split():
        case [("NC" | "RC") as kind, filters, kernel, activation]:
            pass
        case _:
            raise ValueError(f"{part!r}: 'NC|RC filters kernel activation' is needed")
    if not filters.isdecimal() or int(filters) < 1:
        raise ValueError(f"{part!r}: filters {filters} must be an integer of at least 1")
    if not kernel.isdecimal() or not 1 <= int(kernel) <= LARGEST_KERNEL:
        raise ValueError(f"{part!r}: kernel {kernel} must be an integer, 1 to {LARGEST_KERNEL}")
    _check_activation(activation, part)
    return kind, int(filters), int(kernel), activation


def _check_activation(activation: str, part: str) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{part.strip()!r}: activation {activation}: {_unknown_activation(activation)}"
        )


def _unknown_activation(activation: str) -> str:
    near = get_close_matches(activation, ACTIVATIONS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown; legal: {', '.join(ACTIVATIONS)}{hint}"
