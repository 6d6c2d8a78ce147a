"""What this machine draws while something runs, by its own counters; an estimate where it has none.

Counters: RAPL's of each processor package, and NVML's of the GPU (nvidia-ml-py).  Without them the
optional package codecarbon estimates, from the kind of processor and its load.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from toolbox.device_use import gpu_of

POWERCAP = Path("/sys/class/powercap")
Counter = Callable[[], float]  # joules


@dataclass(frozen=True)
class Power:
    """watts, and who tells them; estimated: nobody counted."""

    watts: float
    source: str
    estimated: bool = False


class PowerMeter:
    """Measures from entering to leaving the context; then `power`, or why it is None in `silence`.

    gpu_uuid: the GPU that is used, as NVIDIA names it.  A search on several machines is not seen.
    """

    power: Power | None = None
    silence = ""

    def __init__(self, gpu_uuid: str | None = None, powercap: Path = POWERCAP):
        self._gpu_uuid = gpu_uuid
        self._powercap = powercap

    def __enter__(self) -> "PowerMeter":
        self._counters = {**_packages(self._powercap), **_gpu(self._gpu_uuid)}
        self._tracker = None if self._counters else _estimator()
        self._before = {name: counter() for name, counter in self._counters.items()}
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = max(1e-3, time.monotonic() - self._began)
        if self._counters:
            after = {name: counter() for name, counter in self._counters.items()}
            joules = [after[name] - before for name, before in self._before.items()]
            if min(joules) >= 0:  # a counter of RAPL begins again at 0 after some minutes
                self.power = Power(sum(joules) / seconds, " and ".join(self._counters))
            else:
                self.silence = "a counter began again at 0 meanwhile"
        elif self._tracker is not None:
            self._tracker.stop()
            hours = seconds / 3600
            watts = 1000 * self._tracker.final_emissions_data.energy_consumed / hours
            self.power = Power(watts, "codecarbon", estimated=True)
        else:
            self.silence = (
                "this machine counts none that can be read (RAPL, NVML); with "
                "pip install 'deap-nas[energy]' there is an estimate"
            )


def _packages(powercap: Path) -> Mapping[str, Counter]:
    """The counter of all processor packages together, if this user may read it."""
    files = sorted(powercap.glob("intel-rapl:[0-9]*/energy_uj"))
    files = [file for file in files if file.parent.name.count(":") == 1]  # not their parts

    def joules() -> float:
        return sum(int(file.read_text(encoding="ascii")) for file in files) / 1e6

    try:
        return {"RAPL": joules} if files and joules() >= 0 else {}
    except (OSError, ValueError):
        return {}


def _gpu(uuid: str | None) -> Mapping[str, Counter]:
    if uuid is None:
        return {}
    try:
        import pynvml

        pynvml.nvmlInit()
        gpu = gpu_of(pynvml, uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except Exception:  # no library, a GPU that it does not know, or one that does not count
        return {}
    return {"NVML": lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000}


def _estimator() -> Any:
    """A tracker of codecarbon that has begun, without a network; None if it is not installed."""
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError:
        return None
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    # The country is for emissions, which nobody asks for here.
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", save_to_file=False, log_level="critical", measure_power_secs=1
    )
    tracker.start()
    return tracker
