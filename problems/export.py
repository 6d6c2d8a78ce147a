"""A trained network in the formats of other programs, checked and timed on this CPU."""

import io
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import numpy
import torch
from torch import nn

from problems.datasets.splits import Split
from problems.training.loop import LATENCY_PASSES, LATENCY_WARM_UPS

CHECKED = 256  # images on which the formats are compared
CLOSE = 1e-3  # of the largest logit: the difference that is still called equal
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Run = Callable[[numpy.ndarray], numpy.ndarray]  # images (N, C, H, W) float32 -> logits


class ExportDiffers(ArithmeticError):
    """What was exported does not compute what the network computes."""


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
    ImportError if one of `ONNX_PACKAGES` is missing.
    """
    import onnxruntime

    network = network.to(memory_format=torch.contiguous_format)
    with quiet():
        program = torch.onnx.export(
            network,
            (_example(images),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    content = program.model_proto.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(batch: numpy.ndarray) -> numpy.ndarray:
        return numpy.asarray(session.run(None, {"images": batch})[0])

    return _checked(content, "onnxruntime", run, network, images, threads)


def to_torch(network: nn.Module, images: Split, threads: int) -> Exported:
    """The network as a file of torch.export (.pt2), for any number of images; checked reloaded.

    network: on the CPU, in eval mode.  Raises ExportDiffers if it then computes something else.
    """
    network = network.to(memory_format=torch.contiguous_format)
    shapes = ({0: torch.export.Dim("batch")},)
    buffer = io.BytesIO()
    with quiet():
        program = torch.export.export(network, (_example(images),), dynamic_shapes=shapes)
        torch.export.save(program, buffer)
        reloaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return _checked(
        buffer.getvalue(), "torch.export", _by_torch(reloaded), network, images, threads
    )


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


def _example(images: Split) -> torch.Tensor:
    # Two images: torch.export takes a dimension of size 1 for a constant.
    return images.batch(slice(0, 2))[0].contiguous()


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the exporters warn of in their own code; the result is checked anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
