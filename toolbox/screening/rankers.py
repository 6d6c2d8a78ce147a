"""The rankers that a learned guide chooses among, and what they are fitted on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy
from threadpoolctl import threadpool_limits

from toolbox.evaluation import unmoved_generators
from toolbox.fronts import best_first
from toolbox.screening.encoding import Encoded
from toolbox.screening.gaussian_process import GaussianProcess, added, in_pairs, smooth
from toolbox.screening.trees import Trees

FEWEST = 20  # networks that rankers are fitted on
MOST = 300  # networks that they are fitted on; of more half are the best, half from all others
SURE = 3.0  # of the log of how much more probable the results are by a ranker than without one


class Ranker(Protocol):
    """What learns which of two networks is better."""

    def fit(self, networks: Encoded, losses: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Learn losses (networks,) of mean 0; the mean and the standard deviation of what is
        expected of each by what has not seen it."""

    def predict(self, networks: Encoded) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The mean and the standard deviation of the losses of networks, (networks,) each."""


RANKERS: dict[str, Callable[[], Ranker]] = {
    "added": lambda: GaussianProcess(added),
    "in_pairs": lambda: GaussianProcess(in_pairs),
    "smooth": lambda: GaussianProcess(smooth),
    "trees": Trees,
}


@dataclass(frozen=True)
class Units:
    """In what units rankers see numbers: of mean 0 and spread 1 where they learn, (features,)."""

    center: numpy.ndarray
    spread: numpy.ndarray

    @classmethod
    def of(cls, encoded: Encoded) -> "Units":
        spread = encoded.numbers.std(axis=0)
        spread[spread < 1e-9] = 1.0
        return cls(encoded.numbers.mean(axis=0), spread)

    def __call__(self, encoded: Encoded) -> Encoded:
        return Encoded(encoded.choices, (encoded.numbers - self.center) / self.spread)


@contextmanager
def fitting() -> Iterator[None]:
    """Around what fits rankers: the cores are the trainings', and threads change the digits.

    At its first import scikit-learn draws from the generator that steers the search.
    """
    with threadpool_limits(1), unmoved_generators():
        yield


def kept(losses: numpy.ndarray) -> numpy.ndarray:
    """The rows of losses that rankers are fitted on, in order."""
    if len(losses) <= MOST:
        return numpy.arange(len(losses))
    order = best_first(losses)
    best, rest = order[: MOST // 2], order[MOST // 2 :]
    evenly = numpy.linspace(0, len(rest) - 1, MOST - len(best)).astype(int)
    return numpy.sort(numpy.r_[best, rest[evenly]])


def log_density(losses: numpy.ndarray, means: numpy.ndarray, deviations: numpy.ndarray) -> float:
    """How probable losses were, each by a normal distribution of its own."""
    away = (losses - means) / deviations
    return float(-(numpy.log(deviations) + away**2 / 2).mean())


def gain(losses: numpy.ndarray, density: float) -> float:
    """The log of how much more probable losses (networks,) of mean 0 are by `log_density` than by
    their spread alone."""
    nothing = numpy.full(len(losses), max(float(losses.std()), 1e-9))
    return len(losses) * (density - log_density(losses, 0 * losses, nothing))


def normal_scores(losses: numpy.ndarray) -> numpy.ndarray:
    """Losses by their ranks alone, as normal quantiles: (networks,) of mean 0."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores = ndtri((rankdata(losses) - 0.5) / len(losses))
    centered: numpy.ndarray = scores - scores.mean()
    return centered
