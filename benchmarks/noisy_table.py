"""A table of trained networks as a problem whose noise is fresh for every seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from statistics import median
from typing import Any, ClassVar

import numpy

from problems.seeds import seed_of
from problems.tables.table import Genome, Row
from problems.tabular import Tabular, TabularSpace

ACCURACY = "val_accuracy"  # what a search sees, a fraction


@dataclass(frozen=True)
class Truth:
    """What a table says: the true accuracy and the cost of each genome, and the noise of a run.

    accuracy: fractions, the mean of the runs, shrunk towards the mean of all networks as far as
    the runs differ (James & Stein, 1961).  noise: the standard deviation of one run, among the
    better half of the networks.
    """

    accuracy: dict[Genome, float]
    cost: dict[Genome, float]
    noise: float


@dataclass(frozen=True)
class NoisyTable:
    """An accuracy that is the table's true one plus normal noise drawn by (seed, network), and a
    cost that is known exactly.

    A published run would have a part in the mean that a search is scored by, so that the lucky
    network would be scored for its luck.  path, format, genes: as for `Tabular`.  runs: the columns
    that hold the same accuracy, a training each, in fractions or in percent; one that holds
    several trainings is enough.
    """

    path: str
    format: str = "csv"
    genes: tuple[str, ...] = ()
    runs: tuple[str, ...] = (ACCURACY,)
    cost_column: str = "flops"
    seed: int = 0

    reseeds: ClassVar[bool] = True  # a network can be trained any number of times

    @property
    def measures(self) -> tuple[str, ...]:
        return (ACCURACY, self.cost_column)

    @property
    def tabular(self) -> Tabular:
        columns: dict[str, Any] = {}
        if self.format == "csv":
            columns = {"genes": self.genes, "measures": (*self.runs, self.cost_column)}
        return Tabular(path=self.path, format=self.format, **columns)  # type: ignore[arg-type]

    @property
    def space(self) -> TabularSpace:
        return self.tabular.space

    @property
    def networks(self) -> list[Genome]:
        """The genomes that stand for the different networks."""
        table = self.tabular.file.table()
        return list(dict.fromkeys(map(table.canonical, table.rows)))

    @property
    def truth(self) -> Truth:
        return _truth(replace(self, seed=0))

    def known(self, genome: Sequence[int]) -> dict[str, float]:
        """The cost of a genome's network."""
        return {self.cost_column: self.truth.cost[tuple(genome)]}

    def evaluate(self, genome: Sequence[int], seed: int = 0) -> dict[str, float]:
        """The measurement of a genome's network.  seed: each number has noise of its own."""
        network = self.space.canonical(list(genome))
        truth = self.truth
        drawn_by = f"{self.seed} {self.space.decode(network)}" + (f" {seed}" if seed else "")
        noise = Random(seed_of(drawn_by)).gauss(0, truth.noise)
        return {ACCURACY: truth.accuracy[tuple(network)] + noise, **self.known(network)}


@lru_cache(maxsize=8)
def _truth(table: NoisyTable) -> Truth:
    rows = table.tabular.file.table().rows
    trained = numpy.array([_runs(row, table.runs) for row in rows.values()])
    if trained.max() > 1:
        trained = trained / 100
    number = trained.shape[1]
    if number < 2:
        raise ValueError(f"runs = {list(table.runs)}: two trainings of each network are needed")
    means, variances = trained.mean(axis=1), trained.var(axis=1, ddof=1)
    variance = float(variances[means >= median(means)].mean())
    among = max(float(means.var(ddof=1)) - variance / number, 0.0)
    share = among / (among + variance / number) if among else 0.0
    accuracy = means.mean() + share * (means - means.mean())
    cost = {genome: float(row[table.cost_column]) for genome, row in rows.items()}  # type: ignore[arg-type]
    return Truth(dict(zip(rows, accuracy.tolist(), strict=True)), cost, variance**0.5)


def _runs(row: Row, names: Sequence[str]) -> list[float]:
    found = [row[name] for name in names]
    return [float(x) for one in found for x in (one if isinstance(one, tuple) else (one,))]
