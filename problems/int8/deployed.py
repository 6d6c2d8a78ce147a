"""A program as a torch module: what is exported, and what is tried in 8 bits before it is."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from problems.int8.program import Program, Step

Change = Callable[[Step, torch.Tensor], torch.Tensor]


class Deployed(nn.Module):
    """A network as the steps of its program, with batch norm folded into its weights.

    images: (N, C, H, W) float32 in [0, 1] -> logits (N, classes).  It computes what the network
    that the program was made of computes in eval mode, but for rounding.
    """

    def __init__(self, program: Program):
        super().__init__()
        self.program = program
        for step in program.steps:
            for name, tensor in (("weight", step.weight), ("bias", step.bias)):
                if tensor is not None:
                    self.register_buffer(f"{name}_{step.output}", tensor.detach().clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.run(images, lambda step, value: value)

    def run(self, images: torch.Tensor, change: Change) -> torch.Tensor:
        """The logits of images, where `change` says what becomes of each step's output."""
        values = {0: images}
        last = self._last_uses()
        for number, step in enumerate(self.program.steps):
            taken = [values[value] for value in step.inputs]
            values[step.output] = change(step, self._computed(step, taken))
            for value in step.inputs:
                if last[value] == number:
                    values.pop(value, None)
        return values[self.program.steps[-1].output]

    def _last_uses(self) -> dict[int, int]:
        steps = enumerate(self.program.steps)
        return {value: number for number, step in steps for value in step.inputs}

    def _computed(self, step: Step, taken: list[torch.Tensor]) -> torch.Tensor:
        weight = getattr(self, f"weight_{step.output}", None)
        bias = getattr(self, f"bias_{step.output}", None)
        made = computed(step, taken, weight, bias)
        low, high = step.clamp
        if (low, high) == (0.0, math.inf):
            return functional.relu(made)
        if math.isfinite(low) or math.isfinite(high):
            return functional.hardtanh(made, low, high)
        return made


def computed(
    step: Step, taken: list[torch.Tensor], weight: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """What a step makes of its inputs, before its clamp."""
    first, told = taken[0], step.told
    match step.kind:
        case "conv":
            assert weight is not None
            left, right, top, bottom = told["padding"]
            padding = (top, left)
            if (left, top) != (right, bottom):
                first, padding = functional.pad(first, told["padding"]), (0, 0)
            return functional.conv2d(
                first, weight, bias, told["stride"], padding, told["dilation"], told["groups"]
            )
        case "linear":
            assert weight is not None
            return functional.linear(first, weight, bias)
        case "add":
            return first + (taken[1] if weight is None else weight)
        case "sub":
            return first - taken[1]
        case "mul":
            return first * (taken[1] if weight is None else weight)
        case "max_pool":
            return functional.max_pool2d(first, told["kernel"], told["stride"])
        case "average_pool":
            return functional.avg_pool2d(first, told["kernel"], told["stride"])
        case "mean":
            return first.mean(dim=(2, 3))
        case "concatenate":
            return torch.cat(taken, dim=told["dim"])
        case "slice":
            places = [slice(None)] * first.dim()
            places[told["dim"]] = slice(told["start"], told["end"], told["step"])
            return first[tuple(places)]
        case "pad":
            return functional.pad(first, told["padding"])
        case "reshape":
            turned = first.permute(0, 2, 3, 1) if told["order"] else first
            return turned.flatten(1) if len(step.shape) == 1 else turned.reshape(-1, *step.shape)
        case "tanh":
            return torch.tanh(first)
        case "sigmoid":
            return torch.sigmoid(first)
        case "gelu":
            return functional.gelu(first, approximate=told["approximate"])
        case "hard_swish":
            return functional.hardswish(first)
        case "leaky_relu":
            return functional.leaky_relu(first, told["slope"])
        case "relu" | "transpose" | "requantize":  # a clamp follows; only memory is moved
            return first
        case kind:
            raise AssertionError(kind)
