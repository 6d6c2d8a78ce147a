import json
import math
from dataclasses import replace

import numpy
import pytest

from problems.spaces.bit_string import BitString
from tests.toolbox.test_report import three_objectives
from toolbox.archive import Archive
from toolbox.learning_curve import MOST_POINTS, kept
from toolbox.measure import Job, Measure
from toolbox.quantities import QUANTITIES
from toolbox.report import learning_curves as shown
from toolbox.report.learning_curves import curve_table, learning_curves


def falling(epochs):
    return [2.3 * math.exp(-epoch / 5) + 0.1 for epoch in range(epochs)]


def test_the_curves_of_twenty_epochs_take_a_quarter_of_a_kilobyte():
    accuracy = [0.9 - loss / 3 for loss in falling(20)]
    told = kept({"train_loss": falling(20), "val_accuracy": accuracy})
    assert len(told) <= 256
    assert json.loads(told)["val_accuracy"] == pytest.approx(accuracy, abs=0.006)


def test_a_long_curve_keeps_its_ends_and_says_which_epochs_it_has():
    curve = json.loads(kept(falling(1000)))
    assert len(curve["learning_curve"]) == len(curve["epoch"]) == MOST_POINTS
    assert (curve["epoch"][0], curve["epoch"][-1]) == (1, 1000)
    for epoch, value in zip(curve["epoch"], curve["learning_curve"], strict=True):
        assert value == pytest.approx(falling(1000)[epoch - 1], abs=0.006)


@pytest.mark.parametrize("size", [1e-6, 1.0, 12345678.0])
def test_rounding_leaves_a_hundred_levels_whatever_the_size(size):
    curve = json.loads(kept([size + size * n / 1000 for n in range(11)]))["learning_curve"]
    assert len(set(curve)) == 11


@pytest.mark.parametrize("nothing", [[], {}, {"loss": []}])
def test_a_curve_without_a_point_is_none(nothing):
    assert kept(nothing) == ""


def test_a_constant_curve_and_an_array_are_curves():
    assert json.loads(kept(numpy.array([0.25, 0.25]))) == {"learning_curve": [0.25, 0.25]}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (3.0, "learning_curve is float; a list of numbers is needed"),
        ("0.1 0.2", "learning_curve is str"),
        ([0.1, math.nan], "learning_curve has nan, not a finite number"),
        ({"loss": [0.1, "b"]}, "loss has 'b', not a finite number"),
        ({"loss": [1.0], "accuracy": [1.0, 2.0]}, "loss has 1, accuracy has 2"),
        ({"epoch": [1, 2]}, "none named 'epoch'"),
    ],
)
def test_what_is_no_learning_curve_is_refused_in_words(told, message):
    with pytest.raises(ValueError, match=message):
        kept(told)


class Own:
    """A problem that tells a learning curve."""

    space = BitString(2)

    def __init__(self, curve):
        self.curve = curve

    def evaluate(self, genome):
        return {"ones": 1.0, "learning_curve": self.curve}


def test_an_own_problem_tells_a_curve_beside_its_numbers():
    outcome = Measure(Own([3.0, 1.0]))(Job(0, [0, 1]))
    assert outcome.measurement == {"ones": 1.0}
    assert outcome.curve == '{"learning_curve":[3.0,1.0]}'
    wrong = Measure(Own([3.0, math.inf]))(Job(0, [0, 1]))
    assert wrong.status == "error"
    assert "learning_curve has inf, not a finite number" in wrong.message


def test_a_page_has_the_curves_of_what_it_opens_and_an_even_sample_of_the_others(monkeypatch):
    run = three_objectives()
    archive = Archive({})
    for record in run.archive:
        told = replace(record, curve=kept([float(record.genome[0]), 1.0]))
        archive.add(told)
    run = type(run)(run.name, run.judge, archive, run.population)
    monkeypatch.setattr(shown, "MOST", 2)
    worst = run.records[-1].key
    found = learning_curves([run], {worst}, QUANTITIES)
    assert worst in found["of"]
    assert len(found["of"]) + found["left_out"] == 4
    assert found["left_out"] == 1
    assert [named["label"] for named in found["names"]] == ["learning curve"]
    rows = curve_table([run], found)
    assert [row["epoch"] for row in rows] == [1, 2] * 3
    assert learning_curves([three_objectives()], {worst}, QUANTITIES) == {}
