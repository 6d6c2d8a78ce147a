"""The examples of own data and own measures run from the search to the export, as they are."""

import csv
import shutil

import pytest

from tests.conftest import REPOSITORY, run_search


def run(folder, *arguments):
    done = run_search(*arguments, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("example", ["own_data", "own_measure"])
def test_an_example_is_searched_retrained_reported_and_exported(example, tmp_path):
    shutil.copytree(REPOSITORY / "examples", tmp_path / "examples")
    folder = tmp_path / "examples"
    assert "failed 0" in run(folder, f"{example}.toml")
    again = run(folder, f"{example}.toml")
    assert "trained 0" in again
    found = f"runs/{example}/seed-1"
    assert "test accuracy" in run(folder, "retrain", found, "--seeds", "1", "--pick", "best")
    run(folder, "report", found)
    run(folder, "export", found, "--format", "torch", "--pick", "best")
    with (folder / found / "retrained" / "summary.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert float(row["test_accuracy_mean"]) > 0.5
    if example == "own_measure":
        assert float(row["test_int8_kib_mean"]) == float(row["params"]) / 1024
        assert 0 <= float(row["test_worst_class_f1_mean"]) <= float(row["test_macro_f1_mean"])
