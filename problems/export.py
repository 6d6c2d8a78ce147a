"""A trained network in the formats of other programs, checked and timed on this CPU."""

import io
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy
import torch
from torch import nn

from problems.datasets.splits import Split
from problems.first_line import first_line
from problems.int8.deployed import Deployed
from problems.int8.program import NoInt8, Program, program_of
from problems.int8.tflite import to_tflite
from problems.networks.made_weights import with_made_weights
from problems.training.loop import LATENCY_PASSES, LATENCY_WARM_UPS, SCORING_BATCH

CALIBRATION_BATCH = 64
CHECKED = 256  # images on which the formats are compared
CLOSE = 1e-3  # of the largest logit: the difference that is still called equal
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Run = Callable[[numpy.ndarray], numpy.ndarray]  # images (N, C, H, W) float32 -> logits


class ExportDiffers(ValueError):
    """What was exported does not compute what the network computes."""


class CannotExport(ValueError):
    """A network has no counterpart in a format; the message says why."""


@dataclass(frozen=True)
class Exported:
    """A file's content, and what was seen when it was read again and run.

    difference: the largest absolute one of any logit; batches: the sizes it was run with.
    latencies: median seconds of one image, by what ran it.
    """

    content: bytes
    images: int
    batches: tuple[int, ...]
    difference: float
    latencies: dict[str, float]


def to_onnx(network: nn.Module, images: Split, threads: int) -> Exported:
    """The network as ONNX, for any number of images; checked with onnxruntime.

    network: on the CPU, in eval mode.  Raises ExportDiffers if onnxruntime computes something else,
    CannotExport if ONNX has no counterpart, ImportError if one of `ONNX_PACKAGES` is missing.
    """
    network = network.to(memory_format=torch.contiguous_format)
    content = onnx_of(network, _example(images))
    with _told_in_one_line("onnxruntime"):
        run = onnx_runner(content, threads)
        return _checked(content, "onnxruntime", run, network, images, threads)


def to_int8_onnx(network: nn.Module, calibration: torch.Tensor) -> bytes:
    """The network as ONNX in 8 bits: onnxruntime's static quantization, with QDQ, for each channel.

    network: on the CPU, in eval mode; calibration: (N, C, H, W) float32 in [0, 1], from which the
    ranges of the values are taken.  It takes what the network takes.  Raises CannotExport, one
    line, for a network that has no int8 counterpart, ImportError if one of `ONNX_PACKAGES` is
    missing.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    program = _program(network, calibration)
    with quiet(), tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "float32.onnx"
        quantized = Path(folder) / "int8.onnx"
        whole.write_bytes(onnx_of(Deployed(program).eval(), calibration[:2]))
        quantize_static(
            whole,
            quantized,
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        return quantized.read_bytes()


def to_int8_tflite(network: nn.Module, calibration: torch.Tensor) -> bytes:
    """The network as a .tflite file in 8 bits, for microcontrollers; see `problems.int8.tflite`.

    As `to_int8_onnx`, but it takes one image as int8 pixels less 128, (1, H, W, C).
    """
    return to_tflite(_program(network, calibration), calibration)


def _program(network: nn.Module, calibration: torch.Tensor) -> Program:
    try:
        return program_of(network, tuple(calibration.shape[1:]))
    except NoInt8 as error:
        raise CannotExport(f"it has no int8 counterpart: {error}") from error


@dataclass(frozen=True)
class InEightBits:
    """What was seen of a file in 8 bits when it was run on test images.

    test_accuracy: by the file; float32_test_accuracy: by the network that it was made of; same: the
    share of the images to which both give one answer.  latencies: median seconds of one image, by
    what ran it.
    """

    images: int
    test_accuracy: float
    float32_test_accuracy: float
    same: float
    latencies: dict[str, float]


def seen_in_8_bits(
    run: Run, runner: str, network: nn.Module, test: Split, threads: int
) -> InEightBits:
    """The test accuracy of what runs an int8 file, beside that of the network."""
    torch.set_num_threads(threads)
    plain = _by_torch(network)
    answers: dict[str, list[numpy.ndarray]] = {runner: [], "torch": []}
    for start in range(0, len(test), SCORING_BATCH):
        batch = test.batch(slice(start, start + SCORING_BATCH))[0].contiguous().numpy()
        for name, ran in ((runner, run), ("torch", plain)):
            answers[name].append(ran(batch).argmax(axis=1))
    found = {name: numpy.concatenate(parts) for name, parts in answers.items()}
    labels = test.labels.numpy()
    one = test.batch(slice(0, 1))[0].contiguous().numpy()
    return InEightBits(
        images=len(test),
        test_accuracy=float((found[runner] == labels).mean()),
        float32_test_accuracy=float((found["torch"] == labels).mean()),
        same=float((found[runner] == found["torch"]).mean()),
        latencies={name: _latency(ran, one) for name, ran in ((runner, run), ("torch", plain))},
    )


class _Calibration:
    """Calibration images one batch after the other, as onnxruntime asks for them."""

    def __init__(self, images: torch.Tensor):
        # The darkest and the lightest pixel too, so that the input is a pixel less 128.
        ends = torch.zeros_like(images[:2])
        ends[1] = 1
        self.batches = iter([ends, *images.split(CALIBRATION_BATCH)])

    def get_next(self) -> dict[str, numpy.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch.contiguous().numpy()}


def onnx_runner(content: bytes, threads: int) -> Run:
    """What runs an ONNX file on this CPU: images (N, C, H, W) float32 -> logits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(batch: numpy.ndarray) -> numpy.ndarray:
        return numpy.asarray(session.run(None, {"images": batch})[0])

    return run


def onnx_of(network: nn.Module, images: torch.Tensor) -> bytes:
    """The network as ONNX, for any number of images like these; what needs no check.

    network: on the CPU, in eval mode and in torch's own order of channels.  Raises CannotExport,
    one line, for a network that has no counterpart.
    """
    with quiet(), _told_in_one_line("ONNX"):
        program = torch.onnx.export(
            with_made_weights(network),
            (images[:2].contiguous(),),  # of one it would take the number for a constant
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def to_torch(network: nn.Module, images: Split, threads: int) -> Exported:
    """The network as a file of torch.export (.pt2), for any number of images; checked reloaded.

    network: on the CPU, in eval mode.  Raises ExportDiffers if it then computes something else,
    CannotExport, one line, if torch.export cannot record it.
    """
    network = network.to(memory_format=torch.contiguous_format)
    shapes = ({0: torch.export.Dim("batch")},)
    buffer = io.BytesIO()
    with quiet(), _told_in_one_line("torch.export"):
        program = torch.export.export(
            with_made_weights(network), (_example(images),), dynamic_shapes=shapes
        )
        torch.export.save(program, buffer)
        reloaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()
        run = _by_torch(reloaded)
        return _checked(buffer.getvalue(), "torch.export", run, network, images, threads)


def _checked(
    content: bytes, runner: str, run: Run, network: nn.Module, images: Split, threads: int
) -> Exported:
    torch.set_num_threads(threads)
    batch = images.batch(slice(0, CHECKED))[0].contiguous().numpy()
    plain = _by_torch(network)
    expected = plain(batch)
    sizes = (1, 7, len(batch))
    difference = max(float(numpy.abs(run(batch[:size]) - expected[:size]).max()) for size in sizes)
    if not difference <= CLOSE * max(1.0, float(numpy.abs(expected).max())):
        raise ExportDiffers(f"{runner} differs from the network by {difference:.3g} in a logit")
    latencies = {name: _latency(f, batch[:1]) for name, f in ((runner, run), ("torch", plain))}
    return Exported(content, len(batch), sizes, difference, latencies)


def _by_torch(network: nn.Module) -> Run:
    @torch.inference_mode()
    def run(batch: numpy.ndarray) -> numpy.ndarray:
        return numpy.asarray(network(torch.from_numpy(batch)))

    return run


def _latency(run: Run, image: numpy.ndarray) -> float:
    """Median elapsed seconds of one image, warmed up, as `latency_seconds` of a measurement."""
    times = []
    for _ in range(LATENCY_WARM_UPS + LATENCY_PASSES):
        start = time.perf_counter()
        run(image)
        times.append(time.perf_counter() - start)
    return median(times[LATENCY_WARM_UPS:])


@contextmanager
def _told_in_one_line(target: str) -> Iterator[None]:
    """Make what an exporter raises, on many lines and of a class of its own, a CannotExport."""
    try:
        yield
    except (ImportError, ExportDiffers):
        raise
    except Exception as error:  # whatever they do with somebody's own network
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        line = first_line(cause)
        said = f"{type(cause).__name__}: {line}" if line else type(cause).__name__
        raise CannotExport(f"it has no counterpart in {target}: {said}") from error


def _example(images: Split) -> torch.Tensor:
    # Two images: torch.export takes a dimension of size 1 for a constant.
    return images.batch(slice(0, 2))[0].contiguous()


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the exporters warn of in their own code; the result is checked anyway."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
