"""How long is it until a search has a network that reaches a published result?

    python -m benchmarks.race {A,B,C} [--seeds 3] [--first-seed 1] [--only best]
        [--folder runs/race] [--minutes 110] [--workers 2] [--out FILE.md]

Four contestants look for a network whose value on the official test images, trained by the
published recipe on all training images, is at least the published one (mean of three trainings):

loop       the tutorial's: DEAP's eaSimple around a DataLoader and eager float32, every individual
           trained; an estimate: trainings of a replay, times the measured rate (race_replay.py)
tpe        Optuna's TPE around the same loop; an estimate likewise
published  the published search as this toolkit runs it; an estimate too, until it has run
best       the same space with all that makes a search cheap

What a search would return at a moment, the best so far by its own first objective, is its
incumbent.  Told are the time, processor time, trainings, epochs and images of a search until it
ended, and until it had the first of its incumbents that reaches the target (found by bisection, as
if incumbents only got better).  The trainings that score a network are told apart.  No search sees
a test image, and what is scored is chosen by validation images alone.  Where a reference published
a front, the most accurate network found with no more parameters than each of its networks is
scored too; where its recipe trained on a part of the images, or had a variant, so is what a search
returns, by those.

Everything is kept in --folder.  A piece of at most --minutes ends cleanly, and the same command
goes on: with the searches, whose cost is written down every second, and with the scores, one
training at a time.
"""

import argparse
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import islice, product
from multiprocessing import active_children, get_context
from pathlib import Path
from statistics import mean
from typing import Any

import psutil
from torch import nn

from benchmarks.result_file import keep, machine, parser_of
from deap_nas.finished_run import FinishedRun
from deap_nas.opening import declared
from problems.datasets.splits import open_splits
from problems.device import configure
from problems.image_classification import ImageClassification
from problems.retraining import official_test, retrain, scores_of, unwatched
from problems.seeds import seed_of
from problems.training.loop import Run, logits_of, seeded
from toolbox.archive import Record
from toolbox.halving import epochs_for
from toolbox.report.picking import pick
from toolbox.whole_file import write_whole

REPOSITORY = Path(__file__).parents[1]
TRAININGS = 3  # of a network, for its score
TICK = 1.0  # seconds between two readings of what a search has cost
SEARCHES = ("best", "published")
HEADER = (
    "| search | when | networks | epochs | million images | processor s | wall s | incumbent | "
    "params | test accuracy | value |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)
UNFINISHED = ("", "Not all is searched and scored yet; the same command goes on.")
FRONT_HEADER = (
    "| search | published | test accuracy of ours | network | dominated |",
    "|---|---|---|---|---|",
)


def less_params(accuracy: float, params: float) -> float:
    """The fitness of reference A.

    >>> less_params(0.75, 1e6)
    0.74
    """
    return accuracy - 0.01 * params / 1e6


def accuracy_alone(accuracy: float, params: float) -> float:
    """The fitness of reference C."""
    return accuracy


def per_log_params(accuracy: float, params: float) -> float:
    """The fitness of reference B.

    >>> round(per_log_params(0.8063, 3264), 2)
    9.97
    """
    return 100 * accuracy / math.log(params)


@dataclass(frozen=True)
class Trial:
    """A recipe of a reference: its name, what is said of it, overrides of `scored`, and its
    published accuracy."""

    name: str
    said: str
    overrides: tuple[str, ...]
    published: float


@dataclass(frozen=True)
class Reference:
    """A published result, and the declarations of the searches that race to it.

    published, best: files in experiments/.  value: of a test accuracy and a number of parameters;
    target: the published one.  front: published pairs of them, each to be dominated.

    scored: overrides of the published declaration that make the recipe of the scores.  trials:
    other recipes that the returned networks are scored by too.  as_it_was: whether they are also
    trained on the published number of images, stopped and kept by validation images.

    For the estimates, which there are if `epochs` is told: how many a training takes by the
    published recipe on average, because it stops early; known: accuracies of networks by that
    recipe, without which those of the scored networks serve; ea_simple: overrides that make
    `published` a search by DEAP's eaSimple.
    """

    published: str
    best: str
    value: Callable[[float, float], float]
    target: float
    front: tuple[tuple[float, int], ...] = ()
    scored: tuple[str, ...] = ()
    trials: tuple["Trial", ...] = ()
    as_it_was: bool = False
    known: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    ea_simple: tuple[str, ...] = ()

    def problem(self, *overrides: str) -> ImageClassification:
        """The published problem with overrides."""
        file = REPOSITORY / "experiments" / self.published
        problem: ImageClassification = declared(file, overrides).problem.build().prepared()
        return problem

    def on_all_images(self, *overrides: str) -> ImageClassification:
        """The problem of the scores: it trains on all official training images and watches nothing.

        overrides: of the recipe, further ones.
        """
        problem = self.problem(*self.scored, *overrides)
        training = unwatched(problem.training, problem.training.epochs)
        return replace(problem, training=training, dataset=replace(problem.dataset, limit=None))

    @cached_property
    def recipe(self) -> ImageClassification:
        return self.on_all_images()


REFERENCES = {
    # Published is the best accuracy of a search's trainings on 5,000 images.  The target asks for
    # the objective, which is less, and for a mean on all test images, but of trainings on all
    # 50,000 images: 10 epochs of them, as many images as the published 100 epochs of 5,000.
    "A": Reference(
        published="nas_ga_basic.toml",
        best="cifar10_ga_race.toml",
        value=less_params,
        target=0.73,
        scored=("problem.training.epochs=10",),
        as_it_was=True,
        epochs=30,
        ea_simple=(
            "algorithm={use='eaSimple', population=10, generations=5, crossover_probability=0.7, "
            "mutation_probability=0.3}",
        ),
    ),
    "B": Reference(
        published="fashion_mnist_ga.toml",
        best="fashion_mnist_race.toml",
        value=per_log_params,
        target=per_log_params(0.8063, 3264),
        front=((0.8063, 3_264), (0.8184, 4_476), (0.8413, 5_830), (0.8538, 8_768)),
        known={  # of the full search in docs/references.md, which took 16.2 epochs on average
            "NC 12 3 tanh;RC 2 4 relu;RC 8 3 tanh;NC 12 4 tanh;FL gelu;": 0.8437,
            "NC 6 4 gelu;RC 12 3 swish;RC 4 3 gelu;NC 12 4 relu;FL swish;": 0.8359,
            "RC 6 3 relu;RC 8 3 tanh;NC 2 5 tanh;FL gelu;": 0.7635,
            "RC 6 3 relu;RC 8 3 tanh;NC 12 4 tanh;FL gelu;": 0.8356,
            "NC 12 3 tanh;RC 2 4 relu;RC 8 3 tanh;NC 2 5 tanh;FL swish;": 0.7656,
            "NC 8 4 gelu;NC 14 3 tanh;RC 12 3 swish;RC 4 3 gelu;NC 12 4 relu;FL swish;": 0.8490,
            "NC 2 4 gelu;RC 4 3 tanh;NC 8 4 tanh;RC 16 5 swish;FL gelu;": 0.8338,
            "RC 2 4 relu;RC 8 3 tanh;NC 12 4 tanh;FL gelu;": 0.8040,
            "RC 6 3 relu;RC 8 3 tanh;NC 2 5 tanh;FL relu;": 0.6773,
            "RC 6 3 relu;NC 2 5 sigmoid;RC 14 5 swish;FL gelu;": 0.7322,
            "RC 6 3 relu;RC 6 5 relu;NC 10 5 tanh;FL tanh;": 0.7545,
            "RC 14 3 tanh;RC 6 5 relu;NC 10 5 tanh;FL relu;": 0.7998,
        },
        epochs=16,
        ea_simple=(
            "algorithm={use='eaSimple', population=25, generations=4, crossover_probability=0.9, "
            "mutation_probability=0.05}",
        ),
    ),
    # The report names neither epochs nor learning rate; 20 epochs are ours.
    "C": Reference(
        published="resource_constrained.toml",
        best="cifar10_constrained_race.toml",
        value=accuracy_alone,
        target=0.8223,
        scored=("problem.training.epochs=20",),
        trials=(
            Trial(
                "trial-1",
                "no augmentation, no schedule",
                ("problem.training.augmentation={}", "problem.training.schedule=constant"),
                0.7386,
            ),
        ),
    ),
}

AS_IT_WAS_HEADER = (
    "| search | network | best validation accuracy | test accuracy | epochs, mean |",
    "|---|---|---|---|---|",
)
TRIAL_HEADER = (
    "| search | recipe | network | test accuracy | published |",
    "|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Reading:
    """What a search has cost: at a moment (seconds since 1970), its seconds of wall time and of
    processor time, over all its pieces."""

    at: float
    wall: float
    processor: float


class Lane:
    """One search in its folder, with the readings of what it cost."""

    def __init__(self, declaration: str, seed: int, folder: Path, overrides: Sequence[str] = ()):
        self.declaration, self.seed, self.folder = declaration, seed, folder
        self.overrides = overrides
        self.name = f"{Path(declaration).stem}, seed {seed}"
        self.path = folder / Path(declaration).stem / f"seed-{seed}"
        self._readings = folder / f"{Path(declaration).stem}-{seed}.jsonl"

    @property
    def ended(self) -> bool:
        return self._readings.with_suffix(".ended").exists()

    @property
    def readings(self) -> list[Reading]:
        if not self._readings.exists():
            return []
        lines = self._readings.read_text(encoding="utf-8").splitlines()
        return [Reading(**json.loads(line)) for line in lines]

    def run(self, workers: int, until: float) -> bool:
        """Search on until the end or a moment of the monotonic clock; whether it has ended."""
        if self.ended:
            return True
        command = [
            *(sys.executable, "run_search.py", f"experiments/{self.declaration}"),
            *(f"seed={self.seed}", f"toolbox.map.workers={workers}"),
            *(*self.overrides, "--runs", str(self.folder.absolute())),
        ]
        before = self.readings[-1:] or [Reading(0.0, 0.0, 0.0)]
        began, begun = time.monotonic(), before[0]
        with (
            self._readings.open("a", encoding="utf-8") as file,
            subprocess.Popen(command, cwd=REPOSITORY) as process,
        ):
            search = psutil.Process(process.pid)
            spent: dict[int, float] = {}
            try:
                while process.poll() is None:
                    spent |= _processor_seconds(search)
                    wall = begun.wall + time.monotonic() - began
                    reading = Reading(time.time(), wall, begun.processor + sum(spent.values()))
                    file.write(json.dumps(vars(reading)) + "\n")
                    file.flush()
                    if time.monotonic() > until:
                        process.terminate()
                        until = math.inf
                    time.sleep(TICK)
            finally:
                process.terminate()  # if this benchmark ends before its search
        if process.returncode not in (0, 130):
            raise SystemExit(f"{' '.join(command)}: status {process.returncode}")
        if process.returncode == 0:
            self._readings.with_suffix(".ended").touch()
        return self.ended

    @cached_property
    def finished(self) -> FinishedRun:
        return FinishedRun.open(self.path)

    def cost_until(self, moment: float) -> Reading:
        """The first reading at or after a moment."""
        readings = self.readings
        return next((one for one in readings if one.at >= moment), readings[-1])


def _processor_seconds(process: psutil.Process) -> dict[int, float]:
    """Of a process and all its descendants, by their numbers."""
    found = {}
    for one in [process, *_descendants(process)]:
        try:
            times = one.cpu_times()
            found[one.pid] = times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return found


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def moment(record: Record) -> float:
    """When a record was finished, in seconds since 1970."""
    return datetime.fromisoformat(record.finished_at).timestamp()


def incumbents(run: FinishedRun) -> list[Record]:
    """What a search would have returned, one after the other; the last is what it returns."""
    judge, found = run.judge, list[Record]()
    best = -math.inf
    for record in sorted(run.archive, key=moment):
        value = judge.fitness(record)[0] * judge.weights[0] if judge.feasible(record) else -math.inf
        if value > best:
            best = value
            found.append(record)
    returned = pick(judge, run.archive.networks(), "best")
    return [*(one for one in found if one.architecture != returned.architecture), returned]


@dataclass(frozen=True)
class Found:
    """A network of a search, and what the search had cost when it was known; or when it ended."""

    lane: Lane
    record: Record
    trainings: int
    epochs: float
    cost: Reading

    @classmethod
    def of(cls, lane: Lane, record: Record, ended: bool = False) -> "Found":
        by = math.inf if ended else moment(record)
        known = [one for one in lane.finished.archive if moment(one) <= by]
        known = [one for one in known if one.status != "infeasible"]
        return cls(
            lane,
            record,
            len({one.architecture for one in known}),
            sum(epochs_for(one, first=False) for one in known),
            lane.cost_until(by),
        )

    @property
    def images(self) -> float:
        return self.epochs * self.lane.finished.problem.dataset.train_images


def rivals(run: FinishedRun, front: Sequence[tuple[float, int]]) -> list[Record]:
    """For each published network the most accurate one found with no more parameters."""
    within = [one for one in run.archive.networks() if run.judge.feasible(one)]
    return [
        max(
            (one for one in within if one.measurement["params"] <= most),
            key=lambda one: one.measurement["val_accuracy"],
        )
        for _, most in front
    ]


def score(job: tuple[ImageClassification, list[int], int]) -> dict[str, float]:
    """Test accuracy and seconds of one training of a genome by a recipe; processor seconds.

    Of a recipe that watches validation images also the best accuracy on those, and its epochs.
    """
    problem, genome, seed = job
    began = time.process_time()
    scores: dict[str, float] = {}
    if problem.training == unwatched(problem.training, problem.training.epochs):
        ((_, trained),) = retrain(problem, genome, [seed])
        if isinstance(trained, Exception):
            raise trained
        network = trained.network
    else:
        network, scores = watched(problem, genome, seed)
    seconds = time.process_time() - began
    test = official_test(problem)
    accuracy = scores_of(logits_of(network, test), test.labels)["accuracy"]
    return {"accuracy": accuracy, "seconds": seconds, **scores}


def watched(
    problem: ImageClassification, genome: list[int], seed: int
) -> tuple[nn.Module, dict[str, float]]:
    """A network trained as a search trains it, with its scores on the validation images."""
    drawn = seed_of(f"race {problem.seed} {seed} {problem.space.decode(genome)}")
    configure(problem.device, problem.training.precision, problem.threads)
    splits = open_splits(problem.dataset, problem.device)
    with seeded(drawn, problem.device):
        network = problem.untrained(genome, splits.train)
    run = Run(network, splits, problem.training, drawn)
    for _ in run.until(problem.training.epochs):
        pass
    return network, {name: run.scores()[name] for name in ("val_accuracy", "epochs")}


class Scores:
    """Test accuracies of networks by a recipe, a file for each training; made when asked for."""

    def __init__(self, recipe: ImageClassification, folder: Path, workers: int, until: float):
        self.recipe, self.folder, self.workers, self.until = recipe, folder, workers, until
        self.wanting = False  # whether the time was not enough for something

    def _file(self, architecture: str, seed: int) -> Path:
        digest = hashlib.blake2b(architecture.encode(), digest_size=6).hexdigest()
        return self.folder / f"{digest}-{seed}.json"

    def of(
        self, architectures: Sequence[str], name: str = "accuracy"
    ) -> dict[str, list[float]] | None:
        """The test accuracies of each network, or another number that `score` tells, one for each
        training; None if the time was not enough for all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = list(product(dict.fromkeys(architectures), range(1, TRAININGS + 1)))
        missing = [one for one in wanted if not self._file(*one).exists()]
        jobs = (
            (self.recipe, self.recipe.space.encode(architecture), seed)
            for architecture, seed in missing
        )
        # Closed here: an exit that a signal asks for while the collector closes it would be lost.
        with closing(self._made(jobs)) as made:
            for (architecture, seed), found in zip(missing, made, strict=False):
                content = {"architecture": architecture, "seed": seed, **found}
                write_whole(self._file(architecture, seed), json.dumps(content))
                told = f"test accuracy {found['accuracy']:.4f}"
                print(f"{architecture} seed {seed}: {told}", flush=True)
        if any(not self._file(*one).exists() for one in wanted):
            self.wanting = True
            return None
        scores: dict[str, list[float]] = {}
        for architecture, seed in wanted:
            content = json.loads(self._file(architecture, seed).read_text(encoding="utf-8"))
            scores.setdefault(architecture, []).append(content[name])
        return scores

    @property
    def known(self) -> dict[str, float]:
        """The mean test accuracy of every network that is scored so far."""
        found: dict[str, list[float]] = {}
        for file in sorted(self.folder.glob("*.json")):
            content = json.loads(file.read_text(encoding="utf-8"))
            found.setdefault(content["architecture"], []).append(content["accuracy"])
        return {architecture: mean(values) for architecture, values in found.items()}

    def _made(self, jobs: Iterator[Any]) -> Generator[dict[str, float], None, None]:
        """The scores of jobs in order, as many as the time allows to begin."""
        if self.workers == 1:
            for job in jobs:
                if time.monotonic() > self.until:
                    return
                yield score(job)
            return
        with ProcessPoolExecutor(self.workers, get_context("spawn")) as pool:
            try:
                while time.monotonic() < self.until:
                    some = [pool.submit(score, job) for job in islice(jobs, self.workers)]
                    if not some:
                        return
                    for future in some:
                        yield future.result()
            except (KeyboardInterrupt, SystemExit):
                for child in active_children():  # else the pool waits for the end of trainings
                    child.terminate()
                raise


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def cell(architecture: str) -> str:
    """An architecture in a table, whose own bars are no borders."""
    return "`" + architecture.replace("|", "\\|") + "`"


def row_of(name: str, found: Found, reference: Reference, tested: Sequence[float]) -> str:
    """A line of the table: what a search had cost, and its incumbent then."""
    params, cost = int(found.record.measurement["params"]), found.cost
    value = reference.value(mean(tested), params)
    return (
        f"| {found.lane.name} | {name} | "
        f"{found.trainings} | {found.epochs:,.0f} | {found.images / 1e6:.2f} | "
        f"{cost.processor:,.0f} | {cost.wall:,.0f} | {cell(found.record.architecture)} | "
        f"{params:,} | {spread(tested)} | {value:.3f} |"
    )


@dataclass(frozen=True)
class Finish:
    """An ended search: what it returned, and the first of its incumbents that reaches the target,
    as far as their scores are known; with what it had cost."""

    ended: Found
    reached: Found | None = None
    missed: bool = False

    @classmethod
    def of(cls, lane: Lane, reference: Reference, scores: "Scores") -> "Finish":
        found = incumbents(lane.finished)
        last = len(found) - 1

        def reaches(place: int) -> bool | None:
            architecture, params = found[place].architecture, found[place].measurement["params"]
            known = scores.of([architecture])
            return known and reference.value(mean(known[architecture]), params) >= reference.target

        ended = Found.of(lane, found[last], ended=True)
        if not reaches(last):
            return cls(ended, missed=reaches(last) is False)
        low, high = 0, last  # the first that reaches is not before the one, nor after the other
        while low < high:
            middle = (low + high) // 2
            verdict = reaches(middle)
            if verdict is None:
                return cls(ended)
            low, high = (low, middle) if verdict else (middle + 1, high)
        return cls(ended, Found.of(lane, found[low]))

    def rows(self, reference: Reference, scores: "Scores") -> Iterator[str]:
        ended = "target missed" if self.missed else "ended"
        names = {"target reached": self.reached, ended: self.ended}
        for name, found in names.items():
            known = found and scores.of([found.record.architecture])
            if found and known:
                yield row_of(name, found, reference, known[found.record.architecture])


def front_rows(lane: Lane, reference: Reference, scores: "Scores") -> Iterator[str]:
    """A line for each published network of a front; none before all are scored."""
    found = rivals(lane.finished, reference.front)
    known = scores.of([one.architecture for one in found])
    if known is None:
        return
    for (accuracy, most), rival in zip(reference.front, found, strict=True):
        tested, params = known[rival.architecture], int(rival.measurement["params"])
        yield (
            f"| {lane.name} | {accuracy:.4f} with {most:,} | {spread(tested)} with {params:,} | "
            f"{cell(rival.architecture)} | {'yes' if mean(tested) >= accuracy else 'no'} |"
        )


def as_it_was_rows(lane: Lane, scores: "Scores") -> Iterator[str]:
    """A line on what a search returned, trained as the published search trained; none before it
    is."""
    returned = incumbents(lane.finished)[-1].architecture
    told = [scores.of([returned], name) for name in ("val_accuracy", "accuracy", "epochs")]
    if all(told):
        validation, tested, epochs = (one[returned] for one in told if one)
        yield (
            f"| {lane.name} | {cell(returned)} | {spread(validation)} | {spread(tested)} | "
            f"{mean(epochs):.0f} of {scores.recipe.training.epochs} |"
        )


def trial_row(lane: Lane, trial: Trial, scores: "Scores") -> Iterator[str]:
    """A line on what a search returned, trained by one of the recipes; none before it is."""
    returned = incumbents(lane.finished)[-1]
    if known := scores.of([returned.architecture]):
        yield (
            f"| {lane.name} | {trial.said} | {cell(returned.architecture)} | "
            f"{spread(known[returned.architecture])} | {trial.published:.4f} |"
        )


def in_pieces(parser: argparse.ArgumentParser, seeds: int, folder: str) -> None:
    """Add the arguments of a `Piece`.  seeds: how many by default."""
    parser.add_argument("--seeds", type=int, default=seeds, help="how many")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(folder))
    parser.add_argument("--minutes", type=float, default=110, help="of this piece")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)


@dataclass(frozen=True)
class Piece:
    """One of the pieces that searches and their scores are made in.

    until: when it begins nothing more, by the monotonic clock.
    """

    seeds: range
    folder: Path
    until: float
    workers: int

    @classmethod
    def begin(cls, arguments: argparse.Namespace, name: str) -> "Piece":
        """The piece that the arguments declare, in a folder of this name; SIGTERM ends it."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        folder = arguments.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        until = time.monotonic() + 60 * arguments.minutes
        return cls(seeds, folder, until, arguments.workers)

    def scores(self, recipe: ImageClassification, name: str) -> Scores:
        """The scores by a recipe, kept under a name."""
        return Scores(recipe, self.folder / name, self.workers, self.until)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("reference", choices=REFERENCES)
    parser.add_argument("--only", choices=SEARCHES, help="of the searches; default: both")
    in_pieces(parser, seeds=3, folder="runs/race")
    arguments = parser.parse_args()
    piece, reference = Piece.begin(arguments, arguments.reference), REFERENCES[arguments.reference]
    # The searches of a seed side by side would slow each other down: one after the other.
    lanes = [
        Lane(getattr(reference, who), seed, piece.folder)
        for seed in piece.seeds
        for who in SEARCHES
        if arguments.only in (None, who)
    ]
    ended = [lane for lane in lanes if lane.run(piece.workers, piece.until)]
    scores = piece.scores(reference.recipe, "scores")
    by_trial = {
        trial: piece.scores(reference.on_all_images(*trial.overrides), f"scores-{trial.name}")
        for trial in reference.trials
    }
    as_it_was = piece.scores(reference.problem(), "scores-as-it-was")
    # What the searches return comes first, by every recipe: it decides who reaches the target.
    scores.of([incumbents(lane.finished)[-1].architecture for lane in ended])
    before = [
        row for lane in ended if reference.as_it_was for row in as_it_was_rows(lane, as_it_was)
    ]
    trials = [
        row
        for lane in ended
        for trial, scored in by_trial.items()
        for row in trial_row(lane, trial, scored)
    ]
    finishes = [Finish.of(lane, reference, scores) for lane in ended]
    searched = [row for finish in finishes for row in finish.rows(reference, scores)]
    fronts = [row for lane in ended for row in front_rows(lane, reference, scores)]
    recipe = reference.recipe
    lines = [
        f"# The time to the published result of reference {arguments.reference}",
        "",
        f"{machine()}; {piece.workers} workers.  Target: {reference.target:.3f} on the test "
        f"images, mean of {TRAININGS} trainings by the published recipe, "
        f"{recipe.training.epochs} epochs of all {recipe.dataset.official_train_images:,} training "
        "images.  Seconds are those of the search alone.",
    ]
    tables = (
        (HEADER, searched),
        (FRONT_HEADER, fronts),
        (AS_IT_WAS_HEADER, before),
        (TRIAL_HEADER, trials),
    )
    for header, rows in tables:
        if rows:
            lines += ["", *header, *rows]
    cheap = [lane for lane in ended if lane.declaration == reference.best]
    if cheap and reference.epochs and (known := reference.known or scores.known):
        from benchmarks.race_replay import estimates

        reached = [
            finish.reached.cost.processor
            for lane, finish in zip(ended, finishes, strict=True)
            if finish.reached and lane in cheap
        ]
        lines += ["", *estimates(reference, cheap, known, reached, piece.folder)]
    wanting = [one for one in (scores, as_it_was, *by_trial.values()) if one.wanting]
    if wanting or len(ended) < len(lanes):
        lines += UNFINISHED
    print("\n".join(lines))
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
