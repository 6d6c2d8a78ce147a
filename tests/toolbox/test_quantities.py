"""What a measured name means is told in one table, and a problem may add to it."""

import pytest

from problems.spaces.bit_string import BitString
from tests.conftest import Run, onemax
from toolbox.assemble import rehearse
from toolbox.declaration import declare
from toolbox.objectives import OBJECTIVES
from toolbox.quantities import QUANTITIES, meant, quantities_with


class Flash:
    """A problem that measures names of its own and says what they mean."""

    space = BitString(6)
    measures = ("kib", "drawn_watts")
    quantities = {  # noqa: RUF012
        "kib": {"label": "flash", "unit": "KiB", "direction": "minimize", "worst": 1e6},
        "drawn_watts": {"label": "power", "unit": "W"},
    }

    def evaluate(self, genome):
        return {"kib": 1.0 + sum(genome), "drawn_watts": 2.0}


def tables(*objectives):
    return onemax() | {"problem": "mine", "objectives": list(objectives)}


def declared(*objectives):
    return declare(tables(*objectives), {"mine": Flash}, name="test")


def f1(measurement):
    return measurement["f1_wosrt"]


def difference(measurement):
    return measurement["kib"] - measurement["drawn_watts"]


def test_a_problem_s_own_name_is_an_objective_once_it_has_a_direction_and_a_worst():
    run = Run(tables("kib"), problems={"mine": Flash})
    (objective,) = run.declaration.objectives
    assert (objective.direction, objective.worst) == ("minimize", 1e6)
    with pytest.raises(ValueError, match=r"objectives\[0\] = 'drawn_watts': unknown; legal: .*kib"):
        declared("drawn_watts")


def test_a_problem_s_own_name_is_read_with_its_label_and_unit():
    table = quantities_with(Flash.quantities)
    assert meant("kib", table).title == "flash (KiB)"
    assert meant("kib", table).said(12) == "12 KiB"
    assert meant("drawn_watts", table).direction is None
    assert meant("no_one_told", table).title == "no one told"


def test_a_name_that_is_described_wrongly_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"quantities\.kib\.lable: unknown key; .*'label'"):
        quantities_with({"kib": {"lable": "flash"}})


def test_every_measured_objective_is_in_the_table():
    for name, quantity in QUANTITIES.items():
        if quantity.worst is not None:
            assert OBJECTIVES[name].worst == quantity.worst
    assert "test_accuracy" not in OBJECTIVES


def test_an_objective_of_ones_own_is_told_all_that_it_lacks_at_once():
    with pytest.raises(ValueError, match="direction and worst must be declared for"):
        declared("tests.toolbox.test_quantities:difference")


def own(name):
    use = f"tests.toolbox.test_quantities:{name}"
    return {"use": use, "direction": "maximize", "worst": 0.0}


def test_a_name_that_an_objective_of_ones_own_reads_in_vain_is_found_before_the_search():
    with pytest.raises(ValueError, match=r"it needs 'f1_wosrt', which .* it measures kib, d"):
        rehearse(declared(own("f1")), Flash())
    rehearse(declared(own("difference")), Flash())
