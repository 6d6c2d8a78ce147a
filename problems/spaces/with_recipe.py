"""A space whose genomes tell how their network is trained too: genes of a recipe behind its own.

An architecture reads `conv 16k3 | fc 64 @ learning_rate=0.01 schedule=cosine`: the network as the
space writes it, and the searched part of its recipe.  A key that means nothing beside the others,
as a momentum of adam, is inert and leaves no trace in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from problems.imported import did_you_mean
from problems.spaces.gene import Gene
from problems.spaces.ranges import SearchedKey

BETWEEN = " @ "  # the network and its recipe


@dataclass(frozen=True)
class WithRecipe:
    """The networks of `space`, each with a value of each of `keys`.

    The space may be somebody's own, which lacks what has a default in toolbox/space.py.
    """

    space: Any
    keys: tuple[SearchedKey, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        shape: tuple[int, int, int] = self.space.image_shape
        return shape

    @property
    def classes(self) -> int:
        return int(self.space.classes)

    @cached_property
    def genes(self) -> tuple[Any, ...]:
        own = (
            Gene(f"training.{key.name}", key.values if key.is_number else key.texts)
            for key in self.keys
        )
        return (*self.space.genes, *own)

    @cached_property
    def _begin(self) -> int:
        """Where the genes of the recipe begin."""
        return len(self.space.genes)

    @property
    def slots(self) -> tuple[slice, ...]:
        """Those of the space: the recipe belongs to no layer."""
        default = tuple(slice(place, place + 1) for place in range(self._begin))
        return tuple(getattr(self.space, "slots", default))

    @cached_property
    def parts(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Those of the space, and each key of the recipe by itself."""
        default = {"genes": tuple((place,) for place in range(self._begin))}
        parts = dict(getattr(self.space, "parts", default))
        own = tuple((self._begin + place,) for place in range(len(self.keys)))
        return parts | {"recipe": (*parts.get("recipe", ()), *own)}

    def parted(self, genome: Sequence[int]) -> tuple[list[int], dict[str, Any]]:
        """The genome of the network alone, and the values of its recipe, by their dotted keys.

        A key that means nothing beside the others has no value.
        """
        found = self._found(genome)
        return list(genome[: self._begin]), {key.name: key.values[at] for key, at in found}

    def _found(self, genome: Sequence[int]) -> list[tuple[SearchedKey, int]]:
        """The keys that mean something, and the index of the value of each."""
        pairs = list(zip(self.keys, genome[self._begin :], strict=True))
        values = {key.name: key.values[index] for key, index in pairs}
        return [(key, index) for key, index in pairs if _counts(key, values)]

    def canonical(self, genome: list[int]) -> list[int]:
        """The one genome of the same network with the same recipe: inert genes are 0."""
        own = list(genome[: self._begin])
        canonical = getattr(self.space, "canonical", list)
        found = {key.name: index for key, index in self._found(genome)}
        return [*canonical(own), *(found.get(key.name, 0) for key in self.keys)]

    def violation(self, genome: list[int]) -> str:
        """Why a genome is no network of the space; each recipe fits each network."""
        violation = getattr(self.space, "violation", None)
        return str(violation(list(genome[: self._begin]))) if violation else ""

    def features(self, genome: list[int]) -> tuple[float, ...]:
        """What the space tells of the network, and how far each number is up in its range."""
        offered = getattr(self.space, "features", None)
        numbers = [
            index / (len(key.values) - 1)
            for key, index in zip(self.keys, genome[self._begin :], strict=True)
            if key.is_number
        ]
        return (*(offered(list(genome[: self._begin])) if offered else ()), *numbers)

    def decode(self, genome: list[int]) -> str:
        """The network and its recipe in words."""
        words = [f"{key.name}={key.texts[index]}" for key, index in self._found(genome)]
        return f"{self.space.decode(list(genome[: self._begin]))}{BETWEEN}{' '.join(words)}"

    def encode(self, architecture: str) -> list[int]:
        """The canonical genome of what `decode` gave.

        Raises ValueError that names the offending part.
        """
        network, between, recipe = architecture.rpartition(BETWEEN)
        if not between:
            example = " ".join(f"{key.name}={key.texts[0]}" for key in self.keys)
            raise ValueError(
                f"{architecture!r}: it tells no recipe, and this search has one for each network; "
                f"it ends like '{BETWEEN}{example}'"
            )
        if not hasattr(self.space, "encode"):
            raise ValueError(
                f"{architecture!r}: this space cannot read architectures; it has no method 'encode'"
            )
        words = self._words(recipe, architecture)
        genome = list(self.space.encode(network))
        values = {}
        for key in self.keys:
            text = words.get(key.name, key.texts[0])
            if text not in key.texts:
                raise ValueError(
                    f"{key.name}={text} in {architecture!r} is not in this space; legal: "
                    f"{', '.join(key.texts)}{did_you_mean(text, key.texts)}"
                )
            genome.append(key.texts.index(text))
            values[key.name] = key.values[genome[-1]]
        for key in self.keys:
            if _counts(key, values) and key.name not in words:
                raise ValueError(f"{architecture!r} has no {key.name}=...")
        return self.canonical(genome)

    def _words(self, recipe: str, architecture: str) -> dict[str, str]:
        """The text of each key in the recipe of an architecture."""
        legal = [key.name for key in self.keys]
        words: dict[str, str] = {}
        for word in recipe.split():
            name, _, text = word.partition("=")
            if name not in legal or name in words:
                raise ValueError(
                    f"{word!r} in {architecture!r}: legal are, each once, {', '.join(legal)}"
                    f"{did_you_mean(name, legal)}"
                )
            words[name] = text
        return words


def _counts(key: SearchedKey, values: dict[str, Any]) -> bool:
    """Whether a key means something beside the values of the others."""
    if key.only_with is None:
        return True
    other, legal = key.only_with
    return other not in values or values[other] in legal


def architectures_of(space: Any) -> Any:
    """The space of the networks alone, without recipes."""
    return space.space if isinstance(space, WithRecipe) else space


def parted(space: Any, genome: Sequence[int]) -> tuple[list[int], dict[str, Any]]:
    """The genome of the network alone, and the values of its recipe that are searched, if any."""
    return space.parted(genome) if isinstance(space, WithRecipe) else (list(genome), {})
