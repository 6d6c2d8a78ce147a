"""Seeds that are trained as one network learn what each learns alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.fused_seeds import Fused, FusedSteps, NotCovered
from problems.datasets import Digits
from problems.datasets.splits import open_splits
from problems.networks.chain import build
from problems.spaces.layers import Conv, ConvNorm, Flatten, GlobalAveragePool, Linear, Pool, Shuffle
from problems.training.augmentation import Augmentation
from problems.training.loop import seeded, take_epoch
from problems.training.recipe import Training
from problems.training.steps import Steps

SHAPE = (1, 12, 12)
SPLIT = open_splits(Digits(size=12, limit=200, validation=100), "cpu").train
RECIPE = Training(epochs=1, batch_size=32, learning_rate=0.05, momentum=0.9, gradient_clip=0.5)
CHAINS = {
    "even kernel, dropout": (
        Conv(6, 4, "gelu"),
        Pool("max"),
        Conv(4, 3, "relu", batch_norm=True),
        Flatten(),
        Linear(8, "swish", dropout=0.5),
        Linear(10),
    ),
    "blocks": (
        ConvNorm(8, 3),
        Shuffle(8, 3),
        Shuffle(16, 3, 2),
        GlobalAveragePool(),
        Linear(10),
    ),
}


def begun(chain, seed):
    with seeded(seed, "cpu"):
        return build(chain, SHAPE).to(memory_format=torch.channels_last)


@pytest.fixture
def in_double_precision():
    """In single precision another order of a sum is enough for another side of a ReLU: on one
    processor weights then differ by 7%, on another in the last digits."""
    torch.set_default_dtype(torch.float64)
    yield lambda module: module.register_forward_pre_hook(lambda _, taken: (taken[0].double(),))
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_each_seed_learns_what_it_learns_alone(chain, in_double_precision):
    recipe = replace(RECIPE, augmentation=Augmentation(crop_padding=1), label_smoothing=0.1)
    networks = [begun(chain, seed) for seed in range(3)]
    together = FusedSteps(networks, SPLIT, recipe, range(3))
    in_double_precision(together.fused)
    together.take_epoch()
    together.fused.write_back()
    for seed, network in enumerate(networks):
        other = begun(chain, seed)
        before = [weight.clone() for weight in other.parameters()]
        alone = Steps(other, SPLIT, recipe, seed)
        in_double_precision(other)
        for _ in take_epoch(alone, 0):
            pass
        assert together.loss[seed].item() == pytest.approx(alone.loss.item(), rel=1e-6)
        assert together.correct[seed].item() == alone.correct.item()
        weights = zip(network.parameters(), other.parameters(), before, strict=True)
        for own, same, first in weights:
            torch.testing.assert_close(own, same, rtol=1e-9, atol=1e-12)
            assert not torch.equal(same, first)


def test_a_layer_that_is_not_the_houses_is_not_covered():
    with pytest.raises(NotCovered, match="Softplus"):
        Fused([nn.Sequential(nn.Conv2d(1, 2, 3), nn.Softplus()) for _ in range(2)])


def test_a_seed_that_diverges_leaves_the_others_alone():
    chain = CHAINS["blocks"]
    networks = [begun(chain, seed) for seed in range(2)]
    with torch.no_grad():
        networks[0][0].main[0].weight.fill_(float("nan"))
    steps = FusedSteps(networks, SPLIT, RECIPE, range(2))
    steps.take_epoch()
    assert steps.loss.isfinite().tolist() == [False, True]
