import pytest

from tests.conftest import Run, lotz, onemax
from toolbox.operator_error import OperatorError


def test_a_child_that_is_known_is_mutated_until_it_is_new():
    tables = lotz(population=10, generations=6)
    plain = Run(lotz(population=10, generations=6, remutations=0))
    run = Run(tables)
    assert sum(g.reused for g in plain.generations) > 10
    assert sum(g.reused for g in run.generations) < 3
    assert len(run.archive) > len(plain.archive)


def test_two_children_of_one_generation_are_not_the_same_network():
    run = Run(
        onemax(population=8, generations=1, elite=0, crossover_probability=0, remutations=100)
        | {"seed": 5}
    )
    assert len({tuple(one) for one in run.population}) == 8


def test_a_duplicate_that_mutation_cannot_leave_is_served_from_the_archive():
    def stay(toolbox, problem):
        toolbox.register("mutate", lambda individual: (individual,))

    tables = lotz(population=6, generations=3, crossover_probability=0.0)
    run = Run(tables, swap=stay)
    assert sum(g.trained for g in run.generations[1:]) == 0
    assert [g.reused for g in run.generations[1:]] == [6, 6, 6]


def test_a_space_that_is_known_altogether_ends_nothing():
    tables = onemax(population=4, generations=8) | {"problem": {"use": "onemax", "length": 2}}
    run = Run(tables)
    assert len(run.archive) == 4
    assert len(run.generations) == 9


def test_a_screen_of_the_user_s_own_is_a_function():
    bred = []

    def brightest(breed, count):
        children = breed(3 * count)
        bred.append((len(children), count))
        return sorted(children, key=sum)[-count:]

    def register(toolbox, problem):
        toolbox.register("screen", brightest)

    run = Run(onemax(population=8, generations=3, elite=2), swap=register)
    assert bred == [(18, 6)] * 3
    plain = Run(onemax(population=8, generations=3, elite=2))
    assert run.generations[-1].median > plain.generations[-1].median


def test_a_screen_that_returns_another_number_is_refused():
    def register(toolbox, problem):
        toolbox.register("screen", lambda breed, count: breed(count)[1:])

    with pytest.raises(OperatorError, match=r"toolbox\.screen: it returned 6; a list of 7 is"):
        Run(onemax(), swap=register)


def broken(individual):
    return individual.colour


@pytest.mark.parametrize("alias", ["mutate", "select"])
def test_an_operator_that_raises_is_named_with_its_error_and_its_line(alias):
    def register(toolbox, problem):
        toolbox.register(alias, lambda individual, *count: broken(individual))

    line = broken.__code__.co_firstlineno + 1
    with pytest.raises(OperatorError, match=rf"toolbox\.{alias}: AttributeError: .*'colour'") as no:
        Run(onemax(), swap=register)
    assert str(no.value).endswith(f"(test_breeding.py, line {line})")
