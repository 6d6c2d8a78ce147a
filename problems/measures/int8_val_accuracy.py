"""The validation accuracy of a network in 8 bits, as a microcontroller computes it."""

import time
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from problems.int8.program import program_of
from problems.int8.quantized import Quantized

BATCH = 1_000


def int8_val_accuracy(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, calibration: torch.Tensor
) -> dict[str, float]:
    """int8_val_accuracy: the share of the images that it finds; int8_seconds: what that took.

    The network is quantized after its training: batch norm folded, weights and values in 8 bits,
    ranges from the calibration images, which are training images.  Raises NoInt8 for a network that
    has no int8 counterpart.
    """
    begun = time.thread_time()
    program = program_of(deepcopy(network).cpu(), tuple(images.shape[1:]))
    quantized = Quantized(program, calibration)
    found = torch.cat([quantized(batch).argmax(dim=1) for batch in images.split(BATCH)])
    accuracy = (found == labels).double().mean().item()
    return {"int8_val_accuracy": accuracy, "int8_seconds": time.thread_time() - begun}


int8_val_accuracy.measures = ("int8_val_accuracy", "int8_seconds")  # type: ignore[attr-defined]
_QUANTITIES: dict[str, dict[str, Any]] = {
    "int8_val_accuracy": {
        "label": "validation accuracy in 8 bits",
        "direction": "maximize",
        "worst": 0.0,
        "percent": True,
    },
    "int8_seconds": {"label": "time of the 8-bit trial", "unit": "s"},
}
int8_val_accuracy.quantities = _QUANTITIES  # type: ignore[attr-defined]
