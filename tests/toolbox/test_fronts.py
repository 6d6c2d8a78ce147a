"""Fronts and crowding distances are DEAP's: the same individuals, order and floats."""

from deap import tools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from toolbox.fronts import assign_crowding_distances, non_dominated_fronts
from toolbox.individual import Individual
from toolbox.selection import nsga2


@st.composite
def crowds(draw):
    """Individuals of one to four objectives of mixed directions, many of them tied or equal."""
    weights = draw(st.lists(st.sampled_from([1.0, -1.0, 2.0, -0.5]), min_size=1, max_size=4))
    coarse = st.integers(0, 3).map(float)
    fine = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1e300, -1e300])
    value = draw(st.sampled_from([coarse, fine, coarse | fine]))
    rows = draw(st.lists(st.tuples(*[value] * len(weights)), min_size=1, max_size=40))
    return made(rows, weights)


def made(rows, weights):
    crowd = []
    for number, row in enumerate(rows):
        individual = Individual([number], weights)
        individual.fitness.values = row
        crowd.append(individual)
    return crowd


def numbers(fronts):
    return [[individual[0] for individual in front] for front in fronts]


def crowding(individuals):
    return [individual.fitness.crowding_dist for individual in individuals]


@given(crowds(), st.integers(0, 45))
@settings(max_examples=400, deadline=None)
def test_the_fronts_are_deap_s_in_its_order(crowd, k):
    assert numbers(non_dominated_fronts(crowd, k)) == numbers(tools.sortNondominated(crowd, k))


@given(crowds())
@example(made([(1e308, 1.0), (0.0, 1.0), (-1e308, 1.0)], (1.0, 1.0)))
@example(made([(5e-324, 0.0), (0.0, 5e-324), (1e-323, -1.0)], (1.0, 1.0)))
@settings(max_examples=400, deadline=None)
def test_the_crowding_distances_are_deap_s_to_the_last_bit(crowd):
    fronts = tools.sortNondominated(crowd, len(crowd))
    assign_crowding_distances(fronts)
    ours = [crowding(front) for front in fronts]
    for front in fronts:
        tools.emo.assignCrowdingDist(front)
    assert repr(ours) == repr([crowding(front) for front in fronts])


@given(crowds(), st.integers(0, 45))
@settings(max_examples=400, deadline=None)
def test_the_survivors_are_deap_s_in_its_order(crowd, k):
    assert numbers([nsga2(crowd, k)]) == numbers([tools.selNSGA2(crowd, k)])


def test_no_fronts_have_no_distances():
    assign_crowding_distances([])
