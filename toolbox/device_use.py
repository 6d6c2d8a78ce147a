"""How a GPU was used while a search ran: utilization, memory and energy, by NVIDIA's own counters.

Needs the optional package nvidia-ml-py.  Nothing here pretends to measure a CPU.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import mean
from typing import Any

log = logging.getLogger(__name__)
SAMPLE_SECONDS = 0.5


class DeviceUse:
    """Samples one GPU until it is closed; `summary` tells of the time since the last one.

    uuid: the GPU's, as NVIDIA names it ("GPU-..."); a part of a GPU is found by it as well
    ("MIG-...").  What a GPU does not count is left out: a part of one has no utilization.
    """

    def __init__(self, nvml: Any, uuid: str):
        self._nvml = nvml
        nvml.nvmlInit()
        self._gpu = gpu_of(nvml, uuid)
        self._utilization: list[float] = []
        self._memory: list[float] = []
        self._energy = self._millijoules()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        nvml = self._nvml
        while True:
            rate = _told(lambda: nvml.nvmlDeviceGetUtilizationRates(self._gpu).gpu)
            used = _told(lambda: nvml.nvmlDeviceGetMemoryInfo(self._gpu).used)
            with self._lock:
                self._utilization += [] if rate is None else [rate]
                self._memory += [] if used is None else [used]
            if self._ended.wait(SAMPLE_SECONDS):
                return

    def _millijoules(self) -> float | None:
        """Energy since the driver was loaded; None where the GPU does not count it."""
        return _told(lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu))

    def summary(self) -> dict[str, float]:
        """gpu_utilization_percent (mean), gpu_memory_bytes (most, of all processes on it) and,
        where the driver tells, gpu_energy_joules, since the last summary."""
        with self._lock:
            utilization, self._utilization = self._utilization, []
            memory, self._memory = self._memory, []
        found: dict[str, float] = {}
        if utilization:
            found["gpu_utilization_percent"] = round(mean(utilization), 1)
        if memory:
            found["gpu_memory_bytes"] = max(memory)
        before, self._energy = self._energy, self._millijoules()
        if before is not None and self._energy is not None:
            found["gpu_energy_joules"] = (self._energy - before) / 1000
        return found

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        _told(self._nvml.nvmlShutdown)


def gpu_of(nvml: Any, uuid: str) -> Any:
    """NVML's handle of the GPU, or of the part of one, that has this uuid."""
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid)
    except Exception:
        return nvml.nvmlDeviceGetHandleByUUID(uuid.replace("GPU-", "MIG-", 1))


def _told(counter: Callable[[], float | None]) -> float | None:
    """What a counter tells; None where the driver, or this kind of GPU, does not have it."""
    try:
        return counter()
    except Exception:
        return None


class NoDeviceUse:
    """Where there is no GPU there is nothing to tell."""

    def summary(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        """There is nothing to close."""


@contextmanager
def device_use(uuid: str | None) -> Iterator[DeviceUse | NoDeviceUse]:
    """Sample the GPU of a problem's `gpu_uuid`, if it has one, until the block ends."""
    use: DeviceUse | NoDeviceUse = NoDeviceUse()
    if uuid is not None:
        try:
            import pynvml

            use = DeviceUse(pynvml, uuid)
        except ImportError:
            log.info("install nvidia-ml-py to see how the GPU is used")
        except Exception as error:  # a container without the library, a GPU that it does not know
            log.info("how the GPU is used cannot be seen: %s", error)
    try:
        yield use
    finally:
        use.close()
