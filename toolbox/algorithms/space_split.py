"""A recursive split of the space: a search in the parts of it that promise most.

A regression tree (CART: Breiman et al., 1984) on everything evaluated so far splits the space
where the values of one gene separate good from bad networks best, and each part again; a part is
searched the more the better it is, by a genetic algorithm inside it.  As in LaNAS (Wang et al.,
2019), with a fixed share for the better half in the place of its tree search.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy
from annotated_types import Ge, Gt, Le
from deap import base

from toolbox.algorithms.nsga2 import survivors
from toolbox.breeding import Remutations, offspring
from toolbox.evaluation import evaluate_invalid
from toolbox.individual import Individual
from toolbox.probability import Probability
from toolbox.selection.fronts import best_first
from toolbox.selection.nsga2 import crowded_tournament


@dataclass(frozen=True)
class Part:
    """A part of the space: the choices of each gene that belong to it, and its share of the
    children."""

    choices: tuple[frozenset[int], ...]
    share: float = 1.0

    def __contains__(self, genome: Sequence[int]) -> bool:
        return all(gene in legal for gene, legal in zip(genome, self.choices, strict=True))


def space_split(
    population: list,
    toolbox: base.Toolbox,
    space: Any,
    better_share: Annotated[float, Gt(0), Le(1)] = 0.7,
    least: Annotated[int, Ge(1)] = 5,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
) -> list:
    """The next population: children of every part of the space compete with the population, and
    `toolbox.select` decides who survives, as in `nsga2`.

    Of a part's children the better half of it gets `better_share`.  A half has at least `least`
    evaluated networks.  The parents of a part's children are those of the population that lie in
    it, or all where there are fewer than two; a gene of a child that left the part is drawn again.
    remutations: see `toolbox.breeding.offspring`.
    """
    records = sorted(toolbox.evaluator.asked.values(), key=lambda record: record.genome)
    genomes = numpy.array([record.genome for record in records])
    merit = merits(toolbox.evaluator.losses(records))
    whole = Part(tuple(frozenset(range(len(gene.choices))) for gene in space.genes))
    parts = list(split(whole, genomes, merit, better_share, least))
    drawn = random.choices(parts, [part.share for part in parts], k=len(population))
    children = []
    for part in parts:
        inside = [one for one in population if toolbox.canonical(one) in part]
        children += offspring(
            toolbox,
            partial(crowded_tournament, inside if len(inside) > 1 else population),
            drawn.count(part),
            crossover_probability,
            mutation_probability,
            remutations,
            adjust=partial(_bring_back, part=part, space=space),
        )
    evaluate_invalid(children, toolbox)
    return survivors(population + children, len(population), toolbox)


def merits(losses: numpy.ndarray) -> numpy.ndarray:
    """How good each row of losses (networks, objectives) is among them, from 0 to 1 for the best:
    its place by front and crowding distance.

    >>> merits(numpy.array([[3.0], [1.0], [2.0]]))
    array([0. , 1. , 0.5])
    """
    merit = numpy.empty(len(losses))
    merit[best_first(losses)] = numpy.linspace(1, 0, len(losses))
    return merit


def split(
    part: Part, genomes: numpy.ndarray, merit: numpy.ndarray, better_share: float, least: int
) -> list[Part]:
    """The parts that `part` falls into.

    genomes: (networks, genes), those evaluated in it; merit: (networks,).  A choice that was never
    tried belongs to the better half.
    """
    best, gain = None, 0.0
    for gene, legal in enumerate(part.choices):
        tried = [choice for choice in sorted(legal) if (genomes[:, gene] == choice).any()]
        # For the least squares the best of all splits is one of the choices in order of their mean.
        tried.sort(key=lambda choice: merit[genomes[:, gene] == choice].mean())
        for cut in range(1, len(tried)):
            worse = numpy.isin(genomes[:, gene], tried[:cut])
            count = worse.sum()
            if min(count, len(worse) - count) < least:
                continue
            separation = merit[~worse].mean() - merit[worse].mean()
            explained = count * (len(worse) - count) * separation**2
            if explained > gain:
                best, gain = (gene, frozenset(tried[:cut]), worse), explained
    if best is None:
        return [part]
    gene, choices, worse = best
    halves = []
    for legal, members, share in (
        (part.choices[gene] - choices, ~worse, better_share),
        (choices, worse, 1 - better_share),
    ):
        half = Part((*part.choices[:gene], legal, *part.choices[gene + 1 :]), part.share * share)
        halves += split(half, genomes[members], merit[members], better_share, least)
    return halves


def _bring_back(child: Individual, part: Part, space: Any) -> None:
    """Draw the genes again that left the part, unless that breaks a rule of the space."""
    inside = [
        gene if gene in legal else random.choice(sorted(legal))
        for gene, legal in zip(child, part.choices, strict=True)
    ]
    if inside != child and not space.violation(inside):
        child[:] = inside
        del child.fitness.values
