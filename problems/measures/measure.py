"""Functions that measure a trained network, shipped or the user's own, called by what they ask for.

A function is given what its parameters are named after:

    network      the trained torch module, on its device; to be left as it is
    images       (N, C, H, W) float32 in [0, 1]: the images to validate on
    labels       (N,) int64
    predictions  (N, classes): the network's logits for the images
    genome       list of int
    layers       the network layer by layer: see `ImageClassification.layers`
    device       the torch device of all of these
    calibration  (N, C, H, W) float32 in [0, 1]: 256 images to train on, for a quantization

and returns one number, which is named as the function, or a dict of named numbers.  It may have
attributes: `measures`, the names that it returns, and `quantities`, what they mean (see
toolbox/quantities.py), such as {"my_name": {"direction": "maximize", "worst": 0.0}}.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, cast

import numpy
import torch
from torch import nn

from problems.datasets.splits import Split
from problems.imported import did_you_mean, imported
from problems.measures import MEASURES
from problems.measures.device import Device, DeviceFailed
from problems.training.loop import logits_of, seeded

ARGUMENTS = (
    *("network", "images", "labels", "predictions", "genome", "layers", "device"),
    "calibration",
)
CALIBRATION_IMAGES = 256

Measure = Callable[..., Any]


class MeasureFailed(ValueError):
    """A measure did not give its numbers.

    measurement: what is known of the network nevertheless.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.measurement: dict[str, float] = {}


@dataclass(frozen=True, eq=False)
class Trained:
    """A network and the images that it is measured on; what is asked for is computed once."""

    network: nn.Module
    split: Split
    genome: list[int]
    layers_of: Callable[[list[int]], list[dict[str, Any]]]
    first_of_train: Callable[[int], Split]

    @property
    def device(self) -> torch.device:
        return self.split.labels.device

    @cached_property
    def images(self) -> torch.Tensor:
        return self.split.batch(slice(None))[0]

    @cached_property
    def labels(self) -> torch.Tensor:
        return self.split.labels.clone()  # those of the split are every other network's too

    @cached_property
    def predictions(self) -> torch.Tensor:
        return logits_of(self.network, self.split).clone()  # a tensor that autograd may use

    @cached_property
    def calibration(self) -> torch.Tensor:
        return self.first_of_train(CALIBRATION_IMAGES).batch(slice(None))[0]

    @cached_property
    def layers(self) -> list[dict[str, Any]]:
        return self.layers_of(list(self.genome))


def measure_of(use: str) -> Measure:
    """The function of a name on the shelf, or of `module:function`.

    Raises ValueError if there is none, or if it asks for what there is not.
    """
    if use not in MEASURES and ":" not in use:
        raise ValueError(
            f"{use!r}: unknown; legal: {', '.join(MEASURES)}, or 'module:function'"
            f"{did_you_mean(use, MEASURES)}"
        )
    function: Any = MEASURES.get(use) or imported(use)
    if not callable(function):
        raise ValueError(f"{use!r}: it is a {type(function).__name__}; a function is needed")
    parameters = inspect.signature(function).parameters.values()
    for asked in parameters:
        varies = asked.kind in (asked.VAR_POSITIONAL, asked.VAR_KEYWORD)
        if asked.name not in ARGUMENTS and asked.default is asked.empty and not varies:
            raise ValueError(
                f"{use!r}: it asks for {asked.name!r}; legal: {', '.join(ARGUMENTS)}"
                f"{did_you_mean(asked.name, ARGUMENTS)}"
            )
    return cast(Measure, function)


def quantities_of(uses: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """What the names mean that these functions return, as far as the functions say it."""
    found: dict[str, Mapping[str, Any]] = {}
    for use in uses:
        said = getattr(measure_of(use), "quantities", {})
        if not isinstance(said, Mapping) or not all(
            isinstance(one, Mapping) for one in said.values()
        ):
            raise ValueError(
                f"measure {use!r}: its attribute quantities is {said!r}; names and what they mean "
                "are needed, like {'my_number': {'direction': 'maximize', 'worst': 0.0}}"
            )
        found |= said
    return found


def declared_names(use: str) -> tuple[str, ...]:
    """The names that a function says it returns; none if it says nothing."""
    return tuple(getattr(measure_of(use), "measures", ()))


def returned_names(use: str, trained: Trained) -> tuple[str, ...]:
    """The names that a function returns, found by calling it.  Raises MeasureFailed."""
    return tuple(_call(use, trained))


def told_by(name: str, device: Device, trained: Trained) -> dict[str, float]:
    """The numbers that a device tells of a network.  Raises MeasureFailed."""
    try:
        return device.numbers(name, trained.network, trained.calibration)
    except DeviceFailed as error:
        raise MeasureFailed(str(error)) from error


def measured_by(uses: Sequence[str], trained: Trained, seed: int) -> dict[str, float]:
    """The numbers that these functions return of a network.  Raises MeasureFailed."""
    numbers: dict[str, float] = {}
    with seeded(seed, str(trained.device)):
        for use in uses:
            returned = _call(use, trained)
            expected = declared_names(use)
            if expected and set(returned) != set(expected):
                raise MeasureFailed(
                    f"{use}: it returned {', '.join(returned)}, and says that it measures "
                    f"{', '.join(expected)}"
                )
            for name, number in returned.items():
                if not math.isfinite(number):
                    raise MeasureFailed(f"{use}: {name} = {number} is not a finite number")
            numbers |= returned
    return numbers


def _call(use: str, trained: Trained) -> dict[str, float]:
    function = measure_of(use)
    asked = inspect.signature(function).parameters
    trained.network.eval()
    try:
        given = {name: getattr(trained, name) for name in ARGUMENTS if name in asked}
        with torch.enable_grad():  # it is as before in the end, whatever the function sets
            returned = function(**given)
    except torch.cuda.OutOfMemoryError:
        raise  # the network is begun again when there is more memory
    except (Exception, SystemExit) as error:  # whatever a user's function does
        raise MeasureFailed(f"{use}: {type(error).__name__}: {error}") from error
    if not isinstance(returned, Mapping):
        returned = {getattr(function, "__name__", use.rpartition(":")[2]): returned}
    if not returned:
        raise MeasureFailed(f"{use}: it returned no number")
    return {_name(use, name): _number(use, name, value) for name, value in returned.items()}


def _name(use: str, name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise MeasureFailed(
            f"{use}: it returned a number called {name!r}; letters, digits and _ are legal"
        )
    return name


def _number(use: str, name: str, value: Any) -> float:
    if isinstance(value, torch.Tensor | numpy.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, Real):
        raise MeasureFailed(
            f"{use}: it returned {name} = {type(value).__name__}; a number or a dict of numbers is "
            "needed"
        )
    return float(value)
