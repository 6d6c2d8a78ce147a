"""The training recipe and the loop: a network and its images in, its scores out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from problems.augmentation import Augmentation
from problems.datasets.splits import Split, Splits, as_is
from problems.networks.chain import glorot_uniform
from problems.schedules import SCHEDULES, Constant, Schedule

SCORING_BATCH = 1_000
LATENCY_WARM_UPS = 5
LATENCY_PASSES = 30


@dataclass(frozen=True)
class Training:
    """How each network is trained: cross-entropy on shuffled batches.

    `early_stop` watches the validation loss or accuracy and ends the training when it has not
    improved by more than `min_delta` for `patience` epochs.  `keep`: the weights and scores of the
    "last" epoch, or of the "best" one by what is watched (by accuracy if nothing is).
    `normalize`: standardize each channel by the training images' mean and deviation.
    `gradient_clip`: the largest norm of the gradient.  `precision` is that of the convolutions and
    matrix products of a training step (autocast); weights, losses and all scores are float32.
    """

    epochs: Annotated[int, Ge(1)] = 5
    batch_size: Annotated[int, Ge(1)] = 128
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 0.01
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    schedule: Schedule = field(default_factory=Constant, metadata={"shelf": SCHEDULES})
    augmentation: Augmentation = field(default_factory=Augmentation)
    normalize: bool = False
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    gradient_clip: Annotated[float, Gt(0)] | None = None
    early_stop: Literal["never", "loss", "accuracy"] = "never"
    patience: Annotated[int, Ge(1)] = 2
    min_delta: Annotated[float, Ge(0)] = 0.0
    keep: Literal["last", "best"] = "last"
    initialization: Literal["torch", "glorot"] = "torch"
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum = {self.momentum}: only optimizer = 'sgd' has one")

    def optimizer_for(self, network: nn.Module) -> torch.optim.Optimizer:
        parameters = network.parameters()
        shared: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        match self.optimizer:
            case "sgd":
                return torch.optim.SGD(parameters, momentum=self.momentum, **shared)
            case "adam":
                return torch.optim.Adam(parameters, **shared)
            case "adamw":
                return torch.optim.AdamW(parameters, **shared)


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch inside the block, and leave its generators as they were."""
    devices = [] if device == "cpu" else [torch.device(device)]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


class Diverged(FloatingPointError):
    """The loss became NaN or infinite."""


def train(network: nn.Module, splits: Splits, recipe: Training, seed: int) -> dict[str, float]:
    """Train `network` in place and return its scores.

    val_accuracy, val_loss: on the whole validation split after the epoch that is kept, in [0, 1]
    and nats.  train_accuracy: over that epoch, each image scored as it was trained on.  epochs:
    how many were run.  train_seconds: time of the training steps alone, the thread's CPU time on
    the CPU, elapsed time on a GPU; scoring is not in it.  Raises Diverged when the loss is not
    finite.
    """
    device = splits.train.labels.device
    if recipe.initialization == "glorot":
        glorot_uniform(network)
    optimizer = recipe.optimizer_for(network)
    shuffle = torch.Generator().manual_seed(seed)  # on the CPU: the same order on every device
    watch = Watch(recipe)
    train_seconds = 0.0
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(splits.train), generator=shuffle).to(device)
        start = _clock(device)
        loss, accuracy = _train_epoch(
            network, splits.train, order, recipe, optimizer, epoch, shuffle
        )
        train_seconds += _clock(device) - start
        if not loss.isfinite():
            raise Diverged(f"the training loss is {loss.item()} in epoch {epoch + 1}")
        if watch.every_epoch or epoch + 1 == recipe.epochs:
            val_loss, val_accuracy = score(network, splits.validation)
            watch.see(network, val_loss, val_accuracy, accuracy.item())
        if watch.should_stop:
            break
    return {**watch.keep(network), "epochs": epoch + 1, "train_seconds": train_seconds}


def _train_epoch(
    network: nn.Module,
    split: Split,
    order: torch.Tensor,
    recipe: Training,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    draws: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One epoch in `order`; the sum of the batch losses and the accuracy, on the device.

    Nothing here waits for the device, so a GPU always has the next step queued.
    """
    network.train()
    autocast = recipe.precision == "bfloat16"
    correct = torch.zeros((), device=order.device)
    total_loss = torch.zeros((), device=order.device)
    batches = order.split(recipe.batch_size)
    augment = partial(recipe.augmentation.apply, generator=draws)
    change = augment if recipe.augmentation else as_is
    for number, index in enumerate(batches, start=epoch * len(batches)):
        factor = recipe.schedule.factor(number, len(batches), recipe.epochs)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * factor
        images, labels = split.batch(index, change)
        with torch.autocast(order.device.type, torch.bfloat16, enabled=autocast):
            logits = network(images)
        loss = nn.functional.cross_entropy(
            logits.float(), labels, label_smoothing=recipe.label_smoothing
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
        optimizer.step()
        total_loss += loss.detach()
        correct += (logits.detach().argmax(dim=1) == labels).sum()
    return total_loss, correct / len(order)


@torch.inference_mode()
def score(network: nn.Module, split: Split) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of `network` on a split."""
    network.eval()
    loss = torch.zeros((), device=split.labels.device, dtype=torch.float64)
    correct = torch.zeros((), device=split.labels.device)
    for start in range(0, len(split), SCORING_BATCH):
        images, labels = split.batch(slice(start, start + SCORING_BATCH))
        logits = network(images)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    return loss.item() / len(split), correct.item() / len(split)


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


def _clock(device: torch.device) -> float:
    """Seconds.  On the CPU the thread's own, so that a neighbour on the machine costs nothing."""
    _synchronize(device)
    return time.perf_counter() if device.type == "cuda" else time.thread_time()
