"""Genomes as numbers that rankers learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from toolbox.networks import Networks
from toolbox.operator_error import OperatorError

KEPT = 100_000  # genomes whose numbers are remembered


@dataclass(frozen=True)
class Encoded:
    """Networks as numbers.

    choices: (networks, one for each choice of each gene), 1 where it is taken.  numbers:
    (networks, features).
    """

    choices: numpy.ndarray
    numbers: numpy.ndarray

    def __getitem__(self, rows: Any) -> "Encoded":
        return Encoded(self.choices[rows], self.numbers[rows])

    def __len__(self) -> int:
        return len(self.choices)


def trained_for(networks: Networks, genome: list[int]) -> list[int]:
    """The places of the objectives that the problem does not know of a genome without training."""
    known = set(networks.arithmetic(genome))
    return [
        column
        for column, objective in enumerate(networks.judge.objectives)
        if not (objective.needs and known.issuperset(objective.needs))
    ]


def untrained(networks: Networks, genomes: Sequence[list[int]]) -> dict[int, numpy.ndarray]:
    """What is known of genomes without training: by its place each objective that is, (networks,),
    smaller is better."""
    if not genomes:
        return {}
    trained = trained_for(networks, genomes[0])
    known = [networks.arithmetic(genome) for genome in genomes]
    return {
        column: numpy.array([-objective.weight * objective.value(one) for one in known])
        for column, objective in enumerate(networks.judge.objectives)
        if column not in trained
    }


class Encoding:
    """How the genomes of a search become numbers.

    Beside the choices of the genes these are: how many genes took each choice, where several genes
    have the same choices; the logarithms of what is known without training; and what `features` of
    the problem offers, by default that of the space.
    """

    def __init__(self, networks: Networks):
        self.networks = networks
        genes = networks.space.genes
        self._sizes = [len(gene.choices) for gene in genes]
        alike: dict[tuple[str, ...], list[int]] = {}
        for place, gene in enumerate(genes):
            alike.setdefault(tuple(map(repr, gene.choices)), []).append(place)
        self._alike = [places for places in alike.values() if len(places) > 1]
        self._names: list[str] = []
        self._kept: dict[tuple[int, ...], list[float]] = {}

    def of(self, genomes: Sequence[Sequence[int]]) -> Encoded:
        """Canonical genomes as numbers.  Raises OperatorError, one line, for features that are no
        finite numbers, or not always as many."""
        genes = numpy.array(genomes, dtype=int)
        choices = [genes[:, [place]] == range(size) for place, size in enumerate(self._sizes)]
        totals = [sum(choices[place].astype(float) for place in places) for places in self._alike]
        offered = numpy.array([self._offered(tuple(genome)) for genome in genomes])
        return Encoded(numpy.hstack(choices).astype(float), numpy.hstack([*totals, offered]))

    def _offered(self, genome: tuple[int, ...]) -> list[float]:
        """What is known of a genome, and its features; computed once."""
        if genome in self._kept:
            return self._kept[genome]
        known = self.networks.arithmetic(list(genome))
        self._names = self._names or sorted(known)
        logs = [float(numpy.log1p(max(0.0, known.get(name, 0.0)))) for name in self._names]
        offered = [*logs, *self._features(genome)]
        if len(self._kept) >= KEPT:
            self._kept.clear()
        wide = len(next(iter(self._kept.values()), offered))
        if len(offered) != wide:
            raise OperatorError(
                f"features: {len(offered) - len(logs)} numbers for {list(genome)}, where another "
                f"network has {wide - len(logs)}; always as many are needed"
            )
        self._kept[genome] = offered
        return offered

    def _features(self, genome: tuple[int, ...]) -> list[float]:
        answered = self.networks.problem.features(list(genome))
        try:
            features = [float(number) for number in answered]
        except (TypeError, ValueError):
            features = [numpy.nan]
        if not numpy.isfinite(features).all():
            raise OperatorError(
                f"features: {answered!r} for {list(genome)}; finite numbers are needed"
            )
        return features
