"""What a network does for one image, as far as it may have a price on a device."""

from collections.abc import Mapping
from math import prod

from problems.int8.program import Program, Step, macs_of

Work = Mapping[str, float]  # how much there is of what has a price


def work_of(program: Program) -> dict[str, float]:
    """How much of each thing that has a price a network does for one image."""
    work: dict[str, float] = {"network": 1.0}
    for step in program.steps:
        kind = _priced_as(step)
        parts = {"steps": 1.0, "macs": float(macs_of(step)), "numbers": float(prod(step.shape))}
        for part, much in parts.items():
            if much:
                work[f"{kind} {part}"] = work.get(f"{kind} {part}", 0.0) + much
    return work


def _priced_as(step: Step) -> str:
    if step.kind != "conv":
        return step.kind if step.kind == "linear" else "other"
    assert step.weight is not None
    if step.told["groups"] > 1:
        return "depthwise conv"
    return "pointwise conv" if step.weight.shape[2:] == (1, 1) else "conv"
