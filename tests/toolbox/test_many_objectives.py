"""NSGA-III's and SPEA2's selections, and what they must bear: ties, few individuals, odd values."""

import random

import numpy
import pytest
from deap import tools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from problems import PROBLEMS
from tests.conftest import Run, lotz, onemax
from tests.toolbox.test_fronts import made
from toolbox.declaration import declare
from toolbox.operator_error import OperatorError
from toolbox.selection import nsga3, spea2
from toolbox.selection.nsga3 import most_divisions, reference_points
from toolbox.selection.spea2 import spea2_fitness, spea2_tournament, truncated

BOTH = pytest.mark.parametrize("select", [nsga3, spea2, spea2_tournament])


def chosen(select, crowd, k, seed=1, **options):
    random.seed(seed)
    return [individual[0] for individual in select(crowd, k, **options)]


@st.composite
def crowds(draw):
    weights = draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=1, max_size=4))
    value = draw(
        st.sampled_from(
            [st.integers(0, 2).map(float), st.floats(-1e6, 1e6), st.sampled_from([0.0, 2e300])]
        )
    )
    rows = draw(st.lists(st.tuples(*[value] * len(weights)), min_size=1, max_size=25))
    return made(rows, weights)


@pytest.mark.slow
@given(crowds(), st.integers(0, 30))
@example(made([(1.0, 1.0)] * 6, (1.0, -1.0)), 3)
@example(made([(1.0,)] * 3, (1.0,)), 1)
@example(made([(0.0, -2e300), (2e300, 0.0), (-2e300, 1.0)], (1.0, 1.0)), 2)
@settings(max_examples=300, deadline=None)
def test_survival_takes_as_many_as_asked_for_front_by_front_and_nobody_twice(crowd, k):
    ranks = {
        individual[0]: rank
        for rank, front in enumerate(tools.sortNondominated(crowd, len(crowd)))
        for individual in front
    }
    for select in (nsga3, spea2):
        taken = chosen(select, crowd, k)
        assert len(set(taken)) == len(taken) == min(k, len(crowd))
        assert taken == chosen(select, crowd, k)
        front = {number for number, rank in ranks.items() if rank == 0}
        assert set(taken) <= front or front <= set(taken)
    random.seed(1)
    assert len(spea2_tournament(crowd, k)) == k
    # NSGA-III leaves no one out for somebody of a later front.
    worst = max((ranks[number] for number in chosen(nsga3, crowd, k)), default=0)
    better = {number for number, rank in ranks.items() if rank < worst}
    assert better <= set(chosen(nsga3, crowd, k))


def sphere(number, objectives=3):
    draw = numpy.random.default_rng(1)
    rows = numpy.abs(draw.normal(size=(number, objectives)))
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def convex(number):
    """A front whose intercepts lie within its worst: the corners of the axes are the best there."""
    share = numpy.random.default_rng(2).dirichlet((1, 1, 1), size=number)
    rows = 1 - share**0.5
    return numpy.vstack([rows, numpy.eye(3)])


@BOTH
@pytest.mark.parametrize("shape", [sphere, convex])
def test_the_units_and_the_origin_of_an_objective_do_not_matter(select, shape):
    rows = shape(60)
    same = chosen(select, made(map(tuple, rows), (-1.0,) * 3), 20)
    moved = rows * [1024.0, 2.0, 0.5] + [4096.0, -1.0, 8.0]
    assert chosen(select, made(map(tuple, moved), (-1.0,) * 3), 20) == same


def test_nsga3_fills_every_niche_before_any_twice():
    rows = [(0.0, 1.0), (0.01, 0.99), (0.02, 0.98), (0.5, 0.5), (1.0, 0.0)]
    crowd = made(rows, (-1.0, -1.0))
    assert set(chosen(nsga3, crowd, 3, divisions=2)) == {0, 3, 4}
    assert set(chosen(nsga3, crowd, 2, divisions=1)) == {0, 4}


def test_nsga3_is_not_squeezed_by_the_finite_fitness_of_what_failed():
    rows = [(0.0, 1.0), (0.01, 0.99), (0.02, 0.98), (0.5, 0.5), (1.0, 0.0)]
    failed = [(2e15, 2e15), (1e300, 1e300)]
    crowd = made(rows + failed, (-1.0, -1.0))
    assert set(chosen(nsga3, crowd, 3, divisions=2)) == {0, 3, 4}
    assert set(chosen(nsga3, crowd, 6, divisions=2)) == {0, 1, 2, 3, 4, 5}


def test_nsga3_draws_from_the_search_s_generator_alone():
    crowd = made(map(tuple, sphere(40)), (-1.0,) * 3)
    numpy.random.seed(1)
    first = chosen(nsga3, crowd, 10, seed=5)
    numpy.random.seed(2)
    assert chosen(nsga3, crowd, 10, seed=5) == first
    assert any(chosen(nsga3, crowd, 10, seed=seed) != first for seed in range(6, 12))


@pytest.mark.parametrize(
    ("objectives", "k", "divisions", "points"),
    [(1, 9, 1, 1), (2, 100, 99, 100), (3, 100, 12, 91), (5, 212, 6, 210), (3, 1, 1, 3)],
)
def test_there_are_as_many_reference_points_as_there_is_room_for(objectives, k, divisions, points):
    assert most_divisions(objectives, k) == divisions
    assert reference_points(objectives, divisions).shape == (points, objectives)


def test_more_reference_points_than_memory_holds_are_refused():
    crowd = made([(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)], (-1.0, -1.0))
    with pytest.raises(OperatorError, match="divisions = 4000000: with 2 objectives these are 4,"):
        chosen(nsga3, crowd, 2, divisions=4_000_000)


def test_spea2_s_fitness_is_that_of_its_definition():
    # 0 and 1 are the front; 0 dominates 2 and 3, 1 dominates 3, 2 dominates 3.
    crowd = made([(0.0, 1.0), (1.0, 0.0), (0.0, 2.0), (3.0, 3.0)], (-1.0, -1.0))
    fitness, points = spea2_fitness(crowd)
    raw = [0, 0, 2, 2 + 1 + 1]
    second = [2**0.5, 5**0.5, 5**0.5, 13**0.5]  # the neighbour number sqrt(4)
    assert fitness == pytest.approx([r + 1 / (s + 2) for r, s in zip(raw, second, strict=True)])
    assert points.tolist() == [[0, 1], [1, 0], [0, 2], [3, 3]]
    assert chosen(spea2, crowd, 3) == [1, 0, 2]


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=3, max_size=14, unique=True))
@settings(max_examples=100, deadline=None)
def test_spea2_thins_a_front_as_deap_does(inner):
    # Along the line from (0, 1) to (1, 0) all are on the front, and nothing is scaled.
    along = sorted({round(x, 3) for x, _ in inner} - {0.0, 1.0})
    crowd = made([(x, 1 - x) for x in [0.0, *along, 1.0]], (1.0, 1.0))
    gaps = numpy.abs(numpy.subtract.outer(*[[i.fitness.values[0] for i in crowd]] * 2))
    unequal = numpy.unique(gaps.round(9)[numpy.triu_indices(len(crowd), 1)])
    for k in range(2, len(crowd)):
        ours = chosen(spea2, crowd, k)
        assert ours[0] == 0
        assert ours[-1] == len(crowd) - 1
        if len(unequal) == len(crowd) * (len(crowd) - 1) // 2:  # no ties to be broken otherwise
            assert ours == [individual[0] for individual in tools.selSPEA2(crowd, k)]


def test_copies_go_before_anyone_else():
    points = numpy.array([[0, 1], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [1, 0], [1, 0]], dtype=float)
    assert truncated(points, 5).tolist() == [0, 1, 2, 4, 5]
    assert truncated(points, 3).tolist() == [0, 1, 4]
    assert truncated(points, 2).tolist() == [0, 4]


def test_the_nearest_of_two_is_told_by_their_second_nearest():
    points = numpy.array([[0, 0], [1, 0], [2, 0], [5, 0], [9, 0]], dtype=float)
    # 0, 1 and 2 are each 1 from the nearest; 1 is also 1 from the second nearest.
    assert truncated(points, 4).tolist() == [0, 2, 3, 4]


def test_spea2_s_tournament_prefers_who_is_not_dominated():
    crowd = made([(2.0, 2.0), (1.0, 1.0)], (1.0, 1.0))
    taken = chosen(spea2_tournament, crowd, 200)
    assert 120 < taken.count(0) < 180  # of four pairs, one has only the other


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3", "spea2"])
def test_an_algorithm_survives_by_the_selection_of_its_name_unless_another_is_declared(algorithm):
    def selection(**toolbox):
        tables = lotz(use=algorithm) | {"toolbox": toolbox}
        return declare(tables, PROBLEMS, "test").toolbox["select"].use

    assert selection() == algorithm
    assert selection(select="tournament") == "tournament"


@pytest.mark.parametrize("algorithm", ["nsga3", "spea2"])
def test_the_whole_known_front_is_found(algorithm):
    run = Run(lotz(use=algorithm))
    assert {(float(n), 8.0 - n) for n in range(9)} <= {i.fitness.values for i in run.population}


@pytest.mark.parametrize("algorithm", ["nsga3", "spea2"])
def test_a_replay_is_exact_whoever_else_draws_from_numpy(algorithm):
    tables = lotz(use=algorithm, population=9, generations=8)
    first = Run(tables)

    def disturb(toolbox, problem):
        evaluate = toolbox.evaluator.measure
        toolbox.evaluator.measure = lambda job: (numpy.random.rand(3), evaluate(job))[1]

    assert Run(tables, swap=disturb).population == first.population
    again = Run(tables, archive=first.archive)
    assert sum(generation.trained for generation in again.generations) == 0
    assert again.population == first.population


@pytest.mark.parametrize("select", ["nsga3", "spea2"])
def test_it_is_a_selection_for_any_algorithm(select):
    tables = onemax(generations=15)
    tables["toolbox"] = tables["toolbox"] | {"select": select}
    assert len(Run(tables).population) == 8
    assert Run(lotz(generations=3) | {"toolbox": {"select": select, "map": "serial"}}).population
