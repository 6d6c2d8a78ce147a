"""Several seeds of one network, trained as one network.

The channels of S networks of the same layers lie side by side, each in groups of its own, so that
one convolution of S groups does what S small ones did.  Nothing of one seed reaches another: each
has its own images, first weights, dropout, loss, norm of its gradient and statistics of its batch
norm.  What it learns is what it learns alone, but for the last digits of sums.
(Wang et al., Horizontally Fused Training Array, arXiv 2102.02344.)
"""

import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from problems.datasets.splits import Split, as_is
from problems.networks.blocks import BlockModule
from problems.networks.chain import ChannelsLastFlatten, GlobalMean, Standardize
from problems.networks.dropout import Dropout
from problems.training.recipe import Training

# What does the same to each number, and to each channel by itself, however many there are.
EACH_NUMBER = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.GELU)
EACH_CHANNEL = (nn.MaxPool2d, nn.AvgPool2d, nn.ZeroPad2d)


class NotCovered(Exception):
    """Networks that cannot be trained as one; the message says what of them."""


class Fused(nn.Module):
    """Networks of the same layers as one: images (N, S * C, H, W) to logits (S, N, classes).

    Its weights are copies.  Raises NotCovered if a layer of the networks is none of the house's.
    """

    def __init__(self, networks: Sequence[nn.Module]):
        super().__init__()
        self._copies: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
        for network in networks:
            modules = list(network.named_modules(remove_duplicate=False))
            if len(modules) != len(list(network.modules())):
                raise NotCovered("a module that stands in a network twice")
            if not all(parameter.requires_grad for parameter in network.parameters()):
                raise NotCovered("a weight that is not trained")
        if len({repr(network) for network in networks}) > 1:
            raise NotCovered("networks of different layers")
        self._planes = True  # whether there are planes still, or features already
        self.network = self._fused(networks)
        if self._planes:
            raise NotCovered("a network that answers with planes")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images)
        return logits

    @torch.no_grad()
    def write_back(self) -> None:
        """Give each network its own weights and statistics as they are now."""
        for whole, parts in self._copies:
            values = whole.chunk(len(parts)) if whole.dim() else [whole] * len(parts)
            for part, value in zip(parts, values, strict=True):
                part.copy_(value)

    def _fused(self, twins: Sequence[nn.Module]) -> nn.Module:
        """One module that does what each of these does, S of the same type and shape."""
        first, seeds = twins[0], len(twins)
        if any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in twins):
            raise NotCovered("a module with hooks")
        kind = type(first)
        if kind is nn.Sequential:
            assert isinstance(first, nn.Sequential)
            layers = zip(*(twin.children() for twin in twins), strict=True)
            return nn.Sequential(*(self._fused(layer) for layer in layers))
        if not self._planes:
            if isinstance(first, nn.Linear) and kind is nn.Linear:
                return self._with_copies(_Linear(first, seeds), twins)
            if isinstance(first, Dropout):
                return _Dropout([twin for twin in twins if isinstance(twin, Dropout)])
            if kind in EACH_NUMBER:
                return first
            raise NotCovered(kind.__name__)
        if kind in (*EACH_NUMBER, *EACH_CHANNEL):
            return first
        if isinstance(first, ChannelsLastFlatten | GlobalMean):
            self._planes = False
            return (_Flatten if isinstance(first, ChannelsLastFlatten) else _Mean)(seeds)
        if isinstance(first, Standardize):
            return Standardize(first.mean.repeat(1, seeds, 1, 1), first.std.repeat(1, seeds, 1, 1))
        if isinstance(first, nn.Conv2d) and kind is nn.Conv2d and first.padding_mode == "zeros":
            many = nn.Conv2d(
                seeds * first.in_channels,
                seeds * first.out_channels,
                first.kernel_size,  # type: ignore[arg-type]  # torch's own types say less
                first.stride,  # type: ignore[arg-type]
                first.padding,  # type: ignore[arg-type]
                first.dilation,  # type: ignore[arg-type]
                seeds * first.groups,
                first.bias is not None,
            )
            return self._with_copies(many, twins)
        if isinstance(first, nn.BatchNorm2d) and kind is nn.BatchNorm2d:
            channels, tracked = seeds * first.num_features, first.track_running_stats
            norm = nn.BatchNorm2d(channels, first.eps, first.momentum, first.affine, tracked)
            return self._with_copies(norm, twins)
        if isinstance(first, BlockModule):
            blocks = [twin for twin in twins if isinstance(twin, BlockModule)]
            main = self._fused([block.main for block in blocks])
            side = self._fused([block.side for block in blocks])
            return _Block(first.join, main, side, seeds)
        raise NotCovered(kind.__name__)

    def _with_copies(self, module: nn.Module, twins: Sequence[nn.Module]) -> nn.Module:
        """The module with the weights and statistics of its twins, one after another."""
        parts_of = [twin.state_dict(keep_vars=True) for twin in twins]
        module.to(memory_format=torch.channels_last)
        with torch.no_grad():
            for name, whole in module.state_dict(keep_vars=True).items():
                parts = [parts[name] for parts in parts_of]
                whole.copy_(torch.cat(parts) if whole.dim() else parts[0])
                self._copies.append((whole, parts))
        return module


class _Linear(nn.Module):
    """(S, N, features) to (S, N, units)."""

    def __init__(self, one: nn.Linear, seeds: int):
        super().__init__()
        self.seeds = seeds
        self.weight = nn.Parameter(one.weight.new_empty(seeds * one.out_features, one.in_features))
        units = seeds * one.out_features if one.bias is not None else 0
        self.bias = nn.Parameter(one.weight.new_empty(units)) if units else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        weights = self.weight.unflatten(0, (self.seeds, -1)).transpose(1, 2)
        if self.bias is None:
            return torch.bmm(features, weights)
        return torch.baddbmm(self.bias.view(self.seeds, 1, -1), features, weights)


class _Dropout(nn.Module):
    """Of (S, N, features): each seed by a generator of its own, as `Dropout` draws alone."""

    def __init__(self, ones: Sequence[Dropout]):
        super().__init__()
        if ones[0].whole_channels:
            raise NotCovered("a dropout of whole channels")
        self.ones = ones

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.stack([one(part) for one, part in zip(self.ones, features, strict=True)])


class _Flatten(nn.Module):
    """(N, S * C, H, W) to (S, N, H * W * C), each as `ChannelsLastFlatten` has it."""

    def __init__(self, seeds: int):
        super().__init__()
        self.seeds = seeds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.unflatten(1, (self.seeds, -1)).permute(1, 0, 3, 4, 2).flatten(2)


class _Mean(nn.Module):
    """(N, S * C, H, W) to (S, N, C)."""

    def __init__(self, seeds: int):
        super().__init__()
        self.seeds = seeds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)).unflatten(1, (self.seeds, -1)).transpose(0, 1)


class _Block(nn.Module):
    """As `BlockModule` joins the two branches, for the channels of each seed by themselves."""

    def __init__(self, join: str, main: nn.Module, side: nn.Module, seeds: int):
        super().__init__()
        self.join, self.main, self.side, self.seeds = join, main, side, seeds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        split = self.join == "split"  # in an even number of channels: each seed's odd ones
        made: torch.Tensor = self.main(images[:, 1::2] if split else images)
        match self.join:
            case "add":
                return images + made
            case "concatenate":
                return self._before(self.side(images), made)
            case "split":
                return self._before(images[:, ::2], made)
            case _:
                return made

    def _before(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        parts = [images.unflatten(1, (self.seeds, -1)) for images in (one, other)]
        joined = torch.cat(parts, dim=2).flatten(1, 2)
        return joined.contiguous(memory_format=torch.channels_last)


class FusedSteps:
    """The training steps of several seeds as one, on the CPU, as `Steps` takes those of one.

    Each seed draws the same shuffles, crops and dropout as it does alone.
    loss, correct: (S,), as in `Steps`.  seconds: the thread's own time for all seeds together.
    """

    def __init__(
        self, networks: Sequence[nn.Module], split: Split, recipe: Training, seeds: Sequence[int]
    ) -> None:
        self.fused, self.split, self.recipe = Fused(networks), split, recipe
        self.seeds = len(seeds)
        self.optimizer = recipe.optimizer_for(self.fused)
        self.per_epoch = -(-len(split) // recipe.batch_size)
        self.taken, self.seconds = 0, 0.0
        self._draws_of = [torch.Generator().manual_seed(seed) for seed in seeds]
        for network, seed in zip(networks, seeds, strict=True):
            masks = torch.Generator().manual_seed(seed)
            for module in network.modules():
                if isinstance(module, Dropout):
                    module.generator = masks
        self.loss, self.correct = torch.zeros(self.seeds), torch.zeros(self.seeds)

    def take_epoch(self) -> None:
        """All steps of one epoch, without asking whether a loss is finite."""
        recipe, images = self.recipe, len(self.split)
        self.fused.train()
        orders, draws = [], []
        for generator in self._draws_of:
            orders.append(torch.randperm(images, generator=generator))
            if recipe.augmentation:
                draws.append(recipe.augmentation.draw(images, generator))
        order = torch.stack(orders, dim=1)  # (images, S)
        drawn = torch.stack(draws, dim=1) if draws else None  # (images, S, 3)
        self.loss.zero_()
        self.correct.zero_()
        start = time.thread_time()
        for begin in range(0, images, recipe.batch_size):
            batch = slice(begin, begin + recipe.batch_size)
            self._step(order[batch], None if drawn is None else drawn[batch])
        self.seconds += time.thread_time() - start

    def _step(self, order: torch.Tensor, draws: torch.Tensor | None) -> None:
        recipe, optimizer = self.recipe, self.optimizer
        factor = recipe.schedule.factor(self.taken, self.per_epoch, recipe.epochs)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * factor
        size = len(order)
        change: Callable[[torch.Tensor], torch.Tensor] = as_is
        if draws is not None:
            rows = draws.flatten(0, 1)

            def change(images: torch.Tensor) -> torch.Tensor:
                return recipe.augmentation.apply(images, rows)

        images, labels = self.split.batch(order.flatten(), change)
        images = images.unflatten(0, (size, self.seeds)).flatten(1, 2)
        images = images.contiguous(memory_format=torch.channels_last)
        labels = labels.view(size, self.seeds).t()
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16", cache_enabled=False
        ):
            logits = self.fused(images)
        losses = nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            labels.flatten(),
            label_smoothing=recipe.label_smoothing,
            reduction="none",
        )
        loss = losses.view(self.seeds, size).mean(dim=1)
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        if recipe.gradient_clip is not None:
            self._clip_gradients(recipe.gradient_clip)
        optimizer.step()
        self.taken += 1
        self.loss += loss.detach()
        self.correct += (logits.detach().argmax(dim=2) == labels).sum(dim=1)

    def _clip_gradients(self, largest: float) -> None:
        """As `torch.nn.utils.clip_grad_norm_`, the norm of each seed's gradient by itself."""
        gradients = [
            parameter.grad.unflatten(0, (self.seeds, -1))
            for parameter in self.fused.parameters()
            if parameter.grad is not None
        ]
        squares = [part.flatten(1).square().sum(dim=1) for part in gradients]
        factors = (largest / (torch.stack(squares).sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
        for part in gradients:
            part.mul_(factors.view(-1, *[1] * (part.dim() - 1)))
