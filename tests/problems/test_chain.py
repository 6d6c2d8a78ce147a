from math import log

import pytest
import torch

from problems.networks.chain import build, glorot_uniform
from problems.spaces.chain import count, features
from problems.spaces.layers import Conv, GlobalAveragePool, Linear, ShapeCollapsed


def test_macs_and_parameters_equal_a_count_by_hand():
    chain = (
        Conv(4, 3, "relu"),
        Conv(6, 5, "tanh", stride=2, padding="valid"),
        GlobalAveragePool(),
        Linear(64, "gelu"),
        Linear(10, "gelu"),
    )
    counts = count(chain, (3, 32, 32))
    assert [c.macs for c in counts] == [
        3 * 3 * 3 * 4 * 32 * 32,
        5 * 5 * 4 * 6 * 14 * 14,  # (32 - 5) // 2 + 1 = 14
        0,
        6 * 64,
        64 * 10,
    ]
    assert [c.conv_params for c in counts] == [3 * 3 * 3 * 4 + 4, 5 * 5 * 4 * 6 + 6, 0, 0, 0]
    assert [c.fc_params for c in counts] == [0, 0, 0, 6 * 64 + 64, 64 * 10 + 10]
    assert [c.shape for c in counts] == [(4, 32, 32), (6, 14, 14), (6,), (64,), (10,)]


def test_macs_equal_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    chain = (Conv(8, 4, "relu"), Conv(6, 3, "relu", 2, "valid"), GlobalAveragePool())
    chain = (*chain, Linear(64, "relu"), Linear(10, "relu"))
    network = build(chain, (1, 28, 28))
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        network(torch.zeros(1, 1, 28, 28))
    # A multiply and an add are two operations; torch counts them and not the biases.
    assert flops.get_total_flops() == 2 * sum(c.macs for c in count(chain, (1, 28, 28)))


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("stride_and_padding", [(1, "same"), (2, "valid")])
def test_counted_shapes_are_the_module_s(kernel, stride_and_padding):
    stride, padding = stride_and_padding
    chain = (Conv(2, kernel, "swish", stride, padding),)
    network = build(chain, (3, 9, 11))
    (counted,) = count(chain, (3, 9, 11))
    assert tuple(network(torch.zeros(2, 3, 9, 11)).shape) == (2, *counted.shape)


def test_same_padding_of_an_even_kernel_is_one_more_on_the_right_and_bottom():
    network = build((Conv(1, 2, "relu"),), (1, 3, 3))
    convolution = network[1]
    with torch.no_grad():
        convolution.weight.fill_(1.0)
        convolution.bias.zero_()
        sums = network(torch.arange(1.0, 10.0).view(1, 1, 3, 3)).squeeze()
    assert sums.tolist() == [[12, 16, 9], [24, 28, 15], [15, 17, 9]]


def test_a_kernel_larger_than_its_input_is_refused():
    with pytest.raises(ShapeCollapsed, match="layer 2: a kernel of 5 does not fit 4x9 pixels"):
        count((Conv(1, 3, "relu"), Conv(1, 5, "relu", 2, "valid")), (1, 4, 9))


def test_glorot_initialization_has_its_bounds_and_zero_biases():
    network = build((Conv(16, 3, "relu"), GlobalAveragePool(), Linear(10, "relu")), (4, 8, 8))
    glorot_uniform(network)
    bound = (6 / (3 * 3 * 4 + 3 * 3 * 16)) ** 0.5
    weights = network[0].weight
    assert weights.abs().max() <= bound
    assert weights.abs().max() > 0.9 * bound
    assert not network[0].bias.any()
    assert not network[3].bias.any()


def test_features_tell_a_deep_network_from_a_wide_one():
    deep = [((8, 8, 8), 100, 1000)] * 4
    wide = [((32, 8, 8), 400, 4000), ((32, 8, 8), 0, 0)]
    assert features(deep)[:3] == pytest.approx((4, log(9), log(9)))
    assert features(wide)[:3] == pytest.approx((1, log(33), log(33)))
    assert features(deep)[3] == features(wide)[3] == pytest.approx(log(65))
    assert len(features(deep)) == len(features(wide)) == len(features([])) == 10
    assert not any(features([]))
