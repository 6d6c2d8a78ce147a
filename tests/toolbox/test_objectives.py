import math

import pytest

from problems import PROBLEMS
from tests.conftest import Run, onemax
from toolbox.declaration import declare
from toolbox.objectives import OBJECTIVES
from toolbox.objectives.objective import Objective
from toolbox.operator_error import OperatorError

NETWORK = {
    "val_accuracy": 0.8,
    "val_loss": 0.5,
    "train_accuracy": 0.9,
    "params": 3264,
    "conv_params": 1910,
    "fc_params": 1354,
    "macs": 865_748,
    "flops": 865_748,
    "layers": 6,
    "memory_bytes": 100_000,
    "flash_bytes": 20_000,
    "ram_bytes": 30_000,
    "int8_macs": 865_748,
    "epochs": 20,
    "train_seconds": 12.5,
    "latency_seconds": 0.001,
    "peak_memory_bytes": 1e6,
    "ones": 3.0,
    "leading_ones": 2.0,
    "trailing_zeros": 1.0,
}
READY = {name: o for name, o in OBJECTIVES.items() if isinstance(o, Objective)}


@pytest.mark.parametrize("objective", READY.values(), ids=READY)
def test_every_objective_is_finite_and_better_than_its_worst(objective):
    value = objective.value(NETWORK)
    assert math.isfinite(value)
    assert (value - objective.worst) * objective.weight > 0
    assert set(objective.needs) <= set(NETWORK)


@pytest.mark.parametrize("objective", READY.values(), ids=READY)
def test_an_objective_reads_what_it_says_that_it_needs(objective):
    objective.value({name: NETWORK[name] for name in objective.needs})
    for name in objective.needs:
        with pytest.raises(KeyError, match=name):
            objective.value({k: v for k, v in NETWORK.items() if k != name})


def test_a_view_that_is_not_finite_or_beyond_the_worst_counts_as_the_worst():
    for value in (math.nan, math.inf, -5.0):
        assert Objective("x", lambda m, v=value: v, "maximize", -1.0).value({}) == -1.0
    assert Objective("x", lambda m: 7.0, "minimize", 5.0).value({}) == 5.0


def objectives(*entries):
    tables = onemax(use="random_search") | {"objectives": list(entries)}
    return declare(tables, PROBLEMS, "test").objectives


def test_weights_of_the_penalty_are_declared():
    (split,) = objectives(
        {
            "use": "penalized_accuracy",
            "per_million_conv_params": 0.025,
            "per_million_fc_params": 0.01,
        }
    )
    assert split.name == "penalized_accuracy"
    network = {"val_accuracy": 0.7, "params": 0, "conv_params": 4e6, "fc_params": 10e6}
    assert split.value(network) == pytest.approx(0.7 - 0.1 - 0.1)


def test_order_and_direction_are_declared():
    slow, many = objectives({"use": "params", "direction": "maximize", "worst": 0.0}, "ones")
    assert (slow.weight, slow.worst, slow.name) == (1.0, 0.0, "params")
    assert many.name == "ones"


def test_any_column_of_a_measurement_can_be_an_objective():
    entry = {"use": "measured", "name": "ones", "direction": "minimize", "worst": 99.0}
    (fewest,) = objectives(entry)
    assert (fewest.name, fewest.needs, fewest.value({"ones": 3})) == ("ones", ("ones",), 3.0)
    assert Run(onemax() | {"objectives": [entry]}).generations[-1].best[0] < 6


def test_a_user_s_function_can_be_an_objective(tmp_path, monkeypatch):
    (tmp_path / "own_objectives.py").write_text(
        "def zeros(measurement, length=12):\n    return length - measurement['ones']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = {"use": "own_objectives:zeros", "direction": "maximize", "worst": -1.0}
    run = Run(onemax() | {"objectives": [entry]})
    assert run.declaration.objectives[0].name == "zeros"
    assert run.generations[-1].best[0] > 6


def test_a_worst_leaves_room_for_what_is_infeasible():
    with pytest.raises(ValueError, match=r"objectives\[0\]\.worst = -1e\+308"):
        objectives({"use": "ones", "worst": -1e308})


def test_an_objective_that_fails_on_a_measurement_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "broken_objectives.py").write_text("def f(found): return found['ones'] - 'x'\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = {"use": "broken_objectives:f", "direction": "maximize", "worst": -1.0}
    with pytest.raises(OperatorError, match=r"'f' failed .*TypeError: .*; measured are ones"):
        Run(onemax() | {"objectives": [entry]})


def test_an_objective_that_the_problem_does_not_measure_is_refused():
    with pytest.raises(ValueError, match=r"objectives\[0\] = 'params': it needs 'params'"):
        Run(onemax() | {"objectives": ["params"]})
