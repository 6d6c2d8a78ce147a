"""How a GPU was used while a search ran: utilization, memory and energy, by NVIDIA's own counters.

Needs the optional package nvidia-ml-py.  Nothing here pretends to measure a CPU.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mean
from typing import Any

log = logging.getLogger(__name__)
SAMPLE_SECONDS = 0.5


class DeviceUse:
    """Samples one GPU until it is closed; `summary` tells of the time since the last one.

    uuid: the GPU's, as NVIDIA names it ("GPU-...").
    """

    def __init__(self, nvml: Any, uuid: str):
        self._nvml = nvml
        nvml.nvmlInit()
        self._gpu = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._utilization: list[float] = []
        self._memory: list[float] = []
        self._energy = self._millijoules()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while True:
            rates = self._nvml.nvmlDeviceGetUtilizationRates(self._gpu)
            used = self._nvml.nvmlDeviceGetMemoryInfo(self._gpu).used
            with self._lock:
                self._utilization.append(rates.gpu)
                self._memory.append(used)
            if self._ended.wait(SAMPLE_SECONDS):
                return

    def _millijoules(self) -> float | None:
        """Energy since the driver was loaded; None where the GPU does not count it."""
        try:
            return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)
        except self._nvml.NVMLError:
            return None

    def summary(self) -> dict[str, float]:
        """gpu_utilization_percent (mean), gpu_memory_bytes (most, of all processes on it) and,
        where the driver tells, gpu_energy_joules, since the last summary."""
        with self._lock:
            utilization, self._utilization = self._utilization, []
            memory, self._memory = self._memory, []
        found: dict[str, float] = {}
        if utilization:
            found["gpu_utilization_percent"] = round(mean(utilization), 1)
            found["gpu_memory_bytes"] = max(memory)
        before, self._energy = self._energy, self._millijoules()
        if before is not None and self._energy is not None:
            found["gpu_energy_joules"] = (self._energy - before) / 1000
        return found

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._nvml.nvmlShutdown()


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
    try:
        yield use
    finally:
        use.close()
