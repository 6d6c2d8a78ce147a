from problems.int8.latency_table import read_table
from problems.measures.device import Device
from tests.deap_nas.commands.test_retrain import assert_refused

LATENCY = """
objectives = ["val_accuracy"]
[problem]
use = "image_classification"
space = "plain_cnn"
dataset = "digits"
device = "cpu"
[problem.devices]
steps = { function = "tests.problems.own_measures:of_a_file", format = "onnx", readings = 1 }
[algorithm]
use = "random_search"
population = 2
generations = 1
"""


def test_the_command_goes_on_with_what_was_read(tmp_path, monkeypatch, command):
    asked = []

    def told(self, name, network, calibration):
        asked.append(network)
        return {name: float(sum(p.numel() for p in network.parameters())), f"{name}_spread": 0.0}

    monkeypatch.setattr(Device, "numbers", told)
    experiment, out = tmp_path / "board.toml", tmp_path / "steps.json"
    experiment.write_text(LATENCY)
    arguments = ["latency", experiment, "--out", out]
    status, _, _ = command(*arguments, "--networks", 8)
    assert status == 0
    assert read_table(str(out)).readings == 8
    before = len(asked)
    status, said, _ = command(*arguments, "--networks", 10)
    assert status == 0
    assert "of 2 that were held out it is wrong by" in said
    assert read_table(str(out)).readings == 10
    assert len(asked) == before + 1 + 2  # one to see whether it answers

    for more, message in (
        (["--networks", 3], "--networks 3: at least 8 are needed"),
        (["--device", "stps"], "--device stps: unknown; there are steps; did you mean 'steps'"),
        (["--number", "cycles"], "--number cycles: the device 'steps' does not tell it"),
        (["problem.devices.steps.readings=2"], "steps.readings.jsonl: it holds readings of anoth"),
    ):
        status, _, error = command(*arguments, *more)
        assert_refused(status, error, message)
