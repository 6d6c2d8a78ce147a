import json
import subprocess
import sys

import pytest

from benchmarks import gpu_day
from benchmarks.gpu_day import Day, plan
from benchmarks.training_throughput import SeededEvaluation
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.usefixtures("untraced")

SUBPROCESSES = ("gpu_tests", "workers", "recovery")  # they start others: slower
ALONE = [name for name in plan(toy=True) if name not in SUBPROCESSES]


@pytest.mark.parametrize("part", ALONE)
def test_a_part_runs_at_toy_size_on_a_cpu(part):
    function, options, _ = plan(toy=True)[part]
    result = function(Day("cpu", toy=True), **options)
    assert json.loads(json.dumps(result)) == result


@pytest.mark.slow
@pytest.mark.parametrize("part", SUBPROCESSES)
def test_a_part_with_processes_of_its_own_runs_too(part):
    function, options, _ = plan(toy=True)[part]
    assert function(Day("cpu", toy=True), **options)


def test_what_memory_and_divergence_show_on_a_cpu():
    day = Day("cpu", toy=True)
    assert gpu_day.diverging(day)["diverged"] == 2
    assert gpu_day.out_of_memory(day) == {"measured": 3, "most_in_flight_after_it": 1}


@pytest.mark.slow
def test_a_part_that_is_done_is_not_run_again_and_one_that_fails_is_told(tmp_path):
    def day(*arguments):
        command = [sys.executable, "-m", "benchmarks.gpu_day", "--toy", "--device", "cpu"]
        return subprocess.run(
            [*command, "--out", tmp_path, *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
        )

    first = day("about_machine")
    assert first.stdout.startswith("about_machine: machine ")
    assert "copied_gb_per_second" in json.loads((tmp_path / "about_machine.json").read_text())
    assert day("about_machine").stdout == "about_machine: known\n"
    assert "legal are about_machine" in day("nothing").stderr


def test_the_throughput_of_several_seeds_in_one_process_is_measured():
    problem = Day("cpu", toy=True).problem()
    architecture = gpu_day.TOY_ARCHITECTURE
    measured = SeededEvaluation(problem, architecture).in_flight([1, 2], most=2)
    assert measured[0]["val_loss"] != measured[1]["val_loss"]
