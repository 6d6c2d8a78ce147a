"""Ranges of a declaration as lists of values."""

import pytest

from problems.spaces.ranges import check_range, text_of, values_of


def test_a_logarithmic_range_goes_up_by_equal_factors_in_numbers_that_a_person_would_write():
    values = values_of({"between": [1e-4, 1e-1], "scale": "log"})
    assert values[:5] == (0.0001, 0.0002, 0.000398, 0.000794, 0.00158)
    assert len(values) == 11
    assert values[-1] == 0.1


def test_whole_numbers_are_all_there_unless_their_number_is_said():
    assert values_of({"between": [1, 4]}, whole=True) == (1, 2, 3, 4)
    assert values_of({"between": [1, 100], "values": 3}, whole=True) == (1, 50, 100)
    assert values_of({"between": [0, 10**6]}, whole=True)[:2] == (0, 10**5)
    assert values_of({"between": [1, 4], "scale": "log", "values": 9}, whole=True) == (1, 2, 3, 4)


def test_the_ends_are_values_as_they_were_written():
    values = values_of({"between": [0.12345, 0.98765], "values": 3})
    assert values == (0.12345, 0.556, 0.98765)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"between": [0.1, 0.01]}, "the lowest first"),
        ({"between": [1, 1]}, "the lowest first"),
        ({"between": [1]}, "needs two numbers"),
        ({"between": [1, "2"]}, "needs two numbers"),
        ({"between": [1, float("nan")]}, "needs two numbers"),
        ({"between": [1, 10**400]}, "needs two numbers"),
        ({"between": [True, 2]}, "needs two numbers"),
        ({"between": [0, 1], "scale": "log"}, "needs numbers above 0, and the lowest is 0"),
        ({"between": [0, 1], "scale": "lgo"}, "legal: linear, log; did you mean 'log'?"),
        ({"between": [0, 1], "values": 1}, "a whole number from 2 to 1,000"),
        ({"between": [0, 1], "steps": 3}, "'steps' is unknown; legal: between, scale, values"),
        ({"betwen": [0, 1]}, "did you mean 'between'?"),
        ({"among": [1, 2], "scale": "log"}, "'scale' is unknown; legal: among"),
        ({"among": [1]}, "two different values or more"),
        ({"among": 1}, "two different values or more"),
        ({}, "needs two numbers"),
    ],
)
def test_a_range_that_is_wrong_is_told_with_its_key_and_table(table, reason):
    with pytest.raises(ValueError, match=r"^rate = \{.*\}: ") as refused:
        check_range(table, "rate")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_value_is_one_word():
    said = {"use": "one_cycle", "warm_up": 0.2, "flip": True}
    assert text_of(said) == "one_cycle(warm_up=0.2,flip=yes)"
    assert text_of({"crop_padding": 2}) == "(crop_padding=2)"
