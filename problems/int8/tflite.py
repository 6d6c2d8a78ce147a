"""A program as a .tflite file in 8 bits, for TensorFlow Lite for Microcontrollers.

Converted by litert-torch and quantized by ai-edge-quantizer, which are no dependencies:
pip install 'deap-nas[tflite]'.  The file is then made as small as the format allows: a converter
leaves names and a place for weights beyond two gigabytes in it that no microcontroller reads.
"""

import contextlib
import io
import logging
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import torch

from problems.int8.deployed import Deployed
from problems.int8.program import Program

PACKAGES = ("litert_torch", "ai_edge_quantizer")
SIGNATURE = "serving_default"
LARGEST_ARENA = 64 * 1024**2

Run = Callable[[numpy.ndarray], numpy.ndarray]  # images (N, C, H, W) float32 -> logits


def to_tflite(program: Program, calibration: torch.Tensor) -> bytes:
    """The file of a program; its input is a pixel less 128, NHWC int8, and its output int8 logits.

    calibration: (N, C, H, W) float32 in [0, 1], from which the ranges of the values are taken.
    Raises ImportError if one of `PACKAGES` is missing.
    """
    with _quietly():
        import litert_torch
        from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
        from ai_edge_quantizer.utils.qsv_utils import min_max_update

        network = litert_torch.to_channel_last_io(Deployed(program).eval(), args=[0])
        images = calibration.permute(0, 2, 3, 1).contiguous()
        converted = litert_torch.convert(network, (images[:1],))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "float.tflite"
            converted.export(str(path))
            how = recipe_manager.RecipeManager()
            how.load_quantization_recipe(recipe.static_wi8_ai8())
            ranges = calibrator.Calibrator(str(path), num_threads=1, qsv_update_func=min_max_update)
            # The darkest and the lightest pixel, so that the input is a pixel less 128.
            ends = numpy.zeros((2, *images.shape[1:]), dtype=numpy.float32)
            ends[1] = 1
            each = [*ends[:, None], *numpy.asarray(images)[:, None]]
            ranges.calibrate({SIGNATURE: [{"args_0": image} for image in each]}, how)
            whole = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
            quantized = whole.quantize(ranges.get_model_qsvs()).quantized_model
    assert quantized is not None
    return smallest(bytes(quantized))


def smallest(content: bytes) -> bytes:
    """The same model without names and metadata, and with every buffer where it is declared."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:
            end = buffer.offset + buffer.size
            buffer.data = numpy.frombuffer(content[buffer.offset : end], dtype=numpy.uint8)
            buffer.offset = buffer.size = 0
    model.metadata, model.metadataBuffer, model.signatureDefs = [], None, []
    model.description = None
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = None
            tensor.shapeSignature = None
            if tensor.quantization:
                tensor.quantization.min = tensor.quantization.max = None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def tflite_runner(content: bytes, threads: int) -> Run:
    """What runs a file of `to_tflite` by LiteRT's interpreter: images as `Deployed` -> logits."""
    with _quietly():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    step, zero = given["quantization"]

    def run(batch: numpy.ndarray) -> numpy.ndarray:
        logits = []
        for image in pixels_of(batch):
            interpreter.set_tensor(taken["index"], image[None])
            interpreter.invoke()
            logits.append(interpreter.get_tensor(given["index"])[0])
        return numpy.asarray(step * (numpy.stack(logits).astype(numpy.float32) - zero))

    return run


def micro_runner(content: bytes) -> Run:
    """As `tflite_runner`, by the interpreter for microcontrollers (package tflite-micro)."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=LARGEST_ARENA)
    given = interpreter.get_output_details(0)["quantization_parameters"]

    def run(batch: numpy.ndarray) -> numpy.ndarray:
        logits = []
        for image in pixels_of(batch):
            interpreter.set_input(image[None], 0)
            interpreter.invoke()
            logits.append(interpreter.get_output(0)[0])
        step, zero = given["scales"][0], given["zero_points"][0]
        return numpy.asarray(step * (numpy.stack(logits).astype(numpy.float32) - zero))

    return run


def micro_arena(content: bytes) -> int:
    """The bytes of RAM that the interpreter for microcontrollers says it took.

    Raises ValueError, one line, if it cannot run the file.
    """
    asked = (
        "import sys; from tflite_micro.python.tflite_micro import runtime; "
        "runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), "
        f"arena_size={LARGEST_ARENA}).print_allocations()"
    )
    # It writes to the process's own output, from C++.
    done = subprocess.run(
        [sys.executable, "-c", asked], input=content, capture_output=True, check=False
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    if found := re.search(r"Arena allocation total (\d+)", said):
        return int(found[1])
    reason = re.search(r"Didn't find op for builtin opcode '(\w+)'", said)
    why = f"it has no step {reason[1]}" if reason else said.strip().splitlines()[-1]
    raise ValueError(f"tflite-micro cannot run the file: {why}")


def pixels_of(images: numpy.ndarray) -> numpy.ndarray:
    """(N, C, H, W) float32 in [0, 1] as the file takes it: (N, H, W, C) int8, pixels less 128."""
    pixels = numpy.rint(images * 255) - 128
    return numpy.ascontiguousarray(pixels.astype(numpy.int8).transpose(0, 2, 3, 1))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what the converters tell of each of their passes."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # they write to it from C++
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
        logging.disable(level)
