"""Overrides of `use` alone: the keys that only the former thing has are left out, and named."""

import pytest

from toolbox.algorithms import ALGORITHMS
from toolbox.mutation import MUTATIONS
from toolbox.swaps import overridden

SHELVES = {"algorithm": ALGORITHMS, "toolbox.mutate": MUTATIONS}


@pytest.fixture
def tables():
    return {
        "algorithm": {"use": "nsga2", "population": 4, "generations": 2, "offspring": 3},
        "toolbox": {"mutate": {"use": "reset_gene", "gene_probability": 0.5}},
    }


def test_what_only_the_former_has_is_left_out_and_named(tables, caplog):
    overridden(tables, ["algorithm.use=random_search"], SHELVES)
    assert tables["algorithm"] == {"use": "random_search", "population": 4, "generations": 2}
    assert caplog.messages == [
        "algorithm.use = 'random_search' instead of 'nsga2', which alone has offspring: left out"
    ]


def test_spaces_around_the_keys_do_not_hide_a_swap(tables):
    overridden(tables, ["algorithm . use = random_search"], SHELVES)
    assert tables["algorithm"] == {"use": "random_search", "population": 4, "generations": 2}


def test_what_both_have_stays(tables, caplog):
    overridden(tables, ["algorithm.use=nsga3"], SHELVES)
    assert tables["algorithm"]["offspring"] == 3
    assert not caplog.messages


def test_an_operator_is_swapped_too(tables):
    overridden(tables, ["toolbox.mutate.use=layer_from_population"], SHELVES)
    assert tables["toolbox"]["mutate"] == {"use": "layer_from_population"}


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm.use=random_search", "algorithm.offspring=5"],  # said for what it is now
        ["algorithm.use=randm_search"],
        ["algorithm.use=5"],
    ],
)
def test_what_is_wrong_stays_for_the_check(tables, overrides):
    overridden(tables, overrides, SHELVES)
    assert "offspring" in tables["algorithm"]


def test_a_slip_in_the_file_is_not_taken_for_a_key_of_the_former(tables):
    tables["algorithm"]["ofspring"] = 2
    overridden(tables, ["algorithm.use=random_search"], SHELVES)
    assert tables["algorithm"]["ofspring"] == 2


def test_a_bare_name_or_another_table_has_nothing_to_leave_out(tables):
    tables["toolbox"]["mutate"] = "reset_gene"
    tables["problem"] = {"use": "one", "key": 1}
    overridden(tables, ["toolbox.mutate.use=shift_gene", "problem.use=other"], SHELVES)
    assert tables["problem"] == {"use": "other", "key": 1}
    assert tables["toolbox"]["mutate"] == {"use": "shift_gene"}
