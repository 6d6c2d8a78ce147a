"""What MLflow and trackio hear of a search, and the summary of several seeds."""

import csv
import sys
from types import SimpleNamespace

import numpy
import pytest

from deap_nas.commands.search import _hypervolumes
from tests.test_run_search import ONEMAX
from toolbox.trackers import TRACKERS

pytestmark = pytest.mark.filterwarnings("default")  # the trackers' own


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a declaration; trackers keep what they hear in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, name)  # it reads the folder when it is imported
    (tmp_path / "onemax.toml").write_text(ONEMAX)
    return tmp_path


def test_the_hypervolumes_of_several_seeds_count_from_one_point():
    losses = numpy.array([[[3.0, 3.0], [1.0, 1.0]], [[5.0, 5.0], [3.0, 3.0]]])
    runs = [SimpleNamespace(losses=one, population=1) for one in losses]
    assert _hypervolumes(runs) == [1.0, 4 / 16]  # both from (5, 5)


def rows_of(folder):
    with (folder / "runs/onemax/seed-1/generations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_mlflow_has_parameters_metrics_and_the_report_of_the_last_session_alone(folder, command):
    from mlflow import MlflowClient

    for _ in range(2):
        status, _, error = command("onemax.toml", "--mlflow")
        assert status == 0, error
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("onemax").experiment_id])
    assert run.info.run_name == "seed-1"
    assert run.info.status == "FINISHED"
    assert run.data.params["algorithm.use"] == "genetic_algorithm"
    assert run.data.params["problem.length"] == "12"
    assert run.data.tags["stopped"] == "5 generations were evolved"
    best = client.get_metric_history(run.info.run_id, "best_ones")
    assert [int(one.step) for one in best] == list(range(6))
    assert [one.value for one in best] == [float(row["best_ones"]) for row in rows_of(folder)]
    mean = client.get_metric_history(run.info.run_id, "mean_ones")
    assert mean[-1].value <= best[-1].value
    assert "report/report.html" in [
        one.path for one in client.list_artifacts(run.info.run_id, "report")
    ]


@pytest.mark.slow
def test_trackio_has_parameters_metrics_and_the_report(folder, command):
    for _ in range(2):
        status, out, error = command("onemax.toml", "--trackio", "--json")
        assert status == 0, error
        assert all(line.startswith("{") for line in out.splitlines())  # of trackio not a word
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    (run,) = trackio.Api().runs("onemax")
    assert run.name == "seed-1"
    assert run.config["algorithm.use"] == "genetic_algorithm"
    logged = SQLiteStorage.get_logs("onemax", "seed-1", run_id=run.id)
    assert [one["best_ones"] for one in logged] == [
        float(row["best_ones"]) for row in rows_of(folder)
    ]
    assert any((folder / "trackio" / "artifacts").rglob("*"))


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_one_line_before_the_search(folder, command, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    status, _, error = command("onemax.toml", f"--{name}")
    assert status == 2
    assert error == (
        f"error: --{name}: the package {name} is not installed; pip install 'deap-nas[{name}]'\n"
    )
    assert not (folder / "runs").exists()
