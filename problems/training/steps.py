"""The training steps of one network: eager, or as one CUDA graph that is replayed.

A small network leaves a GPU waiting for Python, which needs longer to start a kernel than the
kernel runs.  So on a GPU the whole step (gather, augment, forward, loss, backward, optimizer,
schedule) is captured once as a CUDA graph and replayed.  Everything a step reads and writes is
therefore a tensor that stays where it is, on every device: the order of the images, the place in
it, the learning rate, the sums.
"""

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from problems.datasets.splits import Split, StreamedSplit, as_is
from problems.networks.dropout import Dropout
from problems.training.recipe import Training

log = logging.getLogger(__name__)

WARM_UP = 3  # steps that run before a capture: cuDNN, cuBLAS and the optimizer set themselves up
TIMED = 20  # steps after it whose time is taken while the device does nothing else


class Steps:
    """One epoch of training steps after another.

    loss: the sum of an epoch's batch losses, correct: how many images of it were classified
    rightly as they were trained on; both stay on the device, so that no step waits for it.
    alone: whether the device should do nothing beside the next step, because it is timed.
    """

    def __init__(
        self, network: nn.Module, split: Split | StreamedSplit, recipe: Training, seed: int
    ):
        self.network, self.split, self.recipe = network, split, recipe
        self.device = split.labels.device
        self.optimizer = recipe.optimizer_for(network)
        images = len(split)
        self.per_epoch = -(-images // recipe.batch_size)
        self.taken = 0
        self._begun = 0  # of them were taken before, by another one of this network
        self._seconds_before = 0.0
        # On the CPU, so that the order and the crops are the same on every device.
        self._draws_of = torch.Generator().manual_seed(seed)
        masks = torch.Generator(self.device).manual_seed(seed)
        for module in network.modules():
            if isinstance(module, Dropout):
                module.generator = masks
        self._masks = masks
        on_device = partial(torch.zeros, device=self.device)
        self._order = on_device(images, dtype=torch.int64)
        self._draws = on_device((images, 3), dtype=torch.int64)
        self._batch = torch.arange(recipe.batch_size, device=self.device)
        self._place = on_device(1, dtype=torch.int64)
        self.loss = on_device(())
        self.correct = on_device(())
        steps = self.per_epoch * recipe.epochs
        self._rates = [
            recipe.learning_rate * recipe.schedule.factor(step, self.per_epoch, recipe.epochs)
            for step in range(steps)
        ]
        self._clock = _GpuClock() if self.device.type == "cuda" else _CpuClock()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._epochs = split.loader() if isinstance(split, StreamedSplit) else None
        if self.device.type == "cuda":
            self._number = on_device(1, dtype=torch.int64)
            self._rate_of = torch.tensor(self._rates, device=self.device)
            self._rate = on_device(())
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate

    @property
    def alone(self) -> bool:
        return self.device.type == "cuda" and self._taken_here < WARM_UP + TIMED

    @property
    def _taken_here(self) -> int:
        return self.taken - self._begun

    @property
    def seconds(self) -> float:
        """Time of all steps so far: on the CPU the thread's own, on a GPU by the timed steps."""
        here = self._taken_here
        return self._seconds_before + (self._clock.seconds(here) if here else 0.0)

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on but the network; tensors and numbers."""
        return {
            "taken": self.taken,
            "seconds": self.seconds,
            "optimizer": self.optimizer.state_dict()["state"],
            "draws_of": self._draws_of.get_state(),
            "masks": self._masks.get_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another one was after its last epoch; before the first step of this one."""
        self.taken = self._begun = state["taken"]
        self._seconds_before = state["seconds"]
        groups = self.optimizer.state_dict()["param_groups"]
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # on a GPU the very tensor that the steps write to
        self._draws_of.set_state(state["draws_of"])
        self._masks.set_state(state["masks"])
        if self.device.type == "cuda":
            self._number.fill_(self.taken)

    def begin_epoch(self) -> None:
        """Shuffle the images and draw their augmentation."""
        recipe = self.recipe
        self.network.train()
        self._order.copy_(torch.randperm(len(self._order), generator=self._draws_of))
        if recipe.augmentation:
            self._draws.copy_(recipe.augmentation.draw(len(self._order), self._draws_of))
        if self._epochs:
            parts = list(self._order.cpu().split(recipe.batch_size))
            self._streamed = self._epochs.batches(parts, self._draws_of)
        for tensor in (self._place, self.loss, self.correct):
            tensor.zero_()

    def take(self) -> None:
        """One more step of the epoch; nothing here waits for the device."""
        begun = self.taken % self.per_epoch * self.recipe.batch_size
        size = min(self.recipe.batch_size, len(self._order) - begun)
        whole = size == self.recipe.batch_size
        self._clock.start(self._taken_here)
        if self._graph and whole:
            self._graph.replay()
        else:
            self._step(size)
        self.taken += 1
        here = self._taken_here
        self._clock.stop(here)
        warm = here == WARM_UP and self.per_epoch > WARM_UP
        # What is loaded as it is needed lies somewhere else at every step.
        if self.device.type == "cuda" and warm and not self._epochs:
            self._capture()

    def _step(self, size: int) -> None:
        recipe, optimizer = self.recipe, self.optimizer
        if self.device.type == "cuda":
            self._rate.copy_(self._rate_of.index_select(0, self._number).squeeze())
            self._number += 1
        else:
            for group in optimizer.param_groups:
                group["lr"] = self._rates[self.taken]
        place = self._place + self._batch[:size]
        change = as_is
        if recipe.augmentation:
            change = partial(recipe.augmentation.apply, draws=self._draws.index_select(0, place))
        if self._epochs:
            images, labels = next(self._streamed)
            images = change(images)
        else:
            images, labels = self.split.batch(self._order.index_select(0, place), change)
        # A cached cast would outlive the capture that made it; each weight is used once anyway.
        with torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=recipe.precision == "bfloat16",
            cache_enabled=False,
        ):
            logits = self.network(images)
        loss = nn.functional.cross_entropy(
            logits.float(), labels, label_smoothing=recipe.label_smoothing
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.gradient_clip)
        optimizer.step()
        self._place += size
        self.loss += loss.detach()
        self.correct += (logits.detach().argmax(dim=1) == labels).sum()

    def _capture(self) -> None:
        """Record a step of a whole batch; what cannot be recorded goes on eagerly.

        Not by `torch.cuda.graph`, which waits for the device and empties its cache.
        """
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._masks)
        self.optimizer.zero_grad(set_to_none=True)  # gradients must be made inside the capture
        try:
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                self._step(self.recipe.batch_size)
            finally:
                graph.capture_end()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("a network is trained without a CUDA graph: %s", str(error).split("\n")[0])
            return
        self._graph = graph


class _CpuClock:
    """The thread's own time, so that a neighbour on the machine costs nothing."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def start(self, taken: int) -> None:
        self._start = time.thread_time()

    def stop(self, taken: int) -> None:
        self._seconds += time.thread_time() - self._start

    def seconds(self, taken: int) -> float:
        return self._seconds


class _GpuClock:
    """Elapsed time of the steps after the warm-up that had the device to themselves."""

    def __init__(self) -> None:
        self._marks: dict[int, torch.cuda.Event] = {}

    def start(self, taken: int) -> None:
        if taken in (0, WARM_UP):
            self._mark(taken)

    def stop(self, taken: int) -> None:
        if taken == WARM_UP + TIMED:
            self._mark(taken)

    def _mark(self, taken: int) -> None:
        self._marks[taken] = torch.cuda.Event(enable_timing=True)
        self._marks[taken].record()

    def seconds(self, taken: int) -> float:
        end = WARM_UP + TIMED
        if end not in self._marks:  # the training was shorter than that
            end = taken
            self._mark(end)
        begin = WARM_UP if end > WARM_UP else 0
        self._marks[end].synchronize()
        per_step = self._marks[begin].elapsed_time(self._marks[end]) / 1000 / (end - begin)
        return per_step * taken
