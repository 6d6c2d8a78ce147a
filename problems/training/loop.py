"""Training as a sequence of turns: a network and its images in, its scores out."""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import nn

from problems.datasets.splits import Split, Splits
from problems.training.gpu_use import USUAL_GPU_USE, GpuUse
from problems.training.recipe import Training
from problems.training.steps import Steps

SCORING_BATCH = 1_000
LATENCY_WARM_UPS = 5
LATENCY_PASSES = 30


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch inside the block, for the CPU and for this device, and restore it after it."""
    devices = [] if device == "cpu" else [torch.device(device)]
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for gpu in devices:  # not `torch.manual_seed`, which would seed all the others as well
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield


class Diverged(FloatingPointError):
    """The loss became NaN or infinite.

    measurement: the epochs that it took and the learning curve until then, if they are known.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.measurement: dict[str, Any] = {}


def train(
    network: nn.Module, splits: Splits, recipe: Training, seed: int
) -> Generator[bool, None, dict[str, float]]:
    """Train `network` in place, a step at a time, and return its scores.

    It yields whenever another network may have its turn, and says whether this one's next step
    wants the device for itself.  Whoever drives it chooses the stream.

    val_accuracy, val_loss: on the whole validation split after the epoch that is kept, in [0, 1]
    and nats.  train_accuracy: over that epoch, each image scored as it was trained on.  epochs:
    how many were run.  train_seconds: time of the training steps alone, the thread's CPU time on
    the CPU; on a GPU the mean elapsed time of some of the first steps, taken while nothing else
    ran there, times their number.  Scoring is not in it.  Raises Diverged when the loss is not
    finite.
    """
    run = Run(network, splits, recipe, seed)
    yield from run.until(recipe.epochs)
    return run.scores()


class Run:
    """The training of one network as in `train`, epoch by epoch, from its start or a kept state.

    epochs: behind it.  curve: a number for each of them, by name: "train_loss", the mean over its
    steps, and "val_accuracy" where each epoch is scored, or else "train_accuracy".
    A run that goes on from the state of another one, in this process or not, takes the steps that
    the other one would have taken; on the CPU exactly those.
    """

    def __init__(
        self,
        network: nn.Module,
        splits: Splits,
        recipe: Training,
        seed: int,
        gpu: GpuUse = USUAL_GPU_USE,
        timed: bool = True,
    ) -> None:
        self.network, self.splits = network, splits
        self.steps = Steps(network, splits.train, recipe, seed, gpu, timed)
        self._scoring: tuple[torch.cuda.CUDAGraph, torch.Tensor] | None = None
        self.watch = Watch(recipe)
        self.epochs = 0
        accuracy = "val_accuracy" if self.watch.every_epoch else "train_accuracy"
        self.curve: dict[str, list[float]] = {"train_loss": [], accuracy: []}

    def until(self, epochs: int) -> Iterator[bool]:
        """The turns until so many epochs are behind it, or its recipe stops it."""
        steps, split = self.steps, self.splits.train
        begun = self.epochs
        while self.epochs < epochs and not self.watch.should_stop:
            try:
                yield from take_epoch(steps, self.epochs)
            except Diverged as error:
                took = self.epochs + 1
                error.measurement = {"epochs": took, "trained_epochs": took - begun}
                error.measurement["learning_curve"] = self.curve
                raise
            self.epochs += 1
            train_accuracy = steps.correct.item() / len(split)
            known = {"train_accuracy": train_accuracy}
            known["train_loss"] = steps.loss.item() / steps.per_epoch
            if self.watch.every_epoch or self.epochs == epochs:
                scores = self._scored()
                yield from _until_done(steps.device, steps)
                val_loss, known["val_accuracy"] = scores.tolist()
                self.watch.see(self.network, val_loss, known["val_accuracy"], train_accuracy)
            for name, values in self.curve.items():
                values.append(known[name])

    def _scored(self) -> torch.Tensor:
        """As `score` returns them; by a graph, if the network is scored often enough."""
        steps = self.steps
        if self._scoring:
            graph, scores = self._scoring
            self.network.eval()
            graph.replay()
            return scores
        scores = score(self.network, self.splits.validation)
        often = self.watch.every_epoch and steps.epochs_left > 1
        if often and steps.has_graphs and steps.gpu.rest_graphs:
            self._scoring = steps.captured(partial(score, self.network, self.splits.validation))
        return scores

    def scores(self) -> dict[str, float]:
        """As `train` returns them; the network then has the weights of the epoch that is kept."""
        scores = self.watch.keep(self.network)
        seconds = {"train_seconds": self.steps.seconds} if self.steps.timed else {}
        return {**scores, "epochs": self.epochs, **seconds}

    def state(self) -> dict[str, Any]:
        """All that going on depends on, as tensors and numbers; asked for before `scores`."""
        return {
            "epochs": self.epochs,
            "network": {name: t.clone() for name, t in self.network.state_dict().items()},
            "steps": self.steps.state(),
            "watch": self.watch.state(),
            "curve": self.curve,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epochs = state["epochs"]
        self.network.load_state_dict(state["network"])
        self.steps.restore(state["steps"])
        self.watch.restore(state["watch"])
        # A state that an earlier version kept has none: half a curve would be read as a whole one.
        self.curve = {name: list(values) for name, values in state.get("curve", {}).items()}


def take_epoch(steps: Steps, epoch: int) -> Iterator[bool]:
    """The turns of one epoch of steps.  Raises Diverged when its loss is not finite."""
    steps.begin_epoch()
    while not steps.epoch_is_done:
        while steps.behind:
            yield steps.alone
        steps.take()
        yield steps.alone
    yield from _until_done(steps.device, steps)
    if not steps.loss.isfinite():
        raise Diverged(f"the training loss is {steps.loss.item()} in epoch {epoch + 1}")


def _until_done(device: torch.device, steps: Steps) -> Iterator[bool]:
    """Give the others their turns until the device has done what was asked of it here."""
    if device.type == "cuda":
        asked = torch.cuda.Event()
        asked.record()
        while not asked.query():
            yield steps.alone


@torch.inference_mode()
def score(network: nn.Module, split: Split) -> torch.Tensor:
    """Mean cross-entropy and accuracy of `network` on a split, two numbers on its device."""
    network.eval()
    loss = torch.zeros((), device=split.labels.device, dtype=torch.float64)
    correct = torch.zeros_like(loss)
    for start in range(0, len(split), SCORING_BATCH):
        images, labels = split.batch(slice(start, start + SCORING_BATCH))
        logits = network(images)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    return torch.stack([loss, correct]) / len(split)


@torch.inference_mode()
def logits_of(network: nn.Module, split: Split) -> torch.Tensor:
    """What a network answers to every image of a split: (N, classes), on its device."""
    network.eval()
    starts = range(0, len(split), SCORING_BATCH)
    return torch.cat(
        [network(split.batch(slice(start, start + SCORING_BATCH))[0]) for start in starts]
    )


class Watch:
    """Watches the validation scores: when to stop, and which epoch to keep."""

    def __init__(self, recipe: Training):
        self.recipe = recipe
        self.every_epoch = recipe.early_stop != "never" or recipe.keep == "best"
        self.should_stop = False
        self._to_beat = float("-inf")
        self._epochs_since = 0
        self._best = float("-inf")
        self._weights: dict[str, torch.Tensor] | None = None
        self._scores: dict[str, float] = {}

    def see(
        self, network: nn.Module, val_loss: float, val_accuracy: float, train_accuracy: float
    ) -> None:
        """One more epoch has been scored."""
        watched = -val_loss if self.recipe.early_stop == "loss" else val_accuracy
        if watched > self._to_beat + self.recipe.min_delta:
            self._to_beat, self._epochs_since = watched, 0
        else:
            self._epochs_since += 1
        if self.recipe.early_stop != "never":
            self.should_stop = self._epochs_since >= self.recipe.patience
        if self.recipe.keep == "last" or not self._scores or watched > self._best:
            self._best = watched
            self._scores = {
                "val_accuracy": val_accuracy,
                "val_loss": val_loss,
                "train_accuracy": train_accuracy,
            }
            if self.recipe.keep == "best":
                self._weights = {k: v.clone() for k, v in network.state_dict().items()}

    def state(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "recipe"}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises KeyError or TypeError for what is no `state`."""
        for name, value in self.state().items():
            kinds = (type(value), dict) if name == "_weights" else (type(value),)
            if type(state[name]) not in kinds:
                raise TypeError(f"{name} is {type(state[name]).__name__}")
            setattr(self, name, state[name])

    def keep(self, network: nn.Module) -> dict[str, float]:
        """The scores of the epoch that is kept, whose weights `network` then has."""
        if self._weights is not None:
            network.load_state_dict(self._weights)
        return self._scores


@torch.inference_mode()
def latency_seconds(network: nn.Module, split: Split) -> float:
    """Median elapsed time of one forward pass of one image, warmed up."""
    network.eval()
    image, _ = split.batch(slice(0, 1))
    device = image.device
    times = []
    for _ in range(LATENCY_WARM_UPS + LATENCY_PASSES):
        synchronize(device)
        start = time.perf_counter()
        network(image)
        synchronize(device)
        times.append(time.perf_counter() - start)
    return median(times[LATENCY_WARM_UPS:])


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done all that it was asked; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
