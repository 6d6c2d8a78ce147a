import random
from math import prod

import pytest
import torch
from torch import nn

from problems.image_classification import ImageClassification
from problems.int8.cost import Buffer, costs_of, int8_counted, planned_bytes
from problems.int8.deployed import Deployed
from problems.int8.program import NoInt8, program_of
from problems.int8.quantized import Quantized, Scale
from problems.networks.chain import Standardize
from problems.networks.plan import module_of, plan_of
from problems.spaces import SPACES

IMAGES = {"layer_string": (1, 28, 28), "conv_pool_fc": (3, 16, 16)}
# The two of blocks are deep: building and running one takes seconds.
WITH_IMAGES = [
    pytest.param(name, marks=[pytest.mark.slow] if name.endswith("_blocks") else [])
    for name in SPACES
    if name != "bit_string"
]


def some_network(name, seed=1, **options):
    shape = IMAGES.get(name, (3, 32, 32))
    space = SPACES[name](image_shape=shape, classes=10, **options)
    draw = random.Random(seed)
    while True:
        genome = [draw.randrange(len(gene.choices)) for gene in space.genes]
        if not space.violation(genome):
            break
    standardize = Standardize(torch.full((shape[0],), 0.4), torch.full((shape[0],), 0.3))
    torch.manual_seed(seed)
    network = module_of(plan_of(space, genome), shape, 10, standardize).eval()
    return network, shape


@pytest.mark.parametrize("space", WITH_IMAGES)
def test_a_network_of_every_space_computes_the_same_as_its_program(space):
    network, shape = some_network(space)
    for module in network.modules():  # as after a training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    images = torch.rand(3, *shape)
    deployed = Deployed(program_of(network, shape)).eval()
    with torch.no_grad():
        expected = network(images)
        assert torch.allclose(deployed(images), expected, atol=1e-3 * expected.abs().max())


def test_a_network_of_torch_s_own_layers_has_a_program_in_the_layout_of_its_training():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    before = program_of(network, (1, 8, 8))
    after = program_of(network.to(memory_format=torch.channels_last), (1, 8, 8))
    assert [step.kind for step in after.steps] == [step.kind for step in before.steps]


def test_batch_norm_relu_and_padding_are_no_steps_of_their_own():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    kinds = [
        step.kind for step in program_of(nn.Sequential(network, nn.Linear(128, 4)), (3, 8, 8)).steps
    ]
    assert kinds == ["conv", "max_pool", "transpose", "reshape", "linear"]


class Own(nn.Module):
    """As a user writes one: functions, a branch, a shortcut, two parts put together."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.last = nn.Linear(12, 4)

    def forward(self, images):
        first = torch.relu(self.norm(self.first(images)))
        both = first + nn.functional.silu(self.second(first))
        joined = torch.cat([both, nn.functional.leaky_relu(first, 0.2)], dim=1)
        return self.last(nn.functional.adaptive_avg_pool2d(joined * 0.5, 1).flatten(1))


def test_a_module_of_somebodys_own_is_lowered_counted_and_quantized():
    torch.manual_seed(3)
    network, images = Own().eval(), torch.rand(64, 3, 8, 8)
    program = program_of(network, (3, 8, 8))
    with torch.no_grad():
        expected = network(images)
    assert torch.allclose(Deployed(program)(images), expected, atol=1e-5)
    assert costs_of(program)["int8_macs"] == 64 * (6 * 3 * 9 + 6 * 9) + 48
    rounded = Quantized(program, images)(images)
    spread = expected.max() - expected.min()
    assert 0 < (rounded - expected).abs().max() < 0.1 * spread


def test_costs_are_known_on_the_meta_device_as_on_the_cpu():
    network, shape = some_network("plain_cnn")
    there = costs_of(program_of(network.to("meta"), shape))
    again, _ = some_network("plain_cnn")
    assert costs_of(program_of(again, shape)) == there


def test_what_has_no_int8_step_is_named():
    class Sorting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, images):
            return self.linear(torch.sort(images.flatten(1)).values)

    with pytest.raises(NoInt8, match=r"it computes aten\.sort, which has no int8 step"):
        program_of(Sorting().eval(), (1, 2, 2))


def test_a_shortcut_keeps_its_value_in_ram():
    class Around(nn.Module):
        def __init__(self, shortcut):
            super().__init__()
            self.shortcut = shortcut
            self.layers = nn.ModuleList(nn.Conv2d(16, 16, 1) for _ in range(3))
            self.head = nn.Linear(16, 2)

        def forward(self, images):
            made = images
            for layer in self.layers:
                made = layer(made)
            return self.head((made + images if self.shortcut else made).mean(dim=(2, 3)))

    plain, around = (
        costs_of(program_of(Around(shortcut).eval(), (16, 8, 8)))["ram_bytes"]
        for shortcut in (False, True)
    )
    assert 16 * 8 * 8 <= around - plain < 2 * 16 * 8 * 8


def test_buffers_of_different_times_share_their_place():
    assert planned_bytes([Buffer(32, 0, 0), Buffer(32, 1, 1)]) == 32
    assert planned_bytes([Buffer(32, 0, 1), Buffer(32, 1, 1)]) == 64


def test_a_scale_has_room_for_zero():
    positive = Scale.of(2.0, 4.0)
    assert positive.rounded(torch.zeros(1)) == 0
    assert abs(positive.rounded(torch.tensor([4.0])) - 4.0) < positive.step
    assert Scale.of(0.0, 0.0).rounded(torch.zeros(1)) == 0


def test_the_input_in_8_bits_is_the_pixel_itself():
    pixels = torch.arange(256) / 255
    assert torch.equal((Scale.of(0.0, 1.0).rounded(pixels) * 255).round(), torch.arange(256.0))


def problem(**options):
    return ImageClassification(space=SPACES["plain_cnn"](), device="cpu", **options)


def test_a_search_that_needs_them_is_told_the_costs_before_any_training():
    genome = [0] * len(problem().space.genes)
    told = problem().wanted({"flash_bytes"}).known(genome)
    assert told["flash_bytes"] > told["params"]
    assert told["ram_bytes"] > prod(problem().space.image_shape)
    assert told["int8_macs"] >= told["macs"]
    assert "flash_bytes" not in problem().wanted({"params"}).known(genome)


def test_a_space_is_asked_for_its_costs_once(monkeypatch):
    plan = plan_of(problem().space, [0] * len(problem().space.genes))
    first = int8_counted(plan, (1, 8, 8), 10, True)
    monkeypatch.setattr("problems.int8.cost.program_of", None)
    assert int8_counted(plan, (1, 8, 8), 10, True) == first


def test_int8_accuracy_is_measured_beside_the_other():
    measuring = problem(measure=("int8_val_accuracy",)).prepared()
    found = measuring.evaluate([0] * len(measuring.space.genes))
    assert abs(found["int8_val_accuracy"] - found["val_accuracy"]) < 0.05
    assert {"int8_val_accuracy", "int8_seconds"} <= set(measuring.measures)
    assert found["int8_seconds"] < found["train_seconds"]
