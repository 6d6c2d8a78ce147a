import logging

import deap_nas
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


def beyond(measurement):
    return measurement["ones"] if measurement["ones"] > 6 else float("nan")


def test_an_objective_that_counts_as_its_worst_is_pointed_out_once(tmp_path, caplog):
    objective = {"use": f"{__name__}:beyond", "direction": "maximize", "worst": 8.0}
    search = deap_nas.Search(onemax() | {"objectives": [objective]}, runs=tmp_path, progress=False)
    with caplog.at_level(logging.WARNING):
        search.run()
    (line,) = [
        record.message for record in caplog.records if "worse than its worst" in record.message
    ]
    assert line.startswith("objectives: 'beyond' is ")
    assert line.endswith("= 8; this network counts as that, and so do others like it")
