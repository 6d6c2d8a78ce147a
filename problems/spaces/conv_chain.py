"""Chains of convolutions and pools with a fully connected or a pooled head.

One space with three sets of defaults, the search spaces of three published systems: `ConvPoolFc`,
`PlainCnn` and `PooledCnn`.  They differ in which choices are genes.

An architecture reads `conv 64k5 16k3 | pool max | activation relu | fc 256`; a section stands there
only if the space has a choice in it.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt, MinLen

from problems.spaces.chain import Chain, misfit
from problems.spaces.gene import Gene, Layers, Positive, SomeLayers, choice_of
from problems.spaces.layers import Conv, Flatten, GlobalAveragePool, Layer, Linear, Pool

Activation = Literal["relu", "leaky_relu", "sigmoid", "tanh", "swish", "gelu"]
PoolKind = Literal["max", "average"]
PoolAfter = Literal["every", "second_and_last", "first_three", "none"] | tuple[Positive, ...]


@dataclass(frozen=True)
class ConvChain:
    """Convolutions ("same", stride 1, with bias), 2x2 pools, and a head.

    depth: fewest and most convolutions.  filters, kernels, activations, units: the choices.
    batch_norm: after each convolution always, never, or as the network's gene.  pools: the kinds;
    pool_gene: one for the network or one for each layer.  pool_after: after which convolutions:
    "every" one, every "second_and_last", the "first_three" as far as there are so many, "none", or
    a list of their numbers from 1.  fc_layers: fewest and most hidden fully connected layers;
    [0, 0] is global average pooling in their place.  dropout: after each hidden fully connected
    layer.

    A genome has a gene for each choice that there is: depth, then a slot for each possible
    convolution, then those of the whole network.  What lies beyond the depth is inert.
    """

    depth: tuple[SomeLayers, SomeLayers] = (1, 4)
    filters: Annotated[tuple[Positive, ...], MinLen(1)] = (16, 32, 64, 128)
    kernels: Annotated[tuple[Positive, ...], MinLen(1)] = (3, 5, 7)
    activations: Annotated[tuple[Activation, ...], MinLen(1)] = ("relu",)
    batch_norm: Literal["always", "never", "gene"] = "always"
    pools: Annotated[tuple[PoolKind, ...], MinLen(1)] = ("max", "average")
    pool_gene: Literal["network", "layer"] = "network"
    pool_after: PoolAfter = "every"
    fc_layers: tuple[Layers, Layers] = (1, 1)
    units: Annotated[tuple[Positive, ...], MinLen(1)] = (128, 256, 512)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    image_shape: tuple[int, int, int] = field(default=(3, 32, 32), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    def __post_init__(self) -> None:
        for name in ("depth", "fc_layers"):
            fewest, most = getattr(self, name)
            if fewest > most:
                raise ValueError(f"{name} = [{fewest}, {most}]: the fewest come first")
        if self.fc_layers[0] == 0 < self.fc_layers[1]:
            raise ValueError(
                f"fc_layers = {list(self.fc_layers)}: legal are [0, 0], which is global average "
                "pooling, and ranges from 1 up"
            )
        for name in ("filters", "kernels", "activations", "pools", "units"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} = {list(getattr(self, name))}: a choice is named twice")
        if self.pool_after == "first_three":
            # Kept as numbers, as an archive's identity always had them.
            first = tuple(range(1, min(3, self.depth[1]) + 1))
            object.__setattr__(self, "pool_after", first)
        if not isinstance(self.pool_after, str) and max(self.pool_after, default=0) > self.depth[1]:
            raise ValueError(
                f"pool_after = {list(self.pool_after)}: there are {self.depth[1]} convolutions"
            )

    @cached_property
    def _layer_genes(self) -> dict[str, tuple[Any, ...]]:
        genes: dict[str, tuple[Any, ...]] = {"filters": self.filters, "kernel": self.kernels}
        if self.pool_gene == "layer" and self.pool_after != "none":
            genes["pool"] = self.pools
        return genes

    @cached_property
    def _network_genes(self) -> dict[str, tuple[Any, ...]]:
        genes: dict[str, tuple[Any, ...]] = {}
        if self.batch_norm == "gene":
            genes["batch_norm"] = ("on", "off")
        if self.pool_gene == "network" and self.pool_after != "none" and len(self.pools) > 1:
            genes["pool"] = self.pools
        if len(self.activations) > 1:
            genes["activation"] = self.activations
        fewest, most = self.fc_layers
        if fewest < most:
            genes["fc_layers"] = tuple(range(fewest, most + 1))
        return genes | {f"units{number}": self.units for number in range(1, most + 1)}

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        layers = [
            Gene(f"layer{number}.{name}", choices)
            for number in range(1, self.depth[1] + 1)
            for name, choices in self._layer_genes.items()
        ]
        network = [Gene(name, choices) for name, choices in self._network_genes.items()]
        return (Gene("depth", tuple(range(self.depth[0], self.depth[1] + 1))), *layers, *network)

    @cached_property
    def slots(self) -> tuple[slice, ...]:
        """Where each convolution's genes stand in a genome."""
        width = len(self._layer_genes)
        return tuple(slice(1 + width * n, 1 + width * (n + 1)) for n in range(self.depth[1]))

    @cached_property
    def parts(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Genes that belong together, by kind: positions in the genome."""
        layers = tuple(tuple(range(slot.start, slot.stop)) for slot in self.slots)
        at = {gene.name: position for position, gene in enumerate(self.genes)}
        wiring = tuple(at[n] for n in ("batch_norm", "pool", "activation") if n in at)
        fc = tuple((p,) for n, p in at.items() if n.startswith(("units", "fc_layers")))
        parts = {
            "layers": layers,
            "depth": ((0,),),
            "wiring": (wiring,) if wiring else (),
            "fc": fc,
        }
        return {kind: members for kind, members in parts.items() if members}

    def _read(self, genome: list[int]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The genes of the convolutions that are there, and those of the network, by name."""
        values = [gene.choices[index] for gene, index in zip(self.genes, genome, strict=True)]
        layers = [
            dict(zip(self._layer_genes, values[slot], strict=True))
            for slot in self.slots[: values[0]]
        ]
        return layers, self._network(genome)

    def _network(self, genome: list[int]) -> dict[str, Any]:
        """The genes of the network, by name."""
        genes = self._network_genes.items()
        last = genome[len(genome) - len(genes) :]
        return {name: choices[index] for (name, choices), index in zip(genes, last, strict=True)}

    @cached_property
    def _words(self) -> dict[tuple[int, ...], str]:
        return {}

    def _word(self, *genes: int) -> str:
        """A convolution in this space's notation, by whether a pool follows it and its genes."""
        if genes not in self._words:
            pooled, *layer = genes
            pairs = zip(self._layer_genes.items(), layer, strict=True)
            values = {name: choices[index] for (name, choices), index in pairs}
            pool = values.get("pool", "") if pooled else ""
            self._words[genes] = f"{values['filters']}k{values['kernel']}{pool}"
        return self._words[genes]

    def _pooled(self, depth: int) -> set[int]:
        """The numbers, from 1, of the convolutions that a pool follows."""
        match self.pool_after:
            case "every":
                return set(range(1, depth + 1))
            case "second_and_last":
                return {*range(2, depth + 1, 2), depth}
            case "none":
                return set()
            case numbers:
                return {int(number) for number in numbers if int(number) <= depth}

    def _units(self, network: dict[str, Any]) -> list[int]:
        hidden = network.get("fc_layers", self.fc_layers[1])
        return [network[f"units{number}"] for number in range(1, hidden + 1)]

    def canonical(self, genome: list[int]) -> list[int]:
        """The same network's one genome: inert genes are 0."""
        canonical = list(genome)
        for position in self._inert(genome[0], genome[-self.fc_layers[1] - 1]):
            canonical[position] = 0
        return canonical

    @cached_property
    def _inert_of(self) -> dict[tuple[int, int], list[int]]:
        return {}

    def _inert(self, depth: int, before_units: int) -> list[int]:
        """The positions that are inert, by the first gene and the one before the units, which says
        how many of these there are, if that is a gene.
        """
        key = (depth, before_units)
        if key not in self._inert_of:
            self._inert_of[key] = self._found_inert(*key)
        return self._inert_of[key]

    def _found_inert(self, depth: int, before_units: int) -> list[int]:
        layers = self.genes[0].choices[depth]
        pooled = self._pooled(layers)
        inert: list[int] = []
        for number, slot in enumerate(self.slots, start=1):
            if number > layers:
                inert += range(slot.start, slot.stop)
            elif "pool" in self._layer_genes and number not in pooled:
                inert.append(slot.stop - 1)
        first = len(self.genes) - len(self._network_genes)
        if "pool" in self._network_genes and not pooled:
            inert.append(first + list(self._network_genes).index("pool"))
        if "fc_layers" in self._network_genes:
            hidden = self._network_genes["fc_layers"][before_units]
            inert += range(len(self.genes) - self.fc_layers[1] + hidden, len(self.genes))
        return inert

    def decode(self, genome: list[int]) -> str:
        """The architecture in this space's notation; inert genes leave no trace in it."""
        genome = self.canonical(genome)
        network = self._network(genome)
        depth = self.genes[0].choices[genome[0]]
        pooled = self._pooled(depth)
        convolutions = [
            self._word(number in pooled, *genome[slot])
            for number, slot in enumerate(self.slots[:depth], start=1)
        ]
        sections = [f"conv {' '.join(convolutions)}"]
        for name in ("batch_norm", "pool", "activation"):
            if name in network:
                sections.append(f"{name} {network[name]}")
        if units := self._units(network):
            sections.append(f"fc {' '.join(map(str, units))}")
        return " | ".join(sections)

    def encode(self, architecture: str) -> list[int]:
        """The canonical genome of an architecture.

        Raises ValueError that names the offending part.
        """
        sections = self._sections(architecture)
        values: dict[str, Any] = {}
        layers = sections.pop("conv")
        values["depth"] = len(layers)
        pooled = self._pooled(len(layers))
        for number, text in enumerate(layers, start=1):
            values |= self._parse_layer(text, number, number in pooled, architecture)
        units = sections.pop("fc", [])
        fewest, most = self.fc_layers
        if not fewest <= len(units) <= most:
            raise ValueError(
                f"{architecture!r}: fc {' '.join(units)}: {len(units)} hidden layers; this space "
                f"has {fewest} to {most}"
            )
        values |= {"fc_layers": len(units)}
        values |= {f"units{n}": _number(text, architecture) for n, text in enumerate(units, 1)}
        values |= {name: word for name, (word,) in sections.items()}
        genome = [
            choice_of(gene, values[gene.name], architecture) if gene.name in values else 0
            for gene in self.genes
        ]
        if reason := self.violation(genome):
            raise ValueError(f"{architecture!r}: {reason}")
        return genome

    def _sections(self, architecture: str) -> dict[str, list[str]]:
        """The words of each section, by its name."""
        single = [
            name for name in ("batch_norm", "pool", "activation") if name in self._network_genes
        ]
        expected = ["conv", *single, *(["fc"] if self.fc_layers[1] else [])]
        found = {}
        for section in architecture.split("|"):
            name, *words = section.split() or [""]
            if name not in expected or name in found or not words:
                raise ValueError(
                    f"{section.strip()!r} in {architecture!r}: the sections of this space are "
                    f"{' | '.join(expected)}, each once"
                )
            if name in single and len(words) > 1:
                raise ValueError(f"{section.strip()!r} in {architecture!r}: one word is needed")
            found[name] = words
        for name in expected:
            if name not in found:
                raise ValueError(f"{architecture!r} has no section {name!r}")
        return found

    def _parse_layer(
        self, text: str, number: int, pooled: bool, architecture: str
    ) -> dict[str, Any]:
        filters, _, rest = text.partition("k")
        kernel = rest.rstrip("abcdefghijklmnopqrstuvwxyz")
        pool = rest[len(kernel) :]
        wanted = pooled and "pool" in self._layer_genes
        if not filters.isdecimal() or not kernel.isdecimal() or bool(pool) != wanted:
            example = f"{self.filters[0]}k{self.kernels[0]}{self.pools[0] if wanted else ''}"
            raise ValueError(
                f"{text!r} in {architecture!r}: convolution {number} reads like {example}"
            )
        values: dict[str, Any] = {"filters": int(filters), "kernel": int(kernel)}
        if wanted:
            values["pool"] = pool
        return {f"layer{number}.{name}": value for name, value in values.items()}

    def violation(self, genome: list[int]) -> str:
        """Why a genome is not a network of this space; empty if it is one."""
        return self._misfits[genome[0]]

    @cached_property
    def _misfits(self) -> list[str]:
        """The same by depth, as pools alone make planes smaller."""
        rest = [0] * (len(self.genes) - 1)
        return [
            misfit(self.chain([depth, *rest]), self.image_shape)
            for depth in range(len(self.genes[0].choices))
        ]

    def chain(self, genome: list[int]) -> Chain:
        """The layers of the network, head included."""
        layers, network = self._read(genome)
        pooled = self._pooled(len(layers))
        activation = network.get("activation", self.activations[0])
        batch_norm = network.get("batch_norm", "on" if self.batch_norm == "always" else "off")
        chain: list[Layer] = []
        for number, layer in enumerate(layers, start=1):
            chain.append(
                Conv(layer["filters"], layer["kernel"], activation, batch_norm=batch_norm == "on")
            )
            if number in pooled:
                chain.append(Pool(layer.get("pool", network.get("pool", self.pools[0]))))
        units = self._units(network)
        chain.append(Flatten() if units else GlobalAveragePool())
        chain += [Linear(width, "relu", self.dropout) for width in units]
        return (*chain, Linear(self.classes))


def _number(text: str, architecture: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} in {architecture!r}: a number of units is needed")
    return int(text)


@dataclass(frozen=True)
class ConvPoolFc(ConvChain):
    """1-4 convolutions with batch norm, one pool kind and activation, one hidden layer.

    The space of reference A (nas-ga-basic): a pool after every second convolution and the last.

    >>> space = ConvPoolFc()
    >>> space.decode(space.encode("conv 16k3 16k3 | pool max | activation leaky_relu | fc 256"))
    'conv 16k3 16k3 | pool max | activation leaky_relu | fc 256'
    """

    activations: Annotated[tuple[Activation, ...], MinLen(1)] = ("relu", "leaky_relu")
    pool_after: PoolAfter = "second_and_last"
    units: Annotated[tuple[Positive, ...], MinLen(1)] = (64, 128, 256, 512)


@dataclass(frozen=True)
class PlainCnn(ConvChain):
    """1-5 convolutions, batch norm for the network or not, pools where declared, pooled head.

    The space of reference C (resource-constrained search).

    >>> space = PlainCnn()
    >>> space.decode(space.encode("conv 64k3 128k5 | batch_norm on"))
    'conv 64k3 128k5 | batch_norm on'
    """

    depth: tuple[SomeLayers, SomeLayers] = (1, 5)
    filters: Annotated[tuple[Positive, ...], MinLen(1)] = (16, 32, 48, 64, 80, 96, 112, 128)
    batch_norm: Literal["always", "never", "gene"] = "gene"
    pools: Annotated[tuple[PoolKind, ...], MinLen(1)] = ("max",)
    pool_after: PoolAfter = "first_three"
    fc_layers: tuple[Layers, Layers] = (0, 0)


@dataclass(frozen=True)
class PooledCnn(ConvChain):
    """2-4 convolutions, each with a pool of its own kind, and one or two hidden layers.

    The space of reference D (lightweight search).

    >>> space = PooledCnn()
    >>> space.decode(space.encode("conv 32k3max 64k5average | fc 256 128"))
    'conv 32k3max 64k5average | fc 256 128'
    """

    depth: tuple[SomeLayers, SomeLayers] = (2, 4)
    filters: Annotated[tuple[Positive, ...], MinLen(1)] = (16, 32, 64)
    kernels: Annotated[tuple[Positive, ...], MinLen(1)] = (3, 5)
    batch_norm: Literal["always", "never", "gene"] = "never"
    pool_gene: Literal["network", "layer"] = "layer"
    fc_layers: tuple[Layers, Layers] = (1, 2)
