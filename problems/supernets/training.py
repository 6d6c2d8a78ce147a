"""Trains a supernet, epoch after epoch, and can stop and go on after each with the same result.

All that is random in an epoch (order and augmentation of the images, the paths, dropout) comes
from generators seeded by (seed, number of the epoch).  So a checkpoint needs no generators, and
what is trained after a kill is bit for bit what would have been trained without it.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import nn

from problems.datasets.splits import Split, StreamedSplit, as_is
from problems.networks.dropout import Dropout
from problems.seeds import seed_of
from problems.supernets.processes import Share
from problems.supernets.supernet import Supernet
from problems.tensor_file import UNFIT, packed, tensors_of, told_of
from problems.training.loop import Diverged
from problems.training.recipe import Training
from problems.whole_file import whole

NAME = "deap-nas supernet 1"  # the format, in the metadata of the file

log = logging.getLogger(__name__)


class Batches(Protocol):
    """This process's share of the training images, a batch at a time, on the device."""

    @property
    def share(self) -> Share: ...

    def __len__(self) -> int:
        """How many batches an epoch has."""

    def epoch(self, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """images (N, C, H, W), float32 in [0, 1], and labels (N,), in an order of this seed."""


class SplitBatches:
    """The batches of a split, whether it lies on the device as a whole or is streamed."""

    def __init__(self, split: Split | StreamedSplit, recipe: Training, share: Share | None = None):
        self.split, self.recipe = split, recipe
        self.share = share or Share()
        self._steps = self.share.steps(len(split), recipe.batch_size)
        self._loader = split.loader() if isinstance(split, StreamedSplit) else None

    def __len__(self) -> int:
        return len(self._steps)

    def epoch(self, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(seed)  # on the CPU: the same on every device
        device = self.split.labels.device
        order = torch.randperm(len(self.split), generator=generator)
        augmentation = self.recipe.augmentation
        draws = augmentation.draw(len(order), generator).to(device) if augmentation else None
        places = [self.share.own(begin, end) for begin, end in self._steps]
        streamed: Iterator[tuple[torch.Tensor, torch.Tensor]] | None = None
        if self._loader:
            streamed = self._loader.batches([order[place] for place in places], generator)
        order = order.to(device)
        for place in places:
            change = as_is
            if draws is not None:
                change = partial(augmentation.apply, draws=draws[place])
            if streamed is None:
                yield self.split.batch(order[place], change)
            else:
                images, labels = next(streamed)
                yield change(images), labels


class SupernetTraining:
    """A supernet on its way.

    epoch: how many are done.  losses: the mean loss of each.  seconds: what their steps took, the
    thread's CPU time on the CPU, elapsed time on a GPU.  The processes of the batches' share train
    it together, and each of them has all of it.
    """

    def __init__(
        self,
        supernet: Supernet,
        batches: Batches,
        recipe: Training,
        seed: int,
    ):
        self.supernet, self.batches, self.recipe, self.seed = supernet, batches, recipe, seed
        self.processes = batches.share.processes
        self.forward = self.processes.together(supernet)
        self.epoch = 0
        self.losses: list[float] = []
        self.seconds = 0.0
        self.optimizer = recipe.optimizer_for(supernet, fused=recipe.optimizer != "sgd")
        self._masks = torch.Generator(next(supernet.parameters()).device)
        for module in supernet.modules():
            if isinstance(module, Dropout):
                module.generator = self._masks

    def take_epoch(self) -> None:
        """One more epoch.  Raises Diverged when its loss is not finite."""
        recipe, number = self.recipe, self.epoch + 1
        clock = time.thread_time if self._masks.device.type == "cpu" else time.perf_counter
        begun = clock()
        paths = torch.Generator().manual_seed(self._drawn("paths"))
        self._masks.manual_seed(self._drawn("masks") + self.processes.rank)
        self.supernet.train()
        shards = self.batches.share.here
        total = torch.zeros((), device=self._masks.device)
        for step, (images, labels) in enumerate(self.batches.epoch(self._drawn("images"))):
            place = self.epoch * len(self.batches) + step
            factor = recipe.schedule.factor(place, len(self.batches), recipe.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.learning_rate * factor
            # What is on no path of this step has no gradient, and its momentum is left alone.
            self.optimizer.zero_grad(set_to_none=True)
            drawn = self.supernet.paths(paths)
            for part in zip(images.chunk(shards), labels.chunk(shards), strict=True):
                total += self.supernet.loss_step(*part, drawn, recipe, self.forward)
            if shards > 1:
                for weight in self.supernet.parameters():
                    if weight.grad is not None:
                        weight.grad /= shards
            if recipe.gradient_clip is not None:
                nn.utils.clip_grad_norm_(self.supernet.parameters(), recipe.gradient_clip)
            self.optimizer.step()
        loss = float(self.processes.mean(total)) / len(self.batches) / shards
        self.seconds += clock() - begun
        if loss != loss or abs(loss) == float("inf"):
            raise Diverged(f"the supernet's training loss is {loss} in epoch {number}")
        self.epoch = number
        self.losses.append(loss)

    def _drawn(self, what: str) -> int:
        return seed_of(f"supernet {self.seed} epoch {self.epoch + 1} {what}")

    def state(self) -> dict[str, Any]:
        """All that the next epochs depend on."""
        return {
            "epoch": self.epoch,
            "losses": self.losses,
            "seconds": self.seconds,
            "weights": self.supernet.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.epoch, self.losses = state["epoch"], list(map(float, state["losses"]))
        if type(self.epoch) is not int or len(self.losses) != self.epoch:
            raise ValueError(f"{len(self.losses)} losses after {self.epoch} epochs")
        self.seconds = float(state["seconds"])
        self.supernet.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])


class Few:
    """The first batches of an epoch: until so many seconds have passed, and two at least.

    times: when each was asked for, and the end.
    """

    def __init__(self, batches: Batches, seconds: float):
        self.batches, self.seconds = batches, seconds
        self.times: list[float] = []

    @property
    def share(self) -> Share:
        return self.batches.share

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in self.batches.epoch(seed):
            self.times.append(time.perf_counter())
            if len(self.times) > 2 and self.times[-1] - self.times[0] > self.seconds:
                return
            yield batch
        self.times.append(time.perf_counter())


def epoch_seconds(training: SupernetTraining, seconds: float) -> float:
    """What an epoch of a supernet takes, by steps of about so many seconds that are lost."""
    few = training.batches = Few(training.batches, seconds)
    training.take_epoch()
    # The first step sets up what the others find.
    first = 1 if len(few.times) > 2 else 0
    steps = len(few.times) - 1 - first
    return (few.times[-1] - few.times[first]) / steps * len(few)


@dataclass(frozen=True)
class SupernetFile:
    """Where a supernet is kept: the weights when it is done, a checkpoint before.

    identity: all that its weights depend on, as JSON data.  It is in the file's name, so another
    supernet is another file.
    """

    folder: Path
    identity: Any

    @property
    def _stem(self) -> str:
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def weights(self) -> Path:
        return self.folder / f"{self._stem}.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self._stem}.checkpoint"

    def resume(self, training: SupernetTraining) -> None:
        """Put the training where its last checkpoint left it, if there is one.

        Raises ValueError if the checkpoint cannot be read.
        """
        if not self.checkpoint.is_file():
            return
        device = next(training.supernet.parameters()).device
        try:
            # Without code: nothing but tensors and plain data is read.
            training.restore(torch.load(self.checkpoint, map_location=device, weights_only=True))
        except (OSError, UnpicklingError, EOFError, *UNFIT) as error:
            raise ValueError(
                f"{self.checkpoint}: it cannot be read ({type(error).__name__}); delete it to "
                "train the supernet from its first epoch"
            ) from error

    def keep(self, training: SupernetTraining) -> None:
        """Write what the training has reached: a checkpoint, or the weights after the last epoch.

        A kill leaves the earlier file or the later one, whole.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if training.epoch < training.recipe.epochs:
            with whole(self.checkpoint) as path:
                torch.save(training.state(), path)
            return
        told = {
            "identity": self.identity,
            "losses": training.losses,
            "train_seconds": training.seconds,
            "torch": torch.__version__,
        }
        with whole(self.weights) as path:
            path.write_bytes(packed(training.supernet, NAME, json.dumps(told)))
        self.checkpoint.unlink(missing_ok=True)


def train_supernet(
    training: SupernetTraining,
    file: SupernetFile,
    on_epoch: Callable[[SupernetTraining], None] = lambda training: None,
) -> None:
    """Train to the last epoch, from the last checkpoint, and keep what each epoch reached.

    Of several processes the leading one writes; all of them must see its files.
    on_epoch: called after each epoch that is kept.
    """
    file.resume(training)
    epochs = training.recipe.epochs
    processes = training.processes
    if training.epoch and processes.leads:
        log.info("supernet: going on after epoch %d of %d", training.epoch, epochs)
    log.debug("supernet: it is trained", extra=_work(training))
    while training.epoch < epochs:
        before = training.seconds
        training.take_epoch()
        if processes.leads:
            file.keep(training)
            log.info(
                "supernet: epoch %d of %d, loss %.4f, %.1f s",
                *(training.epoch, epochs, training.losses[-1], training.seconds - before),
                extra=_work(training),
            )
        processes.wait()
        on_epoch(training)


def _work(training: SupernetTraining) -> dict[str, Any]:
    """What a log record tells of how far the training is: title, unit, done, total."""
    return {"work": ("supernet", "epochs", training.epoch, training.recipe.epochs)}


def about(path: Path) -> dict[str, Any]:
    """What a finished supernet's file tells of it: identity, losses, train_seconds, torch.

    Raises ValueError if the file is no supernet.
    """
    try:
        told = dict(json.loads(told_of(path, NAME)))
        numbers = [told["train_seconds"], *told["losses"]]
        if "identity" not in told or not told["losses"] or not all(map(isfinite, numbers)):
            raise ValueError("its metadata tells of no training")
        return told
    except (OSError, SafetensorError, *UNFIT) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: it is no saved supernet ({reason})") from error


def load_weights(supernet: Supernet, path: Path) -> None:
    """Put the weights of a finished supernet's file into a module of the same declaration.

    Raises ValueError if the file is no such supernet.
    """
    about(path)
    try:
        supernet.load_state_dict(tensors_of(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: it is not the supernet of this problem ({reason})") from error


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Take the statistics of the network's batch norms from batches of images, in place.

    Each becomes the mean over the batches (Guo et al., arXiv 1904.00420, section 3.4).  A network
    without batch norm is left as it is and reads no images.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    network.eval()  # no dropout
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for images in batches:
        network(images)
    network.eval()
