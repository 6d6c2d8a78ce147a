"""The optimizers that a user could pick instead: pymoo's and Optuna's, local search, regularized
evolution, the largest networks first, and random search.

Each is given what a careful user would give it: integers for the genes of pymoo, categories or
integers for those of Optuna, and in front of the evaluation the memory that ours have, an archive:
a network that is asked for again, by the same genome or by another one that makes the same
network, is answered from it and counts once.
"""

import itertools
import random
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy
import optuna
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize
from pymoo.termination.max_gen import MaximumGenerationTermination


class Spent(Exception):
    """The budget of distinct networks, or of questions, is spent."""


class Memory:
    """The losses of a genome's network, which is evaluated when it is asked for the first time.

    canonical: the one genome that stands for all that make the same network.  cost: of a genome,
    known without an evaluation.  genomes: the canonical ones, in the order in which they were
    asked for.  asks: how many were, with repetitions; Spent is raised for more than `most_asks`, so
    that an optimizer that has converged to what is known ends.  seconds: of processor time within
    the evaluation.
    """

    def __init__(
        self,
        evaluate: Callable[[tuple[int, ...]], Sequence[float]],
        choices: Sequence[int],
        budget: int,
        most_asks: int,
        canonical: Callable[[list[int]], Sequence[int]] = tuple,
        cost: Callable[[list[int]], float] = len,
    ):
        self.evaluate = evaluate
        self.canonical = canonical
        self.cost = cost
        self.choices = choices
        self.budget = budget
        self.most_asks = most_asks
        self.known: dict[tuple[int, ...], Sequence[float]] = {}
        self.asks = 0
        self.seconds = 0.0

    @property
    def genomes(self) -> list[tuple[int, ...]]:
        return list(self.known)

    @property
    def spent(self) -> bool:
        return len(self.known) >= self.budget or self.asks >= self.most_asks

    def losses(self, genome: Sequence[int]) -> Sequence[float]:
        """What is to be minimized, one number for each objective."""
        began = time.process_time()
        key = tuple(self.canonical([int(choice) for choice in genome]))
        if key not in self.known:
            if self.spent:
                raise Spent
            self.known[key] = self.evaluate(key)
        self.asks += 1
        self.seconds += time.process_time() - began
        if self.asks > self.most_asks:
            raise Spent
        return self.known[key]


def random_search(memory: Memory, objectives: int, seed: int, population: int) -> None:
    """Genomes drawn uniformly, with replacement."""
    draw = random.Random(seed)
    while not memory.spent:
        memory.losses([draw.randrange(choices) for choices in memory.choices])


def largest_first(memory: Memory, objectives: int, seed: int, population: int) -> None:
    """All networks, those of the highest cost first, equal ones in an order drawn at random.

    For one objective and a space that can be listed; population is not used.
    """
    everything = [list(genome) for genome in itertools.product(*map(range, memory.choices))]
    random.Random(seed).shuffle(everything)
    everything.sort(key=memory.cost, reverse=True)
    with suppress(Spent):
        for genome in everything:
            memory.losses(genome)


def _other(genome: Sequence[int], gene: int, choices: int, draw: random.Random) -> list[int]:
    """The genome with another choice of one gene."""
    changed = list(genome)
    changed[gene] = (genome[gene] + draw.randrange(1, choices)) % choices
    return changed


def local_search(memory: Memory, objectives: int, seed: int, population: int) -> None:
    """Hill climbing from random starts (White, Nolen & Savani, 2021): all neighbours are evaluated,
    the best of them is the next, and where none is better it starts anew.

    For one objective; population is not used.
    """
    draw = random.Random(seed)
    with suppress(Spent):
        while True:
            here = [draw.randrange(choices) for choices in memory.choices]
            loss, before = memory.losses(here)[0], float("inf")
            while loss < before:
                before = loss
                around = [
                    [*here[:gene], choice, *here[gene + 1 :]]
                    for gene, choices in enumerate(memory.choices)
                    for choice in range(choices)
                    if choice != here[gene]
                ]
                draw.shuffle(around)
                found = min(around, key=lambda genome: memory.losses(genome)[0])
                if memory.losses(found)[0] < loss:
                    here, loss = found, memory.losses(found)[0]


def regularized_evolution(memory: Memory, objectives: int, seed: int, population: int) -> None:
    """Aging evolution (Real et al., 2019) with the settings of NAS-Bench-101 (Ying et al., 2019):
    100 alive, the best of 10 is the parent, each gene is drawn again with probability 1 / genes.

    For one objective; population is not used.
    """
    draw = random.Random(seed)
    alive: deque[tuple[float, list[int]]] = deque(maxlen=100)
    with suppress(Spent):
        while len(alive) < 100:
            genome = [draw.randrange(choices) for choices in memory.choices]
            alive.append((memory.losses(genome)[0], genome))
        while True:
            _, parent = min(draw.sample(list(alive), 10))
            child = list(parent)
            for gene, choices in enumerate(memory.choices):
                if draw.random() < 1 / len(child):
                    child = _other(child, gene, choices, draw)
            alive.append((memory.losses(child)[0], child))


class Integers(Problem):
    """Genes as integers, evaluated a population at a time."""

    def __init__(self, choices: Sequence[int], objectives: int, losses: Callable):
        upper = numpy.array(choices) - 1
        super().__init__(n_var=len(choices), n_obj=objectives, xl=0 * upper, xu=upper, vtype=int)
        self.losses = losses

    def _evaluate(self, x: numpy.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self.losses(x)


def integer_operators() -> dict[str, Any]:
    """pymoo's own for integers: simulated binary crossover and polynomial mutation, rounded."""
    return {
        "sampling": IntegerRandomSampling(),
        "crossover": SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        "mutation": PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
    }


def pymoo(memory: Memory, objectives: int, seed: int, population: int) -> None:
    """GA for one objective, NSGA-II for several; copies within a population are eliminated."""
    algorithm = GA if objectives == 1 else NSGA2
    problem = Integers(
        memory.choices, objectives, lambda x: numpy.array([memory.losses(row) for row in x])
    )
    with suppress(Spent):
        minimize(
            problem,
            algorithm(pop_size=population, **integer_operators()),
            MaximumGenerationTermination(memory.most_asks),
            seed=seed,
        )


def optuna_sampler(
    memory: Memory, objectives: int, seed: int, population: int, sampler: Callable, integers: bool
) -> None:
    """A study of Optuna's with a sampler; the genes are categories or integers."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made = sampler(seed=seed, population=population)
        study = optuna.create_study(directions=["minimize"] * objectives, sampler=made)
        while not memory.spent:
            trial = study.ask()
            genome = [
                trial.suggest_int(f"gene{number}", 0, choices - 1)
                if integers
                else trial.suggest_categorical(f"gene{number}", range(choices))
                for number, choices in enumerate(memory.choices)
            ]
            study.tell(trial, list(memory.losses(genome)))


def _nsga2_sampler(seed: int, population: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)


def tpe_sampler(seed: int, population: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(multivariate=True, seed=seed)


Peer = Callable[[Memory, int, int, int], None]  # objectives, seed, population
BOTH: dict[str, Peer] = {
    "Optuna NSGA-II, categories": partial(optuna_sampler, sampler=_nsga2_sampler, integers=False),
    "Optuna NSGA-II, integers": partial(optuna_sampler, sampler=_nsga2_sampler, integers=True),
    "Optuna TPE, categories": partial(optuna_sampler, sampler=tpe_sampler, integers=False),
    "Optuna TPE, integers": partial(optuna_sampler, sampler=tpe_sampler, integers=True),
}
PEERS: dict[str, dict[str, Peer]] = {
    "one": {
        "random search": random_search,
        "largest first": largest_first,
        "local search": local_search,
        "regularized evolution, published": regularized_evolution,
        "pymoo GA": pymoo,
        **BOTH,
    },
    "two": {"random search": random_search, "pymoo NSGA-II": pymoo, **BOTH},
}
