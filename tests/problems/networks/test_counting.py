"""What a module of somebody's own costs, and why it is none."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

from problems.networks.chain import build
from problems.networks.counting import counted_module
from problems.networks.dropout import Dropout, with_own_dropout
from problems.networks.plan import Called, counted, module_of
from problems.spaces.chain import count, totals
from problems.spaces.layers import (
    Conv,
    ConvNorm,
    Flatten,
    GlobalAveragePool,
    InvertedResidual,
    Linear,
    Pool,
)
from problems.tensor_file import packed, tensors_of

IMAGE = (3, 12, 12)
CHAINS = {
    "flattened": (
        Conv(8, 3, "relu", batch_norm=True),
        Conv(6, 5, "gelu", stride=2, padding="valid"),
        Pool("average"),
        Flatten(),
        Linear(16, "tanh", 0.5),
        Linear(10),
    ),
    "blocks": (ConvNorm(4, 3, 2), InvertedResidual(4, 3, 5), GlobalAveragePool(), Linear(10)),
}


def head(width, classes=10):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]


def of(*modules, training=False):
    return counted_module(
        lambda: nn.Sequential(*(make() for make in modules)), IMAGE, 10, "f", training
    )


def conv():
    return nn.Conv2d(3, 4, 3)


def pooled():
    return nn.Sequential(*head(4))


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_module_costs_what_the_same_chain_of_layers_costs(chain):
    found = counted_module(lambda: build(chain, IMAGE), IMAGE, 10, "f")
    assert found.refusal == ""
    assert found.totals == totals(count(chain, IMAGE), IMAGE)
    assert sum(row[3] for row in found.rows) == found.totals["params"]
    assert sum(row[4] for row in found.rows) == found.totals["macs"]


class Functional(nn.Module):
    """A convolution and a product that no module makes."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
        self.head = nn.Parameter(torch.zeros(10, 4))

    def forward(self, images):
        planes = nn.functional.conv2d(images, self.weight, padding=1)
        return planes.mean((2, 3)) @ self.head.T


def test_what_functions_compute_is_counted_too():
    found = of(Functional)
    assert (found.totals["conv_params"], found.totals["fc_params"]) == (108, 40)
    assert (found.totals["macs"], found.totals["layers"]) == (108 * 144 + 40, 2)


class Tied(nn.Module):
    """One weight in two convolutions."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
        self.second.weight = self.first.weight

    def forward(self, images):
        return self.second(self.first(images))


def tied():
    return nn.Sequential(Tied(), *head(3))


def test_a_shared_weight_is_counted_once_and_kept(tmp_path):
    found = of(tied)
    assert found.totals["params"] == 81 + 3 + 3 + 40
    assert found.totals["macs"] == 2 * 81 * 144 + 30
    path, network = tmp_path / "tied.safetensors", tied()
    path.write_bytes(packed(network, "format", "text"))
    again = tied()
    again.load_state_dict(tensors_of(path))
    images = torch.rand(2, *IMAGE)
    assert torch.equal(again(images), network(images))


@pytest.mark.parametrize("normed", [weight_norm, spectral_norm, orthogonal])
def test_a_weight_that_is_made_of_parameters_is_counted_as_theirs(normed):
    def network(norm):
        pool, flatten, linear = head(4)
        same = norm(nn.Conv2d(4, 4, 3, padding=1))
        return nn.Sequential(norm(nn.Conv2d(3, 4, 3)), same, same, pool, flatten, norm(linear))

    plain = of(lambda: network(lambda module: module), training=True)
    found = of(lambda: network(normed), training=True)
    assert not found.refusal
    # A weight norm has a length for each output beside the weights.
    lengths = {"conv_params": 8, "fc_params": 10, "params": 18} if normed is weight_norm else {}
    for name in ("conv_params", "fc_params", "params", "macs", "layers"):
        assert found.totals[name] == plain.totals[name] + lengths.get(name, 0)
    assert [row[:3] for row in found.rows] == [row[:3] for row in plain.rows]


class Gate(nn.Module):
    def forward(self, images):
        return images if images.mean().item() > 0 else -images


class Vector(nn.Module):
    def forward(self, images):
        return torch.mv(images.flatten(1), images.flatten(1)[0])


class Stateful(nn.Linear):
    def get_extra_state(self):
        return {"a": 1}


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ((conv, Gate, pooled), "f: its module Gate cannot be counted, .* the values of an image"),
        ((conv, Vector), "f: its module Vector cannot be counted: it uses aten.mv"),
        ((conv, nn.Flatten), r"f: its module returned logits \(N, 400\) for 10 classes"),
        ((nn.Flatten,), "f: its module Sequential has no parameters to train"),
        ((conv, lambda: nn.Linear(3, 3)), r"f: its module Linear, given \(4, 10, 10\): Runtime"),
        ((lambda: Stateful(12, 10),), r"f: the state of its module holds '0._extra_state', a dict"),
        ((lambda: 1 / 0,), "f: ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_with_a_module_is_told_in_one_line(modules, reason):
    found = of(*modules, training=True)
    assert found.wrong
    assert "\n" not in found.refusal
    assert torch._C._len_torch_dispatch_stack() == 0
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.refusal)


@pytest.mark.parametrize("window", [lambda: nn.Conv2d(4, 4, 5), lambda: nn.MaxPool2d(5)])
def test_a_plane_that_collapses_is_no_error_of_the_code(window):
    found = of(conv, lambda: nn.MaxPool2d(4), window, pooled)
    assert found.refusal
    assert not found.wrong


def test_a_module_that_looks_at_values_while_it_is_made_is_counted():
    def rates():
        return nn.Dropout(torch.linspace(0, 0.4, 3)[1].item())

    before = torch.get_rng_state()
    assert of(conv, rates, pooled).refusal == ""
    assert torch.equal(torch.get_rng_state(), before)


def test_dropouts_of_torch_become_those_that_trainings_seed():
    network = with_own_dropout(nn.Sequential(nn.Dropout(0.3), nn.Sequential(nn.Dropout2d(0.2))))
    first, second = network[0], network[1][0]
    assert isinstance(first, Dropout)
    assert (first.probability, first.whole_channels) == (0.3, False)
    assert (second.probability, second.whole_channels) == (0.2, True)
    second.generator = torch.Generator().manual_seed(1)
    dropped = second(torch.ones(50, 4, 3, 3))
    channels = dropped.flatten(2)
    assert set(dropped.unique().tolist()) == {0.0, 1.25}
    assert torch.equal(channels.amin(2), channels.amax(2))


def own(image_shape, classes, width):
    return nn.Sequential(nn.Conv2d(image_shape[0], width, 3), *head(width, classes))


def test_networks_are_counted_once_by_what_they_are():
    plan = Called(f"{__name__}:own", (("width", 4),))
    assert counted(plan, IMAGE, 10) is counted(plan, IMAGE, 10)
    assert counted(plan, IMAGE, 10).totals["params"] == 112 + 50
    assert module_of(plan, IMAGE, 10)(torch.zeros(2, *IMAGE)).shape == (2, 10)
