"""Selection as a mean field game: parents are drawn from the equilibrium of a crowd of agents.

No published formulation exists for this step of a genetic algorithm.  This one was derived for this
toolkit, from discrete mean field games (Gomes, Mohr & Souza, arXiv 0903.1620), entropy-regularised
finite games (Guan et al., arXiv 2110.07469) and the mean-field view of genetic algorithms with
Boltzmann selection (Borghi & Pareschi, arXiv 2310.08562).
"""

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Annotated, Any

import numpy
from annotated_types import Ge, Gt
from scipy.sparse import coo_array
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

from toolbox.fronts import assign_crowding_distances, non_dominated_fronts

log = logging.getLogger(__name__)

EXPLOITABILITY = 1e-10  # below it, the equilibrium counts as reached
MOST_STEPS = 20_000
MOST_IN_A_MATRIX = 1_000  # different genomes; more are compared by groups
SETS_OF_GENES = 256  # each forms groups of the genomes that agree on them


def mean_field_game(
    individuals: Sequence[Any],
    k: int,
    space: Any,
    crowding: Annotated[float, Ge(0)] = 1.0,
    temperature: Annotated[float, Gt(0)] = 0.25,
    similarity_length: Annotated[float, Gt(0)] = 1.0,
) -> list[Any]:
    """k individuals in random order, each drawn in proportion to its mass at the equilibrium.

    An agent that chooses individual i is paid u_i - crowding x (K m)_i, less temperature x its
    relative entropy to choosing at random: u is the rank by fitness, by (front, crowding distance)
    for several objectives, from 0 to 1 for the best; m is the mass of agents on each individual; K
    the similarity exp(-Hamming distance / similarity_length) of genomes, scaled so that its mean is
    1.  The draw is by stochastic universal sampling (Baker, 1987), so each is drawn its expected
    number of times, rounded up or down.

    Beyond 1,000 different genomes of more than 8 genes K is estimated from 256 sets of genes.

    How much an agent could still gain, the exploitability, goes to the log.
    """
    if not individuals:
        return []
    states = States.of(individuals, space)
    similarity = similarity_of(states.genomes, states.reference, similarity_length)
    found = equilibrium(states.utility, states.reference, similarity, crowding, temperature)
    note = log.debug if found.exploitability < EXPLOITABILITY else log.warning
    note(
        "mean field game: exploitability %.1e after %d steps; the mass on %d individuals is worth "
        "%.1f equal ones",
        found.exploitability,
        found.steps,
        len(individuals),
        1 / ((found.mass / states.copies) ** 2 * states.copies).sum(),
    )
    chosen = universal_sampling((found.mass / states.copies)[states.state], k)
    random.shuffle(chosen)  # neighbours mate, and copies would mate each other
    return [individuals[number] for number in chosen]


@dataclass(frozen=True)
class States:
    """The individuals as states of the game; copies of a network with one fitness share one.

    genomes: (n, genes), utility and copies: (n,), state: (individuals,), the state of each.
    """

    genomes: numpy.ndarray
    utility: numpy.ndarray
    copies: numpy.ndarray
    state: numpy.ndarray

    @classmethod
    def of(cls, individuals: Sequence[Any], space: Any) -> "States":
        numbers: dict[tuple[tuple[int, ...], tuple[float, ...]], int] = {}
        state = [
            numbers.setdefault(
                (tuple(space.canonical(list(one))), one.fitness.wvalues), len(numbers)
            )
            for one in individuals
        ]
        rank = ranks(individuals)
        genomes = numpy.array([genome for genome, _ in numbers])
        utility = numpy.array([rank[fitness] for _, fitness in numbers])
        return cls(genomes, utility, numpy.bincount(state), numpy.array(state))

    @property
    def reference(self) -> numpy.ndarray:
        """The mass of each state if everybody draws an individual at random."""
        reference: numpy.ndarray = self.copies / len(self.state)
        return reference


def ranks(individuals: Sequence[Any]) -> dict[tuple[float, ...], float]:
    """The rank of each fitness among them, 0 the worst and 1 the best, equal steps between.

    By (front, crowding distance) for several objectives.
    """
    different = {individual.fitness.wvalues: individual for individual in individuals}
    order: dict[tuple[float, ...], tuple[float, ...]] = {fitness: fitness for fitness in different}
    if len(next(iter(different))) > 1:
        fronts = non_dominated_fronts(list(different.values()), len(different))
        assign_crowding_distances(fronts)
        order = {
            one.fitness.wvalues: (-number, one.fitness.crowding_dist)
            for number, front in enumerate(fronts)
            for one in front
        }
    levels = sorted(set(order.values()))
    level = {key: number / max(1, len(levels) - 1) for number, key in enumerate(levels)}
    if len(levels) == 1:
        return dict.fromkeys(different, 1.0)
    return {fitness: level[key] for fitness, key in order.items()}


@dataclass(frozen=True)
class Dense:
    """A similarity as a matrix (n, n)."""

    matrix: numpy.ndarray

    @classmethod
    def of(cls, genomes: numpy.ndarray, reference: numpy.ndarray, length: float) -> "Dense":
        """exp(-Hamming distance / length), scaled to a mean of 1 over the reference."""
        matrix = _kernel(genomes, genomes, length)
        return cls(matrix / (reference @ matrix @ reference))

    @property
    def most(self) -> float:
        return float(self.matrix.max())

    def times(self, mass: numpy.ndarray) -> numpy.ndarray:
        crowd: numpy.ndarray = self.matrix @ mass
        return crowd


@dataclass(frozen=True)
class Grouped:
    """The same similarity without its matrix, out of groups of genomes that agree on some genes.

    exp(-distance / length) is the product over the genes of 1 where two genomes agree and rho =
    exp(-1 / length) where not.  That is the probability that they agree on a random set of genes,
    each gene in it with probability 1 - rho.  groups: (n, groups) sparse, who is in which; weights:
    (groups,), the probability of the set of genes that a group is of; alone: (n,), the
    probability of the sets by which a genome is a group of its own.
    """

    groups: Any
    weights: numpy.ndarray
    alone: numpy.ndarray

    @classmethod
    def of(cls, genomes: numpy.ndarray, reference: numpy.ndarray, length: float) -> "Grouped":
        """As `Dense.of`, from 256 sets of genes; from all sets for genomes of up to 8 genes."""
        draw = random.Random(0)  # its own, so that the search draws what it drew
        numbers = numpy.array([draw.getrandbits(63) for _ in genomes[0]])
        rows, columns, weights, first = [], [], [], 0
        alone = numpy.zeros(len(genomes))
        for genes, probability in _sets_of_genes(genomes, length, draw):
            told = (genomes[:, genes] + 1) @ numbers[genes]  # wraps; no two alike by chance
            _, group, size = numpy.unique(told, return_inverse=True, return_counts=True)
            shared = size[group] > 1
            alone += probability * ~shared
            number = numpy.cumsum(size > 1) - 1
            rows.append(numpy.flatnonzero(shared))
            columns.append(first + number[group[shared]])
            weights.append(numpy.full(number[-1] + 1, probability))
            first += number[-1] + 1
        index = (numpy.concatenate(rows), numpy.concatenate(columns))
        groups = coo_array((numpy.ones(len(index[0])), index), shape=(len(genomes), first)).tocsr()
        weight = numpy.concatenate(weights)
        mean = weight @ (groups.T @ reference) ** 2 + alone @ reference**2
        return cls(groups, weight / mean, alone / mean)

    @property
    def most(self) -> float:
        return float((self.groups[[0]] @ self.weights)[0] + self.alone[0])  # the same for all

    def times(self, mass: numpy.ndarray) -> numpy.ndarray:
        grouped = self.groups @ (self.weights * (self.groups.T @ mass))
        crowd: numpy.ndarray = grouped + self.alone * mass
        return crowd


def _sets_of_genes(
    genomes: numpy.ndarray, length: float, draw: random.Random
) -> Iterator[tuple[list[int], float]]:
    """Sets of genes and their probabilities, which add up to 1; all sets if they are few.

    Else some of each size, more of a size the more it has to do with how similar genomes are.
    """
    genes = genomes.shape[1]
    sizes = numpy.arange(genes + 1)
    from scipy.stats import binom  # it takes half a second to import

    probability = binom.pmf(sizes, genes, 1 - numpy.exp(-1 / length))
    agreeing = numpy.mean(
        [
            (numpy.unique(gene, return_counts=True)[1] ** 2).sum() / len(gene) ** 2
            for gene in genomes.T
        ]
    )
    effect = probability * agreeing**sizes
    wanted = numpy.ceil(SETS_OF_GENES * effect / effect.sum())
    for size in sizes.tolist():
        every = comb(genes, size)
        if 2**genes <= SETS_OF_GENES or every <= wanted[size]:
            sets = {*combinations(range(genes), size)}
        else:
            sets = set()
            while len(sets) < wanted[size]:
                sets.add(tuple(sorted(draw.sample(range(genes), size))))
        for one in sorted(sets):
            yield list(one), probability[size] / len(sets)


Similarity = Dense | Grouped


def similarity_of(genomes: numpy.ndarray, reference: numpy.ndarray, length: float) -> Similarity:
    """The similarity of genomes (n, genes), by a matrix while that is small."""
    return (Dense if len(genomes) <= MOST_IN_A_MATRIX else Grouped).of(genomes, reference, length)


def _kernel(some: numpy.ndarray, others: numpy.ndarray, length: float) -> numpy.ndarray:
    differ = cdist(some, others, metric="hamming") * some.shape[1]
    kernel: numpy.ndarray = numpy.exp(-differ / length)
    return kernel


@dataclass(frozen=True)
class Equilibrium:
    """The mass on each state, (n,), what an agent could still gain, and the steps it took."""

    mass: numpy.ndarray
    exploitability: float
    steps: int


def equilibrium(
    utility: numpy.ndarray,
    reference: numpy.ndarray,
    similarity: Similarity,
    crowding: float,
    temperature: float,
) -> Equilibrium:
    """The one m = reference x exp((utility - crowding K m) / temperature) / Z.

    It minimises Phi(m) = -u.m + (crowding / 2) m'Km + temperature x KL(m || reference).  By mirror
    descent with the entropy: the step 1 / (crowding max K + temperature) always descends; longer
    ones are taken where Phi is seen to descend as far as that asks for.  (The undamped fixed point
    is a step of 1 / temperature, and oscillates.)  Stops when the exploitability, temperature x
    KL(m || the best answer to m), is below 1e-10, or after 20,000 steps.
    """
    log_reference = numpy.log(reference)
    log_mass, mass = log_reference, reference
    crowd = similarity.times(mass)
    safe = 1 / (crowding * similarity.most + temperature)
    step = safe
    for steps in range(MOST_STEPS + 1):
        answer = log_softmax(log_reference + (utility - crowding * crowd) / temperature)
        exploitability = temperature * float(mass @ (log_mass - answer))
        if exploitability < EXPLOITABILITY or steps == MOST_STEPS:
            break
        step = min(2 * step, 1 / temperature)
        while True:
            # As log m <- (1 - step tau) log m + step tau log mu + step (u - lambda K m).
            share = step * temperature
            log_next = log_softmax((1 - share) * log_mass + share * answer)
            following = numpy.exp(log_next)
            change = following - mass
            moved = similarity.times(change)
            divergence = float(following @ (log_next - log_mass))
            if (1 / step - temperature) * divergence >= crowding / 2 * float(change @ moved):
                break
            if step <= safe:  # it descends, and what does not is rounding
                break
            step = max(step / 2, safe)
        log_mass, mass = log_next, following
        crowd = crowd + moved if steps % 50 else similarity.times(mass)  # rounding does not add up
    return Equilibrium(mass, exploitability, steps)


def universal_sampling(mass: numpy.ndarray, k: int) -> list[int]:
    """k numbers by one spin of a wheel with k pointers (Baker, 1987), ascending.

    mass: (n,), the shares of the wheel; each number is drawn k x share times, rounded up or down.
    """
    edges = numpy.cumsum(mass)
    pointers = (random.random() + numpy.arange(k)) / k * edges[-1] if k else numpy.empty(0)
    drawn = numpy.searchsorted(edges, pointers, side="right")
    numbers: list[int] = numpy.minimum(drawn, numpy.flatnonzero(mass)[-1]).tolist()
    return numbers
