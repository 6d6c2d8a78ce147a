"""What a declaration leaves open, as a few values: `{ among = [...] }`, `{ between = [...] }`.

    batch_size    = { among = [32, 64, 128] }
    learning_rate = { between = [1e-4, 1e-1], scale = "log", values = 13 }

One vocabulary for the keys of a training recipe and for the parameters of a function that builds
networks.  A genome holds an index into the values, so that a range is a grid.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from problems.imported import did_you_mean

SCALES = ("linear", "log")
LEGAL = {"among": ("among",), "between": ("between", "scale", "values")}
VALUES = 11  # of a range that does not say how many: three decades by factors of two
ALL = 100  # whole numbers; of a range that has no more of them, each is a value
MOST = 1_000  # values of one gene
LARGEST = 1e300  # number
DIGITS = 3  # of a value within a range, as a person would write it


def is_range(value: Any) -> bool:
    """Whether a value of a declaration is one of the two tables."""
    return isinstance(value, Mapping) and any(name in value for name in LEGAL)


def check_range(table: Mapping[str, Any], key: str) -> None:
    """Raise ValueError, one line, for a table that is no list of choices and no range."""
    told = f"{key} = {dict(table)}"
    kind = next((name for name in LEGAL if name in table), "")
    legal = LEGAL.get(kind) or (*LEGAL["between"], *LEGAL["among"])
    for name in table:
        if name not in legal:
            raise ValueError(
                f"{told}: {name!r} is unknown; legal: {', '.join(legal)}{did_you_mean(name, legal)}"
            )
    if kind == "among":
        if not isinstance(table["among"], list | tuple) or len(table["among"]) < 2:
            raise ValueError(f"{told}: among needs a list of two different values or more")
        return
    ends = table.get("between")
    if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(map(_is_number, ends)):
        raise ValueError(f"{told}: between needs two numbers, the lowest and the highest")
    low, high = ends
    if low >= high:
        raise ValueError(f"{told}: between needs two numbers, the lowest first")
    scale = table.get("scale", "linear")
    if scale not in SCALES:
        raise ValueError(
            f"{told}: scale = {scale!r} is unknown; legal: {', '.join(SCALES)}"
            f"{did_you_mean(str(scale), SCALES)}"
        )
    if scale == "log" and low <= 0:
        raise ValueError(f"{told}: scale = 'log' needs numbers above 0, and the lowest is {low}")
    number = table.get("values", VALUES)
    if not isinstance(number, int) or isinstance(number, bool) or not 2 <= number <= MOST:
        raise ValueError(f"{told}: values must be a whole number from 2 to {MOST:,}")


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -LARGEST <= value <= LARGEST


def values_of(table: Mapping[str, Any], whole: bool = False) -> tuple[Any, ...]:
    """The values of a table that `check_range` lets pass, in order.

    whole: whole numbers only; on a linear scale all of them, if they are few and it does not say
    how many.

    >>> values_of({"between": [1e-4, 1e-1], "scale": "log", "values": 4})
    (0.0001, 0.001, 0.01, 0.1)
    >>> values_of({"between": [16, 128], "scale": "log", "values": 4}, whole=True)
    (16, 32, 64, 128)
    >>> values_of({"between": [0.0, 0.9], "values": 4})
    (0.0, 0.3, 0.6, 0.9)
    """
    if "among" in table:
        return tuple(table["among"])
    low, high = table["between"]
    logarithmic = table.get("scale", "linear") == "log"
    every = whole and not logarithmic and high - low < ALL
    number = table.get("values", high - low + 1 if every else VALUES)
    found: list[Any] = [low]
    for step in range(1, number - 1):
        share = step / (number - 1)
        value = low * (1 - share) + high * share
        if logarithmic:
            value = math.exp(math.log(low) * (1 - share) + math.log(high) * share)
        found.append(round(value) if whole else float(f"{value:.{DIGITS}g}"))
    return tuple(dict.fromkeys([*found, high] if whole else map(float, [*found, high])))


def with_defaults(table: Mapping[str, Any], values: int) -> dict[str, Any]:
    """The table as it is written out; values: how many there are."""
    if "among" in table:
        return dict(table)
    scale = table.get("scale", "linear")
    return {"between": table["between"], "scale": scale, "values": table.get("values", values)}


@dataclass(frozen=True)
class SearchedKey:
    """A key of a recipe that is searched.

    name: dotted, as `augmentation.crop_padding`.  declared: the table that stands in its place.
    values: what the recipe takes; texts: each as a word of an architecture.  only_with: another key
    and those of its values beside which this one means something; None if it always does.
    """

    name: str
    declared: Mapping[str, Any] = field(hash=False)
    values: tuple[Any, ...]
    texts: tuple[str, ...]
    only_with: tuple[str, tuple[Any, ...]] | None = None

    @property
    def is_number(self) -> bool:
        """Whether each of its values is a number."""
        return all(map(_is_number, self.values))


def text_of(value: Any) -> str:
    """A value of a declaration as one word, by which it is told from others.

    >>> text_of(0.01), text_of(True), text_of("cosine")
    ('0.01', 'yes', 'cosine')
    >>> text_of({"use": "step", "every": 5})
    'step(every=5)'
    """
    if isinstance(value, Mapping):
        inner = ",".join(f"{name}={text_of(one)}" for name, one in value.items() if name != "use")
        return f"{value.get('use', '')}({inner})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(str(value).split())
