"""A network tried in 8 bits on this machine: the values of each step rounded as on the device.

Post-training static quantization as TensorFlow Lite specifies it (Jacob et al., arXiv 1712.05877):
weights symmetric for each output channel, values affine for each step, with the ranges that
calibration images gave them.  Torch's own quantization has moved to torchao, whose export of a
network takes longer than many a training here; this is two passes over a few hundred images.
"""

from dataclasses import dataclass

import torch
from torch import nn

from problems.int8.deployed import Deployed
from problems.int8.program import KEEP_SCALE, Program, Step

LOWEST, HIGHEST = -128, 127
STEPS = HIGHEST - LOWEST
# Ranges that the runtime's own functions have, whatever was seen.
FIXED = {"tanh": (1 / 128, 0), "sigmoid": (1 / 256, LOWEST)}


@dataclass(frozen=True)
class Scale:
    """A value is `step` times (its integer less `zero`)."""

    step: float
    zero: int

    @classmethod
    def of(cls, low: float, high: float) -> "Scale":
        """The scale of the values between two, and of 0.

        >>> Scale.of(0.0, 1.0).zero, Scale.of(-1.0, 1.0).zero
        (-128, 0)
        """
        low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / STEPS or 1.0
        zero = round(LOWEST - low / step)
        return cls(step, max(LOWEST, min(HIGHEST, zero)))

    def rounded(self, values: torch.Tensor) -> torch.Tensor:
        return torch.fake_quantize_per_tensor_affine(values, self.step, self.zero, LOWEST, HIGHEST)


class Quantized(nn.Module):
    """A program with its weights and values in 8 bits, computed in float32.

    calibration: (N, C, H, W) float32 in [0, 1], on the device where it is to be computed.
    """

    def __init__(self, program: Program, calibration: torch.Tensor):
        super().__init__()
        self.deployed = Deployed(program).to(calibration.device).eval()
        self.scales = self._calibrated(calibration)
        for step in program.steps:
            if step.weight is not None:
                weight = getattr(self.deployed, f"weight_{step.output}")
                weight.copy_(_rounded_weight(step, weight))

    @torch.inference_mode()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.deployed.run(Scale.of(0.0, 1.0).rounded(images), self._rounded)

    def _rounded(self, step: Step, value: torch.Tensor) -> torch.Tensor:
        if step.kind in KEEP_SCALE and step.kind not in ("average_pool", "requantize"):
            return value
        return self.scales[step.output].rounded(value)

    @torch.inference_mode()
    def _calibrated(self, images: torch.Tensor) -> dict[int, Scale]:
        seen: dict[int, tuple[float, float]] = {}

        def look(step: Step, value: torch.Tensor) -> torch.Tensor:
            low, high = torch.aminmax(value)
            seen[step.output] = (low.item(), high.item())
            return value

        self.deployed.run(images, look)
        scales = {0: Scale.of(0.0, 1.0)}
        steps = self.deployed.program.steps
        for step in steps:
            if step.kind in FIXED:
                scales[step.output] = Scale(*FIXED[step.kind])
            elif step.kind in KEEP_SCALE and step.kind != "requantize":
                scales[step.output] = scales[step.inputs[0]]
            else:
                scales[step.output] = Scale.of(*seen[step.output])
        for step in reversed(steps):  # the parts of a concatenation have the scale of the whole
            if step.kind == "concatenate":
                scales |= dict.fromkeys(step.inputs, scales[step.output])
        return scales


def _rounded_weight(step: Step, weight: torch.Tensor) -> torch.Tensor:
    """A weight in 8 bits: symmetric, for each output channel; one scale for a constant."""
    if step.kind not in ("conv", "linear"):
        low, high = torch.aminmax(weight)
        return Scale.of(low.item(), high.item()).rounded(weight)
    largest = weight.abs().flatten(1).amax(dim=1)
    scale = torch.where(largest > 0, largest / HIGHEST, torch.ones_like(largest))
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -HIGHEST, HIGHEST)
