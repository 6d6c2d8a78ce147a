"""What a layer takes on a device, fitted from readings of whole networks.

Each kind of step has a price of its own: for being taken, for each multiply-accumulate and for each
number that it writes.  Prices are not negative, and those are taken that are wrong by the least
share of the readings (non-negative least squares).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy

from problems.int8.work import Work

FEWEST = 8  # readings that a table is fitted from
HELD_OUT = 4  # every so manieth reading


@dataclass(frozen=True)
class LatencyTable:
    """Prices, and how far they were from readings of networks that they were not fitted from.

    name: of the number; direction, worst and unit: as its device's.  readings: how many it was
    fitted from, held_out: how many of them its errors were found on, by prices of the others.
    median_error, largest_error: shares of a reading; rank_correlation: Spearman's.
    """

    name: str
    prices: Mapping[str, float]
    readings: int
    held_out: int
    median_error: float
    largest_error: float
    rank_correlation: float
    direction: str = "minimize"
    worst: float = 1e9
    unit: str = ""

    @property
    def estimate(self) -> str:
        """What its number is called in a measurement."""
        return f"estimated_{self.name}"

    def of(self, work: Work) -> float:
        """The number of a network that does so much."""
        return sum(self.prices.get(part, 0.0) * much for part, much in work.items())

    @property
    def quantities(self) -> dict[str, Mapping[str, Any]]:
        means = {"direction": self.direction, "worst": self.worst}
        return {self.estimate: means | ({"unit": self.unit} if self.unit else {})}

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def read_table(path: str) -> LatencyTable:
    """The table in a file.  Raises ValueError, one line, if there is none."""
    try:
        return _table(path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        raise ValueError(f"{path!r}: it cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path!r}: it is no latency table ({error})") from error


@lru_cache(maxsize=8)  # asked for each network that is drawn
def _table(path: str, written: int) -> LatencyTable:
    return LatencyTable(**json.loads(Path(path).read_text(encoding="utf-8")))


def fitted(name: str, readings: Sequence[tuple[Work, float]], **about: Any) -> LatencyTable:
    """A table from the work of networks and the device's number of each.

    Raises ValueError, one line, for too few readings, or one that is not above 0.
    """
    if len(readings) < FEWEST:
        raise ValueError(f"{len(readings)} readings: at least {FEWEST} are needed")
    from scipy.stats import spearmanr  # each search would wait for its import

    if lowest := [number for _, number in readings if number <= 0]:
        raise ValueError(f"{name} = {lowest[0]:g}: only what is above 0 has prices")
    held_out = [one for place, one in enumerate(readings) if place % HELD_OUT == HELD_OUT - 1]
    others = [one for place, one in enumerate(readings) if place % HELD_OUT != HELD_OUT - 1]
    trial = _prices(others)
    guessed = numpy.array([_sum(trial, work) for work, _ in held_out])
    read = numpy.array([number for _, number in held_out])
    errors = numpy.abs(guessed / read - 1)
    return LatencyTable(
        name=name,
        prices=_prices(readings),
        readings=len(readings),
        held_out=len(held_out),
        median_error=float(numpy.median(errors)),
        largest_error=float(errors.max()),
        rank_correlation=float(spearmanr(guessed, read).statistic),
        **about,
    )


def _prices(readings: Sequence[tuple[Work, float]]) -> dict[str, float]:
    from scipy.optimize import nnls

    parts = sorted({part for work, _ in readings for part in work})
    rows = numpy.array([[work.get(part, 0.0) / read for part in parts] for work, read in readings])
    scale = rows.max(axis=0)  # all of a size, so that none is lost to rounding
    found, _ = nnls(rows / scale, numpy.ones(len(readings)))
    return {part: float(one) for part, one in zip(parts, found / scale, strict=True) if one}


def _sum(prices: Mapping[str, float], work: Work) -> float:
    return sum(prices.get(part, 0.0) * much for part, much in work.items())
