"""What a network costs on a microcontroller in 8 bits, by arithmetic alone.

Counted as TensorFlow Lite for Microcontrollers has it: flash holds the .tflite file, RAM one arena
for the values of a network and the runtime's own records.  The bytes of a file's and an arena's
records beside the numbers themselves were read off files of `problems.int8.tflite` and what the
interpreter told of them; `benchmarks/int8_costs.py` holds the sums against both.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod

import torch

from problems.int8.program import NoInt8, Program, Step, macs_of, program_of
from problems.int8.work import Work, work_of
from problems.networks.chain import Standardize
from problems.networks.counting import on_meta
from problems.networks.plan import REMEMBERED, Plan, module_of, said_of

log = logging.getLogger(__name__)

INT8_COSTS = frozenset({"flash_bytes", "ram_bytes", "int8_macs"})

ALIGNMENT = 16  # of a buffer, in a file and in the arena

# The records of a .tflite file: of the file, of each channel of a weight and of its bias (a float32
# scale and an int64 zero point), and of each step with the values and constants that belong to it.
FILE = 770
PER_CHANNEL = 12
IN_THE_FILE = {
    "conv": 314,
    "linear": 228,
    "add": 90,
    "sub": 90,
    "mul": 121,
    "concatenate": 100,
    "max_pool": 116,
    "average_pool": 116,
    "mean": 135,
    "pad": 135,
    "slice": 250,
    "reshape": 135,
    "transpose": 135,
    "requantize": 100,
}
OF_A_CONSTANT = 80
OTHER_IN_THE_FILE = 105
# The runtime's records in its arena, on a machine of 64 bits; about half of it on one of 32.
ARENA = 748
PER_OUTPUT_CHANNEL = 8  # a multiplier and a shift, of a convolution or a linear layer
IN_THE_ARENA = {
    "conv": 249,
    "linear": 255,
    "add": 144,
    "sub": 144,
    "mul": 145,
    "concatenate": 150,
    "max_pool": 154,
    "average_pool": 154,
    "mean": 150,
    "pad": 151,
    "slice": 220,
    "reshape": 130,
    "transpose": 150,
    "requantize": 130,
}
OTHER_IN_THE_ARENA = 108
# What tells a step its shape, in numbers of int32.
SHAPES = {
    "pad": (8,),
    "transpose": (4,),
    "mean": (2,),
    "reshape": (2,),
    "slice": (4, 4, 4),
}


@dataclass(frozen=True)
class Buffer:
    """A value in RAM: from the step that makes it to the last one that takes it."""

    size: int
    first: int
    last: int


@dataclass(frozen=True)
class CountedInt8:
    """What a network costs in 8 bits, and the work that a latency table prices.

    Nothing of a network that has no int8 counterpart.
    """

    costs: Mapping[str, int]
    work: Work


def int8_counted(
    plan: Plan, image_shape: tuple[int, ...], classes: int, normalize: bool
) -> CountedInt8:
    """`costs_of` and `work_of` a network that can be built, without training it; remembered.

    Why there is nothing of a network is logged once.
    """
    try:
        return _remembered(plan, tuple(image_shape), classes, normalize)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _counted(plan, tuple(image_shape), classes, normalize)


def _counted(
    plan: Plan, image_shape: tuple[int, ...], classes: int, normalize: bool
) -> CountedInt8:
    channels = image_shape[0]
    first = Standardize(torch.zeros(channels), torch.ones(channels)) if normalize else None
    network = on_meta(lambda: module_of(plan, image_shape, classes, first))
    try:
        program = program_of(network, image_shape)
    except NoInt8 as error:
        _tell(f"{said_of(plan)}: {error}")
        return CountedInt8({}, {})
    return CountedInt8(costs_of(program), work_of(program))


_remembered = lru_cache(maxsize=REMEMBERED)(_counted)


@cache  # once for each message
def _tell(refusal: str) -> None:
    log.warning("networks have no flash_bytes and ram_bytes: %s", refusal)


def costs_of(program: Program) -> dict[str, int]:
    """flash_bytes, ram_bytes and int8_macs of one image."""
    return {
        "flash_bytes": flash_bytes(program),
        "ram_bytes": arena_bytes(program),
        "int8_macs": sum(map(macs_of, program.steps)),
    }


def constants_of(step: Step) -> list[tuple[int, int]]:
    """The bytes of each constant of a step, and its channels with a scale of their own."""
    found: list[tuple[int, int]] = []
    if step.kind in ("conv", "linear"):
        assert step.weight is not None
        channels = step.weight.shape[0]
        found = [(step.weight.numel(), channels), (4 * channels, channels)]
    elif step.weight is not None:
        found = [(step.weight.numel(), 1)]
    return found + [(4 * numbers, 0) for numbers in SHAPES.get(step.kind, ())]


def flash_bytes(program: Program) -> int:
    """The size of the .tflite file: int8 weights, int32 biases, scales and the graph."""
    size = FILE
    for step in program.steps:
        size += IN_THE_FILE.get(step.kind, OTHER_IN_THE_FILE)
        size += OF_A_CONSTANT * (step.kind in ("add", "mul") and step.weight is not None)
        size += sum(aligned(own) + PER_CHANNEL * channels for own, channels in constants_of(step))
    return size


def arena_bytes(program: Program) -> int:
    """The arena: the values, laid out over each other, and the runtime's own records."""
    return planned_bytes(buffers_of(program)) + records_bytes(program)


def buffers_of(program: Program) -> list[Buffer]:
    """Each value with the steps between which it is needed; the runtime keeps none in place."""
    first = {0: 0} | {step.output: number for number, step in enumerate(program.steps)}
    last = dict(first)
    for number, step in enumerate(program.steps):
        for value in step.inputs:
            last[value] = number
    shapes: Mapping[int, tuple[int, ...]] = program.shapes
    return [Buffer(aligned(prod(shapes[value])), first[value], last[value]) for value in first]


def planned_bytes(buffers: Iterable[Buffer]) -> int:
    """How much room buffers need as the runtime's greedy planner lays them out.

    The largest first, each at the lowest place where no buffer of the same time is in the way.

    >>> planned_bytes([Buffer(64, 0, 1), Buffer(32, 1, 2), Buffer(64, 2, 3)])
    96
    """
    laid: list[tuple[int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda one: -one.size):
        place = 0
        for start, other in sorted(laid, key=lambda one: one[0]):
            if other.first > buffer.last or other.last < buffer.first:
                continue
            if start - place >= buffer.size:
                break
            place = max(place, start + other.size)
        laid.append((place, buffer))
    return max((place + buffer.size for place, buffer in laid), default=0)


def records_bytes(program: Program) -> int:
    """What the runtime keeps of each step beside its values."""
    return ARENA + sum(
        IN_THE_ARENA.get(step.kind, OTHER_IN_THE_ARENA)
        + PER_OUTPUT_CHANNEL * step.shape[0] * (step.kind in ("conv", "linear"))
        for step in program.steps
    )


def aligned(size: int) -> int:
    """A size rounded up to whole alignments.

    >>> aligned(1), aligned(16), aligned(17)
    (16, 16, 32)
    """
    return -(-size // ALIGNMENT) * ALIGNMENT
