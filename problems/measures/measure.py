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

import difflib
import importlib
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, cast

import torch
from torch import nn

from problems.datasets.splits import Split
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

    @property
    def labels(self) -> torch.Tensor:
        return self.split.labels

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
    function = MEASURES.get(use) or _imported(use)
    parameters = inspect.signature(function).parameters.values()
    for asked in parameters:
        varies = asked.kind in (asked.VAR_POSITIONAL, asked.VAR_KEYWORD)
        if asked.name not in ARGUMENTS and asked.default is asked.empty and not varies:
            raise ValueError(
                f"{use!r}: it asks for {asked.name!r}; legal: {', '.join(ARGUMENTS)}"
                f"{_near(asked.name, ARGUMENTS)}"
            )
    return function


def _imported(use: str) -> Measure:
    name, _, attribute = use.partition(":")
    if not name or not attribute:
        raise ValueError(
            f"{use!r}: unknown; legal: {', '.join(MEASURES)}, or 'module:function'"
            f"{_near(use, MEASURES)}"
        )
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{use!r}: there is no module {error.name!r} in the current folder, beside the "
            "declaration, or installed"
        ) from error
    except Exception as error:  # whatever a user's module does when it is imported
        raise ValueError(
            f"{use!r}: importing {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        functions = [found for found, value in vars(module).items() if callable(value)]
        raise ValueError(
            f"{use!r}: module {name!r} has no function {attribute!r}{_near(attribute, functions)}"
        )
    return cast(Measure, function)


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def quantities_of(uses: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """What the names mean that these functions return, as far as the functions say it."""
    found: dict[str, Mapping[str, Any]] = {}
    for use in uses:
        found |= getattr(measure_of(use), "quantities", {})
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
        returned = function(**{name: getattr(trained, name) for name in ARGUMENTS if name in asked})
    except torch.cuda.OutOfMemoryError:
        raise  # the network is begun again when there is more memory
    except Exception as error:  # whatever a user's function does
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
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, Real):
        raise MeasureFailed(
            f"{use}: it returned {name} = {type(value).__name__}; a number or a dict of numbers is "
            "needed"
        )
    return float(value)
