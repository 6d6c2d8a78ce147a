"""How further trainings are best dealt out among the networks of finals: a simulation.

    python -m benchmarks.finals_allocation --table nas-bench-macro_cifar10.json

Each repetition draws networks near the top of NAS-Bench-Macro (ranks exponentially distributed),
trains each once with the table's own noise, takes the best to the finals, and deals out the further
trainings by each rule.  Printed: the mean regret of the network that is returned, in points.

Sequential halving: Karnin, Koren & Somekh, 2013.  OCBA: Chen, Lin, Yuecesan & Chick, 2000.
"""

import argparse
import json
from collections.abc import Callable
from math import ceil, log2, sqrt
from pathlib import Path

import numpy

SEARCHED, SPREAD = 80, 60  # networks that a search evaluated, and how far down their ranks go
SIZES = ((5, 2), (10, 2), (20, 2), (10, 4))  # networks x further trainings of each
NEAR = 500  # of the best networks: the noise is theirs


class Trainings:
    """Networks of known true values, trained with noise as often as a rule asks."""

    def __init__(
        self, true: numpy.ndarray, first: numpy.ndarray, noise: float, draw: numpy.random.Generator
    ):
        self.true, self.noise, self.draw = true, noise, draw
        self.sums, self.counts = first.copy(), numpy.ones(len(true))

    def train(self, networks: numpy.ndarray) -> None:
        self.sums[networks] += self.true[networks] + self.noise * self.draw.normal(
            size=len(networks)
        )
        self.counts[networks] += 1

    @property
    def means(self) -> numpy.ndarray:
        return self.sums / self.counts


def equal(trainings: Trainings, budget: int) -> numpy.ndarray:
    everyone = numpy.arange(len(trainings.true))
    for _ in range(budget // len(everyone)):
        trainings.train(everyone)
    return everyone


def sequential_halving(trainings: Trainings, budget: int) -> numpy.ndarray:
    alive = numpy.arange(len(trainings.true))
    rounds = max(1, ceil(log2(len(alive))))
    for number in range(rounds):
        for _ in range(max(1, budget // (rounds - number) // len(alive))):
            if budget >= len(alive):
                trainings.train(alive)
                budget -= len(alive)
        best_first = alive[numpy.argsort(-trainings.means[alive])]
        alive = best_first[: max(1, (len(alive) + 1) // 2)]
    return alive


def ocba(trainings: Trainings, budget: int) -> numpy.ndarray:
    everyone = numpy.arange(len(trainings.true))
    trainings.train(everyone)
    for _ in range(budget - len(everyone)):
        best = trainings.means.argmax()
        weights = 1 / numpy.maximum(trainings.means[best] - trainings.means, 1e-3) ** 2
        weights[best] = 0
        weights[best] = sqrt((weights**2).sum())
        wanted = weights / weights.sum() * (trainings.counts.sum() + 1)
        trainings.train(numpy.array([(wanted - trainings.counts).argmax()]))
    return everyone


RULES: dict[str, Callable[[Trainings, int], numpy.ndarray]] = {
    "no finals": lambda trainings, budget: numpy.array([0]),
    "equal": equal,
    "sequential halving": sequential_halving,
    "ocba": ocba,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--repetitions", type=int, default=3000)
    chosen = parser.parse_args()
    rows = json.loads(chosen.table.read_text(encoding="utf-8")).values()
    true = numpy.array([row["mean_acc"] for row in rows])
    order = numpy.argsort(-true)
    runs = numpy.array([row["test_acc"] for row in rows])[order[:NEAR]]
    noise = sqrt(runs.var(axis=1, ddof=1).mean())
    draw = numpy.random.default_rng(7)
    print(f"a training's standard deviation is {noise:.3f}; {chosen.repetitions} repetitions")
    for networks, seeds in SIZES:
        regrets: dict[str, list[float]] = {name: [] for name in RULES}
        for _ in range(chosen.repetitions):
            ranks = numpy.unique(draw.exponential(SPREAD, 4 * SEARCHED).astype(int))
            found = true[order[draw.permutation(ranks[ranks < len(true)])[:SEARCHED]]]
            first = found + noise * draw.normal(size=len(found))
            best = numpy.argsort(-first)[:networks]
            for name, rule in RULES.items():
                trainings = Trainings(found[best], first[best], noise, draw)
                left = rule(trainings, networks * seeds)
                chosen_one = left[trainings.means[left].argmax()]
                regrets[name].append(float(true.max() - trainings.true[chosen_one]))
        said = ", ".join(
            f"{name} {numpy.mean(v):.3f} ± {numpy.std(v) / sqrt(len(v)):.3f}"
            for name, v in regrets.items()
        )
        print(f"{networks} x {seeds}: {said}", flush=True)


if __name__ == "__main__":
    main()
