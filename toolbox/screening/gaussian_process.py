"""Rankers that are Gaussian processes over genes (Rasmussen & Williams, 2006).

They differ in what a difference of genes may do: add up, act in pairs, or anything that is smooth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy

from toolbox.screening.encoding import Encoded

NOISES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # variances, in units of the kernel's
GROWTH = 1.5  # scale and noise are chosen again when so many times more networks are known

# From the share of genes that two networks have alike, the mean product of their numbers, half the
# mean square of the numbers' differences, and a scale.
Kernel = Callable[[numpy.ndarray, numpy.ndarray, numpy.ndarray, float], numpy.ndarray]


def added(
    shared: numpy.ndarray, product: numpy.ndarray, apart: numpy.ndarray, scale: float
) -> numpy.ndarray:
    """Each choice and each number adds its own part."""
    parts: numpy.ndarray = shared + scale * product
    return parts


def in_pairs(
    shared: numpy.ndarray, product: numpy.ndarray, apart: numpy.ndarray, scale: float
) -> numpy.ndarray:
    """So does each pair of choices or numbers."""
    both: numpy.ndarray = added(shared, product, apart, scale)
    pairs: numpy.ndarray = both + both**2
    return pairs


def smooth(
    shared: numpy.ndarray, product: numpy.ndarray, apart: numpy.ndarray, scale: float
) -> numpy.ndarray:
    """Networks are alike that differ in few genes and little in numbers."""
    kernel: numpy.ndarray = numpy.exp(-(3 * (1 - shared) + apart) / scale)
    return kernel


SCALES: dict[Kernel, tuple[float, ...]] = {
    added: (0.1, 1.0),
    in_pairs: (0.1, 1.0),
    smooth: (0.5, 1.0, 2.0, 4.0),
}


@dataclass
class GaussianProcess:
    """The ranker of a kernel; its scale and noise are those of the largest marginal likelihood."""

    kernel: Kernel
    scale: float = 1.0
    noise: float = 0.1
    _chosen_for: int = 0
    _amplitude: float = 1.0
    _seen: Encoded = field(init=False)
    _lower: numpy.ndarray = field(init=False)
    _weights: numpy.ndarray = field(init=False)

    @property
    def noise_deviation(self) -> float:
        """The standard deviation of what networks that are all alike would differ by."""
        return float(numpy.sqrt(self._amplitude * self.noise))

    def fit(self, networks: Encoded, losses: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Learn losses (networks,) of mean 0; the mean and the standard deviation of what would be
        expected of each had it alone not been seen."""
        from scipy.linalg import cho_factor, cho_solve  # it takes long to import

        alike = _alike(networks, networks)
        if not self._chosen_for or len(networks) >= GROWTH * self._chosen_for:
            self._choose(alike, losses)
        covariance = self.kernel(*alike, self.scale)
        covariance[numpy.diag_indices(len(networks))] += self.noise
        self._seen = networks
        self._lower, _ = cho_factor(covariance, lower=True)
        inverse = cho_solve((self._lower, True), numpy.eye(len(networks)))
        self._weights = inverse @ losses
        self._amplitude = max(float(losses @ self._weights / len(losses)), 0.0)
        left_out = losses - self._weights / inverse.diagonal()
        return left_out, numpy.sqrt(numpy.maximum(self._amplitude, 1e-9) / inverse.diagonal())

    def predict(self, networks: Encoded) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The mean and the standard deviation of the losses of networks, (networks,) each."""
        from scipy.linalg import solve_triangular

        cross = self.kernel(*_alike(networks, self._seen), self.scale)
        explained = solve_triangular(self._lower, cross.T, lower=True, check_finite=False)
        ones = numpy.ones(len(networks))
        product = (networks.numbers**2).sum(axis=1) / max(1, networks.numbers.shape[1])
        own = self.kernel(ones, product, 0 * ones, self.scale)
        variance = numpy.maximum(own - (explained**2).sum(axis=0), 1e-9)
        return cross @ self._weights, numpy.sqrt(self._amplitude * variance)

    def _choose(
        self, alike: tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray], losses: numpy.ndarray
    ) -> None:
        """Choose scale and noise; the amplitude has its best value in closed form."""
        best = -numpy.inf
        for scale in SCALES[self.kernel]:
            values, vectors = numpy.linalg.eigh(self.kernel(*alike, scale))
            turned = (vectors.T @ losses) ** 2
            for noise in NOISES:
                spread = numpy.maximum(values, 0) + noise
                amplitude = max((turned / spread).mean(), 1e-12)
                likelihood = -numpy.log(amplitude) * len(losses) - numpy.log(spread).sum()
                if likelihood > best:
                    best, self.scale, self.noise = likelihood, scale, noise
        self._chosen_for = len(losses)


def _alike(a: Encoded, b: Encoded) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """What kernels are made of, (a, b) each."""
    genes = max(1.0, float(b.choices[0].sum()))
    wide = max(1, a.numbers.shape[1])
    product = a.numbers @ b.numbers.T / wide
    squares = (a.numbers**2).sum(axis=1)[:, None] + (b.numbers**2).sum(axis=1)[None]
    apart = numpy.maximum(squares / wide - 2 * product, 0) / 2
    return a.choices @ b.choices.T / genes, product, apart
