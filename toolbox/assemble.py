"""Every `toolbox.register` of a search, on one screen."""

import inspect
import itertools
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import MappingProxyType
from typing import Any

from deap import tools

from toolbox.archive import Archive, Record
from toolbox.backends import SENDING
from toolbox.backends.children import pickled
from toolbox.bounds import closest
from toolbox.declaration import Declaration
from toolbox.evaluation import Evaluator, evaluate_invalid
from toolbox.guarded_toolbox import MOST_CHILDREN_DRAWN, GuardedToolbox
from toolbox.hook_answers import check_answers, check_genes
from toolbox.individual import Individual
from toolbox.judge import Judge
from toolbox.networks import Networks
from toolbox.objectives.objective import Objective
from toolbox.operator_contracts import belongs
from toolbox.operator_error import OperatorError
from toolbox.problem import Problem, adapted
from toolbox.quantities import quantities_with
from toolbox.screening.foretelling import Beginning, Foretelling
from toolbox.shelf import did_you_mean
from toolbox.signature import Chosen, prefixed

log = logging.getLogger(__name__)


def assemble(
    declaration: Declaration,
    problem: Any,
    archive: Archive,
    *,
    retry_failed: bool = False,
    on_record: Callable[[Record], None] | None = None,
) -> GuardedToolbox:
    """The DEAP toolbox of a declaration: register another operator under an alias to swap it.

    problem: any object that toolbox/problem.py describes.  retry_failed, on_record: as for
    `Networks`.  Raises ValueError for objectives that the problem does not measure, and for a
    halving or finals that it cannot have.
    """
    problem = adapted(problem)
    quantities_with(problem.quantities)  # what is wrong with them is said before the search
    _check_measured(declaration, problem)
    if declaration.halving:
        with prefixed("halving"):
            declaration.halving.check(problem, declaration.objectives)
    if declaration.finals:
        with prefixed("finals"):
            declaration.finals.check(problem)
    judge = Judge(declaration.objectives, declaration.bounds)
    networks = Networks(problem, judge, archive, declaration.most_networks, retry_failed, on_record)
    evaluator = Evaluator(networks, declaration.halving)
    backend = declaration.toolbox["map"].operator(
        {"threads": problem.threads, "gpus": problem.gpus}
    )
    try:
        inspect.signature(backend).bind(evaluator.measure, [])
    except TypeError as error:
        raise ValueError(
            f"toolbox.map = {declaration.toolbox['map'].use!r}: a map is called with (function, "
            f"jobs): {error}"
        ) from error
    toolbox = GuardedToolbox(evaluator, backend)
    foretellings: list[Foretelling] = []
    if declaration.sources:
        identity = declaration.identity(declaration.problem.build())
        foretellings = [
            Foretelling(f"learn_from[{number}]", source, identity, networks)
            for number, source in enumerate(declaration.sources)
        ]
    given = {
        "space": problem.space,
        "population": toolbox.population_now,
        "objectives": declaration.objectives,
        "evaluator": evaluator,
        "sources": foretellings,
    }
    chosen = declaration.toolbox

    declared = len(chosen["individual"].options.get("genomes", ()))
    beginning = Beginning(foretellings, declaration.population, declared)
    draw = partial(_draw, chosen["individual"], given, itertools.count(), networks, beginning)
    toolbox.register("individual", draw)
    # Looked up when it is called, so that another "individual" is used once it is registered.
    toolbox.register("population", tools.initRepeat, list, lambda: toolbox.individual())
    for alias in ("mate", "mutate", "select", "screen"):
        toolbox.register(alias, chosen[alias].operator(given))
    toolbox.sources = foretellings
    toolbox.register("canonical", problem.space.canonical)
    algorithm = declaration.algorithm
    toolbox.register("evolve", algorithm.operator(given))
    return toolbox


def _draw(
    initialize: Chosen,
    given: dict[str, Any],
    drawn: Iterator[int],
    networks: Networks,
    beginning: Beginning,
) -> Individual:
    """A new individual: of a source where the beginning says so, or else drawn, and drawn again
    while it is known to be beyond the bounds."""
    index = next(drawn)
    if index in beginning.genomes:
        return Individual(beginning.genomes[index], weights=networks.judge.weights)
    for _ in range(networks.judge.bounds.redraws + 1):
        genome = initialize.build(**given, index=index)
        if not belongs(genome, networks.space, "individual"):
            raise OperatorError(
                f"toolbox.individual: {initialize.use!r} returned {genome}, which is no network of "
                "this space"
            )
        if not networks.known_violation(genome):
            break
    return Individual(genome, weights=networks.judge.weights)


def rehearse(declaration: Declaration, problem: Any) -> None:
    """Draw a first population and evolve it once, with every evaluation left out.

    What is wrong with an operator shows here, before the first network trains and before anything
    is written.
    """
    check_genes(adapted(problem).space)
    toolbox = assemble(declaration, problem, Archive({}))
    state = random.getstate()
    worst = tuple(objective.worst for objective in declaration.objectives)
    toolbox.register("evaluate", lambda individual: worst)
    try:
        population = toolbox.population(n=declaration.population)
        evaluate_invalid(population, toolbox)
        toolbox.end(population)
        check_answers(toolbox.evaluator.networks, population)
        _check_feasible(toolbox, population)
        # Once outside the algorithm too, whose probabilities may pass an operator by.
        with prefixed("toolbox.mate"):
            toolbox.mate(*(toolbox.clone(random.choice(population)) for _ in range(2)))
        with prefixed("toolbox.mutate"):
            toolbox.mutate(toolbox.clone(population[0]))
        for alias, drawn in toolbox.redrawn.items():
            if drawn >= MOST_CHILDREN_DRAWN:
                log.warning(
                    "toolbox.%s = %r: none of %d children that were tried was a network of the "
                    "space; where it is so, parents go on unchanged",
                    *(alias, declaration.toolbox[alias].use, drawn),
                )
        toolbox.select(population, len(population))
        toolbox.evolve(population, toolbox)
        if declaration.toolbox["screen"].use != "everyone" and not toolbox.has_screened:
            raise OperatorError(
                f"toolbox.screen = {declaration.toolbox['screen'].use!r}: it has nothing to choose "
                f"from, because the algorithm {declaration.algorithm.use!r} breeds by itself or "
                "not at all; leave it out, or choose another algorithm"
            )
        if declaration.toolbox["map"].use in SENDING:
            pickled(problem)
    finally:
        random.setstate(state)
        toolbox.close()


def _check_measured(declaration: Declaration, problem: Problem) -> None:
    measures = problem.measures
    if measures is None:
        return
    for number, objective in enumerate(declaration.objectives):
        for name in (*objective.needs, *_missed(objective, f"objectives[{number}]", measures)):
            if name not in measures:
                raise ValueError(
                    f"objectives[{number}] = {objective.name!r}: it needs {name!r}, which this "
                    f"problem does not measure here; it measures {', '.join(measures)}"
                    f"{did_you_mean(name, measures)}"
                )
    objectives = [objective.name for objective in declaration.objectives]
    for name in declaration.bounds.measured.limits:
        if name not in measures:
            legal = list(dict.fromkeys([*measures, *objectives]))
            raise ValueError(
                f"bounds.{name}: unknown key; legal: redraws, {', '.join(legal)}"
                f"{did_you_mean(name, legal)}"
            )


def _missed(objective: Objective, key: str, measures: Iterable[str]) -> list[str]:
    """The name that an objective of the user's own reads and that is not measured, if there is one.

    It is tried on made-up numbers, so nothing but a missing name, and an answer that is no number,
    is taken for an error.  Raises ValueError for the latter.
    """
    try:
        said: Any = objective.view(MappingProxyType(dict.fromkeys(measures, 0.5)))
    except KeyError as error:
        return [str(error.args[0])] if error.args else []
    except Exception:
        return []
    try:
        float(said)
    except (TypeError, ValueError):
        raise ValueError(
            f"{key} = {objective.name!r}: it returned a {type(said).__name__} of made-up numbers; "
            "a number is needed"
        ) from None
    return []


def _check_feasible(toolbox: GuardedToolbox, population: list[Individual]) -> None:
    """Raise ValueError if no network is within the bounds, as far as it is known untrained."""
    networks, bounds = toolbox.evaluator.networks, toolbox.evaluator.judge.bounds
    start = min(population, key=networks.known_violation)
    if not networks.known_violation(start):
        return
    nearest = closest(list(start), toolbox.space, networks.bounded, bounds)
    if reason := bounds.reason(networks.bounded(nearest)):
        raise ValueError(
            f"bounds: they admit no network of this space; the closest one that was found, "
            f"{toolbox.space.decode(nearest)}, has {reason}"
        )
