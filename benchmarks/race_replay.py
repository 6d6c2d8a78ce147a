"""How many trainings, and how long, the loops of a tutorial would need for the target of a race.

They would take hours to days, so both factors are estimated.

Trainings: the search is run on a surrogate of the space, a Gaussian process over what the race's
own searches measured, moved to the accuracy of the published recipe by a straight line (Theil-Sen)
through a few networks whose accuracy by that recipe is known.  A process alone knows no outstanding
network, so each keeps a residual, drawn by its genome from those of networks that looked like it:
as many are good as were measured.  A second training of a network is as the first, and a search
ends with the first network that reaches the target, both in the loop's favour.  One that ends
without it begins again with the next seed.

Seconds of a training: processor time of the loop of `training_throughput` on one thread, on a few
networks drawn at random, and of this toolkit on the same; wall time is that by the number of cores,
as if it scaled perfectly.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy
from scipy.stats import kendalltau, theilslopes
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.peers import Memory, Spent, optuna_sampler, tpe_sampler
from benchmarks.race import REPOSITORY, Lane, Reference
from benchmarks.training_throughput import naive
from deap_nas.opening import declared
from problems.image_classification import ImageClassification
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.initialization import uniform_random
from toolbox.search import search
from toolbox.whole_file import write_whole

REPLAYS = 100  # of each loop
MOST_TRAININGS = 3_000  # of one replay
ALIKE = 8  # networks on either side whose residuals are drawn from
TIMED_NETWORKS, TIMED_IMAGES = 6, 1_500
FEWEST_KNOWN = 3  # networks that a line goes through


class Surrogate:
    """A problem that answers with a predicted accuracy; it is never trained."""

    def __init__(self, problem: ImageClassification, predict: Callable[[tuple[int, ...]], float]):
        self.problem, self.space, self.measures = problem, problem.space, problem.measures
        self._accuracy_of = lru_cache(maxsize=None)(predict)

    def known(self, genome: list[int]) -> dict[str, float]:
        return self.problem.known(genome)

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        canonical = tuple(self.space.canonical(list(genome)))
        return {"val_accuracy": self._accuracy_of(canonical), **self.known(genome)}


def inputs(problem: ImageClassification, genome: list[int]) -> list[float]:
    """What the surrogate knows of a canonical genome: genes one-hot, and what its layers count."""
    hot = [
        float(value == choice)
        for gene, value in zip(problem.space.genes, genome, strict=True)
        for choice in range(len(gene.choices))
    ]
    known = problem.known(genome)
    counted = [float(numpy.log(known[name])) for name in ("params", "macs")]
    return [*hot, *counted, known["layers"], *problem.features(genome)]


def measured(lanes: Sequence[Lane]) -> dict[tuple[int, ...], float]:
    """Validation accuracy after all epochs of every network of the searches of one declaration.

    That of a network which a halving stopped is foretold from those that went on, by a straight
    line.
    """
    stopped: dict[tuple[int, ...], list[float]] = {}
    whole: dict[tuple[int, ...], list[float]] = {}
    for lane in lanes:
        archive = lane.finished.archive
        for record in archive:
            if record.status == "ok":
                into = whole if archive.is_whole(record) else stopped
                accuracy = record.measurement["val_accuracy"]
                into.setdefault(tuple(record.genome), []).append(accuracy)
    found = {genome: mean(values) for genome, values in whole.items()}
    both = [genome for genome in found if genome in stopped]
    if both:
        line = numpy.polynomial.Polynomial.fit(
            [mean(stopped[genome]) for genome in both], [found[genome] for genome in both], 1
        )
        found |= {g: float(line(mean(v))) for g, v in stopped.items() if g not in found}
    return found


def fitted(
    problem: ImageClassification, lanes: Sequence[Lane], known: Mapping[str, float], kept: Path
) -> tuple[Surrogate, str]:
    """The surrogate, and a sentence on how good it is.

    known: accuracies by the published recipe; kept: where what the searches' own recipe gives of
    those among them that the searches did not train is remembered.
    """
    found = measured(lanes)
    x = numpy.array([inputs(problem, list(genome)) for genome in found])
    y = numpy.array(list(found.values()))
    kernel = ConstantKernel(1.0) * RBF(10.0, (1.0, 1e3)) + WhiteKernel(0.1)
    model = make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True))
    folds = KFold(5, shuffle=True, random_state=0)
    unseen = cross_val_predict(model, x, y, cv=folds)
    model.fit(x, y)
    order = numpy.argsort(unseen)
    residuals = (y - unseen)[order]
    own = {name: tuple(problem.space.encode(name)) for name in known}
    other = [name for name, genome in own.items() if genome not in found]
    quick = {name: found[genome] for name, genome in own.items() if genome in found}
    if other:
        quick |= remembered(kept, lambda: _evaluated(problem, other))
    robust = theilslopes(list(known.values()), [quick[name] for name in known])
    line = numpy.polynomial.Polynomial([robust.intercept, robust.slope])

    def accuracy(genome: tuple[int, ...]) -> float:
        predicted = float(model.predict([inputs(problem, list(genome))])[0])
        place = int(numpy.searchsorted(unseen[order], predicted))
        alike = residuals[max(0, place - ALIKE) : place + ALIKE]
        return float(line(min(predicted + random.Random(str(genome)).choice(alike), y.max())))

    off = numpy.median([abs(line(quick[name]) - known[name]) for name in known])
    said = (
        f"The surrogate is fitted on {len(found)} networks (Kendall's tau "
        f"{kendalltau(y, unseen).statistic:.2f} on folds that it had not seen); the line to the "
        f"published recipe goes through {len(known)} networks, a median of {off:.3f} off."
    )
    return Surrogate(problem, accuracy), said


def _evaluated(problem: ImageClassification, architectures: Sequence[str]) -> dict[str, float]:
    return {
        name: problem.evaluate(problem.space.encode(name))["val_accuracy"] for name in architectures
    }


def remembered(file: Path, make: Callable[[], Any]) -> Any:
    """JSON data of a file, made and written if it is not there."""
    if not file.exists():
        write_whole(file, json.dumps(make(), indent=1))
    return json.loads(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Replay:
    """The trainings of one search until its target, those of different networks among them."""

    trainings: int
    networks: int


def by_deap(
    reference: Reference, surrogate: Surrogate, overrides: Sequence[str], seed: int
) -> Replay:
    """The published declaration with overrides, again and again until the target."""
    file = REPOSITORY / "experiments" / reference.published
    trainings, networks = 0, set[str]()
    while trainings < MOST_TRAININGS:
        declaration = declared(file, [f"seed={seed}", "toolbox.map=serial", *overrides])
        toolbox = assemble(declaration, surrogate, Archive({}))
        for _ in search(declaration, toolbox):
            pass
        archive = toolbox.evaluator.networks.archive
        for birth in archive.births:
            record = archive.get(birth.key)
            assert record is not None
            trainings += 1
            networks.add(birth.key)
            if reaches(reference, record.measurement):
                return Replay(trainings, len(networks))
        seed += REPLAYS
    return Replay(trainings, len(networks))


def by_tpe(reference: Reference, surrogate: Surrogate, seed: int) -> Replay:
    """A study of Optuna's with TPE, the genes as categories.

    A genome that breaks a rule of the space is told the value 0 and costs nothing.
    """
    trainings, networks = 0, set[tuple[int, ...]]()

    def loss(genome: tuple[int, ...]) -> list[float]:
        nonlocal trainings
        if surrogate.space.violation(list(genome)):
            return [0.0]
        trainings += 1
        networks.add(tuple(surrogate.space.canonical(list(genome))))
        measurement = surrogate.evaluate(list(genome))
        if reaches(reference, measurement) or trainings == MOST_TRAININGS:
            raise Spent
        return [-reference.value(measurement["val_accuracy"], measurement["params"])]

    choices = [len(gene.choices) for gene in surrogate.space.genes]
    memory = Memory(loss, choices, budget=10 * MOST_TRAININGS, most_asks=10 * MOST_TRAININGS)
    with suppress(Spent):
        optuna_sampler(memory, 1, seed, 0, sampler=tpe_sampler, integers=False)
    return Replay(trainings, len(networks))


def reaches(reference: Reference, measurement: Mapping[str, float]) -> bool:
    value = reference.value(measurement["val_accuracy"], measurement["params"])
    return value >= reference.target


def timed(problem: ImageClassification) -> dict[str, list[float]]:
    """Processor seconds for an image that is trained on, of each of a few networks drawn at random:
    of the tutorial's "loop", and of our "own" evaluation."""
    dataset = replace(problem.dataset, limit=TIMED_IMAGES, validation=250)
    small = replace(problem, dataset=dataset, training=replace(problem.training, epochs=1))
    random.seed(0)
    drawn = [uniform_random(problem.space) for _ in range(TIMED_NETWORKS)]
    small.evaluate(drawn[0])  # it loads the images and what torch needs

    def own(genome: list[int]) -> float:
        began = time.process_time()
        small.evaluate(genome)
        return (time.process_time() - began) / TIMED_IMAGES

    def loop(genome: list[int]) -> float:
        name = problem.space.decode(genome)
        return 1 / naive(small, name, 1, threads=1, clock=time.process_time)[0]

    return {"own": [own(one) for one in drawn], "loop": [loop(one) for one in drawn]}


def estimates(
    reference: Reference,
    lanes: Sequence[Lane],
    known: Mapping[str, float],
    reached: Sequence[float],
    folder: Path,
) -> list[str]:
    """Lines on the trainings and times of the loops until the target.

    lanes: ended searches of `best`; reached: processor seconds after which those had reached the
    target of which it is known.  known: accuracies of networks by the published recipe.
    """
    rates = remembered(folder / "rates.json", lambda: timed(reference.recipe))
    loop, own = rates["loop"], rates["own"]
    each_epoch = reference.problem().dataset.limit or reference.recipe.dataset.official_train_images
    images = reference.epochs * each_epoch
    seconds = mean(loop) * images
    ended = mean(lane.readings[-1].processor for lane in lanes)
    file = REPOSITORY / "experiments" / reference.published
    whole = declared(file).most_evaluations
    lines = [
        f"Estimates.  A training takes {reference.epochs} of {reference.problem().training.epochs} "
        f"epochs of {each_epoch:,} images (the published search stops early).  {TIMED_NETWORKS} "
        f"networks drawn at random take {_microseconds(loop)} of processor time for an image in "
        f"the loop, and {_microseconds(own)} here.  Wall time is processor time by two cores.  The "
        f"published search, {whole} trainings, would take {whole * seconds:,.0f} s in the loop, "
        f"{whole * seconds / ended:.0f} times as long as `best` until its end, and at most "
        f"{whole * mean(own) * images:,.0f} s here.",
    ]
    if len(known) < FEWEST_KNOWN:
        return lines
    surrogate, said = fitted(
        lanes[0].finished.problem.prepared(), lanes, known, folder / "known.json"
    )
    contestants: dict[str, tuple[Callable[[int], Replay], float, bool]] = {
        "loop: DataLoader, eager float32, eaSimple": (
            lambda seed: by_deap(reference, surrogate, reference.ea_simple, seed),
            seconds,
            True,
        ),
        "tpe: the same loop, Optuna's TPE": (
            lambda seed: by_tpe(reference, surrogate, seed),
            seconds,
            True,
        ),
        "published: ours, as published": (
            lambda seed: by_deap(reference, surrogate, (), seed),
            mean(own) * images,
            False,
        ),
    }
    lines += [
        "",
        f"Until the target: {said}  {REPLAYS} replays each.",
        "",
        "| who | trainings until the target, mean (median) | processor s of a training | "
        "processor s | hours on two cores | times `best` until the target | until its end |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (replay, each, repeats) in contestants.items():
        found = [replay(seed) for seed in range(1, REPLAYS + 1)]
        counts = [one.trainings if repeats else one.networks for one in found]
        total = mean(counts) * each
        times = f"{total / mean(reached):.0f}" if reached else "not known yet"
        lines.append(
            f"| {name} | {mean(counts):.0f} ({median(counts):.0f}) | {each:,.0f} | {total:,.0f} | "
            f"{total / 7200:.2f} | {times} | {total / ended:.1f} |"
        )
    return lines


def _microseconds(rates: Sequence[float]) -> str:
    least, middle, most = (1e6 * one for one in (min(rates), mean(rates), max(rates)))
    return f"{middle:,.0f} ({least:,.0f} to {most:,.0f}) microseconds"
