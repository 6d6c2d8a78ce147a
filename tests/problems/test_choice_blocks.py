import json
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from problems.networks.chain import build
from problems.saved_network import Blueprint, as_bytes, load
from problems.spaces.choice_blocks import MobileBlocks, ShuffleBlocks
from problems.spaces.layers import Shuffle
from tests.conftest import REPOSITORY

TABLE = REPOSITORY.parent / "shared" / "tables" / "nas-bench-macro_cifar10.json"
# Every choice with stride 1 and 2, as small as they come.
SMALL = {
    "mobile": MobileBlocks(stages=(2, 1), widths=(8, 12), stem=4, last=16, image_shape=(3, 9, 11)),
    "shuffle": ShuffleBlocks(
        stages=(2, 1), widths=(8, 12), stem=4, last=16, image_shape=(3, 17, 22), classes=7
    ),
}


def genomes(space):
    return st.tuples(*(st.integers(0, len(gene.choices) - 1) for gene in space.genes)).map(list)


@pytest.fixture(scope="module")
def published():
    if not TABLE.exists():
        pytest.skip(f"the published table is not in {TABLE}")
    return json.loads(TABLE.read_text())


def test_every_network_of_nas_bench_macro_has_its_published_parameters_and_flops(published):
    space = MobileBlocks()
    assert len(published) == 6_561
    for architecture, row in published.items():
        known = space.known(space.encode(architecture))
        assert (known["params"], known["macs"]) == (row["params"], row["flops"]), architecture


@pytest.mark.parametrize("space", SMALL.values(), ids=SMALL)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_known_equals_the_built_module(space, data):
    genome = data.draw(genomes(space))
    assert space.encode(space.decode(genome)) == genome
    assert space.canonical(genome) == genome
    assert not space.violation(genome)
    network = build(space.chain(genome), space.image_shape).eval()
    known = space.known(genome)
    sizes = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda _, given, made: sizes.append(given[0].numel() + made.numel())
            )
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        logits = network(torch.zeros(1, *space.image_shape))
    assert logits.shape == (1, space.classes)
    assert known["macs"] == flops.get_total_flops() / 2  # a multiply and an add
    assert known["params"] == sum(p.numel() for p in network.parameters())
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert known["conv_params"] == sum(m.weight.numel() for m in convolutions)
    assert known["layers"] == len(sizes) == len(convolutions) + 1
    assert known["memory_bytes"] >= 4 * (known["params"] + max(sizes))


@pytest.mark.parametrize(
    ("architecture", "macs", "params"),
    [
        ("0" * 20, 295_842_496, 3_155_880),
        ("3" * 20, 358_825_920, 3_871_816),
    ],
)
def test_the_imagenet_space_reaches_to_both_sides_of_its_bound(architecture, macs, params):
    space = ShuffleBlocks(image_shape=(3, 224, 224), classes=1000)
    known = space.known(space.encode(architecture))
    assert (known["macs"], known["params"]) == (macs, params)
    with torch.device("meta"):
        network = build(space.chain(space.encode(architecture)), space.image_shape)
        with FlopCounterMode(display=False) as flops:
            assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    assert flops.get_total_flops() / 2 == macs


def test_an_identity_is_no_layer_and_a_shuffle_block_keeps_half_of_its_channels():
    space = SMALL["mobile"]
    assert len(space.chain([0, 0, 0])) == len(space.chain([0, 1, 0])) - 1
    block = build((Shuffle(8, 3),), (8, 4, 4)).eval()
    images = torch.randn(2, 8, 4, 4)
    with torch.no_grad():
        made = block(images)
    assert torch.equal(made[:, :4], images[:, ::2])
    assert not torch.equal(made[:, 4:], images[:, 1::2])


@pytest.mark.parametrize("space", SMALL.values(), ids=SMALL)
def test_a_network_of_blocks_is_the_same_after_it_was_saved_and_loaded(space, tmp_path):
    genome = [len(gene.choices) - 1 for gene in space.genes]
    classes = tuple(str(n) for n in range(space.classes))
    plan = Blueprint(space.decode(genome), space.chain(genome), space.image_shape, classes, False)
    network = plan.untrained()
    images = torch.rand(3, *space.image_shape)
    network.train()(images)  # running statistics that are not those of a new one
    (tmp_path / "network").write_bytes(as_bytes(network, plan))
    loaded, found = load(tmp_path / "network")
    assert found == plan
    with torch.inference_mode():
        assert torch.equal(loaded(images), network.eval()(images))


@pytest.mark.parametrize("space", SMALL.values(), ids=SMALL)
def test_the_parts_of_a_genome_are_its_layers_and_its_stages(space):
    assert space.parts == {"layers": ((0,), (1,), (2,)), "stages": ((0, 1), (2,))}
    assert [space.genes[slot] for slot in space.slots] == [(gene,) for gene in space.genes]
    assert not any(gene.ordered for gene in space.genes)


@pytest.mark.parametrize("architecture", ["", "00", "0000", "003", "00x", "00²"])
def test_what_is_no_architecture_of_the_space_is_refused_in_one_line(architecture):
    with pytest.raises(ValueError, match="3 digits are needed, one a layer: 0 identity, 1 "):
        SMALL["mobile"].encode(architecture)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"stages": (1,), "widths": (8, 12)}, "widths = [8, 12]: 1 are needed, one for each stage"),
        ({"stages": (1,), "widths": (9,), "stem": 4}, "widths = [9]: each is even and larger"),
        ({"stages": (1,), "widths": (8,), "stem": 8}, "widths = [8]: each is even and larger"),
        ({"stages": (1, 1), "widths": (32, 32)}, "widths = [32, 32]: each is even and larger"),
    ],
)
def test_widths_that_do_not_fit_are_refused_with_what_is_legal(declared, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        ShuffleBlocks(**declared)
