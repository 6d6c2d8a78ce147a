"""What each entry of the toolbox must return, whoever wrote it: the one line if it does not."""

import functools
import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from toolbox.genes import are_choices, gene_sizes
from toolbox.individual import Individual
from toolbox.networks import BudgetSpent
from toolbox.objectives.objective import Objective
from toolbox.operator_error import OperatorError, failed
from toolbox.stopped import SearchStopped

# What ends a search from outside, and is no fault of an operator.
AROUND_THE_SEARCH = (SearchStopped, BudgetSpent, OSError)


@contextmanager
def blaming(what: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Whatever is raised within is the fault of an operator, and one line.

    what: the operator, as `failed` takes it.  but: what is raised as it is.
    """
    try:
        yield
    except but:
        raise
    except Exception as error:
        raise failed(what, error) from error


def belongs(genome: Any, space: Any, alias: str) -> bool:
    """Whether a genome is a network of the space; its genes are plain integers then.

    Raises OperatorError that names the operator if it is no genome at all.
    """
    if not isinstance(genome, list):
        raise OperatorError(f"toolbox.{alias}: it returned {genome!r}; a list of genes is needed")
    sizes = gene_sizes(space)
    if len(genome) != len(sizes):
        raise OperatorError(
            f"toolbox.{alias}: it returned {len(genome)} genes; this space has {len(sizes)}"
        )
    if set(map(type, genome)) != {int}:  # an abstract class is slow to ask
        for gene, index in zip(space.genes, genome, strict=True):
            if not isinstance(index, numbers.Integral):
                raise OperatorError(
                    f"toolbox.{alias}: it returned {gene.name} = {index!r}; genes are integers"
                )
        genome[:] = map(int, genome)  # numpy's cannot be written as JSON
    return are_choices(genome, sizes) and not space.violation(list(genome))


def check_individuals(found: Any, alias: str) -> None:
    for one in found:
        if not hasattr(one, "fitness"):
            raise OperatorError(
                f"toolbox.{alias}: it returned {one!r}, which is no individual; change and return "
                "those that it is given"
            )


def checked_choice(alias: str, choose: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(choose)
    def checked(source: Any, k: int, *args: Any, **kwargs: Any) -> Any:
        with blaming(f"toolbox.{alias}"):
            chosen = choose(source, k, *args, **kwargs)
        if not isinstance(chosen, list) or len(chosen) != k:
            found = len(chosen) if isinstance(chosen, list) else repr(chosen)
            raise OperatorError(f"toolbox.{alias}: it returned {found}; a list of {k} is needed")
        check_individuals(chosen, alias)
        return chosen

    return checked


def _is_ours(function: Callable[..., Any]) -> bool:
    """Whether a function is the toolbox's own, whose errors are for whoever mends the toolbox."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(function.__module__).partition(".")[0] == __name__.partition(".")[0]


def checked_evolution(evolve: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(evolve)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            population = evolve(*args, **kwargs)
        except AROUND_THE_SEARCH:
            raise
        except Exception as error:
            if _is_ours(evolve):
                raise
            raise failed("algorithm", error) from error
        if not isinstance(population, list) or not population:
            raise OperatorError(
                f"algorithm: it returned {population!r}; the next population is needed, a list"
            )
        check_individuals(population, "evolve")
        if not all(individual.fitness.valid for individual in population):
            raise OperatorError(
                "algorithm: it returned individuals without a fitness; "
                "toolbox.evaluation.evaluate_invalid gives them one"
            )
        return population

    return checked


def checked_values(
    evaluate: Callable[..., Any], objectives: Sequence[Objective]
) -> Callable[..., Any]:
    """An `evaluate` that is not the search's own, or a decorated one: NaN never reaches DEAP."""
    names = ", ".join(objective.name for objective in objectives)

    @functools.wraps(evaluate)
    def checked(individual: Any) -> tuple[float, ...]:
        with blaming("toolbox.evaluate", but=AROUND_THE_SEARCH):
            values = evaluate(individual)
        if not (
            isinstance(values, Sequence)
            and len(values) == len(objectives)
            and all(isinstance(one, numbers.Real) and math.isfinite(one) for one in values)
        ):
            raise OperatorError(
                f"toolbox.evaluate: it returned {values!r}; a tuple of {len(objectives)}, of a "
                f"finite number for each of {names}, is needed"
            )
        return tuple(map(float, values))

    return checked


def checked_drawing(
    draw: Callable[..., Any], space: Any, objectives: Sequence[Objective]
) -> Callable[..., Any]:
    """An `individual`, which may return the genes alone."""

    @functools.wraps(draw)
    def checked(*args: Any, **kwargs: Any) -> Any:
        with blaming("toolbox.individual"):
            drawn = draw(*args, **kwargs)
        return _as_individual(drawn, "individual", space, objectives)

    return checked


def checked_population(
    draw: Callable[..., Any], space: Any, objectives: Sequence[Objective]
) -> Callable[..., Any]:
    """A `population`, whose members may be the genes alone."""

    @functools.wraps(draw)
    def checked(*args: Any, **kwargs: Any) -> list[Any]:
        with blaming("toolbox.population"):
            drawn = draw(*args, **kwargs)
        wanted = kwargs.get("n", "individuals")
        if not isinstance(drawn, list) or (len(drawn) != wanted if "n" in kwargs else not drawn):
            found = len(drawn) if isinstance(drawn, list) else repr(drawn)
            raise OperatorError(
                f"toolbox.population: it returned {found}; a list of {wanted} is needed"
            )
        return [_as_individual(one, "population", space, objectives) for one in drawn]

    return checked


def _as_individual(drawn: Any, alias: str, space: Any, objectives: Sequence[Objective]) -> Any:
    weights = tuple(objective.weight for objective in objectives)
    if not hasattr(drawn, "fitness"):
        if not belongs(drawn, space, alias):
            raise OperatorError(f"toolbox.{alias}: {drawn!r} is no network of this space")
        return Individual(drawn, weights)
    if tuple(drawn.fitness.weights) != weights:
        raise OperatorError(
            f"toolbox.{alias}: the fitness of what it returned has the weights "
            f"{tuple(drawn.fitness.weights)}; those of the objectives are {weights}; a list of "
            "genes without a fitness gets the right one"
        )
    return drawn


def checked_clone(clone: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A `clone`: an operator that changes one and the same object would change parents too."""

    @functools.wraps(clone)
    def checked(individual: Any) -> Any:
        with blaming("toolbox.clone"):
            copy = clone(individual)
        if copy is individual:
            raise OperatorError("toolbox.clone: it returned what it was given; a copy is needed")
        check_individuals([copy], "clone")
        return copy

    return checked
