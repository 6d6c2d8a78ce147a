from deap_nas.opening import declared, rehearsed
from problems.bit_counting import OneMax
from tests.conftest import onemax


class Told(OneMax):
    """It remembers which of its measures a search needs."""

    needed: frozenset[str] = frozenset()

    def wanted(self, names):
        told = Told(self.length)
        told.__dict__["needed"] = names
        return told


def test_a_problem_is_told_which_of_its_measures_a_search_needs():
    tables = onemax() | {"problem": {"use": "tests.deap_nas.test_opening:Told", "length": 12}}
    problem = rehearsed(declared(tables))
    assert problem.own.needed == {"ones"}
