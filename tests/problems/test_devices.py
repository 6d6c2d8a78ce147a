import os
import time
from dataclasses import replace

import pytest

from problems.image_classification import ImageClassification
from problems.measures.device import Device, DeviceFailed
from problems.spaces import SPACES
from problems.training.recipe import Training
from toolbox.signature import read


def shell(script, **options):
    """A device that is a line of shell; $0 is the exported network."""
    return Device(command=("sh", "-c", script, "{model}"), **{"retries": 0, **options})


def told(device, path="network.onnx"):
    return device.numbers_of_file("latency", path)


def test_one_number_has_the_device_s_name_and_comes_with_its_spread(tmp_path):
    count = tmp_path / "count"
    script = f"echo ready; echo x >> {count}; wc -l < {count}"
    assert told(shell(script, readings=3)) == {"latency": 2.0, "latency_spread": 2.0}


def test_an_object_of_numbers_keeps_its_names():
    device = shell("""echo '{"cycles": 7, "energy_uj": 0.5}'""", readings=1)
    assert told(device) == {
        "cycles": 7.0,
        "cycles_spread": 0.0,
        "energy_uj": 0.5,
        "energy_uj_spread": 0.0,
    }


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no board on $TTY >&2; exit 3", "sh ended with status 3: no board on"),
        ("echo hello", "it said 'hello'; one number, or a JSON object of numbers, is needed"),
        ("true", "it said ''; one number"),
        ("echo NaN", "it said latency = nan, which is not a finite number"),
        ("echo true", "it said 'true'; one number"),
        ("""echo '{"a b": 1}'""", "it named a number 'a b'"),
    ],
)
def test_what_is_no_number_is_a_failure_in_one_line(script, message):
    with pytest.raises(DeviceFailed, match=f"^latency: {message}") as failed:
        told(shell(script))
    assert "\n" not in str(failed.value)


@pytest.mark.slow
def test_a_device_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    children = tmp_path / "children"
    script = f"sleep 60 & echo $! > {children}; wait"
    with pytest.raises(DeviceFailed, match=r"sh told nothing within 0\.5 s"):
        told(shell(script, timeout_seconds=0.5))
    child = int(children.read_text())
    for _ in range(100):  # until the system has buried it
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"{child} is alive")


def test_a_reading_that_failed_is_tried_again(tmp_path):
    first = tmp_path / "first"
    script = f"test -e {first} && echo 4 || {{ touch {first}; exit 1; }}"
    assert told(shell(script, readings=1, retries=1))["latency"] == 4.0
    with pytest.raises(DeviceFailed, match=r"\(tried 3 times\)$"):
        told(shell("exit 1", retries=2))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "d: either command = .* or function = 'module:function' is needed"),
        ({"command": ["./run"]}, r"d\.command = .*must hold \{model\}"),
        ({"command": ["./run", "{model}"], "reading": 2}, "did you mean 'readings'"),
        ({"function": "own_measures"}, r"d\.function = 'own_measures': 'module:function'"),
    ],
)
def test_a_device_that_is_declared_wrongly_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        read(Device, table, "d")


@pytest.mark.slow  # exports twice
def test_a_network_is_exported_to_the_device_and_what_it_tells_is_measured():
    device = Device(function="tests.problems.own_measures:of_a_file", format="onnx", readings=1)
    problem = ImageClassification(
        space=SPACES["plain_cnn"](), device="cpu", training=Training(epochs=1)
    )
    found = replace(problem, devices={"steps": device}).prepared()
    assert found.measured == ("steps", "steps_spread")
    assert found.quantities["steps"]["direction"] == "minimize"
    measurement = found.evaluate([0] * len(found.space.genes))
    assert measurement["steps"] > 3
    assert measurement["steps_spread"] == 0


@pytest.mark.slow
def test_a_device_that_does_not_answer_ends_the_search_before_it_begins():
    problem = ImageClassification(
        space=SPACES["plain_cnn"](), device="cpu", devices={"latency": shell("exit 1")}
    )
    with pytest.raises(ValueError, match=r"devices\.latency: of an untrained network, latency: sh"):
        problem.prepared()


def test_a_problem_without_devices_is_the_problem_of_before():
    assert ImageClassification(devices={}) == ImageClassification()
