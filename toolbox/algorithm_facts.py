"""What an algorithm tells of itself beside its signature; a user's own function may tell the same.

@algorithm(one_objective=True)
def hill_climbing(population, toolbox): ...
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Evolve = TypeVar("Evolve", bound=Callable[..., Any])


def _as_many_as_the_population(population: int, options: Mapping[str, Any]) -> int:
    return population


def offspring_or_population(population: int, options: Mapping[str, Any]) -> int:
    """`children` of an algorithm with the option `offspring`, by default the population's size."""
    return options["offspring"] or population


@dataclass(frozen=True)
class Facts:
    """What a declaration knows of an algorithm; what is not told has these defaults.

    select: what `toolbox.select` is unless it is declared, in an algorithm in which it decides who
    survives.  parents: the same, with one objective, in one in which it draws the parents.
    one_objective: several are refused.
    children: how many networks a generation evaluates at most, of the population's size and the
    algorithm's options.
    """

    select: str | None = None
    parents: str | None = None
    one_objective: bool = False
    children: Callable[[int, Mapping[str, Any]], int] = _as_many_as_the_population


def algorithm(**facts: Any) -> Callable[[Evolve], Evolve]:
    """A decorator that leaves an algorithm as it is and notes these `Facts` of it."""
    noted = Facts(**facts)

    def note(evolve: Evolve) -> Evolve:
        vars(evolve)["facts"] = noted
        return evolve

    return note


def facts_of(evolve: Callable[..., Any]) -> Facts:
    """The facts that an algorithm was given, or the defaults."""
    facts = getattr(evolve, "facts", None)
    return facts if isinstance(facts, Facts) else Facts()
