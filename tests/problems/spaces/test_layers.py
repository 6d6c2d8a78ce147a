from dataclasses import dataclass

import pytest
import torch
from torch import nn

from problems.networks.chain import build
from problems.networks.plan import as_data, counted, from_data, imports_of, unsaved
from problems.spaces.chain import count
from problems.spaces.layers import (
    LAYERS,
    Block,
    Branches,
    Conv,
    ConvNorm,
    Count,
    Flatten,
    GlobalAveragePool,
    InvertedResidual,
    Layer,
    Linear,
    Pool,
    Shuffle,
    Unit,
)

X = "\N{MULTIPLICATION SIGN}"
IMAGE = (1, 8, 8)
HEAD = (GlobalAveragePool(), Linear(10))


@dataclass(frozen=True)
class Residual(Block):
    """A block of somebody's own."""

    filters: int

    def branches(self, channels):
        return Branches((Unit(self.filters, 3), Unit(self.filters, 3, relu=False)), join="add")


@dataclass(frozen=True)
class Scale(Layer):
    """A layer of somebody's own."""

    sizes: tuple = (1, 2)

    def count(self, shape):
        return Count(shape, fc_params=1)

    def module(self, shape):
        module = nn.PReLU()
        assert shape == (4, 8, 8)
        return module


@dataclass(frozen=True)
class Nothing(Layer):
    """One that cannot be built."""

    def count(self, shape):
        return Count(shape)


@dataclass(frozen=True)
class Duck:
    """A block that does not say it is one."""

    filters: int

    def branches(self, channels):
        return Branches((Unit(self.filters),))


OWN = (ConvNorm(4, 3), Residual(4), Scale(), *HEAD)


def test_what_is_no_layer_is_an_error_and_never_nothing():
    chain = (ConvNorm(4, 3), Duck(4), *HEAD)
    for use in (count, build):
        with pytest.raises(ValueError, match=r"^layer 2: Duck\(filters=4\) is no layer; .* Block"):
            use(chain, IMAGE)


def test_a_block_of_ones_own_counts_what_its_module_has():
    network = build(OWN, IMAGE)
    counts = count(OWN, IMAGE)
    assert sum(one.params for one in counts) == sum(p.numel() for p in network.parameters())
    assert counts[1].params == 2 * (3 * 3 * 4 * 4) + 2 * 2 * 4
    assert counts[1].macs == 2 * (3 * 3 * 4 * 4) * 8 * 8
    assert network(torch.zeros(2, *IMAGE)).shape == (2, 10)


def test_a_layer_of_ones_own_is_built_by_its_module_and_one_without_is_refused():
    assert isinstance(build(OWN, IMAGE)[2], nn.PReLU)
    with pytest.raises(ValueError, match=r"^Nothing cannot be built: it has no module\(shape\)"):
        build((Nothing(),), IMAGE)


def test_a_block_that_adds_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match=r"it adds its input, \(4, 8, 8\), .* \(6, 8, 8\)"):
        count((ConvNorm(4, 3), Residual(6)), IMAGE)


def test_layers_are_read_back_from_their_data():
    assert from_data(as_data(OWN), IMAGE, 10, imports_of(OWN)) == OWN
    assert unsaved(OWN, IMAGE, 10) == ""
    layers = [layer["layer"] for layer in as_data(OWN)["chain"]]
    own = f"{__name__}:Residual"
    assert layers == ["ConvNorm", own, f"{__name__}:Scale", "GlobalAveragePool", "Linear"]


def test_a_layer_that_could_not_be_imported_again_is_told():
    @dataclass(frozen=True)
    class Local(Residual):
        pass

    assert "there is no '<locals>'" in unsaved((Local(4),), IMAGE, 10)


@pytest.mark.parametrize(
    ("layer", "said", "drawn_as"),
    [
        (Conv(16, 3, "relu", batch_norm=True), f"conv 16, 3{X}3, batch norm, relu", "conv"),
        (ConvNorm(16, 3, 2), f"conv 16, 3{X}3, stride 2, batch norm", "conv"),
        (InvertedResidual(24, 6, 5, 2), f"MBConv 24, 5{X}5, stride 2, expansion 6", "conv"),
        (Shuffle(64, 7), f"shuffle 64, 7{X}7", "conv"),
        (Shuffle(64, 3, 2, xception=True), f"shuffle 64, 3{X}3, stride 2, Xception", "conv"),
        (Pool("max"), f"max pool 2{X}2", "pool"),
        (GlobalAveragePool(), "global average pool", "pool"),
        (Flatten(), "flatten", "other"),
        (Linear(64, "relu", 0.5), "linear 64, relu, dropout 0.5", "linear"),
        (Residual(4), "residual, filters 4", "conv"),
    ],
)
def test_a_layer_is_said_in_one_line(layer, said, drawn_as):
    assert (layer.said, layer.drawn_as) == (said, drawn_as)


def test_every_layer_of_the_project_is_in_the_table_under_its_name():
    assert {name: cls.__name__ for name, cls in LAYERS.items()} == {name: name for name in LAYERS}
    assert all(issubclass(cls, Layer) for cls in LAYERS.values())


def test_a_chain_is_told_layer_by_layer():
    rows = counted(OWN, IMAGE, 10).rows
    assert rows[0] == (f"conv 4, 3{X}3, batch norm", "conv", (4, 8, 8), 44, 2304)
    assert rows[-1] == ("linear 10", "linear", (10,), 50, 40)
