"""Learning curves: numbers after each epoch of a training, small enough to keep for every network.

A problem returns them in its measurement as `learning_curve`: a list of finite numbers, or several
lists of one length by name, such as {"train_loss": [...], "val_accuracy": [...]}.
"""

import json
from collections.abc import Mapping, Sequence
from math import floor, isfinite, log10
from numbers import Real
from typing import Any

NAME = "learning_curve"  # in a measurement
EPOCH = "epoch"  # the numbers of the epochs that were kept, if they are not all
MOST_POINTS = 64
LEVELS = 100  # at least so many steps of rounding lie between a curve's least and its largest


def kept(told: Any) -> str:
    """What an archive keeps of the curves that a problem told: JSON; empty if there is no point.

    Rounded, and of more than MOST_POINTS epochs an even choice with the first and the last.  Raises
    ValueError for what are no curves.

    >>> kept({"train_loss": [2.302585, 0.51], "val_accuracy": [0.1, 0.91234]})
    '{"train_loss":[2.3,0.51],"val_accuracy":[0.1,0.912]}'
    >>> kept([3, 2.5])
    '{"learning_curve":[3.0,2.5]}'
    """
    curves = told if isinstance(told, Mapping) else {NAME: told}
    lists = {str(name): _numbers(name, values) for name, values in curves.items()}
    if len({len(values) for values in lists.values()}) > 1 or EPOCH in lists:
        said = ", ".join(f"{name} has {len(values)}" for name, values in lists.items())
        raise ValueError(f"{NAME}: lists of one length are needed, none named {EPOCH!r}; {said}")
    length = max(map(len, lists.values()), default=0)
    if not length:
        return ""
    places = list(range(length))
    if length > MOST_POINTS:
        places = [round(n * (length - 1) / (MOST_POINTS - 1)) for n in range(MOST_POINTS)]
        lists = {name: [values[place] for place in places] for name, values in lists.items()}
    found: dict[str, list[Any]] = {name: _rounded(values) for name, values in lists.items()}
    if length > MOST_POINTS:
        found = {EPOCH: [place + 1 for place in places], **found}
    return json.dumps(found, separators=(",", ":"))


def _numbers(name: Any, values: Any) -> list[float]:
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"{NAME}: {name} is {type(values).__name__}; a list of numbers is needed")
    for value in values:
        if not isinstance(value, Real) or not isfinite(value):
            raise ValueError(f"{NAME}: {name} has {value!r}, not a finite number")
    return [float(value) for value in values]


def _rounded(values: list[float]) -> list[float]:
    """Values to a power of ten that is a hundredth of their range or less; one to four digits."""
    size = max(values) - min(values) or abs(values[0])
    if not isfinite(size) or not size:
        return values
    decimals = floor(log10(LEVELS)) - floor(log10(size)) + (len(set(values)) == 1)
    return [round(value, decimals) for value in values]
