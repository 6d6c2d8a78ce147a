"""What the machine draws, by counters that are there, by an estimate, or not at all."""

import sys
from types import SimpleNamespace

import pytest

from toolbox.power import PowerMeter


@pytest.fixture
def packages(tmp_path):
    """Two processor packages, and a part of one."""
    for name, microjoules in (("0", 1_000_000), ("1", 2_000_000), ("0:0", 999)):
        folder = tmp_path / f"intel-rapl:{name}"
        folder.mkdir()
        (folder / "energy_uj").write_text(f"{microjoules}\n")
    return tmp_path


def spend(packages, joules):
    file = packages / "intel-rapl:1" / "energy_uj"
    file.write_text(f"{int(file.read_text()) + int(joules * 1e6)}\n")


def test_the_packages_are_added_up_and_their_parts_are_not(packages):
    with PowerMeter(powercap=packages) as meter:
        meter._began -= 10
        spend(packages, 500)
    assert meter.power.watts == pytest.approx(50, rel=0.1)
    assert (meter.power.source, meter.power.estimated) == ("RAPL", False)


def test_a_counter_that_began_again_tells_nothing(packages):
    with PowerMeter(powercap=packages) as meter:
        spend(packages, -1)
    assert meter.power is None
    assert "began again" in meter.silence


def test_where_nothing_counts_codecarbon_estimates(tmp_path, monkeypatch):
    class Tracker:
        def __init__(self, **options):
            assert options["save_to_file"] is False

        def start(self):
            pass

        def stop(self):
            self.final_emissions_data = SimpleNamespace(energy_consumed=0.001)

    monkeypatch.setitem(sys.modules, "codecarbon", SimpleNamespace(OfflineEmissionsTracker=Tracker))
    with PowerMeter(powercap=tmp_path) as meter:
        meter._began -= 3600
    assert meter.power.estimated
    assert meter.power.watts == pytest.approx(1, rel=0.01)


def test_where_nobody_knows_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with PowerMeter("GPU-none", powercap=tmp_path) as meter:
        pass
    assert meter.power is None
    assert "deap-nas[energy]" in meter.silence
