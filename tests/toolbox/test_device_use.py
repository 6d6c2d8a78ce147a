"""The sampling of a GPU, on a GPU made of Python: none is needed."""

import sys
import time
from types import SimpleNamespace

import pytest

from tests.conftest import onemax
from toolbox import device_use as module
from toolbox.declaration import declare
from toolbox.device_use import DeviceUse, device_use
from toolbox.run_folder import RunFolder


class FakeNvml:
    """NVIDIA's library for a GPU that counts upwards."""

    NVMLError = RuntimeError

    def __init__(self, tells_energy=True):
        self.tells_energy = tells_energy
        self.energy = 1_000
        self.samples = 0
        self.open = False

    def nvmlInit(self):
        self.open = True

    def nvmlShutdown(self):
        self.open = False

    def nvmlDeviceGetHandleByUUID(self, uuid):
        assert uuid == "GPU-1"
        return "handle"

    def nvmlDeviceGetUtilizationRates(self, handle):
        self.samples += 1
        return SimpleNamespace(gpu=40 if self.samples % 2 else 60)

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(used=1_000 * self.samples)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self.tells_energy:
            raise self.NVMLError
        self.energy += 2_500
        return self.energy


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE_SECONDS", 0.001)


def sampled(nvml, samples):
    for _ in range(5_000):
        if nvml.samples >= samples:
            return
        time.sleep(0.001)


def test_use_is_summed_up_since_the_last_summary():
    nvml = FakeNvml()
    use = DeviceUse(nvml, "GPU-1")
    sampled(nvml, 10)
    first = use.summary()
    assert 40 <= first["gpu_utilization_percent"] <= 60
    assert first["gpu_memory_bytes"] >= 9_000
    assert first["gpu_energy_joules"] == 2.5
    sampled(nvml, nvml.samples + 3)
    assert use.summary()["gpu_memory_bytes"] > first["gpu_memory_bytes"]
    use.close()
    assert not nvml.open
    # Between two summaries without a sample there is only energy to tell of.
    use.summary()
    assert set(use.summary()) == {"gpu_energy_joules"}


def test_energy_is_left_out_where_the_gpu_does_not_count_it():
    nvml = FakeNvml(tells_energy=False)
    use = DeviceUse(nvml, "GPU-1")
    sampled(nvml, 1)
    assert "gpu_energy_joules" not in use.summary()
    use.close()


def test_a_search_on_a_gpu_is_sampled(monkeypatch):
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with device_use("GPU-1") as use:
        sampled(nvml, 2)
        assert "gpu_utilization_percent" in use.summary()
    assert not nvml.open


def test_a_part_of_a_gpu_is_found_and_tells_what_it_counts(monkeypatch):
    class Mig(FakeNvml):
        def nvmlDeviceGetHandleByUUID(self, uuid):
            if uuid != "MIG-1":
                raise self.NVMLError("not found")
            return "handle"

        def nvmlDeviceGetUtilizationRates(self, handle):
            self.samples += 1
            raise self.NVMLError("not supported")

    nvml = Mig()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with device_use("GPU-1") as use:
        sampled(nvml, 3)
        assert set(use.summary()) == {"gpu_memory_bytes", "gpu_energy_joules"}


def test_a_library_that_fails_is_no_reason_to_stop(monkeypatch, caplog):
    class Missing(FakeNvml):
        def nvmlInit(self):
            raise self.NVMLError("NVML Shared Library Not Found")

    monkeypatch.setitem(sys.modules, "pynvml", Missing())
    with caplog.at_level("INFO"), device_use("GPU-1") as use:
        assert use.summary() == {}
    assert "cannot be seen: NVML Shared Library Not Found" in caplog.text


def test_on_a_cpu_nothing_is_told():
    with device_use(None) as use:
        assert use.summary() == {}


def test_without_the_package_it_is_said_how_to_see_it(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with caplog.at_level("INFO"), device_use("GPU-1") as use:
        assert use.summary() == {}
    assert "install nvidia-ml-py" in caplog.text


def test_generations_csv_has_its_columns(tmp_path):
    from tests.conftest import Run

    generations = Run(onemax()).generations
    with RunFolder(
        tmp_path, declare(onemax(), {"onemax": "problems.bit_counting:OneMax"}, "x")
    ) as f:
        f.write_generation(generations[0], {})
        f.write_generation(generations[1], {"gpu_utilization_percent": 55.0})
    header, first, second = (f.path / "generations.csv").read_text().splitlines()
    assert header.endswith("seconds,gpu_utilization_percent")
    assert first.endswith(",")
    assert second.endswith(",55.0")
