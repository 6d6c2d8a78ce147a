"""How long is it until a search has a network that reaches a published result?

    python -m benchmarks.race B [--seeds 3] [--only best ...] [--folder runs/race] [--minutes 110]
        [--workers 2] [--out FILE.md]

Four contestants look for a network whose value on the official test images, trained by the
published recipe on all training images, is at least the published one (mean of three trainings):

loop       the tutorial's: DEAP's eaSimple around a DataLoader and eager float32, every individual
           trained; an estimate (race_replay.py): trainings of a replay, times the measured rate
tpe        Optuna's TPE around the same loop; an estimate likewise
published  the published search as this toolkit runs it
best       the same space with all that makes a search cheap

The network that a search would return at a moment is its incumbent.  A search has reached the
target at the moment from which on all its incumbents reach it.  Its time, processor time,
trainings, epochs and images are those until then; the trainings that score a network are told
apart.  No search sees a test image, and what is scored is chosen by validation images alone.

Everything is kept in --folder.  A piece of at most --minutes ends cleanly, and the same command
goes on: with the searches, whose cost is written down every second, and with the scores, one
training at a time.
"""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import psutil

from benchmarks.result_file import keep, machine, parser_of
from deap_nas.finished_run import FinishedRun
from deap_nas.opening import declared, prepared_silently
from problems.datasets.splits import open_splits
from problems.image_classification import ImageClassification
from problems.retraining import official_test, retrain, scores_of, unwatched
from problems.training.loop import logits_of
from toolbox.archive import Record
from toolbox.report.picking import pick
from toolbox.whole_file import write_whole

REPOSITORY = Path(__file__).parents[1]
TRAININGS = 3  # of a network, for its score
TICK = 1.0  # seconds between two readings of what a search has cost


def per_log_params(accuracy: float, params: float) -> float:
    """The fitness of reference B.

    >>> round(per_log_params(0.8063, 3264), 2)
    9.97
    """
    return 100 * accuracy / math.log(params)


@dataclass(frozen=True)
class Reference:
    """A published result, and the declarations of the searches that race to it.

    published, best: files in experiments/.  value: of a test accuracy and a number of parameters;
    target: the published one.  front: published pairs of them, each to be dominated.
    """

    published: str
    best: str
    value: Callable[[float, float], float]
    target: float
    front: tuple[tuple[float, int], ...] = ()

    @cached_property
    def recipe(self) -> ImageClassification:
        """The published problem, which trains all official training images and watches nothing."""
        problem = prepared_silently(declared(REPOSITORY / "experiments" / self.published))
        training = unwatched(problem.training, problem.training.epochs)
        return replace(
            problem, training=training, dataset=replace(problem.dataset, limit=None)
        )


REFERENCES = {
    "B": Reference(
        published="fashion_mnist_ga.toml",
        best="fashion_mnist_race.toml",
        value=per_log_params,
        target=per_log_params(0.8063, 3264),
        front=((0.8063, 3_264), (0.8184, 4_476), (0.8413, 5_830), (0.8538, 8_768)),
    ),
}


@dataclass(frozen=True)
class Reading:
    """What a search has cost: at a moment (seconds since 1970), its seconds of wall time and of
    processor time, over all its pieces."""

    at: float
    wall: float
    processor: float


class Lane:
    """One search in its folder, with the readings of what it cost."""

    def __init__(self, declaration: str, seed: int, folder: Path):
        self.declaration, self.seed, self.folder = declaration, seed, folder
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
            *("--runs", str(self.folder.absolute())),
        ]
        before = self.readings[-1:] or [Reading(0.0, 0.0, 0.0)]
        began, begun = time.monotonic(), before[0]
        with (
            self._readings.open("a", encoding="utf-8") as file,
            subprocess.Popen(command, cwd=REPOSITORY) as process,
        ):
            search = psutil.Process(process.pid)
            spent: dict[int, float] = {}
            while process.poll() is None:
                spent |= _processor_seconds(search)
                wall = begun.wall + time.monotonic() - began
                reading = Reading(time.time(), wall, begun.processor + sum(spent.values()))
                file.write(json.dumps(vars(reading)) + "\n")
                file.flush()
                if time.monotonic() > until:
                    process.send_signal(signal.SIGTERM)
                    until = math.inf
                time.sleep(TICK)
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
    """What a search would have returned, one after the other: each better than all before it by
    the first objective; the last is what it returns."""
    judge, found = run.judge, list[Record]()
    best = -math.inf
    for record in sorted(run.archive, key=moment):
        if judge.feasible(record) and record.message == "":
            value = judge.fitness(record)[0] * judge.weights[0]
            if value > best:
                best = value
                found.append(record)
    returned = pick(judge, run.archive.networks(), "best")
    return [*(one for one in found if one.architecture != returned.architecture), returned]


def score(job: tuple[ImageClassification, list[int], int]) -> dict[str, float]:
    """Test accuracy and seconds of one training of a genome by a recipe; processor seconds."""
    problem, genome, seed = job
    began = time.process_time()
    ((_, trained),) = retrain(problem, genome, [seed])
    if isinstance(trained, Exception):
        raise trained
    test = official_test(problem)
    accuracy = scores_of(logits_of(trained.network, test), test.labels)["accuracy"]
    return {"accuracy": accuracy, "seconds": time.process_time() - began}


class Scores:
    """Test accuracies of networks by a recipe, a file for each training; made when asked for."""

    def __init__(self, recipe: ImageClassification, folder: Path, workers: int, until: float):
        self.recipe, self.folder, self.workers, self.until = recipe, folder, workers, until

    def _file(self, architecture: str, seed: int) -> Path:
        digest = hashlib.blake2b(architecture.encode(), digest_size=6).hexdigest()
        return self.folder / f"{digest}-{seed}.json"

    def of(self, architectures: Sequence[str]) -> dict[str, list[float]] | None:
        """The test accuracies of each network; None if the time was not enough for all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = list(product(dict.fromkeys(architectures), range(1, TRAININGS + 1)))
        missing = [one for one in wanted if not self._file(*one).exists()]
        jobs = (
            (self.recipe, self.recipe.space.encode(architecture), seed)
            for architecture, seed in missing
        )
        for (architecture, seed), found in zip(missing, self._made(jobs), strict=False):
            content = {"architecture": architecture, "seed": seed, **found}
            write_whole(self._file(architecture, seed), json.dumps(content))
            print(f"{architecture} seed {seed}: test accuracy {found['accuracy']:.4f}", flush=True)
        if any(not self._file(*one).exists() for one in wanted):
            return None
        scores: dict[str, list[float]] = {}
        for architecture, seed in wanted:
            content = json.loads(self._file(architecture, seed).read_text(encoding="utf-8"))
            scores.setdefault(architecture, []).append(content["accuracy"])
        return scores

    def _made(self, jobs: Iterator[Any]) -> Iterator[dict[str, float]]:
        """The scores of jobs in order, as many as the time allows to begin."""
        if self.workers == 1:
            for job in jobs:
                if time.monotonic() > self.until:
                    return
                yield score(job)
            return
        with ProcessPoolExecutor(self.workers, get_context("spawn")) as pool:
            while time.monotonic() < self.until:
                some = [pool.submit(score, job) for job, _ in zip(jobs, range(self.workers))]
                if not some:
                    return
                for future in some:
                    yield future.result()
