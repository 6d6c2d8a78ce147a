"""Finals: the best networks of a search are trained again with other seeds.

A network that looks best after one training each is partly a lucky one.  One objective: the further
trainings are dealt out by sequential halving (Karnin, Koren & Somekh, 2013): round by round the
better half of the networks gets more of them.  Several objectives: each network gets as many,
because every one of them may be on the front.  What a network is worth is the mean of all its
trainings, the search's own among them.  Where a learned guide believes something of it, that counts
too, by how far such beliefs turn out to be off (empirical Bayes; Efron & Morris, 1973).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated

import numpy
from annotated_types import Ge, Gt, Lt
from deap import tools

from toolbox.archive import Record
from toolbox.belief import Belief
from toolbox.individual import Individual
from toolbox.judge import Judge
from toolbox.problem import Problem

DRAWS = 10_000  # of the true values, for the probabilities
SEEDS = 2
FEWEST = 2  # networks of finals that are a share of all trainings
# What the guide says of its own errors counts as so many networks, and of the noise as so many
# trainings, beside those of the finals.
OWN_ERRORS, OWN_NOISE = 4, 2
LEAST = 0.05  # of the variance that the guide says, the least that it is corrected to
# The records of further trainings: each of a network's own record and the number of its seed.
TrainAgain = Callable[[Sequence[tuple[Record, int]]], list[Record]]


@dataclass(frozen=True)
class Finals:
    """Train the best `networks` of a search again: `networks` x `seeds` further trainings in all.

    networks: one objective: the best by value, or by the guide's estimate; several: the front and
    its near misses, by non-dominated fronts and crowding distance.  seeds: further ones of a
    network, on average.  share: instead of `networks`, of all trainings those of the finals.
    """

    networks: Annotated[int, Ge(1)] | None = None
    seeds: Annotated[int, Ge(1)] = SEEDS
    share: Annotated[float, Gt(0), Lt(1)] | None = None

    def __post_init__(self) -> None:
        if (self.networks is None) == (self.share is None):
            raise ValueError("one of networks and share is needed, like networks = 5, share = 0.25")

    def among(self, trainings: int) -> "Finals":
        """The finals of a search of so many trainings, with `networks` told."""
        if self.share is None:
            return self
        networks = max(FEWEST, round(self.share * trainings / self.seeds))
        return Finals(networks, self.seeds)

    @property
    def evaluations(self) -> int:
        """The further trainings in all."""
        assert self.networks is not None
        return self.networks * self.seeds

    def check(self, problem: Problem) -> None:
        """Raise ValueError if the problem cannot train a network again with another seed."""
        if problem.inherits:
            raise ValueError(
                "networks begin with their parents' weights here (problem.inherit), so that a "
                "training from another seed alone would measure something else"
            )
        if not problem.reseeds:
            raise ValueError("this problem cannot train a network again with another seed")
        if self.seeds > (most := most_seeds(problem)):
            raise ValueError(
                f"seeds = {self.seeds}: this problem has {most:g} further trainings of a network"
            )

    def candidates(self, judge: Judge, records: Iterable[Record]) -> list[Record]:
        """Who is trained again; records: the networks' own, each after all its epochs."""
        feasible = [record for record in records if judge.feasible(record)]
        assert self.networks is not None
        return _best(judge, feasible, min(self.networks, len(feasible)))

    def played(
        self, judge: Judge, candidates: Sequence[Record], most: float, again: TrainAgain
    ) -> list[Record]:
        """The candidates with their further trainings.

        most: how many of them a network can have.
        """
        known = {record.key: record for record in candidates}
        alive, out = list(known), list[str]()
        left = len(known) * self.seeds
        one = len(judge.objectives) == 1
        rounds = max(1, math.ceil(math.log2(len(known) or 1))) if one else 1
        for last in range(rounds - 1, -1, -1):
            share = max(1, left // (last + 1) // max(1, len(alive)))
            amount = min(left, share * len(alive)) if last else left
            room = {key: most - len(record.further) for key, record in known.items()}
            asked = [
                (known[key], len(known[key].further) + time)
                for key, time in _dealt([alive, out], amount, room)
            ]
            for (record, _), found in zip(asked, again(asked), strict=True):
                further = (*known[record.key].further, found)
                known[record.key] = replace(known[record.key], further=further)
            left -= len(asked)
            now = {one.key: one for one in corrected(judge, list(known.values()))}
            ranked = _best(judge, [now[key] for key in alive], len(alive))
            alive = [record.key for record in ranked[: (len(ranked) + 1) // 2]]
            out = [record.key for record in ranked if record.key not in alive] + out
        return list(known.values())

    def said(self) -> str:
        """What becomes of the best networks, for a person."""
        return (
            f"the best {self.networks} networks are trained {self.evaluations} times more with "
            "other seeds"
        )


def most_seeds(problem: Problem) -> float:
    """How many further trainings of a network a problem has; infinity for any number."""
    return math.inf if problem.reseeds is True else int(problem.reseeds)


def _dealt(
    groups: Sequence[Sequence[str]], amount: int, room: dict[str, float]
) -> list[tuple[str, int]]:
    """Deal trainings out in turn: to the first group while anyone in it has room, then to the next.

    room: how many each key can take.  Each key with the number of its training among these.

    >>> _dealt([["a", "b"], ["c"]], 5, {"a": 2, "b": 1, "c": 9})
    [('a', 1), ('b', 1), ('a', 2), ('c', 1), ('c', 2)]
    """
    dealt: list[tuple[str, int]] = []
    for group in groups:
        time = 0
        while len(dealt) < amount and (free := [key for key in group if room[key] > time]):
            time += 1
            dealt += [(key, time) for key in free[: amount - len(dealt)]]
    return dealt


def mean_fitness(judge: Judge, record: Record) -> tuple[float, ...]:
    """The objectives of a network: means over all its trainings that are known.

    A further training that failed or is beyond the bounds counts as a network that did.
    """
    if not record.further:
        return judge.fitness(record)
    trainings = [judge.fitness(one) for one in (record, *record.further)]
    return tuple(map(fmean, zip(*trainings, strict=True)))


def estimated_fitness(judge: Judge, record: Record) -> tuple[float, ...]:
    """The objectives of a network as far as they are known: `mean_fitness`, and with a belief, if
    all trainings succeeded, what the two say together."""
    trainings = (record, *record.further)
    if record.belief is None or not all(map(judge.feasible, trainings)):
        return mean_fitness(judge, record)
    return record.belief.estimate([judge.fitness(one) for one in trainings])


def estimated_losses(judge: Judge, records: Sequence[Record]) -> numpy.ndarray:
    """(records, objectives) of `estimated_fitness`, negated where it is maximized."""
    found = numpy.array([estimated_fitness(judge, record) for record in records])
    return numpy.asarray(-found.reshape(-1, len(judge.weights)) * numpy.array(judge.weights))


def _best(judge: Judge, records: Sequence[Record], count: int) -> list[Record]:
    """The best records by `estimated_fitness`, the best first.

    Equals stand in the order of their architecture, whatever order they were measured in.
    """
    ordered = sorted(records, key=lambda record: record.architecture)
    candidates = []
    for record in ordered:
        candidates.append(Individual([], judge.weights))
        candidates[-1].fitness.values = estimated_fitness(judge, record)
    of = {id(one): record for one, record in zip(candidates, ordered, strict=True)}
    if len(judge.objectives) == 1:
        found = sorted(candidates, key=lambda one: one.fitness.wvalues, reverse=True)[:count]
    else:
        found = tools.selNSGA2(candidates, count) if count else []
    return [of[id(one)] for one in found]


def corrected(judge: Judge, finalists: Sequence[Record]) -> list[Record]:
    """The networks of finals, each with its belief as `correction` makes it."""
    correct = correction(judge, finalists)
    return [replace(one, belief=correct(one.belief)) if one.belief else one for one in finalists]


def correction(judge: Judge, finalists: Sequence[Record]) -> Callable[[Belief], Belief]:
    """What finals teach of the guide's beliefs: how far they are off, in the mean and around it,
    and how large the noise is.

    Only the further trainings tell the first, for the network's own is what it was chosen by.
    """
    told = [
        (one.belief, numpy.array([judge.fitness(x) for x in (one, *one.further)]))
        for one in finalists
        if one.belief and one.further and all(map(judge.feasible, (one, *one.further)))
    ]
    if len(told) < FEWEST:
        return lambda belief: belief
    counts = numpy.array([[len(values) - 1] for _, values in told])
    believed = numpy.array([belief.mean for belief, _ in told])
    varies = numpy.median([belief.deviation for belief, _ in told], axis=0) ** 2
    noise = numpy.median([belief.noise for belief, _ in told], axis=0) ** 2
    within = sum(((values - values.mean(axis=0)) ** 2).sum(axis=0) for _, values in told)
    found_noise = (OWN_NOISE * noise + within) / (OWN_NOISE + counts.sum())
    off = numpy.array([values[1:].mean(axis=0) for _, values in told]) - believed
    shift = numpy.where(varies > 0, off.mean(axis=0), 0.0)
    around = ((off - shift) ** 2 - found_noise / counts).sum(axis=0)
    found = (OWN_ERRORS * varies + around) / (OWN_ERRORS + len(told) - 1)
    found = numpy.maximum(found, LEAST * varies)
    ratios = [
        numpy.sqrt(numpy.divide(new, old, out=numpy.ones_like(old), where=old > 0))
        for new, old in ((found, varies), (found_noise, noise))
    ]
    return lambda belief: belief.corrected(shift, *ratios)


@dataclass(frozen=True)
class Standing:
    """What is known of a network after the finals.

    estimate: of each objective, by its trainings and the guide's belief; without one the mean.
    mean: of each objective, over all `trainings`.  standard_error: of each mean: the standard
    deviation within a network, pooled over all of them that never failed, by the square root of
    `trainings`; None if it cannot be told.  failed: trainings that failed or were beyond the
    bounds.  probability: that no other network of the finals dominates this one, with one objective
    that it is the best: the share of DRAWS of all true values from normal distributions around the
    estimates, with their standard errors.
    """

    record: Record
    estimate: tuple[float, ...]
    mean: tuple[float, ...]
    standard_error: tuple[float, ...] | None
    trainings: int
    failed: int
    probability: float


def standings(judge: Judge, records: Iterable[Record]) -> list[Standing]:
    """Every network among the records that was in the finals, the best by the first objective
    first."""
    finalists = [record for record in records if record.further]
    finalists.sort(key=lambda one: (estimated_losses(judge, [one])[0, 0], one.architecture))
    if not finalists:
        return []
    trainings = [(record, *record.further) for record in finalists]
    failed = [sum(not judge.feasible(one) for one in ones) for ones in trainings]
    deviation = deviation_within(judge, finalists)
    known = deviation is not None
    deviation = deviation if known else numpy.zeros(1)
    counts = numpy.array([len(ones) for ones in trainings])
    errors = deviation / numpy.sqrt(counts)[:, None]
    unsure = numpy.array(
        [
            record.belief.error(count) if record.belief and not failures else error
            for record, count, failures, error in zip(
                finalists, counts.tolist(), failed, errors.tolist(), strict=True
            )
        ]
    )
    shares = _undominated(estimated_losses(judge, finalists), unsure)
    return [
        Standing(
            record,
            estimated_fitness(judge, record),
            mean_fitness(judge, record),
            tuple(map(float, error)) if known else None,
            int(count),
            failures,
            round(float(share), 4),
        )
        for record, error, count, failures, share in zip(
            finalists, errors, counts, failed, shares, strict=True
        )
    ]


def deviation_within(judge: Judge, records: Iterable[Record]) -> numpy.ndarray | None:
    """(objectives,) the standard deviation within a network, pooled over those of the records that
    were trained again and never failed; None if there are none."""
    trainings = [(record, *record.further) for record in records if record.further]
    sound = [ones for ones in trainings if all(map(judge.feasible, ones))]
    values = [[judge.fitness(one) for one in ones] for ones in sound]
    if not values:
        return None
    squares = sum(((numpy.array(v) - numpy.mean(v, axis=0)) ** 2).sum(axis=0) for v in values)
    return numpy.asarray(numpy.sqrt(squares / sum(len(v) - 1 for v in values)))


def _undominated(losses: numpy.ndarray, errors: numpy.ndarray) -> numpy.ndarray:
    """(networks,) the share of draws in which no other network dominates each.

    losses: (networks, objectives) means; errors: of them.  The draws are always the same.
    """
    normal = numpy.random.default_rng(0).standard_normal((DRAWS, *losses.shape))
    drawn = losses + normal * errors
    shares = numpy.empty(len(losses))
    for place in range(len(losses)):
        own = drawn[:, [place]]
        dominating = (drawn <= own).all(axis=2) & (drawn < own).any(axis=2)
        shares[place] = 1 - dominating.any(axis=1).mean()
    return shares
