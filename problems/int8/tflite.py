"""A program as a .tflite file in 8 bits, for TensorFlow Lite for Microcontrollers.

Converted by litert-torch and quantized by ai-edge-quantizer, which are no dependencies:
pip install 'deap-nas[tflite]'.  The file is then made as small as the format allows: a converter
leaves names and a place for weights beyond two gigabytes in it that no microcontroller reads.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy
import torch

from problems.int8.deployed import Deployed
from problems.int8.program import Program

PACKAGES = ("litert_torch", "ai_edge_quantizer")
SIGNATURE = "serving_default"


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


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what the converters tell of each of their passes."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(level)
