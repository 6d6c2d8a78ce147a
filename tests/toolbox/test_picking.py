import re

import pytest

from toolbox.archive import Archive, Record
from toolbox.judge import Judge
from toolbox.objectives import OBJECTIVES
from toolbox.report.picking import default_rule, knee, pick

# A front of five with its bulge at the third, a dominated network, and one that failed.
NETWORKS = {
    "aa01": (0.50, 1_000),
    "aa02": (0.60, 1_500),
    "b003": (0.88, 2_000),
    "c004": (0.89, 6_000),
    "d005": (0.90, 11_000),
    "e006": (0.70, 9_000),
}


def searched(objectives=("val_accuracy", "params"), networks=NETWORKS):
    archive = Archive({})
    for key, (accuracy, params) in networks.items():
        measured = {"val_accuracy": accuracy, "params": params, "epochs": 3}
        archive.add(Record(key, [0], f"net {key}", "ok", measured))
    archive.add(Record("f007", [0], "net f007", "timeout", {}, "after 3 s"))
    return Judge([OBJECTIVES[name] for name in objectives]), archive.networks()


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ("best", "d005"),
        ("knee", "b003"),
        ("params<=10000", "c004"),
        ("params<=10_000", "c004"),
        ("params < 6e3", "b003"),
        ("val_accuracy>=0.6,params<2000", "aa02"),
        ("params>=1500, knee", "b003"),
        ("knee,params<=1500", "aa02"),
        ("best,params<=2000", "b003"),
        ("aa01", "aa01"),
        ("e", "e006"),
    ],
)
def test_a_rule_picks_one_network(rule, key):
    assert pick(*searched(), rule).key == key


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("params<=10", "none of 6 networks is within it; params goes from 1,000 to 11,000"),
        ("param<=10", "'param' was not measured; legal: val_accuracy, params, epochs; did you "),
        ("params<=few", "'few' is not a number"),
        ("params=100", "'params=100' is unknown; legal: best, knee"),
        ("kneee", "'kneee' is unknown; .*did you mean 'knee'"),
        ("best,knee", "only one of best and knee"),
        ("", "'' is unknown"),
        ("aa", "2 keys of the archive begin so, like aa01 and aa02"),
        ("0123", "no key of the archive begins so"),
        ("f007", r"that network was not measured \(timeout: after 3 s\)"),
    ],
)
def test_a_rule_that_picks_nothing_is_refused_in_one_line(rule, message):
    with pytest.raises(ValueError, match=message) as refused:
        pick(*searched(), rule)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"pick = {rule!r}: ")


def test_an_objective_can_be_bounded_like_what_is_measured():
    by_size = searched(["accuracy_per_log_params"])
    best = pick(*by_size, "best")
    value = by_size[0].fitness(best)[0]
    assert pick(*by_size, f"accuracy_per_log_params<{value}") != best
    assert pick(*by_size, f"accuracy_per_log_params<={value}") == best


def test_nothing_is_picked_where_all_failed():
    with pytest.raises(ValueError, match="no network in the archive is feasible"):
        pick(*searched(networks={}), "best")


def test_one_objective_is_picked_by_its_best_and_several_by_their_knee():
    assert default_rule(searched(["params"])[0]) == "best"
    assert default_rule(searched()[0]) == "knee"


def test_the_knee_does_not_depend_on_the_units_of_an_objective():
    in_millions = {key: (a, p * 1e6) for key, (a, p) in NETWORKS.items()}
    assert pick(*searched(networks=in_millions), "knee").key == pick(*searched(), "knee").key


def test_the_knee_of_a_front_of_one_is_that_one_and_of_two_the_more_accurate():
    one = searched(networks={"a": (0.5, 10)})
    assert knee(*one).key == "a"
    two = searched(networks={"a": (0.5, 10), "b": (0.6, 20)})
    assert knee(*two).key == "b"


def test_a_key_is_taken_for_a_key_even_if_it_could_be_read_as_a_number():
    only = searched(networks={"12ab": (0.5, 10)})
    assert pick(*only, "12").key == "12ab"
    with pytest.raises(ValueError, match=re.escape("no key of the archive begins so")):
        pick(*only, "13")
