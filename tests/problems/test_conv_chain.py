"""The spaces of references A, C and D; their parameters are derived here by hand."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.networks.chain import build
from problems.spaces.chain import count, totals
from problems.spaces.conv_chain import ConvChain, ConvPoolFc, PlainCnn, PooledCnn

SPACES = {
    "conv_pool_fc": ConvPoolFc(),
    "plain_cnn": PlainCnn(),
    "pooled_cnn": PooledCnn(),
    "everything": ConvChain(
        activations=("relu", "gelu"),
        batch_norm="gene",
        pool_gene="layer",
        pool_after=(1, 3),
        fc_layers=(1, 3),
        image_shape=(1, 28, 28),
    ),
    "no pools": ConvChain(pool_after="none", fc_layers=(0, 0), image_shape=(1, 8, 8)),
}


def cost(space, architecture):
    shape = space.image_shape
    return totals(count(space.chain(space.encode(architecture)), shape), shape)


def drawn(space):
    return st.tuples(*(st.integers(0, len(gene.choices) - 1) for gene in space.genes)).map(list)


def test_reference_a_s_check_value():
    found = cost(ConvPoolFc(), "conv 16k3 16k3 | pool max | activation leaky_relu | fc 256")
    assert found["conv_params"] == 2_768
    assert found["fc_params"] == 1_051_402
    assert found["params"] == 2_768 + 1_051_402 + 2 * (2 * 16)  # and two batch norms
    assert found["layers"] == 4
    assert found["macs"] == (27 * 16 + 9 * 16 * 16) * 1024 + 4096 * 256 + 256 * 10


def test_reference_a_pools_after_every_second_convolution_and_the_last():
    shapes = [
        c.shape
        for c in count(
            ConvPoolFc().chain(
                ConvPoolFc().encode("conv 64k5 64k7 64k3 | pool average | activation relu | fc 64")
            ),
            (3, 32, 32),
        )
    ]
    assert shapes == [
        *((64, 32, 32), (64, 32, 32), (64, 16, 16), (64, 16, 16), (64, 8, 8)),
        *((4096,), (64,), (10,)),
    ]


def test_reference_c_by_hand():
    found = cost(PlainCnn(), "conv 64k3 128k5 | batch_norm on")
    convolutions = (9 * 3 * 64 + 64) + (25 * 64 * 128 + 128)
    assert found["conv_params"] == convolutions
    assert found["fc_params"] == 128 * 10 + 10
    assert found["params"] == convolutions + 1_290 + 2 * 64 + 2 * 128
    # 32x32, then after a pool 16x16
    assert found["macs"] == 27 * 64 * 1024 + 25 * 64 * 128 * 256 + 1280
    assert cost(PlainCnn(), "conv 64k3 128k5 | batch_norm off")["params"] == convolutions + 1_290


def test_reference_d_by_hand():
    found = cost(PooledCnn(), "conv 32k3max 64k5average | fc 256 128")
    convolutions = (9 * 3 * 32 + 32) + (25 * 32 * 64 + 64)
    flat = 64 * 8 * 8
    hidden = (flat * 256 + 256) + (256 * 128 + 128) + (128 * 10 + 10)
    assert (found["conv_params"], found["fc_params"]) == (convolutions, hidden)
    assert found["params"] == convolutions + hidden


def test_memory_is_the_weights_and_the_largest_input_and_output_of_a_layer():
    found = cost(PlainCnn(), "conv 16k3 | batch_norm off")
    assert found["memory_bytes"] == 4 * (found["params"] + (16 * 32 * 32 + 16 * 16 * 16))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_encode_and_decode_are_inverse_and_canonical_is_identity(space, data):
    genome = data.draw(drawn(space))
    if space.violation(genome):
        with pytest.raises(ValueError, match="layer"):
            space.encode(space.decode(genome))
        return
    architecture = space.decode(genome)
    assert space.encode(architecture) == space.canonical(genome)
    assert space.decode(space.canonical(genome)) == architecture
    assert space.canonical(space.canonical(genome)) == space.canonical(genome)
    assert space.chain(space.canonical(genome)) == space.chain(genome)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_counted_parameters_and_shapes_are_the_module_s(space, data):
    genome = data.draw(drawn(space))
    if space.violation(genome):
        return
    network = build(space.chain(genome), space.image_shape).eval()
    found = totals(count(space.chain(genome), space.image_shape), space.image_shape)
    assert found["params"] == sum(p.numel() for p in network.parameters())
    convolutions = [m for m in network if isinstance(m, torch.nn.Conv2d)]
    assert found["conv_params"] == sum(p.numel() for m in convolutions for p in m.parameters())
    with torch.no_grad():
        assert network(torch.zeros(2, *space.image_shape)).shape == (2, 10)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_slots_and_parts_cover_what_they_name(space):
    names = [gene.name for gene in space.genes]
    for number, slot in enumerate(space.slots, start=1):
        assert all(name.startswith(f"layer{number}.") for name in names[slot])
    positions = [p for members in space.parts.values() for part in members for p in part]
    assert sorted(positions) == list(range(len(names)))


def test_layers_beyond_the_depth_do_not_make_another_network():
    space = ConvPoolFc()
    genome = space.encode("conv 16k3 | pool max | activation relu | fc 64")
    other = list(genome)
    other[space.slots[2].start] = 3
    assert space.canonical(other) == genome
    assert space.decode(other) == space.decode(genome)


@pytest.mark.parametrize(("most", "pools"), [(1, (1,)), (2, (1, 2)), (5, (1, 2, 3))])
def test_the_pools_of_a_plain_network_are_no_more_than_its_convolutions(most, pools):
    """A declaration of fewer convolutions is no error; and 5 are what they always were."""
    assert PlainCnn(depth=(1, most)) == PlainCnn(depth=(1, most), pool_after=pools)
    assert PlainCnn(depth=(1, most)).pool_after == pools


@pytest.mark.parametrize("pool_after", [(2,), ()])
def test_the_kind_of_a_pool_that_is_nowhere_does_not_make_another_network(pool_after):
    space = ConvChain(depth=(1, 2), pool_after=pool_after, batch_norm="never")
    genome = space.encode("conv 16k3 | pool max | fc 128")
    other = list(genome)
    other[[gene.name for gene in space.genes].index("pool")] = 1
    assert space.chain(other) == space.chain(genome)
    assert space.canonical(other) == genome
    assert space.decode(other) == space.decode(genome)


def test_a_pool_on_one_pixel_is_refused():
    small = PooledCnn(image_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="layer 8: a pool of 2x2 does not fit 1x1 pixels"):
        small.encode("conv 16k3max 16k3max 16k3max 16k3max | fc 128")


@pytest.mark.parametrize(
    ("architecture", "part"),
    [
        ("conv 17k3 | pool max | activation relu | fc 64", "layer1.filters = 17"),
        ("conv 16k4 | pool max | activation relu | fc 64", "layer1.kernel = 4"),
        ("conv 16k3max | pool max | activation relu | fc 64", "'16k3max'"),
        ("conv 16 | pool max | activation relu | fc 64", "convolution 1 reads like 16k3"),
        ("conv 16k3 | pool min | activation relu | fc 64", "pool = min"),
        ("conv 16k3 | pool max | activation elu | fc 64", "activation = elu"),
        ("conv 16k3 | pool max | fc 64", "has no section 'activation'"),
        ("conv 16k3 | pool max | activation relu | fc 64 64", "fc 64 64: 2 hidden layers"),
        ("conv 16k3 | pool max | activation relu | fc x", "'x'"),
        ("conv 16k3 | pool max max | activation relu | fc 64", "'pool max max'"),
        ("conv 16k3 | pool max | pool max | activation relu | fc 64", "each once"),
        ("conv 16k3 | head 3 | pool max | activation relu | fc 64", "'head 3'"),
        ("", "'' in ''"),
        ("conv " + "16k3 " * 5 + "| pool max | activation relu | fc 64", "depth = 5"),
    ],
)
def test_an_architecture_outside_the_space_is_refused_with_its_offending_part(architecture, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        ConvPoolFc().encode(architecture)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"depth": (3, 1)}, "depth = [3, 1]"),
        ({"fc_layers": (0, 2)}, "fc_layers = [0, 2]"),
        ({"fc_layers": (2, 1)}, "fc_layers = [2, 1]"),
        ({"units": (64, 64)}, "units = [64, 64]: a choice is named twice"),
        ({"pool_after": (5,)}, "pool_after = [5]: there are 4 convolutions"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(declared, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ConvChain(**declared)
