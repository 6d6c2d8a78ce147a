"""Training as a sequence of turns: a network and its images in, its scores out."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from statistics import median

import torch
from torch import nn

from problems.datasets.splits import Split, Splits
from problems.recipe import Training
from problems.steps import Steps

SCORING_BATCH = 1_000
LATENCY_WARM_UPS = 5
LATENCY_PASSES = 30


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch inside the block, and leave its generators as they were."""
    devices = [] if device == "cpu" else [torch.device(device)]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


class Diverged(FloatingPointError):
    """The loss became NaN or infinite."""


def train(
    network: nn.Module, splits: Splits, recipe: Training, seed: int
) -> Generator[bool, None, dict[str, float]]:
    """Train `network` in place, a step at a time, and return its scores.

    It yields whenever another network may have its turn, and says whether this one's next step
    wants the device for itself.  Whoever drives it chooses the stream.

    val_accuracy, val_loss: on the whole validation split after the epoch that is kept, in [0, 1]
    and nats.  train_accuracy: over that epoch, each image scored as it was trained on.  epochs:
    how many were run.  train_seconds: time of the training steps alone, the thread's CPU time on
    the CPU; on a GPU the elapsed time of the first steps, taken while nothing else ran there,
    times their number.  Scoring is not in it.  Raises Diverged when the loss is not finite.
    """
    device = splits.train.labels.device
    steps = Steps(network, splits.train, recipe, seed)
    watch = Watch(recipe)
    for epoch in range(recipe.epochs):
        yield from take_epoch(steps, epoch)
        if watch.every_epoch or epoch + 1 == recipe.epochs:
            scores = score(network, splits.validation)
            yield from _until_done(device, steps)
            val_loss, val_accuracy = scores.tolist()
            train_accuracy = steps.correct.item() / len(splits.train)
            watch.see(network, val_loss, val_accuracy, train_accuracy)
        if watch.should_stop:
            break
    return {**watch.keep(network), "epochs": epoch + 1, "train_seconds": steps.seconds}


def take_epoch(steps: Steps, epoch: int) -> Iterator[bool]:
    """The turns of one epoch of steps.  Raises Diverged when its loss is not finite."""
    steps.begin_epoch()
    for _ in range(steps.per_epoch):
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
        _synchronize(device)
        start = time.perf_counter()
        network(image)
        _synchronize(device)
        times.append(time.perf_counter() - start)
    return median(times[LATENCY_WARM_UPS:])


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
