import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolbox.individual import Individual
from toolbox.objectives import OBJECTIVES
from toolbox.objectives.objective import Objective
from toolbox.operator_error import OperatorError
from toolbox.selection import nsga2, roulette, tournament, truncation
from toolbox.selection.nsga2 import crowded_tournament
from toolbox.selection.roulette import shares

ACCURACY = OBJECTIVES["val_accuracy"]
PARAMS = OBJECTIVES["params"]
PENALIZED = OBJECTIVES["penalized_accuracy"]


def individuals(*values, weights=(1.0,)):
    made = []
    for number, value in enumerate(values):
        individual = Individual([number], weights)
        individual.fitness.values = value if isinstance(value, tuple) else (value,)
        made.append(individual)
    return made


def test_a_tournament_of_everyone_is_won_by_the_best():
    crowd = individuals(*range(1, 6))
    assert {i[0] for i in tournament(crowd, 50, size=100)} == {4}
    assert len(tournament(crowd, 7, size=1)) == 7


def test_raw_roulette_gives_shares_in_proportion_to_fitness():
    assert shares(individuals(0.2, 0.6), ACCURACY, "raw") == [0.2, 0.6]
    assert {i[0] for i in roulette(individuals(0.0, 0.6), 20, [ACCURACY])} == {1}


def test_shifted_roulette_takes_any_sign():
    crowd = individuals(-1.0, 0.0, 1.0)
    assert shares(crowd, PENALIZED, "shifted") == pytest.approx([0.2, 1.2, 2.2])
    assert shares(individuals(-1.0, -1.0), PENALIZED, "shifted") == [1.0, 1.0]


def test_ranked_roulette_depends_on_order_alone_and_ties_share():
    assert shares(individuals(0.1, 100.0, 0.1, 50.0), ACCURACY, "ranked") == [1, 3, 1, 2]
    minimized = individuals(10.0, 1000.0, weights=(-1.0,))
    assert shares(minimized, PARAMS, "ranked") == [2, 1]


def test_a_failed_individual_has_no_share_unless_all_failed():
    worst = PENALIZED.worst
    crowd = individuals(worst, 0.5, 0.6)
    chosen = roulette(crowd, 100, [PENALIZED], scaling="shifted")
    assert {i[0] for i in chosen} == {1, 2}
    assert len(roulette(individuals(worst, worst), 3, [PENALIZED], scaling="shifted")) == 3


def test_a_roulette_of_zeros_gives_everyone_the_same_share():
    objective = Objective("score", lambda m: 0.0, "maximize", worst=-1.0)
    assert shares(individuals(0.0, 0.0), objective, "raw") == [1.0, 1.0]


@pytest.mark.parametrize(
    ("objectives", "message"),
    [([PARAMS], "params is minimized"), ([ACCURACY, PARAMS], "one objective, not 2")],
)
def test_roulette_refuses_what_it_cannot_share(objectives, message):
    with pytest.raises(OperatorError, match=message):
        roulette(individuals(1.0), 1, objectives)


def test_raw_roulette_refuses_a_negative_fitness():
    with pytest.raises(OperatorError, match=r"penalized_accuracy is -1.*legal: shifted, ranked"):
        roulette(individuals(-1.0, 1.0), 1, [PENALIZED])


fitness = st.tuples(st.integers(0, 5), st.integers(0, 5))


@given(st.lists(fitness, min_size=1, max_size=12), st.integers(1, 30), st.integers(0, 99))
@settings(deadline=None)
def test_a_crowded_tournament_returns_any_number_of_any_population(values, k, seed):
    random.seed(seed)
    crowd = individuals(*values, weights=(1.0, 1.0))
    winners = crowded_tournament(crowd, k)
    assert len(winners) == k
    assert all(any(winner is one for one in crowd) for winner in winners)


def test_a_crowded_tournament_prefers_the_front_and_then_the_space():
    a, b = individuals((2, 2), (1, 1), weights=(1.0, 1.0))
    assert all(winner is a for winner in crowded_tournament([a, b], 9))
    # On one front the crowded middle never wins against the ends.
    crowd = individuals((0, 9), (4, 5), (5, 4), (9, 0), weights=(1.0, 1.0))
    wins = [winner[0] for _ in range(20) for winner in crowded_tournament(crowd, 4)]
    assert wins.count(0) + wins.count(3) > wins.count(1) + wins.count(2)


@pytest.mark.parametrize(("share", "best"), [(0.3, {4, 3}), (1.0, {0, 1, 2, 3, 4}), (0.01, {4})])
def test_truncation_takes_each_of_the_best_share_equally_often(share, best):
    chosen = [individual[0] for individual in truncation(individuals(*range(5)), 20, share)]
    assert set(chosen) == best
    assert {chosen.count(one) for one in best} == {20 // len(best)}
    assert len(truncation(individuals(*range(5)), 7, share)) == 7


def test_survival_keeps_the_first_front():
    crowd = individuals((1, 1), (3, 1), (1, 3), (0, 0), weights=(1.0, 1.0))
    assert sorted(i[0] for i in nsga2(crowd, 2)) == [1, 2]
