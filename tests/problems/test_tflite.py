"""What is counted of a network in 8 bits, held against .tflite files and their interpreter.

The files in tflite_files/ were made by `python -m benchmarks.int8_costs --networks 6 --spaces
plain_cnn layer_string pooled_cnn --folder FOLDER`; the larger ones are not kept.  The converter
itself is tried where it is installed (pip install 'deap-nas[tflite]').
"""

import random
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy
import pytest
import torch

from benchmarks.int8_costs import programs
from problems.int8.cost import costs_of
from problems.int8.deployed import Deployed
from problems.int8.program import program_of
from problems.int8.tflite import PACKAGES, micro_arena, micro_runner, tflite_runner, to_tflite
from problems.networks.plan import module_of, plan_of
from problems.spaces import SPACES
from toolbox.genes import random_genome

FILES = sorted((Path(__file__).parent / "tflite_files").glob("*.tflite"))
interpreted = pytest.mark.skipif(
    not find_spec("tflite_micro"), reason="tflite-micro has no wheel for this machine"
)
converted = pytest.mark.skipif(
    not all(map(find_spec, PACKAGES)), reason="pip install 'deap-nas[tflite]' is needed"
)


def program_of_file(file):
    name, _, number = file.stem.rpartition("_")
    (program,) = islice(programs(name, int(number) + 1), int(number), None)
    return program


def test_there_are_files_of_three_spaces_at_least():
    assert len({file.stem.rpartition("_")[0] for file in FILES}) >= 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_flash_is_the_size_of_the_file(file):
    told = costs_of(program_of_file(file))["flash_bytes"]
    assert told == pytest.approx(file.stat().st_size, rel=0.01)


@interpreted
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_ram_is_the_arena_of_the_interpreter_for_microcontrollers(file):
    told = costs_of(program_of_file(file))["ram_bytes"]
    assert told == pytest.approx(micro_arena(file.read_bytes()), rel=0.05)


@interpreted
def test_a_file_is_run_on_images():
    shape = program_of_file(FILES[0]).image_shape
    torch.manual_seed(1)
    images = torch.rand(3, *shape).numpy()
    logits = micro_runner(FILES[0].read_bytes())(images)
    assert logits.shape == (3, 10)
    assert len(numpy.unique(logits)) > 1


@interpreted
def test_what_is_no_model_is_one_line():
    with pytest.raises(ValueError, match=r"^tflite-micro cannot run the file: [^\n]*$"):
        micro_arena(b"TFL3" * 10)


@converted
@pytest.mark.slow
@pytest.mark.parametrize("space", ["plain_cnn", "conv_pool_fc", "pooled_cnn"])
def test_a_converted_network_answers_as_its_program(space):
    made = SPACES[space](image_shape=(3, 16, 16), classes=10)
    random.seed(2)  # one is tiny, where what a file has beside its weights counts most
    torch.manual_seed(2)
    network = module_of(plan_of(made, random_genome(made)), (3, 16, 16), 10).eval()
    program = program_of(network, (3, 16, 16))
    images = (torch.randint(0, 256, (32, 3, 16, 16)) / 255).float()
    content = to_tflite(program, images)
    assert costs_of(program)["flash_bytes"] == pytest.approx(len(content), rel=0.03)
    with torch.no_grad():
        expected = Deployed(program).eval()(images).numpy()
    answered = tflite_runner(content, 1)(images.numpy())
    span = numpy.ptp(expected)
    assert numpy.abs(answered - expected).max() < 0.02 * span
    if find_spec("tflite_micro"):
        assert numpy.abs(micro_runner(content)(images.numpy()) - answered).max() < 0.02 * span
