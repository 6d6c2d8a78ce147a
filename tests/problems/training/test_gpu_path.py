"""The GPU's path, on a GPU made of the CPU: see `tests.cuda_emulation`."""

import gc
import logging
import random
import weakref
from dataclasses import replace
from typing import Literal
from unittest import mock

import numpy
import pytest
import torch
from torch import nn

from problems.datasets import Digits
from problems.image_classification import ImageClassification
from problems.networks.own_network import OwnNetwork
from problems.retraining import retrain
from problems.spaces import (
    ConvPoolFc,
    LayerString,
    MobileBlocks,
    PlainCnn,
    PooledCnn,
    ShuffleBlocks,
)
from problems.training import precision
from problems.training import steps as steps_module
from problems.training.augmentation import Augmentation
from problems.training.flight import Flight
from problems.training.gpu_use import GpuUse
from problems.training.recipe import Training
from problems.training.schedules import Cosine, OneCycle
from problems.training.steps import Steps
from tests.cuda_emulation import emulated
from toolbox.initialization import uniform_random

pytestmark = pytest.mark.slow  # every space is trained on an emulated GPU

DATA = Digits(size=12, limit=212, validation=100)  # batches of 32: 6 whole ones and one of 20
SPACES = {
    "layer_string": LayerString(normal=(1, 2), kernels=(3, 4)),
    "plain_cnn": PlainCnn(filters=(4, 8), depth=(1, 3), pool_after=(1, 2)),
    "conv_pool_fc": ConvPoolFc(filters=(4, 8), depth=(1, 2), units=(16,)),
    "pooled_cnn": PooledCnn(filters=(4, 8), depth=(2, 2), units=(16,)),
    "mobile_blocks": MobileBlocks(widths=(8, 8, 8), stem=8, last=16),
    "shuffle_blocks": ShuffleBlocks(widths=(8, 12, 16, 20), stem=4, last=16),
}
RECIPES = {
    "sgd": Training(epochs=3, batch_size=32, learning_rate=0.05),
    "momentum, cosine, clip": Training(
        epochs=3,
        batch_size=32,
        learning_rate=0.05,
        momentum=0.9,
        schedule=Cosine(),
        gradient_clip=1.0,
    ),
    "adam, augmented, smoothed": Training(
        epochs=3,
        batch_size=32,
        optimizer="adam",
        learning_rate=0.003,
        augmentation=Augmentation(crop_padding=1, flip=True),
        label_smoothing=0.1,
        normalize=True,
    ),
    "adamw, one cycle, best, early stop": Training(
        epochs=4,
        batch_size=32,
        optimizer="adamw",
        learning_rate=0.01,
        weight_decay=0.01,
        schedule=OneCycle(),
        keep="best",
        early_stop="loss",
        patience=1,
    ),
    "bfloat16": Training(
        epochs=2, batch_size=32, optimizer="adam", learning_rate=0.003, precision="bfloat16"
    ),
}
SHORT = replace(RECIPES["sgd"], epochs=1)
FEW_STEPS = GpuUse(steps_per_graph=2)
ARCHITECTURE = "RC 8 3 relu;NC 4 3 tanh;RC 8 3 gelu;FL relu;"


@pytest.fixture(autouse=True)
def rates_of_a_gpu(monkeypatch):
    """A GPU's learning rates are float32; the CPU's are rounded to that, to compare them."""
    begin = Steps.__init__

    def rounded(steps, *arguments, **options):
        begin(steps, *arguments, **options)
        steps._rates = [float(numpy.float32(rate)) for rate in steps._rates]

    monkeypatch.setattr(Steps, "__init__", rounded)
    monkeypatch.setattr(steps_module, "FEWEST_REPLAYS", 4)  # or short trainings would have none


def problem_of(space="layer_string", training=SHORT, **options):
    return ImageClassification(SPACES[space], DATA, training, "cpu", **options)


def on_gpu(problem, **options):
    return replace(problem, device="cuda:0", **options)


def genome_of(problem):
    return problem.space.encode(ARCHITECTURE)


def compared(measurement):
    if isinstance(measurement, Exception):
        raise measurement
    left_out = ("peak_memory_bytes", "trained_epochs")
    return {
        name: value
        for name, value in measurement.items()
        if not name.endswith("seconds") and name not in left_out
    }


def three_in_flight_as_on_the_cpu(problem, genomes):
    """The emulated GPU that measured what the CPU measures of these networks."""
    expected = {n: compared(m) for n, m in problem.evaluate_many(genomes)}
    with emulated() as gpu:
        device = on_gpu(problem, in_flight=3, gpu=FEW_STEPS)
        found = {n: compared(m) for n, m in device.evaluate_many(genomes)}
    assert found == expected
    assert gpu.hazards == set()
    return gpu


EVERY = [(space, recipe) for space in SPACES for recipe in RECIPES]
BLOCKS = ("mobile_blocks", "shuffle_blocks")  # they have many operators: one recipe will do


@pytest.mark.parametrize(
    ("space", "recipe"),
    [pair for pair in EVERY if pair[0] not in BLOCKS] + [("mobile_blocks", "sgd")],
)
def test_three_in_flight_on_a_gpu_are_bit_for_bit_what_the_cpu_measures(space, recipe):
    problem = problem_of(space, RECIPES[recipe])
    random.seed(3)
    company = 1 if space in BLOCKS else 3
    genomes = [uniform_random(problem.space) for _ in range(company)]
    gpu = three_in_flight_as_on_the_cpu(problem, genomes)
    # A step and two steps; if they are repeated, the smaller last batch and the scoring.
    epochs, scored = RECIPES[recipe].epochs, RECIPES[recipe].keep == "best"
    assert gpu.counts["captures"] == company * (2 if epochs == 2 else 4 if scored else 3)
    assert gpu.counts["replays"] > company * epochs


class Noisy(nn.Module):
    """A network that draws by a function, which no CUDA graph may."""

    def __init__(self, image_shape, classes, width: Literal[4, 8], noise: bool):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, width, 3, stride=2), nn.Linear(width, classes)
        self.dropped, self.noise = nn.Dropout(0.2), noise

    def forward(self, images):
        features = self.dropped(self.stem(images).mean((2, 3)))
        return self.head(nn.functional.dropout(features, 0.2, self.training and self.noise))


def test_networks_that_draw_are_trained_without_graphs_as_on_the_cpu():
    problem = replace(
        problem_of(training=RECIPES["sgd"]), space=OwnNetwork.of(f"{__name__}:Noisy", Noisy, {})
    )
    genomes = [[0, 1], [1, 1], [1, 0]]  # the last one draws by nn.Dropout alone
    gpu = three_in_flight_as_on_the_cpu(problem, genomes)
    assert gpu.counts["captures"] == 3


def test_shuffled_blocks_are_the_same_with_graphs_and_without():
    # Their convolutions sum in another order in the emulation than outside of it, eagerly too.
    problem = problem_of("shuffle_blocks")
    random.seed(3)
    genome = uniform_random(problem.space)
    with emulated():
        eager, graphs = (
            compared(on_gpu(problem, gpu=GpuUse(steps_per_graph=steps)).evaluate(genome))
            for steps in (0, 1)
        )
    assert eager == graphs


@pytest.mark.parametrize(
    "use",
    [
        GpuUse(steps_per_graph=0),
        GpuUse(steps_per_graph=1),
        GpuUse(steps_per_graph=3),
        GpuUse(rest_graphs=False),
        GpuUse(turns_ahead=0),
        GpuUse(turns_ahead=1),
    ],
)
@pytest.mark.parametrize("time_alone", [None, False])
def test_how_a_gpu_is_used_changes_nothing_that_is_measured(use, time_alone):
    problem = problem_of("pooled_cnn", RECIPES["adam, augmented, smoothed"])
    random.seed(4)
    genomes = [uniform_random(problem.space) for _ in range(2)]
    expected = {n: compared(m) for n, m in problem.evaluate_many(genomes)}
    with emulated() as gpu:
        device = on_gpu(problem, in_flight=2, gpu=use, time_alone=time_alone)
        found = dict(device.evaluate_many(genomes))
    assert {n: compared(m) for n, m in found.items()} == expected
    assert all({*m} - {"learning_curve"} == set(device.measures) for m in found.values())
    assert bool(gpu.counts["captures"]) == (use.steps_per_graph > 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_that_goes_on_is_as_one_in_one_go(recipe, tmp_path):
    problem = problem_of("conv_pool_fc", replace(RECIPES[recipe], epochs=4), gpu=FEW_STEPS)
    random.seed(5)
    genome = uniform_random(problem.space)
    whole = problem.in_folder(tmp_path / "whole").evaluate(genome)
    with emulated() as gpu:
        device = on_gpu(problem).in_folder(tmp_path / "parts")
        device.evaluate(genome, epochs=2, key="k")
        later = device.evaluate(genome, epochs=4, key="k")
    assert compared(later) == compared(whole)
    assert gpu.hazards == set()


def test_the_emulation_refuses_a_host_read_in_a_capture():
    # So the captures of all tests here read nothing on the host and wait for nothing.
    with emulated(), torch.cuda.stream(torch.cuda.Stream()):
        graph, total = torch.cuda.CUDAGraph(), torch.ones((), device="cuda")
        graph.capture_begin(capture_error_mode="thread_local")
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            total.item()
        graph.capture_end()


def test_retraining_on_a_gpu_gives_the_weights_of_the_cpu():
    problem = problem_of("pooled_cnn", replace(RECIPES["momentum, cosine, clip"], epochs=2))
    random.seed(6)
    genome = uniform_random(problem.space)
    on_cpu = dict(retrain(problem, genome, [1, 2]))
    with emulated():
        found = {
            seed: {name: tensor.cpu() for name, tensor in trained.network.state_dict().items()}
            for seed, trained in retrain(on_gpu(problem, gpu=FEW_STEPS), genome, [1, 2])
        }
        for seed, weights in found.items():
            for name, tensor in on_cpu[seed].network.state_dict().items():
                assert torch.equal(tensor, weights[name]), name


def test_the_peak_memory_of_a_network_is_the_same_every_time():
    problem = problem_of(training=replace(SHORT, normalize=True))
    other = problem.space.encode("NC 8 3 relu;RC 8 3 tanh;RC 4 3 gelu;FL relu;")
    with emulated() as gpu:
        device = on_gpu(problem, in_flight=2)
        alone = [device.evaluate(genome_of(problem))["peak_memory_bytes"] for _ in range(3)]
        company = dict(device.evaluate_many([other, genome_of(problem), genome_of(problem)]))
        assert gpu.workspaces
        assert {*alone, *(company[n]["peak_memory_bytes"] for n in (1, 2))} == {alone[0]}
    assert company[0]["peak_memory_bytes"] != alone[0]


def test_networks_one_after_another_use_the_same_streams():
    problem = problem_of()
    with emulated() as gpu:
        device = on_gpu(problem, in_flight=2, time_alone=False)
        for _ in range(3):
            dict(device.evaluate_many([genome_of(problem)] * 4))
        assert gpu.streams == 2
        assert len(gpu.workspaces) == 4  # forward and backward of each


@pytest.mark.parametrize("learning_rate", [0.05, 1e30])
def test_a_network_is_freed_as_soon_as_its_result_is_known(learning_rate):
    training = replace(SHORT, learning_rate=learning_rate)
    problem = problem_of(training=training)
    made = []
    begin = Steps.__init__

    def noted(steps, *arguments, **options):
        begin(steps, *arguments, **options)
        made.append(weakref.ref(steps))

    gc.collect()
    gc.disable()
    try:
        with emulated() as gpu, mock.patch.object(Steps, "__init__", noted):
            results = [r for _, r in on_gpu(problem).evaluate_many([genome_of(problem)] * 4)]
            assert [ref() for ref in made] == [None] * 4
            assert gpu.graphs == 0
    finally:
        gc.enable()
    assert all(isinstance(r, FloatingPointError) == (learning_rate > 1) for r in results)


def test_out_of_memory_halves_the_company_and_loses_no_network(caplog):
    problem = problem_of(training=replace(SHORT, epochs=2))
    expected = compared(problem.evaluate(genome_of(problem)))
    with emulated() as gpu:
        peak = on_gpu(problem).evaluate(genome_of(problem))["peak_memory_bytes"]
        held = gpu.allocated
    short = 0
    for most in (6, 9, 12):
        total = held + most * peak
        with emulated(total=total) as gpu, mock.patch.object(Flight, "_is_free", return_value=True):
            device = on_gpu(problem, in_flight=4, time_alone=False)
            results = dict(device.evaluate_many([genome_of(problem)] * 5))
            short += gpu.counts["out_of_memory"] > 0
        assert [compared(results[n]) for n in range(5)] == [expected] * 5
    assert short
    assert "networks are trained at a time" in caplog.text


@pytest.mark.parametrize("inside", [True, False])
def test_memory_that_runs_out_in_a_capture_or_outside_is_the_same(inside, caplog):
    problem = problem_of(training=replace(SHORT, epochs=2))
    expected = compared(problem.evaluate(genome_of(problem)))
    failures = iter([False, True])
    step = Steps._step

    def short_of_memory(steps, size):
        from tests import cuda_emulation

        capturing = cuda_emulation.MACHINE.capture is not None
        if capturing == inside and steps.taken == 3 * inside and next(failures, False):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        step(steps, size)

    with emulated(), mock.patch.object(Steps, "_step", short_of_memory):
        one_step = GpuUse(steps_per_graph=1, rest_graphs=False)
        device = on_gpu(problem, in_flight=3, gpu=one_step, time_alone=False)
        results = dict(device.evaluate_many([genome_of(problem)] * 3))
    assert [compared(results[n]) for n in range(3)] == [expected] * 3
    assert "out of memory: from now on 1 networks" in caplog.text


def test_what_cannot_be_captured_is_begun_again_without_a_graph_and_said_once(caplog):
    problem = problem_of()
    expected = compared(problem.evaluate(genome_of(problem)))
    with emulated() as gpu:
        gpu.fail_capture = True
        results = dict(on_gpu(problem, in_flight=2).evaluate_many([genome_of(problem)] * 3))
        assert gpu.counts["replays"] == 0
    assert [compared(results[n]) for n in range(3)] == [expected] * 3
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "without a CUDA graph where this happens: CUDA error: capture" in said.getMessage()


def test_a_gpu_that_answers_no_more_ends_the_process():
    problem = problem_of()
    step = Steps._step

    def illegal(steps, size):
        from tests import cuda_emulation

        if steps.taken == 2:
            cuda_emulation.MACHINE.broken = True
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        step(steps, size)

    ended = pytest.raises(SystemExit, match="cuda:0 answers no more in this process: CUDA error")
    with emulated(), mock.patch.object(Steps, "_step", illegal), ended:
        dict(on_gpu(problem).evaluate_many([genome_of(problem)]))


def test_an_error_of_one_network_is_its_result_while_the_gpu_answers():
    problem = problem_of()
    step = Steps._step

    def failing(steps, size):
        if steps.taken == 2:
            raise RuntimeError("shapes do not agree")
        step(steps, size)

    with emulated(), mock.patch.object(Steps, "_step", failing):
        ((_, result),) = on_gpu(problem).evaluate_many([genome_of(problem)])
    assert repr(result) == "RuntimeError('shapes do not agree')"
    assert result.__traceback__ is None


def test_memory_is_asked_for_once_a_job_and_not_at_each_turn():
    problem = problem_of(training=replace(SHORT, epochs=2))
    with emulated() as gpu:
        flight = Flight(on_gpu(problem, time_alone=False).begin, "cuda:0", timed=False)

        def jobs():
            yield genome_of(problem), {}
            yield genome_of(problem), {}
            while flight._flying:
                yield None

        assert len(dict(flight.results(jobs()))) == 2
        assert gpu.counts["memory_asked"] == 1


def test_a_search_that_needs_no_time_takes_none():
    problem = on_gpu(problem_of())
    untimed = problem.wanted({"val_accuracy", "params"})
    assert untimed.time_alone is False
    assert not {"train_seconds", "latency_seconds"} & set(untimed.measures)
    for needed in ("train_seconds", "latency_seconds"):
        assert problem.wanted({"val_accuracy", needed}) == problem
    declared = replace(problem, time_alone=True)
    assert declared.wanted({"params"}) == declared
    assert problem_of().wanted({"params"}) == problem_of()  # a CPU's time costs nothing


def test_a_precision_is_calibrated_by_graphs(monkeypatch):
    monkeypatch.setattr(precision, "REPLAYS", 1)
    monkeypatch.setattr(precision, "ROUNDS", 1)
    with emulated() as gpu:
        assert precision.measure_gpu_share("bfloat16", "cuda:0", deterministic=True) > 0
        assert (gpu.counts["captures"], gpu.counts["replays"]) == (2, 4)
        assert gpu.hazards == set()


def test_the_time_of_a_training_is_without_scoring_and_without_the_first_replay():
    problem = problem_of(training=replace(SHORT, epochs=4))
    clocks = []
    begin = Steps.__init__

    def noted(steps, *arguments, **options):
        begin(steps, *arguments, **options)
        clocks.append(steps._clock)

    with emulated(), mock.patch.object(Steps, "__init__", noted):
        assert on_gpu(problem).evaluate(genome_of(problem))["train_seconds"] > 0
    spans = [(first, end) for first, end, _, _ in clocks[0]._spans]
    # Eager steps; from the second replay to the end of each epoch of 7 steps; until 20 are timed.
    assert spans == [(0, 3), (4, 7), (7, 14), (14, 21), (21, 24)]
