import io

import numpy
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

import problems.export
from problems.datasets.splits import open_splits
from problems.export import (
    CannotExport,
    ExportDiffers,
    onnx_runner,
    to_int8_onnx,
    to_onnx,
    to_torch,
)
from problems.int8.program import program_of
from problems.int8.quantized import Quantized
from problems.networks.chain import ACTIVATIONS
from problems.spaces.layers import Conv, GlobalAveragePool, Linear
from tests.problems.test_saved_network import CHAINS, DATA, blueprint, trained

EVERY_ACTIVATION = (
    *(Conv(3, 3, activation) for activation in ACTIVATIONS),
    GlobalAveragePool(),
    Linear(10),
)
pytestmark = pytest.mark.slow


def batch(size):
    return open_splits(DATA, "cpu").validation.batch(slice(0, size))[0].contiguous()


@pytest.mark.parametrize(
    "chain", [*CHAINS.values(), EVERY_ACTIVATION], ids=[*CHAINS, "activations"]
)
def test_the_exported_network_computes_the_same_for_any_number_of_images(chain):
    network = trained(blueprint(chain))
    with torch.inference_mode():
        expected = network(batch(33)).numpy()
    splits = open_splits(DATA, "cpu")

    onnx = to_onnx(network, splits.validation, threads=1)
    session = onnxruntime.InferenceSession(onnx.content)
    found = session.run(["logits"], {"images": batch(33).numpy()})[0]
    numpy.testing.assert_allclose(found, expected, atol=1e-4)

    file = to_torch(network, splits.validation, threads=1)
    reloaded = torch.export.load(io.BytesIO(file.content)).module()
    with torch.inference_mode():
        numpy.testing.assert_allclose(reloaded(batch(33)).numpy(), expected, atol=1e-4)

    for exported, runner in ((onnx, "onnxruntime"), (file, "torch.export")):
        assert 0 <= exported.difference < 1e-4
        assert (exported.images, exported.batches) == (100, (1, 7, 100))
        assert set(exported.latencies) == {runner, "torch"}
        assert min(exported.latencies.values()) > 0


@pytest.mark.parametrize(
    "chain", [*CHAINS.values(), EVERY_ACTIVATION], ids=[*CHAINS, "activations"]
)
def test_the_8_bit_trial_answers_as_onnxruntime_does_in_8_bits(chain):
    network = trained(blueprint(chain))
    splits = open_splits(DATA, "cpu")
    calibration = splits.train.first(100).batch(slice(None))[0]
    images = splits.train.batch(slice(100, None))[0].contiguous()
    tried = Quantized(program_of(network, tuple(images.shape[1:])), calibration)(images)
    exported = torch.from_numpy(onnx_runner(to_int8_onnx(network, calibration), 1)(images.numpy()))
    with torch.inference_mode():
        whole = network(images)
    # An image that lies between two classes may go to either: of those that do not, all agree.
    best = whole.topk(2, dim=1).values
    clear = best[:, 0] - best[:, 1] > 0.05 * (whole.max() - whole.min())
    assert (tried.argmax(dim=1) == exported.argmax(dim=1))[clear].double().mean() >= 0.99
    assert (tried - exported).abs().max() < 0.1 * (whole.max() - whole.min())


def test_an_export_that_computes_something_else_is_refused(monkeypatch):
    network = trained(blueprint(CHAINS["global"]))
    by_torch = problems.export._by_torch

    def shifted(module):
        run = by_torch(module)
        return (lambda images: run(images) + 1) if module is not network else run

    monkeypatch.setattr(problems.export, "_by_torch", shifted)
    with pytest.raises(ExportDiffers, match=r"torch\.export differs from the network by 1 in a"):
        to_torch(network, open_splits(DATA, "cpu").validation, threads=1)


def convolved(*behind, norms=(lambda module: module,) * 3):
    first, second, last = norms
    return nn.Sequential(
        first(nn.Conv2d(1, 4, 3)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        second(nn.Linear(4, 4)), last(nn.Linear(4, 10)), *behind,
    ).eval()  # fmt: skip


def test_weights_that_are_made_of_parameters_are_exported_as_they_are_made():
    network = convolved(norms=(weight_norm, spectral_norm, orthogonal))
    images = open_splits(DATA, "cpu").validation
    for exported in (to_onnx(network, images, 1), to_torch(network, images, 1)):
        assert exported.difference < 1e-4
    assert network[0].parametrizations.weight  # the network itself is as it was
    to_int8_onnx(network, batch(100))


class OneByOne(nn.Module):
    """What it does depends on the number of images."""

    def forward(self, logits):
        return logits * 2 if len(logits) > 3 else logits


class Exponential(nn.Module):
    def forward(self, logits):
        return logits @ torch.linalg.matrix_exp(torch.eye(10))


@pytest.mark.parametrize(
    ("export", "behind", "reason"),
    [
        (to_onnx, Exponential, "no counterpart in ONNX: .*aten.linalg_matrix_exp.*"),
        (to_torch, OneByOne, "no counterpart in torch.export: .*"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(export, behind, reason):
    network = convolved(behind())
    with pytest.raises(CannotExport, match=f"^it has {reason}$"):
        export(network, open_splits(DATA, "cpu").validation, threads=1)
