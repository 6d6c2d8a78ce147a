import contextlib
import copy
import functools
import pickle
import random
import sqlite3

import pytest
from deap import tools

from tests.conftest import Run, lotz, onemax
from toolbox.algorithms import ALGORITHMS
from toolbox.archive import Archive
from toolbox.individual import Individual
from toolbox.lineage import Lineage, ancestors
from toolbox.search import search


def evaluated(run):
    return sum(generation.evaluated for generation in run.generations)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_everyone_who_was_evaluated_has_a_birth(algorithm):
    run = Run(onemax(use=algorithm))
    births = run.archive.births
    assert [birth.number for birth in births] == list(range(evaluated(run)))
    assert {birth.key for birth in births} == {record.key for record in run.archive}
    for birth in births:
        assert all(parent < birth.number for parent in birth.parents)
        assert not birth.operators or birth.parents
        assert (birth.generation == 0) <= (birth.parents == ())


@pytest.mark.parametrize("tables", [onemax(), lotz(generations=6)], ids=["onemax", "lotz"])
def test_those_in_the_population_have_survived(tables):
    run = Run(tables)
    born = {individual.born for individual in run.population}
    births = run.archive.births
    assert {births[number].key for number in born} == {
        run.toolbox.evaluator.networks.identify(individual)[0] for individual in run.population
    }
    last = births[-1].generation
    assert {birth.number for birth in births if birth.generation == last and birth.survived} == {
        number for number in born if births[number].generation == last
    }


def test_a_child_is_made_by_the_operators_that_changed_it_out_of_its_parents():
    run = Run(onemax(generations=0))
    toolbox = run.toolbox
    a, b = (toolbox.clone(individual) for individual in run.population[:2])
    a[:], b[:] = [0] * 12, [1] * 12
    toolbox.register("mate", tools.cxTwoPoint)
    toolbox.register("mutate", tools.mutFlipBit, indpb=1.0)
    toolbox.mate(a, b)
    assert a.made_by == ("mate:cxTwoPoint",)
    assert sorted(a.made_of) == [0, 1]
    toolbox.mutate(a)
    assert a.made_by == ("mate:cxTwoPoint", "mutate:mutFlipBit")
    assert sorted(a.made_of) == [0, 1]


def test_a_child_that_no_operator_changed_is_a_copy_of_one_parent():
    toolbox = Run(onemax(generations=0)).toolbox
    a, b = (toolbox.individual() for _ in range(2))
    a.born, b.born = 0, 1
    toolbox.register("mate", lambda a, b: (a, b))
    toolbox.mate(a, b)
    assert (a.born, a.made_by, a.made_of) == (None, (), (0,))
    assert (b.born, b.made_by, b.made_of) == (None, (), (1,))


def test_a_decorated_operator_is_noted_once():
    toolbox = Run(onemax(generations=0)).toolbox
    toolbox.register("mutate", tools.mutFlipBit, indpb=1.0)

    def decorator(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    toolbox.decorate("mutate", decorator)
    (child,) = toolbox.mutate(toolbox.individual())
    assert child.made_by == ("mutate:mutFlipBit",)


def test_a_search_with_the_same_archive_tells_the_same_births_and_writes_none(
    tmp_path, monkeypatch
):
    archive = Archive({}, tmp_path / "archive.sqlite")
    births = Run(lotz(generations=4), archive).archive.births
    archive.close()
    again = Archive({}, tmp_path / "archive.sqlite")
    assert again.births == births
    monkeypatch.setattr(again, "note", lambda name, value: None)
    monkeypatch.setattr(again, "_transaction", None)
    assert Run(lotz(generations=4), again).archive.births == births
    again.close()


def test_an_archive_that_has_no_births_yet_goes_on(tmp_path):
    path = tmp_path / "archive.sqlite"
    whole = Run(lotz(generations=2), Archive({}, path)).archive
    whole.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE births")
    assert Archive.read(path).births == []
    with contextlib.closing(Archive({}, path)) as archive:
        assert Run(lotz(generations=2), archive).archive.births == whole.births


def test_the_births_of_another_search_take_the_place_of_the_earlier_ones(tmp_path):
    archive = Archive({}, tmp_path / "archive.sqlite")
    Run(lotz(generations=4), archive)
    other = Run({**lotz(generations=2), "seed": 2})
    Run({**lotz(generations=2), "seed": 2}, archive)
    assert [b.operators for b in archive.births] == [b.operators for b in other.archive.births]
    archive.close()
    assert Archive.read(tmp_path / "archive.sqlite").births == archive.births


def test_a_search_whose_budget_is_spent_has_a_birth_for_each_network():
    run = Run({**lotz(), "stop": {"evaluations": 30}})
    assert len({birth.key for birth in run.archive.births}) == 30


def test_noting_births_draws_nothing():
    run = Run(onemax(generations=0))
    state = random.getstate()
    Lineage().bear(run.population[0], "key")
    assert random.getstate() == state


def test_where_an_individual_came_from_survives_a_pickle_and_a_copy():
    individual = Individual([1, 2], weights=(1.0,))
    individual.born, individual.made_by, individual.made_of = 3, ("mutate:shift",), (1, 2)
    for other in (pickle.loads(pickle.dumps(individual)), copy.deepcopy(individual)):
        assert (other.born, other.made_by, other.made_of) == (3, ("mutate:shift",), (1, 2))


def test_individuals_of_another_search_are_drawn_anew_in_this_one():
    earlier = Run(lotz(generations=5))
    lineage = Lineage()
    one = max(earlier.population, key=lambda individual: individual.born)
    lineage.bear(one, "key")
    (birth,) = lineage.generation(0, [one])
    assert (birth.number, birth.parents, birth.survived) == (0, (), True)


def test_a_network_comes_from_its_ancestors():
    births = Run(lotz(generations=8)).archive.births
    found = ancestors(births, births[-1].number)
    assert found[-1] == births[-1]
    assert found[0].generation == 0
    numbers = {birth.number for birth in found}
    assert all(parent in numbers for birth in found for parent in birth.parents)


def test_an_individual_changed_by_no_operator_comes_from_what_it_was():
    lineage = Lineage()
    individual = Individual([0], weights=(1.0,))
    for key in ("a", "a", "b"):
        lineage.bear(individual, key)
    births = lineage.generation(1, [individual])
    assert [(b.key, b.parents, b.survived) for b in births] == [
        ("a", (), False),
        ("b", (0,), True),
    ]


def test_the_search_keeps_the_births_generation_by_generation():
    run = Run(onemax(generations=3))
    found = list(search(run.declaration, Run(onemax(generations=0)).toolbox))
    assert len(found) == 4
    assert {birth.generation for birth in run.archive.births} <= set(range(4))
