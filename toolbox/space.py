"""What a search space is: each hook, with its default and errors.

A space says what a genome is.  Any object with `genes` and `decode` is one.  `adapted_space` is the
only reader of its hooks, so that every operator works in every space.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from toolbox.hooks import Hooks, check_required, point_out_near_misses


class Gene(Protocol):
    """A position of a genome, which holds an index into `choices`.

    It may also say by `ordered`, a bool, whether neighbouring choices resemble each other, as
    numbers do; without it those of numbers alone do (`toolbox.genes.is_ordered`).
    """

    @property
    def name(self) -> str:
        """What it is called in messages and reports."""

    @property
    def choices(self) -> Sequence[Any]:
        """The values that it can take; two at least to be worth a gene."""


class Space:
    """The space of a search.  `genes` and `decode` are required, the rest has defaults."""

    genes: Sequence[Gene]
    """The positions of a genome, in order."""

    def decode(self, genome: list[int]) -> str:
        """The network of a genome as text: its identity, so equal networks have equal texts."""
        raise NotImplementedError

    def encode(self, architecture: str) -> list[int]:
        """The genome of a text of `decode`.

        Raises ValueError, one line, for any other text.  Only a search that begins with given
        architectures asks for it.
        """
        raise ValueError(
            f"{architecture!r}: this space cannot read architectures; it has no method 'encode'"
        )

    def canonical(self, genome: list[int]) -> list[int]:
        """The one genome that stands for all those of the same network: inert genes are 0.

        By default each genome stands for itself.
        """
        return list(genome)

    def violation(self, genome: list[int]) -> str:
        """Why a genome is no network of the space, one line; empty (the default) if it is one."""
        return ""

    @property
    def slots(self) -> Sequence[slice]:
        """Genes that stand together, one slice a layer; by default each gene by itself."""
        return tuple(slice(gene, gene + 1) for gene in range(len(self.genes)))

    @property
    def parts(self) -> Mapping[str, Sequence[Sequence[int]]]:
        """Positions of genes that belong together, by kind; by default one kind, "genes", with each
        gene by itself."""
        return {"genes": tuple((gene,) for gene in range(len(self.genes)))}

    def features(self, genome: list[int]) -> Sequence[float]:
        """What a canonical genome's network is like, beside its genes: finite numbers, always as
        many and in the same order.

        A learned guide ranks networks by them: what the genes together make and none of them tells
        by itself, as the length of a graph's shortest path.  By default there are none.
        """
        return ()


HOOKS = frozenset(name for name in vars(Space) if not name.startswith("_")) | {"genes"}


class _Adapted(Hooks):
    """A user's object with the defaults of `Space` for the hooks that it does not have."""

    _contract, _hooks, _key = Space, HOOKS, "problem.space"
    _arithmetic = frozenset({"decode", "canonical", "violation", "features"})


def adapted_space(space: Any) -> Space:
    """A space with every hook: the object's own where it has one, the default otherwise.

    Raises ValueError if `genes` or `decode` is missing; warns of a name that is nearly a hook's.
    """
    if isinstance(space, Space | _Adapted):
        return cast(Space, space)
    check_required(space, ("genes", "decode"), "problem.space")
    point_out_near_misses(space, HOOKS, "problem.space")
    return cast(Space, _Adapted(space))
