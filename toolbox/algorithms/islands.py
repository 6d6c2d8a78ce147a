"""Islands: populations that evolve apart and exchange their best now and then (Tanese, 1989)."""

from functools import partial
from typing import Annotated

from annotated_types import Ge
from deap import base

from toolbox.breeding import Remutations, offspring
from toolbox.evaluation import evaluate_invalid
from toolbox.individual import Individual
from toolbox.operator_error import OperatorError
from toolbox.probability import Probability
from toolbox.selection.nsga2 import crowded_tournament, nsga2
from toolbox.survival import survivors


def islands(
    population: list[Individual],
    toolbox: base.Toolbox,
    islands: Annotated[int, Ge(2)] = 4,
    migrate_every: Annotated[int, Ge(1)] = 5,
    migrants: Annotated[int, Ge(1)] = 1,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
) -> list[Individual]:
    """The next population, one island after the other; each evolves by itself as in `nsga2`.

    Every `migrate_every` generations the best `migrants` of each island, by front and crowding
    distance, take the place of the worst ones of the next, in a ring.  The children of all islands
    are evaluated together.  remutations: see `toolbox.breeding.offspring`.
    """
    size = len(population)
    if size < islands * (migrants + 1):
        raise OperatorError(
            f"algorithm.islands = {islands}: a population of {size} is too small; at least "
            f"{islands * (migrants + 1)} are needed, more than migrants = {migrants} on each island"
        )
    borders = [size * island // islands for island in range(islands + 1)]
    parts = [population[borders[i] : borders[i + 1]] for i in range(islands)]
    broods = [
        offspring(
            toolbox,
            partial(crowded_tournament, part),
            len(part),
            crossover_probability,
            mutation_probability,
            remutations,
        )
        for part in parts
    ]
    evaluate_invalid([child for brood in broods for child in brood], toolbox)
    parts = [
        survivors(part + brood, len(part), toolbox)
        for part, brood in zip(parts, broods, strict=True)
    ]
    if toolbox.generation % migrate_every == 0:
        best = [nsga2(part, migrants) for part in parts]
        parts = [
            nsga2(part, len(part) - migrants) + [toolbox.clone(one) for one in best[number - 1]]
            for number, part in enumerate(parts)
        ]
    return [individual for part in parts for individual in part]
