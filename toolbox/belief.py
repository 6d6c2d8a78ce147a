"""What a network is believed to be worth before its own trainings are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy


@dataclass(frozen=True)
class Belief:
    """What is believed of one network by what is known of all others, one number an objective.

    mean: its fitness.  deviation: the standard deviation of its true fitness around that; 0 where
    the objective is known without training.  noise: the standard deviation of single trainings
    around its true fitness.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    noise: tuple[float, ...]

    def estimate(self, trainings: Sequence[Sequence[float]]) -> tuple[float, ...]:
        """The fitness by the belief and by the network's own trainings, each by its precision.

        trainings: the fitness of each.

        >>> Belief((80.0, 7.0), (1.0, 0.0), (1.0, 0.0)).estimate([[90.0, 7.0]])
        (85.0, 7.0)
        >>> Belief((80.0, 7.0), (1.0, 0.0), (1.0, 0.0)).estimate([[90.0, 7.0]] * 3)
        (87.5, 7.0)
        """
        own = numpy.mean(trainings, axis=0)
        trust = self._trust(len(trainings))
        return tuple((trust * own + (1 - trust) * numpy.array(self.mean)).tolist())

    def error(self, trainings: int) -> tuple[float, ...]:
        """The standard error of the estimate by so many trainings."""
        return tuple((numpy.array(self.deviation) * (1 - self._trust(trainings)) ** 0.5).tolist())

    def _trust(self, trainings: int) -> numpy.ndarray:
        """(objectives,) the weight of the network's own trainings, 0 to 1."""
        varies = numpy.array(self.deviation) ** 2
        spread = varies + numpy.array(self.noise) ** 2 / trainings
        trust = numpy.zeros_like(spread)
        numpy.divide(varies, spread, out=trust, where=spread > 0)
        return trust

    def corrected(
        self, shift: numpy.ndarray, varies: numpy.ndarray, noise: numpy.ndarray
    ) -> "Belief":
        """The belief after finals told how far such beliefs are off.

        (objectives,) each.  shift: is added to the mean; varies, noise: by what the deviation and
        the noise are multiplied.
        """
        return Belief(
            tuple((numpy.array(self.mean) + shift).tolist()),
            tuple((numpy.array(self.deviation) * varies).tolist()),
            tuple((numpy.array(self.noise) * noise).tolist()),
        )
