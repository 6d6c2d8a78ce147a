"""The mean field game: its oracles, its limits, and that it stays small and converges."""

import logging
import random
import tracemalloc

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from problems.spaces.bit_string import BitString
from tests.conftest import Run, lotz, onemax
from tests.toolbox.test_fronts import made
from toolbox.individual import Individual
from toolbox.selection.mean_field_game import (
    EXPLOITABILITY,
    Dense,
    Grouped,
    States,
    equilibrium,
    mean_field_game,
    ranks,
    universal_sampling,
)

UTILITY = numpy.array([1, 2 / 3, 1 / 3, 0])
UNIFORM = numpy.full(4, 0.25)
APART = Dense(numpy.eye(4))  # nobody resembles anybody else


def static(crowding, temperature, utility=UTILITY, reference=UNIFORM, similarity=APART):
    found = equilibrium(utility, reference, similarity, crowding, temperature)
    assert found.exploitability < EXPLOITABILITY
    assert found.mass.sum() == pytest.approx(1)
    return found.mass


@pytest.mark.parametrize(
    ("temperature", "crowding", "mass"),
    [
        (0.25, 0, (0.739975, 0.195055, 0.051416, 0.013553)),
        (0.25, 1, (0.501686, 0.298311, 0.145121, 0.054882)),
        (0.25, 4, (0.350901, 0.281370, 0.214885, 0.152844)),
        (0.01, 1, (0.652852, 0.326450, 0.020698, 0.000000)),
    ],
)
def test_the_equilibrium_is_the_oracle_s(temperature, crowding, mass):
    assert static(crowding, temperature) == pytest.approx(mass, abs=1e-5)


def test_the_lone_individual_overtakes_the_crowded_pair():
    utility, reference = numpy.array([1, 0.95, 0.9]), numpy.full(3, 1 / 3)
    matrix = numpy.eye(3)
    matrix[0, 1] = matrix[1, 0] = 0.9
    masses = [static(c, 0.25, utility, reference, Dense(matrix)) for c in (0, 1)]
    assert masses[0] == pytest.approx((0.402, 0.329, 0.269), abs=1e-3)
    assert masses[1] == pytest.approx((0.3227, 0.2699, 0.4074), abs=1e-4)


def test_without_crowding_it_is_boltzmann_selection():
    assert static(0, 0.1) == pytest.approx(softmax(UTILITY / 0.1), abs=1e-9)


def test_at_a_high_temperature_it_is_the_reference():
    reference = numpy.array([0.4, 0.3, 0.2, 0.1])
    assert static(1, 1e4, reference=reference) == pytest.approx(reference, abs=1e-4)


def test_where_nobody_resembles_another_much_crowding_spreads_all_evenly():
    assert static(500, 0.25) == pytest.approx(UNIFORM, abs=2e-3)


def test_at_a_low_temperature_it_is_sparsemax():
    # sparsemax(u): threshold (1 + 2/3 - 1) / 2 = 1/3 leaves two.
    assert static(1, 0.001) == pytest.approx((2 / 3, 1 / 3, 0, 0), abs=5e-3)


def test_two_clones_that_share_one_reference_keep_their_class_s_mass():
    one = static(1, 0.25)
    matrix = numpy.eye(5)
    matrix[0, 1] = matrix[1, 0] = 1
    utility = numpy.array([1, *UTILITY])
    reference = numpy.array([0.125, 0.125, 0.25, 0.25, 0.25])
    two = static(1, 0.25, utility, reference, Dense(matrix))
    assert two == pytest.approx([one[0] / 2, one[0] / 2, *one[1:]], abs=2e-5)


def test_the_undamped_fixed_point_oscillates_where_ours_converges():
    crowding, temperature = 4.0, 0.05
    mass, history = UNIFORM, []
    for _ in range(2000):
        mass = softmax(numpy.log(UNIFORM) + (UTILITY - crowding * mass) / temperature)
        history.append(mass)
    assert numpy.abs(history[-1] - history[-2]).max() > 0.1
    assert history[-1] == pytest.approx(history[-3])
    ours = static(crowding, temperature)
    assert softmax((UTILITY - crowding * ours) / temperature) == pytest.approx(ours, abs=1e-4)


@given(
    st.integers(1, 12),
    st.floats(0, 20),
    st.floats(0.02, 5),
    st.floats(0.2, 10),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_the_equilibrium_solves_its_equation(number, crowding, temperature, length, seed):
    draw = numpy.random.default_rng(seed)
    genomes = draw.integers(0, 3, (number, 5))
    reference = draw.dirichlet(numpy.ones(number) * 5)
    similarity = Dense.of(genomes, reference, length)
    utility = draw.random(number)
    mass = static(crowding, temperature, utility, reference, similarity)
    paid = utility - crowding * similarity.times(mass)
    answer = softmax(numpy.log(reference) + paid / temperature)
    # Pinsker: total variation from the exploitability.
    assert numpy.abs(answer - mass).sum() <= (2 * EXPLOITABILITY / temperature) ** 0.5 + 1e-9


def test_the_similarity_has_a_mean_of_one_and_falls_with_the_distance():
    genomes = numpy.array([[0, 0, 0], [0, 0, 1], [1, 1, 1]])
    reference = numpy.array([0.5, 0.25, 0.25])
    matrix = Dense.of(genomes, reference, 2.0).matrix
    assert reference @ matrix @ reference == pytest.approx(1)
    assert matrix / matrix[0, 0] == pytest.approx(
        numpy.exp(-numpy.array([[0, 1, 3], [1, 0, 2], [3, 2, 0]]) / 2)
    )


@pytest.mark.parametrize("length", [0.3, 1.0, 5.0])
def test_groups_are_the_same_similarity_without_its_matrix(length):
    draw = numpy.random.default_rng(1)
    genomes = numpy.unique(draw.integers(0, 3, (400, 8)), axis=0)
    reference = draw.dirichlet(numpy.ones(len(genomes)))
    dense, grouped = (kind.of(genomes, reference, length) for kind in (Dense, Grouped))
    mass = draw.dirichlet(numpy.ones(len(genomes)))
    assert grouped.times(mass) == pytest.approx(dense.times(mass), rel=1e-9)
    assert grouped.most == pytest.approx(dense.most)


def test_many_genes_are_estimated_closely():
    draw = numpy.random.default_rng(1)
    genomes = draw.integers(0, 5, (800, 25))
    reference = numpy.full(800, 1 / 800)
    utility = draw.permutation(800) / 799
    exact, estimated, without = (
        static(crowding, 0.25, utility, reference, kind.of(genomes, reference, 3.0))
        for crowding, kind in ((1, Dense), (1, Grouped), (0, Dense))
    )
    assert numpy.abs(estimated - exact).sum() < 0.15 * numpy.abs(without - exact).sum()


def crowd_of(number, genes=8, choices=3, objectives=1):
    draw = random.Random(1)
    crowd = []
    for _ in range(number):
        one = Individual([draw.randrange(choices) for _ in range(genes)], (1.0,) * objectives)
        one.fitness.values = tuple(draw.random() for _ in range(objectives))
        crowd.append(one)
    return crowd


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [1, 2])
def test_ten_thousand_are_selected_without_comparing_each_with_each(objectives):
    crowd = crowd_of(10_000, genes=25, choices=5, objectives=objectives)
    random.seed(1)
    tracemalloc.start()
    try:
        chosen = mean_field_game(crowd, 10_000, BitString(25))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(chosen) == 10_000
    assert peak < 95e6  # a byte for each two would be 100 MB


def test_each_is_drawn_its_share_rounded_up_or_down():
    mass = numpy.array([0.5, 0.0, 0.25, 0.2, 0.05, 0.0])
    for seed in range(50):
        random.seed(seed)
        drawn = universal_sampling(mass, 10)
        assert drawn == sorted(drawn)
        counts = numpy.bincount(drawn, minlength=6)
        assert counts[1] == counts[5] == 0
        assert (numpy.abs(counts - 10 * mass) < 1).all()
    assert universal_sampling(mass, 0) == []


def test_ranks_go_from_worst_0_to_best_1_and_equals_share():
    assert ranks(made([(3.0,), (1.0,), (3.0,), (2.0,)], (1.0,))) == {(3,): 1, (1,): 0, (2,): 0.5}
    assert ranks(made([(3.0,), (1.0,)], (-1.0,))) == {(-3,): 0, (-1,): 1}
    assert ranks(made([(3.0,)] * 2, (1.0,))) == {(3,): 1}


def test_several_objectives_rank_by_front_and_then_crowding_distance():
    rows = [(0.0, 9.0), (4.0, 5.0), (4.1, 4.9), (9.0, 0.0), (0.0, 0.0)]
    rank = ranks(made(rows, (1.0, 1.0)))
    assert rank[0.0, 9.0] == rank[9.0, 0.0] == 1
    assert rank[0.0, 0.0] == 0
    assert 0 < rank[4.0, 5.0] < 1


def test_copies_of_a_network_are_one_state_and_share_its_mass():
    crowd = made([(2.0,), (2.0,), (1.0,)], (1.0,))
    for one, genome in zip(crowd, ([0, 1], [0, 1], [1, 1]), strict=True):
        one[:] = genome
    states = States.of(crowd, BitString(2))
    assert states.copies.tolist() == [2, 1]
    assert states.state.tolist() == [0, 0, 1]
    assert states.reference == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("k", [0, 1, 7])
def test_any_number_of_any_population_is_selected(number, k):
    crowd = crowd_of(number)
    assert len(mean_field_game(crowd, k, BitString(8))) == k
    assert mean_field_game([], 0, BitString(8)) == []


def test_the_similar_share_what_the_lone_gets_whole():
    crowd = made([(1.0,)] * 4, (1.0,))
    for one, genome in zip(crowd, ([0] * 4, [0, 0, 0, 1], [0, 0, 1, 0], [1] * 4), strict=True):
        one[:] = genome
    random.seed(1)
    drawn = mean_field_game(crowd, 400, BitString(4), crowding=2.0)
    count = [sum(one is other for other in drawn) for one in crowd]
    assert count[3] > max(count[:3]) + 20


def test_the_exploitability_of_each_selection_is_logged(caplog):
    with caplog.at_level(logging.DEBUG, logger="toolbox.selection.mean_field_game"):
        run = Run(with_select(onemax(generations=4)))
    noted = [record for record in caplog.records if "exploitability" in record.getMessage()]
    assert len(noted) == len(run.generations) - 1
    assert {record.levelname for record in noted} == {"DEBUG"}


def test_an_equilibrium_that_is_not_reached_is_a_warning(caplog, monkeypatch):
    monkeypatch.setitem(mean_field_game.__globals__, "MOST_STEPS", 1)
    mean_field_game(crowd_of(20), 5, BitString(8))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def with_select(tables, **options):
    select = {"use": "mean_field_game", **options}
    return tables | {"toolbox": tables["toolbox"] | {"select": select}}


@pytest.mark.parametrize("options", [{}, {"crowding": 0.5, "temperature": 0.1}])
@pytest.mark.parametrize("tables", [onemax(generations=6), lotz(population=9, generations=6)])
def test_a_search_with_it_is_the_same_every_time(tables, options):
    first = Run(with_select(tables, **options))
    assert {len(generation.population) for generation in first.generations} == {
        first.declaration.population
    }
    again = Run(with_select(tables, **options), archive=first.archive)
    assert sum(generation.trained for generation in again.generations) == 0
    assert again.population == first.population


def test_it_finds_what_there_is_to_find():
    tables = onemax(generations=25, population=30)
    assert Run(with_select(tables, temperature=0.1)).generations[-1].best == (12.0,)
