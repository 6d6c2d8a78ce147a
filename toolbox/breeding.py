"""From parents to the children that are worth training."""

from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Ge, Le
from deap import algorithms

from toolbox.individual import Individual

Parents = Callable[[int], list[Any]]  # returns the number of parents that it is asked for
Remutations = Annotated[int, Ge(0)]
Offspring = Annotated[int, Ge(1), Le(1_000_000)] | None  # by itself the population's size


def offspring(
    toolbox: Any,
    parents: Parents,
    count: int,
    crossover_probability: float,
    mutation_probability: float,
    remutations: int,
) -> list[Individual]:
    """`count` children of what `parents(n)` selects, varied as by `deap.algorithms.varAnd`.

    A child that is a network which this search knows already, or the same as an earlier one of
    these children, is mutated again, up to `remutations` times; what is a duplicate then is left
    to the archive.  `toolbox.screen` decides how many are bred and which of them are trained.
    """
    seen: set[str] = set()

    def breed(number: int) -> list[Individual]:
        children: list[Individual] = algorithms.varAnd(
            parents(number), toolbox, crossover_probability, mutation_probability
        )
        for child in children:
            _renew(child, toolbox, remutations, seen)
        return children

    screened: list[Individual] = toolbox.screen(breed, count)
    return screened


def _renew(
    child: Individual,
    toolbox: Any,
    remutations: int,
    seen: set[str],
) -> None:
    """Mutate a child again while its network is known."""
    networks = toolbox.evaluator.networks
    key, _ = networks.identify(child)
    for _ in range(remutations):
        if not (key in networks.records or key in networks.awaited or key in seen):
            break
        toolbox.mutate(child)
        del child.fitness.values
        key, _ = networks.identify(child)
    seen.add(key)
