"""The training steps of one network: eager, or as one CUDA graph that is replayed.

A small network leaves a GPU waiting for Python, which needs longer to start a kernel than the
kernel runs.  So on a GPU the whole step (gather, augment, forward, loss, backward, optimizer,
schedule) is captured once as a CUDA graph and replayed.  Everything a step reads and writes is
therefore a tensor that stays where it is, on every device: the order of the images, the place in
it, the learning rate, the sums.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn

from problems.datasets.splits import Split, StreamedSplit, as_is
from problems.first_line import first_line
from problems.networks.dropout import Dropout
from problems.training.draws import OwnDraws
from problems.training.gpu_use import USUAL_GPU_USE, CaptureFailed, GpuUse, graphs_allowed
from problems.training.recipe import Training

Result = TypeVar("Result")

EAGER_STEPS = 3  # before a capture: cuDNN, cuBLAS and the optimizer set themselves up
TIMED_STEPS = 20  # after the first replay, whose time is taken while the device does nothing else
FEWEST_REPLAYS = 10  # of a graph of several steps, else its capture takes longer than it saves


class Steps:
    """One epoch of training steps after another.

    loss: the sum of an epoch's batch losses, correct: how many images of it were classified
    rightly as they were trained on; both stay on the device, so that no step waits for it.
    alone: whether the device should do nothing beside the next step, because it is timed or a
    graph is about to be captured.  behind: whether the device has more than enough to do for this
    network already.
    timed: whether the time of the steps is taken; on a GPU that asks for the device alone.
    """

    def __init__(
        self,
        network: nn.Module,
        split: Split | StreamedSplit,
        recipe: Training,
        seed: int,
        gpu: GpuUse = USUAL_GPU_USE,
        timed: bool = True,
    ) -> None:
        self.network, self.split, self.recipe = network, split, recipe
        self.gpu, self.timed = gpu, timed
        self.device = split.labels.device
        self.optimizer = recipe.optimizer_for(network)
        images = len(split)
        self.per_epoch = -(-images // recipe.batch_size)
        self.taken = 0
        self._epoch_end = 0
        self._begun = 0  # of them were taken before, by another one of this network
        self._seconds_before = 0.0
        # On the CPU, so that the order and the crops are the same on every device.
        self._draws_of = torch.Generator().manual_seed(seed)
        masks = torch.Generator(self.device).manual_seed(seed)
        for module in network.modules():
            if isinstance(module, Dropout):
                module.generator = masks
        self._masks = masks
        # Another seed: with the same one two dropouts would draw the same masks.
        self._own_draws = OwnDraws(self.device, seed + 1)
        on_device = partial(torch.zeros, device=self.device)
        on_gpu = self.device.type == "cuda"
        # Page-locked, so that a copy to a GPU need not be waited for.
        self._host_order = torch.empty(images, dtype=torch.int64, pin_memory=on_gpu)
        self._host_draws = torch.empty((images, 3), dtype=torch.int64, pin_memory=on_gpu)
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
        self._clock = _GpuClock() if on_gpu else _CpuClock()
        self._epochs = split.loader() if isinstance(split, StreamedSplit) else None
        # What is loaded as it is needed lies somewhere else at every step.
        self._may_capture = (
            on_gpu and gpu.steps_per_graph > 0 and not self._epochs and graphs_allowed()
        )
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}  # by steps and batch size
        self._queued: deque[torch.cuda.Event] = deque()
        if on_gpu:
            self._number = on_device(1, dtype=torch.int64)
            self._rate_of = torch.tensor(self._rates, device=self.device)
            self._rate = on_device(())
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate

    @property
    def alone(self) -> bool:
        if self.device.type != "cuda":
            return False
        if self.timed and isinstance(self._clock, _GpuClock):
            return not self._clock.done(self._taken_here)
        return self._taken_here < EAGER_STEPS

    @property
    def behind(self) -> bool:
        while self._queued and self._queued[0].query():
            self._queued.popleft()
        return 0 < self.gpu.turns_ahead <= len(self._queued)

    @property
    def epoch_is_done(self) -> bool:
        return self.taken >= self._epoch_end

    @property
    def epochs_left(self) -> int:
        """How many whole epochs of the recipe are to come."""
        return self.recipe.epochs - -(-self.taken // self.per_epoch)

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
            "own_draws": self._own_draws.state(),
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
        self._own_draws.restore(state.get("own_draws", ()))  # an earlier version had none
        if self.device.type == "cuda":
            self._number.fill_(self.taken)

    def begin_epoch(self) -> None:
        """Shuffle the images and draw their augmentation."""
        recipe = self.recipe
        self.network.train()
        self._epoch_end = self.taken + self.per_epoch
        torch.randperm(len(self._order), generator=self._draws_of, out=self._host_order)
        self._order.copy_(self._host_order, non_blocking=True)
        if recipe.augmentation:
            self._host_draws.copy_(recipe.augmentation.draw(len(self._order), self._draws_of))
            self._draws.copy_(self._host_draws, non_blocking=True)
        if self._epochs:
            parts = list(self._host_order.split(recipe.batch_size))
            self._streamed = self._epochs.batches(parts, self._draws_of)
        for tensor in (self._place, self.loss, self.correct):
            tensor.zero_()

    def take(self) -> None:
        """The next step of the epoch, or the next few in one graph, without waiting for them."""
        batch_size = self.recipe.batch_size
        left = len(self._order) - self.taken % self.per_epoch * batch_size
        size, steps = min(batch_size, left), 1
        several = self.gpu.steps_per_graph
        if (several, batch_size) in self._graphs and several * batch_size <= left:
            steps = several
        if size < batch_size:
            self._capture_rest(size)
        graph = self._graphs.get((steps, size))
        if self.timed:
            self._clock.start(self._taken_here)
        if graph:
            graph.replay()
        else:
            with self._own_draws.of_the_network():
                self._step(size)
        self.taken += steps
        if self.timed:
            self._clock.stop(self._taken_here, self.taken % self.per_epoch == 0)
        may_capture = self._may_capture and not self._own_draws.drawn
        if may_capture and self._taken_here == EAGER_STEPS < self.per_epoch:
            self._capture_whole_batches()
        if self.device.type == "cuda" and self.gpu.turns_ahead and not self.alone:
            self._queued.append(torch.cuda.Event())
            self._queued[-1].record()

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

    def _capture_whole_batches(self) -> None:
        batch_size, several = self.recipe.batch_size, self.gpu.steps_per_graph
        whole = len(self._order) // batch_size
        if whole == EAGER_STEPS and not self.epochs_left:
            return
        self._capture_steps(1, batch_size)
        replays = (whole - EAGER_STEPS) // several + whole // several * self.epochs_left
        if several > 1 and replays >= FEWEST_REPLAYS:
            self._capture_steps(several, batch_size)

    def _capture_rest(self, size: int) -> None:
        """Capture the step of the smaller last batch, before its second time, if it has a third."""
        first_time = self._taken_here < self.per_epoch
        wanted = self._graphs and self.gpu.rest_graphs and self.epochs_left
        if wanted and not first_time and (1, size) not in self._graphs:
            self._capture_steps(1, size)

    def _capture_steps(self, steps: int, size: int) -> None:
        def run() -> None:
            for _ in range(steps):
                self._step(size)

        self.optimizer.zero_grad(set_to_none=True)  # gradients must be made inside the capture
        self._graphs[steps, size], _ = self.captured(run)

    @property
    def has_graphs(self) -> bool:
        return bool(self._graphs)

    def captured(self, run: Callable[[], Result]) -> tuple[torch.cuda.CUDAGraph, Result]:
        """A graph of what `run` does, which is not done yet, and what it returns.

        Not by `torch.cuda.graph`, which waits for the device and empties its cache.  All graphs of
        a network share their memory: they are replayed one after another on one stream, and what
        one leaves for the next is outside of it.  Raises CaptureFailed, or that memory is short.
        """
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._masks)
        pool = next(iter(self._graphs.values())).pool() if self._graphs else None
        try:
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                result = run()
            finally:
                graph.capture_end()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            # The end of a capture that ran out of memory fails as well.
            if isinstance(error.__context__, torch.cuda.OutOfMemoryError):
                raise error.__context__ from None
            raise CaptureFailed(first_line(error)) from None
        return graph, result


class _CpuClock:
    """The thread's own time, so that a neighbour on the machine costs nothing."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def start(self, taken: int) -> None:
        self._start = time.thread_time()

    def stop(self, taken: int, ends_epoch: bool) -> None:
        self._seconds += time.thread_time() - self._start

    def seconds(self, taken: int) -> float:
        return self._seconds


class _GpuClock:
    """Elapsed time of steps that had the device to themselves.

    The first steps are eager, and the first replay of a graph uploads it: they count only where a
    training has no others.  What lies between two epochs is in no span.
    """

    def __init__(self) -> None:
        # (the first step, the one after the last, when the first began, when the last ended)
        self._spans: list[tuple[int, int, torch.cuda.Event, torch.cuda.Event]] = []
        self._open: tuple[int, torch.cuda.Event] | None = None

    def done(self, taken: int) -> bool:
        """Whether all the steps were taken that are timed."""
        return taken > EAGER_STEPS + TIMED_STEPS

    def start(self, taken: int) -> None:
        if self._open is None and taken != EAGER_STEPS and not self.done(taken):
            self._open = taken, _now()

    def stop(self, taken: int, ends_epoch: bool) -> None:
        if self._open and (ends_epoch or taken == EAGER_STEPS or self.done(taken)):
            first, begun = self._open
            self._spans.append((first, taken, begun, _now()))
            self._open = None

    def seconds(self, taken: int) -> float:
        spans = [span for span in self._spans if span[0] > EAGER_STEPS] or self._spans
        if not spans:
            return 0.0
        spans[-1][3].synchronize()
        elapsed = sum(begun.elapsed_time(ended) for _, _, begun, ended in spans) / 1000
        return float(elapsed / sum(end - first for first, end, _, _ in spans) * taken)


def _now() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
