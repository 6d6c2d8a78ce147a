import csv
import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from filelock import FileLock
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deap_nas.commands.retrain import _say_if_untaught, agreement
from deap_nas.finished_run import FinishedRun
from deap_nas.retraining.kept_seeds import RetrainedFolder
from problems.datasets import Digits
from problems.retraining import official_test, scores_of
from problems.saved_network import load
from problems.training.loop import logits_of
from tests.conftest import run_search
from tests.test_run_search import ONEMAX
from toolbox.report.ranking import ranking

pytestmark = pytest.mark.slow  # searches in processes of their own

NUMBERS = ("search_val_accuracy", "test_accuracy_mean")


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def three_picks(searched):
    """The best, which a bound picks too, and the worst by its key; two seeds each."""
    worst = worst_key(searched)
    return ("--pick", "best", "--pick", "params<=100000", "--pick", worst, "--seeds", "2")


def worst_key(searched):
    run = FinishedRun.open(searched)
    return ranking(run.judge, run.archive)[-1].key


@pytest.fixture(scope="module")
def retrained(searched, tmp_path_factory):
    """A folder of retrainings and what was said, by `three_picks`."""
    out = tmp_path_factory.mktemp("retrained")
    done = run_search("retrain", searched, *three_picks(searched), "--out", out, cwd=out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.fixture
def copy(retrained, tmp_path):
    return shutil.copytree(retrained[0], tmp_path / "copy")


def seeds_of(out):
    return {path: json.loads(path.read_text()) for path in sorted(out.glob("*/seed-*.json"))}


def test_several_picks_are_retrained_each_network_once(retrained, searched):
    out, said = retrained
    rows = table(out / "summary.csv")
    assert [row["pick"] for row in rows] == [
        "best = params<=100000",
        worst_key(searched),
    ]
    assert [row["seeds"] for row in rows] == ["2", "2"]
    run = FinishedRun.open(searched)
    for row in rows:
        record = run.archive.get(row["key"])
        assert float(row["search_val_accuracy"]) == record.measurement["val_accuracy"]
        accuracies = [
            seed["test"]["accuracy"]
            for path, seed in seeds_of(out).items()
            if path.parent.name == row["folder"]
        ]
        assert float(row["test_accuracy_mean"]) == pytest.approx(sum(accuracies) / 2)
        deviation = abs(accuracies[0] - accuracies[1]) / 2**0.5
        assert float(row["test_accuracy_std"]) == pytest.approx(deviation)
    tau = json.loads((out / "summary.json").read_text())["kendall_tau"]
    assert tau == agreement([{k: float(row[k]) for k in NUMBERS} for row in rows])
    assert "the official test split is read here and nowhere else: 360 images" in said


def test_what_was_saved_scores_on_the_test_images_as_was_reported(retrained, searched):
    out, _ = retrained
    run = FinishedRun.open(searched)
    test = official_test(replace(run.problem, device="cpu"))
    for path, seed in seeds_of(out).items():
        network, blueprint = load(path.with_suffix(".safetensors"))
        assert blueprint.architecture == run.archive.get(seed["identity"]["key"]).architecture
        found = scores_of(logits_of(network, test), test.labels)
        # Only the last digit of a loss depends on the number of threads here and there.
        assert found.pop("loss") == pytest.approx(seed["test"].pop("loss"))
        assert found | {"measures": {}} == seed["test"]


def test_tables_and_pictures_are_left_for_each_network(retrained):
    out, _ = retrained
    for row in table(out / "summary.csv"):
        folder = out / row["folder"]
        seeds = [json.loads((folder / f"seed-{n}.json").read_text()) for n in (1, 2)]
        curves = table(folder / "curves.csv")
        assert [(line["seed"], line["epoch"]) for line in curves] == [("1", "1"), ("2", "1")]
        confusion = table(folder / "confusion_matrix.csv")
        counts = [[int(v) for k, v in line.items() if k.isdecimal()] for line in confusion]
        assert sum(map(sum, counts)) == 2 * 360
        assert counts[3][3] == sum(seed["test"]["confusion"][3][3] for seed in seeds)
        classes = table(folder / "per_class.csv")
        assert [line["class"] for line in classes] == list("0123456789")
        f1 = sum(seed["test"]["f1"][8] for seed in seeds) / 2
        assert float(classes[8]["f1_mean"]) == pytest.approx(f1)
        for name in ("curves.png", "confusion_matrix.png"):
            with Image.open(folder / name) as picture:
                assert min(picture.size) >= 400
    assert not list(out.rglob("*.part"))


def test_what_is_finished_is_not_trained_again_and_missing_seeds_are_added(command, searched, copy):
    before = {path: path.stat().st_mtime_ns for path in copy.glob("*/seed-*")}
    status, said, _ = command("retrain", searched, *three_picks(searched), "--out", copy)
    assert status == 0
    assert "0 of 2 seeds to train" in said
    assert "test split" not in said  # nothing was to be scored
    assert {path: path.stat().st_mtime_ns for path in copy.glob("*/seed-*")} == before
    status, said, _ = command("retrain", searched, "--pick", "best", "--seeds", 3, "--out", copy)
    assert status == 0
    assert "1 of 3 seeds to train" in said
    after = {path: path.stat().st_mtime_ns for path in copy.glob("*/seed-*")}
    assert before.items() <= after.items()
    assert {path.stem for path in after.keys() - before.keys()} == {"seed-3"}


@pytest.mark.parametrize("damage", ["weights", "json", "interrupted"])
def test_a_seed_that_is_not_whole_is_trained_again_with_the_same_result(
    command, searched, copy, damage
):
    (row, _) = table(copy / "summary.csv")
    path = copy / row["folder"] / "seed-2.json"
    before = json.loads(path.read_text())
    if damage == "weights":
        path.with_suffix(".safetensors").write_bytes(b"half")
    elif damage == "json":
        path.write_text(path.read_text()[:100])
    else:
        path.unlink()
    status, said, _ = command("retrain", searched, "--pick", "best", "--seeds", 2, "--out", copy)
    assert status == 0
    assert "1 of 2 seeds to train" in said
    after = json.loads(path.read_text())
    for name in ("test", "curve", "identity", "weights"):
        assert after[name] == before[name]


def test_an_interrupted_retraining_keeps_what_was_finished_and_goes_on(
    command, searched, tmp_path, monkeypatch
):
    keep, out = RetrainedFolder.keep, tmp_path / "out"

    def interrupted(self, seed, weights):
        if seed == 2:
            raise KeyboardInterrupt
        keep(self, seed, weights)

    arguments = ("retrain", searched, "--seeds", 2, "--out", out)
    with monkeypatch.context() as patched:
        patched.setattr(RetrainedFolder, "keep", interrupted)
        status, said, error = command(*arguments)
    assert status == 130
    assert error == "interrupted\n"
    assert "the same command goes on" in said
    assert [path.name for path in seeds_of(out)] == ["seed-1.json"]
    status, said, _ = command(*arguments)
    assert status == 0
    assert "1 of 2 seeds to train" in said


def test_an_overridden_recipe_is_another_retraining(command, searched, copy):
    before = seeds_of(copy)
    arguments = ("--pick", "best", "--seeds", 1, "--out", copy)
    status, said, _ = command("retrain", searched, *arguments, "training.epochs=2")
    assert status == 0
    assert "1 of 1 seeds to train x 2 epochs x 300 images" in said
    after = seeds_of(copy)
    (new,) = after.keys() - before.keys()
    assert len(after[new]["curve"]) == 2
    assert after[new]["identity"]["problem"]["training"]["epochs"] == 2
    (row,) = table(copy / "summary.csv")
    assert row["test_accuracy_std"] == ""  # one seed has no spread


def test_a_network_runs_as_many_epochs_as_it_did_in_the_search(command, searched, tmp_path):
    run = shutil.copytree(searched, tmp_path / "run")
    declaration = run / "declaration.toml"
    text = declaration.read_text()
    declaration.write_text(
        text.replace("epochs = 1", "epochs = 9")
        .replace('early_stop = "never"', 'early_stop = "loss"')
        .replace('keep = "last"', 'keep = "best"')
    )
    assert declaration.read_text() != text
    with closing(sqlite3.connect(run / "archive.sqlite")) as archive, archive:
        kept = json.dumps(declaration.read_text())  # as if it had been searched so
        archive.execute("UPDATE meta SET value = ? WHERE name = 'declaration'", [kept])
    status, said, _ = command("retrain", run, "--seeds", 1)
    assert status == 0
    assert "the search trained" not in said
    assert "x 1 epochs x" in said
    (seed,) = seeds_of(run / "retrained").values()
    recipe = seed["identity"]["problem"]["training"]
    assert (recipe["early_stop"], recipe["keep"]) == ("never", "last")


def test_fewer_epochs_than_in_the_search_are_told_of(command, searched, tmp_path):
    run = shutil.copytree(searched, tmp_path / "run")
    with closing(sqlite3.connect(run / "archive.sqlite")) as archive, archive:
        longer = "json_set(measurement, '$.epochs', 8)"
        archive.execute(f"UPDATE evaluations SET measurement = {longer}")
    status, said, _ = command("retrain", run, "--seeds", 1, "training.epochs=1")
    assert status == 0
    assert "knee: 1 epochs, the search trained 8; for as many leave training.epochs out" in said


def test_a_seed_that_diverges_is_left_out_and_the_exit_status_says_so(command, searched, tmp_path):
    out = tmp_path / "out"
    status, said, _ = command(
        "retrain", searched, "--seeds", 1, "--out", out, "training.learning_rate=1e30"
    )
    assert status == 1
    assert "seed 1: the training loss is" in said
    assert not list(out.glob("*/*"))


@pytest.mark.parametrize(
    ("accuracies", "support", "said"),
    [
        ([0.13, 0.10, 0.91], [40] * 10, "2 of 3 trainings taught nothing (test accuracy 0.1300, 0"),
        ([0.14, 0.15, 0.91], [40] * 10, ""),
        ([0.72], [70, 30], "1 of 1 trainings taught nothing (test accuracy 0.7200; the largest cl"),
        ([0.83], [70, 30], ""),
    ],
)
def test_a_network_that_learned_nothing_is_told_of(caplog, accuracies, support, said):
    _say_if_untaught("knee", [{"accuracy": one, "support": support} for one in accuracies])
    assert said in caplog.text
    assert caplog.text.count("\n") == bool(said)


def test_agreement_is_kendalls_tau():
    def rows(before, after):
        return [dict(zip(NUMBERS, pair, strict=True)) for pair in zip(before, after, strict=True)]

    assert agreement(rows([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])) == pytest.approx(1)
    assert agreement(rows([0.1, 0.2, 0.3], [0.6, 0.5, 0.4])) == pytest.approx(-1)
    assert agreement(rows([0.1, 0.2, 0.3], [0.4, 0.6, 0.5])) == pytest.approx(1 / 3)
    assert agreement(rows([0.1, 0.1], [0.4, 0.6])) is None
    assert agreement(rows([0.1], [0.4])) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pick", "params<=1"], "none of .* networks is within it; params goes from"),
        (["--pick", "parms<=1e9"], "'parms' was not measured; .*did you mean 'params'"),
        (["--pick", "worst"], "'worst' is unknown; legal: best, knee"),
        (["training.epoch=4"], "training.epoch: .*did you mean 'training.epochs'"),
        (["epochs=4"], "epochs: it cannot .*did you mean 'training.epochs'"),
        (["space.filters=4"], "space.filters: it cannot be overridden; legal: training.epochs"),
        (["training.early_stop=loss"], "training.early_stop: a retraining has no validation"),
        (["training.keep=best"], "training.keep: a retraining has no validation images"),
        (["training.epochs=many"], "problem.training.epochs = 'many': it should be"),
        (["training.epochs"], "an override is key=value"),
        (["device=cuda:x"], "problem.device = 'cuda:x': legal are"),
        (["--seeds", "0"], "--seeds 0: at least 1 is needed"),
        (["--seed", "1"], "unrecognized arguments: --seed"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(command, searched, tmp_path, arguments, message):
    status, _, error = command("retrain", searched, *arguments, "--out", tmp_path / "out")
    assert_refused(status, error, message)
    assert not list(tmp_path.rglob("seed-*"))


def assert_refused(status, error, message):
    assert status == 2
    assert error.count("\n") == 1
    assert re.search(message, error), error


@pytest.mark.parametrize("name", ["retrain", "export"])
def test_a_folder_without_networks_is_refused(command, searched, tmp_path, name):
    more = ["--format", "torch"] if name == "export" else []
    status, _, error = command(name, searched.parent.parent, *more)
    assert_refused(status, error, r"there is no archive\.sqlite in it; .*did you mean")
    status, _, error = command(name, tmp_path / "nowhere", *more)
    assert_refused(status, error, r"nowhere: there is no such folder")

    empty = shutil.copytree(searched, tmp_path / "empty")
    with sqlite3.connect(empty / "archive.sqlite") as connection:
        connection.execute("DELETE FROM evaluations")
    connection.close()
    status, _, error = command(name, empty, *more)
    assert_refused(status, error, "nothing has been evaluated in it yet")

    (tmp_path / "onemax.toml").write_text(ONEMAX)
    assert command(tmp_path / "onemax.toml", "--runs", tmp_path / "runs")[0] == 0
    status, _, error = command(name, tmp_path / "runs" / "onemax" / "seed-1", *more)
    assert_refused(status, error, "its problem is 'onemax', which has no network to train")


def test_test_images_that_are_missing_are_told_before_anything_is_trained(
    command, searched, tmp_path, monkeypatch
):
    read = Digits.read

    def without_test(self, part):
        if part == "test":
            raise ValueError("root = 'here': there are none")
        return read(self, part)

    monkeypatch.setattr(Digits, "read", without_test)
    arguments = ("training.epochs=3", "dataset.limit=150", "--out", tmp_path / "out")
    status, _, error = command("retrain", searched, *arguments)
    assert_refused(status, error, "problem.dataset.root = 'here': there are none")
    assert not list(tmp_path.rglob("seed-*"))


def test_two_retrainings_do_not_write_in_one_folder(command, searched, copy):
    with FileLock(copy / ".lock"):
        status, _, error = command("retrain", searched, "--out", copy)
    assert_refused(status, error, "another retraining is running in this folder")


def test_a_folder_that_cannot_be_written_is_refused(command, searched, tmp_path):
    (tmp_path / "file").touch()
    status, _, error = command("retrain", searched, "--out", tmp_path / "file")
    assert_refused(status, error, "file: it cannot be written")


def test_help_explains_what_can_be_picked(command):
    status, said, _ = command("retrain", "--help")
    assert status == 0
    assert "params<=10000" in said


def test_curves_are_written_for_tensorboard_also_of_what_was_retrained_before(
    copy, searched, command
):
    status, _, errors = command("retrain", searched, "--seeds", "2", "--out", copy, "--tensorboard",
                                "--pick", "best")  # fmt: skip
    assert status == 0, errors
    (folder,) = copy.glob("*/tensorboard")
    for seed in ("seed-1", "seed-2"):
        scalars = EventAccumulator(str(folder / seed))
        scalars.Reload()
        steps = [event.step for event in scalars.Tensors("retraining/train_loss")]
        assert steps == list(range(1, len(steps) + 1))
        assert steps
