"""Genome -> network with the weights of a trained supernet -> scored on validation images.

To a search it is one more problem.  What differs comes before it: `ready` trains the supernet,
once, and shows by some networks trained alone that its score ranks.
"""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from problems.datasets.splits import Split, Splits, StreamedSplit, open_splits
from problems.device import configure
from problems.image_classification import ImageClassification
from problems.networks.chain import Standardize, glorot_uniform
from problems.seeds import seed_of
from problems.supernets import SUPERNETS
from problems.supernets.gate import GATES, Admits, Gate, KendallTau, Measure
from problems.supernets.processes import ALONE, Processes, Share
from problems.supernets.shared_chain import SharedChain
from problems.supernets.supernet import Supernet, SupernetPlan
from problems.supernets.training import (
    SplitBatches,
    SupernetFile,
    SupernetTraining,
    about,
    epoch_seconds,
    load_weights,
    recalibrate,
    train_supernet,
)
from problems.training.flight import Turns
from problems.training.loop import SCORING_BATCH, latency_seconds, score, seeded, synchronize
from problems.training.precision import resolve_precision

FOLDER = "supernet"  # in the run folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightSharing(ImageClassification):
    """Score the network of a genome with the weights that it inherits from a supernet.

    supernet: how it is made and trained.  training: how a network is trained alone, by the gate and
    after the search.  gate: what the score must show before it steers a search.

    It holds where the trained supernet is and never tensors; a process loads it once.
    supernet_file: empty until `ready` or `found`.  first_weights: "inherited" has `untrained` give
    the inherited weights, for a training that begins with them.
    """

    supernet: SupernetPlan = field(default_factory=SharedChain, metadata={"shelf": SUPERNETS})
    gate: Gate = field(default_factory=KendallTau, metadata={"shelf": GATES, "identity": False})
    supernet_file: str = field(default="", metadata={"declared": False})
    # None is left out of an identity, so that a search's is what it was.
    first_weights: str | None = field(default=None, metadata={"declared": False, "identity": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inherit:
            raise ValueError("inherit = true: a network has its supernet's weights already")
        for key in self.training.searched:
            raise ValueError(
                f"training.{key.name} = {dict(key.declared)}: the recipe is not searched here, "
                "since a network is scored with its supernet's weights; a value is needed"
            )
        if self.time_alone is False:
            raise ValueError("time_alone = false: a score from a supernet is always timed alone")
        if self.dataset.classes and (reason := self.supernet.unfit(self.space)):
            raise ValueError(f"supernet = {type(self.supernet).__name__}: {reason}")
        if self.supernet.training.normalize != self.training.normalize:
            raise ValueError(
                f"supernet.training.normalize = {self.supernet.training.normalize}: it must be "
                f"training.normalize, which is {self.training.normalize}"
            )

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The names in a measurement; scoring_seconds is for taking the statistics and the score.

        The supernet's training is no candidate's, so there are no epochs and no train_seconds.
        """
        trained = ("train_accuracy", "epochs", "train_seconds")
        return (*(name for name in super().measures if name not in trained), "scoring_seconds")

    def wanted(self, names: Collection[str]) -> "WeightSharing":
        return self

    @property
    def epochs(self) -> None:
        """There are none: a candidate is scored and not trained, so it cannot be trained less."""

    @property
    def reseeds(self) -> bool:
        """Not: a candidate's score is made of the supernet's weights, whatever the seed is."""
        return False

    def prepared(self) -> "WeightSharing":
        prepared = super().prepared()
        assert isinstance(prepared, WeightSharing)
        recipe = self.supernet.training
        try:
            precision = resolve_precision(
                recipe.precision, prepared.device, self.threads, self.deterministic is None
            )
        except ValueError as error:
            raise ValueError(f"supernet.training.{error}") from error
        supernet = replace(self.supernet, training=replace(recipe, precision=precision))
        return replace(prepared, supernet=supernet)

    def budget(self, networks: int) -> str:
        """What the supernet, the gate and at most `networks` evaluations train or score."""
        images, recipe = self.dataset.train_images, self.supernet.training
        paths = self.supernet.paths_a_step(self.space)
        gate = self.gate.budget(self)
        trained = recipe.epochs * images * paths
        return (
            f"a supernet of {paths} paths x {recipe.epochs} epochs x {images:,} images "
            f"= {trained:,} training images, {gate}, "
            f"{networks:,} networks scored on {self.dataset.validation:,} images"
        )

    def cost(self, genome: list[int]) -> float:
        """How long the genome's score takes, in proportion: multiply-accumulates of it all."""
        return self.known(genome)["macs"]

    def alone(self) -> ImageClassification:
        """The ordinary problem, in which each network is trained by itself."""
        return ImageClassification(
            **{f.name: getattr(self, f.name) for f in fields(ImageClassification)}
        )

    def ready(self, folder: Path, measure: Measure, admits: Admits) -> "WeightSharing":
        """The same problem with its supernet trained and its gate passed.

        Called once, before the first evaluation, by the process that leads the search.  What is
        finished in `folder` is used, so that the same call goes on with what was interrupted.
        measure: evaluates genomes of a problem by whatever means the search has, and keeps the
        measurements in a file whose name begins with a path; None for a network that failed.
        admits: whether a genome is within the search's bounds.  Raises GateClosed.
        """
        ready = self.trained(folder)
        self.gate.check(ready, folder / FOLDER, measure, admits)
        return ready

    def in_folder(self, folder: Path) -> "WeightSharing":
        """The same problem in this folder, and with the supernet there if it had one elsewhere."""
        located = super().in_folder(folder)
        assert isinstance(located, WeightSharing)
        if not self.supernet_file:
            return located
        moved = folder / FOLDER / Path(self.supernet_file).name
        return replace(located, supernet_file=str(moved.absolute()))

    def shared_files(self) -> list[Path]:
        """The trained supernet, which all candidates are scored with."""
        return [Path(self.supernet_file)] if self.supernet_file else []

    def trained(self, folder: Path, processes: Processes = ALONE) -> "WeightSharing":
        """The same problem with its supernet, which is trained now if it is not in `folder`.

        processes: those that train it together, if there are several; each of them calls this.
        """
        file = self._file(folder)
        if not file.weights.is_file():
            train_supernet(self._supernet_training(processes), file)
            torch.cuda.empty_cache()  # a GPU's memory is the evaluations' now
        told = about(file.weights)
        if processes.leads:
            log.info(
                "supernet: %s, trained in %.0f s, last loss %.4f",
                *(file.weights, told["train_seconds"], told["losses"][-1]),
            )
        return replace(self, supernet_file=str(file.weights.absolute()))

    def found(self, folder: Path) -> "WeightSharing":
        """The same problem with the supernet that `ready` left in a folder.

        Also if it was trained on another device, or in another precision.  Raises ValueError if
        there is none of this declaration.
        """
        # How many images and classes a folder holds is known only when it is read.
        located = replace(self, dataset=self.dataset.located())
        wanted = _elsewhere(located._file(folder).identity)
        for path in sorted((folder / FOLDER).glob("*.safetensors")):
            if _elsewhere(about(path)["identity"]) == wanted:
                return replace(self, supernet_file=str(path.absolute()))
        raise ValueError(
            f"{folder / FOLDER}: there is no trained supernet of this declaration; run its search "
            "first"
        )

    def _file(self, folder: Path) -> SupernetFile:
        parts = ("space", "dataset", "supernet", "device", "threads", "seed")
        return SupernetFile(
            folder / FOLDER, {name: _identity(getattr(self, name)) for name in parts}
        )

    def _supernet_training(self, processes: Processes) -> SupernetTraining:
        """The supernet with its first weights and its images, on the device."""
        share = Share(self.supernet.shards, processes)
        splits = self._splits()
        recipe, seed = self.supernet.training, seed_of(f"supernet {self.seed}")
        with seeded(seed, self.device):
            statistics = splits.train.channel_statistics
            standardize = Standardize(*statistics) if recipe.normalize else None
            supernet = _module(self.supernet, self.space, standardize)
            if recipe.initialization == "glorot":
                glorot_uniform(supernet)
        supernet.to(self.device)
        batches = SplitBatches(splits.train, recipe, share)
        return SupernetTraining(supernet, batches, recipe, self.seed)

    def _evaluation(self, job: tuple[list[int], Mapping[str, Any]]) -> Turns:
        genome, _ = job
        yield True  # times are taken below, so nothing else should be under way
        splits = self._splits()
        self._shared()  # reading the file is no candidate's time
        clock = time.thread_time if self.device == "cpu" else time.perf_counter
        begun = clock()
        network = self.inherited(genome, splits.train)
        val_loss, val_accuracy = score(network, splits.validation).tolist()
        ended = clock()
        latency = latency_seconds(network, splits.validation)
        return {
            "val_accuracy": val_accuracy,
            "val_loss": val_loss,
            **self.known(genome),
            "latency_seconds": latency,
            "scoring_seconds": ended - begun,
            **self.numbers_of(network, genome, splits.validation),
        }

    def _trial(self, job: tuple[list[int], Mapping[str, Any]]) -> Turns:
        """A score from a few images, of a supernet that need not be trained, and what one takes."""
        genome, _ = job
        yield True
        splits, recipe = self._splits(), self.supernet.training
        supernet = self._shared() if self.supernet_file else _untrained(self)
        images = min(self.supernet.recalibration, len(splits.train))
        some = splits.train.first(min(recipe.batch_size, images))
        validation = splits.validation.first(min(SCORING_BATCH, len(splits.validation)))
        times = [time.perf_counter()]
        network = supernet.standalone(genome)
        latency_seconds(network, validation)
        times.append(time.perf_counter())
        recalibrate(network, [some.batch(slice(None))[0]])
        synchronize(validation.labels.device)
        times.append(time.perf_counter())
        score(network, validation).tolist()
        times.append(time.perf_counter())
        self.numbers_of(network, genome, splits.validation)
        times.append(time.perf_counter())
        fixed, calibrating, scoring, measuring = (b - a for a, b in pairwise(times))
        expected = fixed + measuring + calibrating * images / len(some)
        expected += scoring * len(splits.validation) / len(validation)
        return {
            "expected_seconds": expected,
            "least_seconds": expected,
            "epoch_seconds": 0.0,
            "kept_bytes": 0.0,
            "trial_seconds": sum((fixed, calibrating, scoring, measuring)),
        }

    def readying(self, seconds: float) -> tuple[float, list[tuple[Any, int]]]:
        """The rest of the supernet's training in seconds, by some of its steps, and the gate."""
        file = self._file(self.folder) if self.folder else None
        training = 0.0
        if file is None or not file.weights.is_file():
            supernet = self._supernet_training(ALONE)
            if file is not None:
                file.resume(supernet)
            left = supernet.recipe.epochs - supernet.epoch
            training = left * epoch_seconds(supernet, seconds)
        passed = file is not None and (file.folder / "gate.json").is_file()
        return training, [] if passed else self.gate.evaluations(self)

    def inherited(self, genome: list[int], images: Split | StreamedSplit) -> nn.Module:
        """The genome's network with the supernet's weights, on the device.

        Its batch norms have the statistics of the first `supernet.recalibration` of `images`.
        """
        network = self._shared().standalone(genome)
        size = self.supernet.training.batch_size
        first = images.first(min(self.supernet.recalibration, len(images)))
        starts = range(0, len(first), size)
        recalibrate(network, (first.batch(slice(at, at + size))[0] for at in starts))
        return network

    def untrained(self, genome: list[int], images: Split | StreamedSplit) -> nn.Module:
        """The network with its first weights, the inherited ones if it is to begin with them."""
        if self.first_weights is None:
            return super().untrained(genome, images)
        return self.inherited(genome, images)

    def _shared(self) -> Supernet:
        """The trained supernet, on the device."""
        assert self.supernet_file, "ready or found comes first"
        return _loaded(self.supernet, self.space, self.supernet_file, self.device)

    def _splits(self) -> Splits:
        precision = self.supernet.training.precision
        configure(self.device, precision, self.threads, self.deterministic is None)
        return open_splits(self.dataset, self.device)


def _module(plan: SupernetPlan, space: Any, standardize: Standardize | None) -> Supernet:
    supernet = plan.build(space, standardize)
    # The layout that oneDNN and cuDNN compute fastest in.
    return supernet.to(memory_format=torch.channels_last)


@lru_cache(maxsize=1)
def _untrained(problem: WeightSharing) -> Supernet:
    """A supernet with its first weights, for trials; once per process."""
    return problem._supernet_training(ALONE).supernet.requires_grad_(False)


@lru_cache(maxsize=1)  # a process scores with one
def _loaded(plan: SupernetPlan, space: Any, path: str, device: str) -> Supernet:
    """A finished supernet, for reading; once per process."""
    channels = space.image_shape[0]
    blank = Standardize(torch.zeros(channels), torch.ones(channels))
    supernet = _module(plan, space, blank if plan.training.normalize else None)
    load_weights(supernet, Path(path))
    return supernet.to(device).requires_grad_(False)


def _elsewhere(identity: dict[str, Any]) -> dict[str, Any]:
    """The identity of a supernet without what another machine may decide otherwise."""
    plan = dict(identity["supernet"])
    plan["training"] = {**plan["training"], "precision": "auto"}
    return {**identity, "supernet": plan, "device": "auto", "threads": 0}


def _identity(value: Any) -> Any:
    """A declaration as JSON data, without what changes no weight, such as a folder."""
    if is_dataclass(value):
        return {
            "class": type(value).__name__,
            **{
                f.name: _identity(getattr(value, f.name))
                for f in fields(value)
                if f.metadata.get("identity", True)
                and not (f.metadata.get("later") and getattr(value, f.name) is None)
            },
        }
    if isinstance(value, list | tuple):
        return [_identity(entry) for entry in value]
    return value
