"""Functions of a user's that measure a trained network."""

import pickle
import re
from dataclasses import replace

import pytest
import torch

from problems import PROBLEMS
from problems.datasets import Digits
from problems.datasets.splits import open_splits
from problems.image_classification import ImageClassification
from problems.spaces.conv_chain import PlainCnn
from problems.training.recipe import Training
from tests.problems import own_measures
from toolbox.archive import differences
from toolbox.measure import Job, Measure
from toolbox.signature import choose, described

MODULE = "tests.problems.own_measures"
PLAIN = ImageClassification(
    space=PlainCnn(depth=(1, 1), filters=(4, 8), kernels=(3,), pool_after=(1,)),
    dataset=Digits(limit=200, validation=100),
    training=Training(epochs=2, batch_size=32, optimizer="adam", learning_rate=0.01),
    device="cpu",
)
GENOME = PLAIN.space.encode("conv 8k3 | batch_norm on")


def measuring(*names):
    return replace(
        PLAIN, measure=tuple(f"{MODULE}:{n}" if n != "per_class_f1" else n for n in names)
    )


def without_seconds(measurement):
    return {name: value for name, value in measurement.items() if not name.endswith("seconds")}


def test_a_measure_is_given_what_it_asks_for_after_the_training():
    problem = measuring("everything", "share", "size").prepared()
    measurement = problem.evaluate(GENOME)
    given = own_measures.given
    assert given["images"].shape == (100, 1, 8, 8)
    assert given["images"].max() == 1
    assert torch.equal(given["labels"], open_splits(PLAIN.dataset, "cpu").validation.labels)
    assert given["predictions"].shape == (100, 10)
    assert (given["genome"], given["device"]) == (GENOME, torch.device("cpu"))
    assert not given["network"].training
    assert given["layers"][0]["name"] == "image"
    assert sum(layer["macs"] for layer in given["layers"]) == measurement["macs"]
    assert measurement["share"] == pytest.approx(measurement["val_accuracy"])
    assert measurement["size"] == 2 * measurement["params"]
    assert {*measurement} - {"learning_curve"} == {*problem.measures}


def test_predictions_are_of_the_epoch_that_is_kept():
    training = replace(PLAIN.training, epochs=6, keep="best", learning_rate=0.3)
    problem = replace(measuring("share"), training=training).prepared()
    measurement = problem.evaluate(GENOME)
    assert measurement["share"] == pytest.approx(measurement["val_accuracy"])


def test_measuring_changes_nothing_else_and_is_repeatable():
    problem = measuring("random_number", "per_class_f1").prepared()
    before = torch.random.get_rng_state()
    first, second = problem.evaluate(GENOME), pickle.loads(pickle.dumps(problem)).evaluate(GENOME)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert without_seconds(first) == without_seconds(second)
    plain = without_seconds(PLAIN.evaluate(GENOME))
    assert {name: first[name] for name in plain} == plain


def test_names_are_known_before_anything_trains():
    problem = measuring("share", "per_class_f1").prepared()
    assert problem.measures[-3:] == ("share", "worst_class_f1", "macro_f1")
    assert problem.quantities["worst_class_f1"]["direction"] == "maximize"
    assert measuring("never_on_a_trained").prepared().measures[-1] == "board_seconds"


def test_an_archive_without_measures_continues_and_one_with_others_does_not():
    identity = described(PLAIN, identity=True)
    assert "measure" not in identity
    assert described(replace(PLAIN, measure=()), identity=True) == identity
    measured = described(measuring("share").prepared(), identity=True)
    assert "measured" not in measured
    (change,) = differences(identity, measured)
    assert change == f'problem.measure was not declared, now ["{MODULE}:share"]'


def test_a_network_stopped_on_its_way_is_measured_at_each_rung(tmp_path):
    problem = measuring("share").prepared().in_folder(tmp_path)
    first = problem.evaluate(GENOME, epochs=1, key="k")
    whole = problem.evaluate(GENOME, epochs=2, key="k")
    assert first["share"] == pytest.approx(first["val_accuracy"])
    assert whole["share"] == pytest.approx(whole["val_accuracy"])
    assert whole["trained_epochs"] == 1


def test_a_measure_that_changes_a_network_does_not_change_what_children_inherit(tmp_path):
    losses = []
    for number, problem in enumerate((measuring("changes_the_network"), PLAIN)):
        folder = tmp_path / str(number)
        folder.mkdir()
        problem = replace(problem, inherit=True).prepared().in_folder(folder)
        problem.evaluate(GENOME, key="parent")
        child = problem.evaluate(GENOME, key="child", parents=("parent",))
        assert child["inherited_params"] == child["params"]
        losses.append(child["val_loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("never", "never = nan is not a finite number"),
        ("never_on_a_trained", "RuntimeError: the board does not answer"),
        ("promised", "it returned other, and says that it measures promised"),
    ],
)
def test_a_measure_that_fails_makes_that_network_fail(name, message):
    outcome = Measure(measuring(name).prepared())(Job(0, GENOME))
    assert outcome.status == "error"
    assert outcome.message == f"MeasureFailed: {MODULE}:{name}: {message}"
    assert outcome.measurement["epochs"] == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "of an untrained network, {use}: ZeroDivisionError: division by zero"),
        ("text", "of an untrained network, {use}: it returned text = str; a number or"),
        ("nothing", "of an untrained network, {use}: it returned no number"),
        ("no_name", "of an untrained network, {use}: it returned a number called 'two words'"),
        ("taken", "it returns 'params', as the problem does already"),
    ],
)
def test_a_measure_that_cannot_be_used_is_told_before_the_search(name, message):
    use = f"{MODULE}:{name}"
    expected = f"measure[0] = {use!r}: {message.format(use=use)}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        measuring(name).prepared()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            "per_clas_f1",
            "unknown; legal: int8_val_accuracy, per_class_f1, or 'module:function'; "
            "did you mean 'per_",
        ),
        ("no_such_module:f", "there is no module 'no_such_module' in the current folder"),
        (f"{MODULE}:shar", f"there is no 'shar' in '{MODULE}'; did you mean 'share'?"),
        (f"{MODULE}:misspelt", "it asks for 'netwrk'; legal: network, images, labels"),
        (f"{MODULE}:given", "it is a dict; a function is needed"),
    ],
)
def test_a_measure_that_there_is_not_is_refused_as_it_is_declared(use, message):
    table = {"use": "image_classification", "measure": [use]}
    with pytest.raises(ValueError, match=rf"^problem\.measure\[0\] = .*{re.escape(message)}"):
        choose(table, PROBLEMS, "problem").build()


def test_the_same_name_twice_is_refused():
    with pytest.raises(ValueError, match=r"measure\[1\] = .*: it returns 'share', as measure '"):
        measuring("share", "share").prepared()


def test_one_number_may_come_as_any_array():
    measurement = measuring("of_numpy").prepared().evaluate(GENOME)
    assert (measurement["scalar"], measurement["array"], measurement["one"]) == (0.25, 0.5, 0.75)


def test_a_measure_leaves_what_other_networks_are_measured_by_as_it_is():
    problem = measuring("spoils").prepared()
    before = open_splits(PLAIN.dataset, "cpu").validation.labels.clone()
    problem.evaluate(GENOME)
    assert torch.equal(open_splits(PLAIN.dataset, "cpu").validation.labels, before)
    assert torch.is_grad_enabled()


def test_a_measure_that_ends_the_program_makes_its_network_fail():
    with pytest.raises(
        ValueError, match=r"^measure\[0\] = .*: of an untrained network, .*SystemExit"
    ):
        measuring("leaves").prepared()


def test_names_that_differ_from_network_to_network_are_a_failure():
    problem = replace(measuring("share").prepared(), measured=("other",))
    outcome = Measure(problem)(Job(0, GENOME))
    assert outcome.message.startswith("MeasureFailed: measures: other, share was told either of")


def test_quantities_that_are_no_table_are_told_before_a_search():
    with pytest.raises(ValueError, match=r"its attribute quantities is \['listed'\]; names and"):
        _ = measuring("listed").prepared().quantities
