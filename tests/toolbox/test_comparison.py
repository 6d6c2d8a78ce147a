import math

import pytest
from scipy.stats import wilcoxon

from tests.conftest import lotz, onemax
from toolbox.archive import Record
from toolbox.declaration import declare
from toolbox.judge import Judge
from toolbox.report.comparison import Course, differences, grid, quality

from problems import PROBLEMS  # isort: skip


def judge(tables):
    declaration = declare(tables, PROBLEMS, name="test")
    return Judge(declaration.objectives)


def record(status="ok", **measurement):
    return Record(str(measurement), [], "", status, measurement)


def test_the_best_so_far_is_that_of_whole_generations():
    course = Course([record(ones=n) for n in (3, 5, 4, 9)], counts=[2, 4])
    (values,) = quality(judge(onemax()), {"a": course}, budget=4).values()
    assert math.isnan(values[0])
    assert values[1:] == [5, 5, 9]


def test_failures_are_nothing_that_was_found():
    course = Course([record("error"), record(ones=2)], counts=[1, 2])
    (values,) = quality(judge(onemax()), {"a": course}, budget=2).values()
    assert math.isnan(values[0])
    assert values[1] == 2


def test_hypervolume_is_a_share_of_what_all_have_found():
    ends = [record(leading_ones=8, trailing_zeros=0), record(leading_ones=0, trailing_zeros=8)]
    middle = record(leading_ones=4, trailing_zeros=4)
    courses = {"all": Course([*ends, middle], [3]), "ends": Course(ends, [2])}
    found = quality(judge(lotz()), courses, budget=3)
    assert found["all"][-1] == pytest.approx(1)
    # 1.1^2 - 1 of the corner boxes: .1 + .1 + .01 = .21; the middle adds .5 x .5.
    assert found["ends"][-1] == pytest.approx(0.21 / (0.21 + 0.25))
    assert found["all"][0] == 0


def test_searches_that_found_nothing_have_no_quality():
    found = quality(judge(lotz()), {"a": Course([record("crash")], [1])}, budget=1)
    assert all(math.isnan(value) for value in found["a"])


def test_the_grid_ends_at_the_budget():
    assert grid(1) == [1]
    assert grid(1000)[-1] == 1000
    assert len(grid(1000)) == 40


def test_differences_are_those_of_wilcoxon_s_test():
    a, b = [3.1, 5.2, 4.0, 6.5, 5.5, 7.0, 1.0], [1.0, 2.0, 3.5, 4.0, 6.0, 6.1, 2.2]
    (found,) = differences({"a": a, "b": b}, "b", maximize=True)
    assert found.p == pytest.approx(wilcoxon(a, b).pvalue)
    (turned,) = differences({"a": a, "b": b}, "b", maximize=False)
    assert (turned.median, turned.effect) == (-found.median, -found.effect)


def test_too_few_pairs_have_no_p_and_equals_no_effect():
    (found,) = differences({"a": [1, 2, 3], "b": [1, 2, 3]}, "b", maximize=True)
    assert (found.median, found.effect, found.p) == (0, 0, None)
    (empty,) = differences({"a": [math.nan], "b": [1]}, "b", maximize=True)
    assert math.isnan(empty.median)
