"""Where the individuals of a search came from: which operators made each, out of which parents.

It draws nothing and decides nothing, so a search takes the same steps with it, and a search that is
run again tells the same births.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Birth:
    """One individual that was evaluated.

    number: 0, 1, ... in the order of evaluation.  key: the archive's, of its network.  operators:
    those that changed it, in order, like "mate:uniform"; empty for a copy of its parent.  parents:
    the numbers of the births it was made of; empty if it was drawn anew.  survived: it was in
    the population after its generation.
    """

    number: int
    generation: int
    key: str
    operators: tuple[str, ...] = ()
    parents: tuple[int, ...] = ()
    survived: bool = False


class Lineage:
    """The births of one search, generation by generation."""

    def __init__(self) -> None:
        self._keys: list[str] = []  # of every birth, by its number
        self._first: dict[str, int] = {}  # the number of the first birth of each key
        self._new: list[tuple[str, tuple[str, ...], tuple[int, ...]]] = []

    def bear(self, individual: Any, key: str) -> None:
        """Take note of an individual that was evaluated, unless it has been noted before."""
        if not hasattr(individual, "__dict__"):
            return  # a bare list keeps no notes
        number = getattr(individual, "born", None)
        operators, parents = origin(individual)
        if parents and max(parents) >= len(self._keys):
            operators, parents = (), ()  # it was born in another search
        elif number is not None:
            if self._keys[number] == key:
                return
            operators = ()  # changed by no operator of the toolbox
        individual.born, individual.made_by, individual.made_of = len(self._keys), (), ()
        self._first.setdefault(key, len(self._keys))
        self._keys.append(key)
        self._new.append((key, operators, parents))

    def born(self, key: str) -> tuple[int, ...]:
        """The number of a network's first birth, for one that is made of it; () if it has none."""
        return (self._first[key],) if key in self._first else ()

    def since(self, key: str) -> int:
        """How many individuals were born since the first of a network, itself among them; 0 if it
        has none."""
        return len(self._keys) - self._first.get(key, len(self._keys))

    def parents(self, individual: Any) -> list[str]:
        """The keys of the networks that an individual which is not evaluated yet was made of."""
        known = range(len(self._keys))
        return [self._keys[number] for number in origin(individual)[1] if number in known]

    def generation(self, generation: int, population: Iterable[Any]) -> list[Birth]:
        """The births since the last call; those in the population have survived."""
        alive = {getattr(individual, "born", None) for individual in population}
        first = len(self._keys) - len(self._new)
        births = [
            Birth(number, generation, *new, survived=number in alive)
            for number, new in enumerate(self._new, start=first)
        ]
        self._new = []
        return births


Origin = tuple[tuple[str, ...], tuple[int, ...]]  # operators, and the numbers of births


def origin(individual: Any) -> Origin:
    """What an individual was made by and of: of itself alone, once it is evaluated."""
    notes = getattr(individual, "__dict__", {})
    born = notes.get("born")
    return notes.get("made_by", ()), notes.get("made_of", ()) if born is None else (born,)


def note_origin(
    label: str, children: Sequence[Any], before: Sequence[list[int]], origins: Sequence[Origin]
) -> None:
    """Each child knows from now on what it was made by and of.

    label: of the operator that made them.  before, origins: the genome and the origin of each
    parent.  A child that is what its parent was before is a copy of this one parent.
    """
    together = tuple(dict.fromkeys([source for _, sources in origins for source in sources]))
    for child, genome, (operators, sources) in zip(children, before, origins, strict=True):
        if hasattr(child, "__dict__"):
            child.born = None
            if child == genome:
                child.made_by, child.made_of = operators, sources
            else:
                child.made_by, child.made_of = (*operators, label), together


def ancestors(births: Sequence[Birth], number: int) -> list[Birth]:
    """A birth and all that it comes from, the oldest first.

    >>> births = [Birth(0, 0, "a"), Birth(1, 0, "b"), Birth(2, 1, "c", ("mate:uniform",), (0,))]
    >>> [birth.key for birth in ancestors(births, 2)]
    ['a', 'c']
    """
    found: set[int] = set()
    waiting = [number]
    while waiting:
        birth = births[waiting.pop()]
        if birth.number not in found:
            found.add(birth.number)
            waiting += birth.parents
    return [births[one] for one in sorted(found)]
