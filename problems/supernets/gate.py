"""Whether a shared score ranks networks, asked before it steers a search.

Some networks of the space are trained alone, by the ordinary recipe.  Kendall's tau-b of the shared
score and their validation accuracy must be above that of two scores that cost nothing: their number
of parameters and of multiply-accumulates.
"""

import json
import logging
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy
from annotated_types import Ge

from problems.whole_file import whole

Measurement = dict[str, float]
Measure = Callable[[Any, Sequence[list[int]], Path], list[Measurement | None]]
Admits = Callable[[list[int]], bool]

CONFIDENCE = 0.95
RESAMPLES = 2_000
FEWEST = 5  # networks that must have been trained for an order to be one
DRAWN = 40  # networks are drawn for each that the strata then choose

log = logging.getLogger(__name__)


class GateClosed(FloatingPointError):
    """The shared score was not shown to rank networks.  table: what was seen, as text.

    Of the kind that tells a search not to begin (`Problem.ready`).
    """

    def __init__(self, reason: str, table: str):
        super().__init__(reason)
        self.table = table


class Gate(ABC):
    """What a shared score must show."""

    @abstractmethod
    def budget(self, problem: Any) -> str:
        """What it trains at most."""

    @abstractmethod
    def evaluations(self, problem: Any) -> list[tuple[Any, int]]:
        """The problems that it measures, and how many evaluations of each."""

    @abstractmethod
    def check(self, problem: Any, folder: Path, measure: Measure, admits: Admits) -> None:
        """Return if the score of a ready `WeightSharing` may steer, else raise GateClosed.

        measure and admits: as for `WeightSharing.ready`.  What is measured is kept in `folder`.
        """


@dataclass(frozen=True)
class Off(Gate):
    """Nothing."""

    def budget(self, problem: Any) -> str:
        return "no gate"

    def evaluations(self, problem: Any) -> list[tuple[Any, int]]:
        return []

    def check(self, problem: Any, folder: Path, measure: Measure, admits: Admits) -> None:
        log.warning("gate = 'off': nothing shows that the shared score ranks networks")


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b of a score with the accuracy of networks trained alone, in [-1, 1].

    low, high: its 95% bootstrap interval over the networks.  NaN where a score is constant.
    """

    score: str
    tau: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.tau:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class KendallTau(Gate):
    """Kendall's tau above that of parameters and of multiply-accumulates.

    networks: how many are trained alone, stratified by both.  epochs: of each; the recipe's if not
    given.  seed: of the draw of the networks.
    """

    networks: Annotated[int, Ge(FEWEST)] = 30
    epochs: Annotated[int, Ge(1)] | None = None
    seed: int = 0

    def _alone(self, problem: Any) -> Any:
        alone = problem.alone()
        epochs = self.epochs or alone.training.epochs
        return replace(alone, training=replace(alone.training, epochs=epochs))

    def budget(self, problem: Any) -> str:
        alone = self._alone(problem)
        epochs, images = alone.training.epochs, alone.dataset.train_images
        return (
            f"{self.networks:,} networks x {epochs} epochs x {images:,} images "
            f"= {self.networks * epochs * images:,} training images for the gate"
        )

    def evaluations(self, problem: Any) -> list[tuple[Any, int]]:
        return [(problem, self.networks), (self._alone(problem), self.networks)]

    def check(self, problem: Any, folder: Path, measure: Measure, admits: Admits) -> None:
        genomes = stratified(problem, self.networks, admits, self.seed)
        alone = self._alone(problem)
        log.info(
            "gate: %d networks are trained alone, %d epochs each",
            *(len(genomes), alone.training.epochs),
        )
        shared = measure(problem, genomes, folder / "gate_shared")
        trained = measure(alone, genomes, folder / "gate_alone")
        rows = [
            _row(problem.space.decode(genome), by_sharing, by_training)
            for genome, by_sharing, by_training in zip(genomes, shared, trained, strict=True)
            if by_sharing and by_training
        ]
        if len(rows) < FEWEST:
            raise GateClosed(
                f"gate: only {len(rows)} of {len(genomes)} networks could be trained and scored; "
                f"{FEWEST} are needed to see an order",
                "",
            )
        agreements = [
            agreement(score, [row[name] * sign for row in rows], [row["accuracy"] for row in rows])
            for score, name, sign in (
                ("shared val_loss", "shared_val_loss", -1),
                ("params", "params", 1),
                ("macs", "macs", 1),
            )
        ]
        table = _table(agreements, len(rows))
        told = {"agreements": [asdict(one) for one in agreements], "networks": rows}
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / "gate.json") as part:
            part.write_text(json.dumps(told, indent=1), encoding="utf-8")
        seconds = sum(row["train_seconds"] for row in rows)
        log.info("gate: trained alone in %.0f s of training steps\n%s", seconds, table)
        score, *baselines = agreements
        best = max(baselines, key=lambda one: -math.inf if math.isnan(one.tau) else one.tau)
        if math.isnan(score.tau) or score.tau <= best.tau:
            raise GateClosed(
                f"gate: the shared score ranks {len(rows)} networks with Kendall tau {score}, "
                f"{best.score} alone with {best}; train the supernet for longer, or say "
                "problem.gate=off",
                table,
            )


def _row(architecture: str, shared: Measurement, alone: Measurement) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "params": shared["params"],
        "macs": shared["macs"],
        "shared_val_loss": shared["val_loss"],
        "shared_val_accuracy": shared["val_accuracy"],
        "accuracy": alone["val_accuracy"],
        "train_seconds": alone["train_seconds"],
    }


def stratified(problem: Any, networks: int, admits: Admits, seed: int) -> list[list[int]]:
    """Distinct networks spread evenly over multiply-accumulates and, within those, parameters.

    Of a sample of the space, ordered by macs and cut into equal parts, each of which is ordered by
    params and cut again, one network is drawn from each part.  Fewer if the space has fewer within
    the bounds.
    """
    generator = random.Random(seed)
    space, found = problem.space, {}
    for _ in range(DRAWN * networks):
        genome = space.canonical([generator.randrange(len(g.choices)) for g in space.genes])
        if not space.violation(genome) and admits(genome):
            found[tuple(genome)] = problem.known(genome)
    if len(found) < FEWEST:
        raise ValueError(
            f"gate: {len(found)} networks within the bounds were found in {DRAWN * networks} "
            f"draws; at least {FEWEST} are needed"
        )
    networks = min(networks, len(found))
    by_macs = sorted(found, key=lambda genome: (found[genome]["macs"], genome))
    parts = round(math.sqrt(networks))
    chosen = []
    for number, part in enumerate(_cut(by_macs, parts)):
        by_params = sorted(part, key=lambda genome: (found[genome]["params"], genome))
        share = networks // parts + (number < networks % parts)
        chosen += [list(generator.choice(cell)) for cell in _cut(by_params, share)]
    return chosen


def _cut(values: Sequence[Any], parts: int) -> list[Sequence[Any]]:
    """Values in so many parts of equal length, or one more in the first ones."""
    size, more = divmod(len(values), parts)
    starts = [number * size + min(number, more) for number in range(parts + 1)]
    return [values[begin:end] for begin, end in pairwise(starts)]


def agreement(score: str, scores: Sequence[float], accuracies: Sequence[float]) -> Agreement:
    """Kendall's tau-b of two rankings of networks, with its percentile bootstrap interval.

    The networks are drawn with replacement, so that an interval holds for networks like these and
    for this one supernet.
    """
    from scipy.stats import kendalltau

    pairs = numpy.array([scores, accuracies], dtype=float)
    generator = numpy.random.Generator(numpy.random.PCG64(0))
    draws = generator.integers(0, len(scores), (RESAMPLES, len(scores)))
    taus = [kendalltau(*pairs[:, draw]).statistic for draw in draws]
    tau = float(kendalltau(*pairs).statistic)
    if math.isnan(tau):
        return Agreement(score, tau, tau, tau)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = numpy.nanpercentile(taus, [tail, 100 - tail])
    return Agreement(score, tau, float(low), float(high))


def _table(agreements: Sequence[Agreement], networks: int) -> str:
    lines = [f"Kendall tau with the accuracy of {networks} networks trained alone, 95% interval"]
    lines += [f"  {one.score:<16} {one}" for one in agreements]
    return "\n".join(lines)


GATES: Mapping[str, type[Gate]] = {"kendall_tau": KendallTau, "off": Off}
