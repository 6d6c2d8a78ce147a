import pytest

pytest.importorskip("optuna")
pytest.importorskip("psutil")

from benchmarks import race, sharing
from tests.benchmarks.test_race import finished_lane


@pytest.fixture
def lanes(tmp_path):
    """Two finished searches of a second of two processors for each of their networks."""
    return [
        finished_lane(tmp_path, name, first=1, generations=generations)
        for name, generations in (("alone", 4), ("shared", 1))
    ]


class Known:
    """Scores that are a network's own accuracy, in percent as its table has it, and some more."""

    def __init__(self, lanes, more=0.0):
        self.accuracy = {
            one.architecture: one.measurement["val_accuracy"] + more
            for lane in lanes
            for one in lane.finished.archive
        }

    def of(self, architectures):
        return {one: [self.accuracy[one]] * 3 for one in architectures}


class Unknown:
    def of(self, architectures):
        return None


def cells(line):
    return [one.strip() for one in line.strip("| ").split(" | ")]


def test_the_search_without_sharing_is_told_when_it_was_as_good(lanes):
    alone, shared = lanes
    found = [cells(line) for line in sharing.rows("cifar10", *lanes, Known(lanes), Unknown())]
    assert [line[1] for line in found] == ["ended", "ended", "as good as the other from scratch"]
    target = race.incumbents(shared.finished)[-1].measurement["val_accuracy"]
    incumbents = race.incumbents(alone.finished)
    first = next(one for one in incumbents if one.measurement["val_accuracy"] >= target)
    assert found[2][5] == race.cell(first.architecture)
    assert float(found[2][4]) == race.Found.of(alone, first).cost.processor
    assert float(found[0][3]) == 2.0  # until its first network
    assert float(found[0][4]) == 2.0 * len(alone.finished.archive)
    assert found[1][8] == "-"


def test_what_is_better_than_all_that_the_other_found_was_not_reached(lanes):
    found = [*sharing.rows("cifar10", *lanes, Known(lanes), Known(lanes, more=5.0))]
    assert [cells(line)[1] for line in found] == [
        "ended",
        "ended",
        "as good as the other from scratch",
    ]
    assert cells(found[1])[8] != "-"


class Refused:
    overrides = ("seed=1",)

    def __init__(self, code):
        self.code = code

    def run(self, workers, until):
        if sharing.WITHOUT_GATE not in self.overrides:
            raise SystemExit(self.code)
        return True


def test_a_search_whose_gate_refuses_goes_on_without():
    lane = Refused("run_search.py x.toml: status 1")
    assert sharing.search_on(lane, 1, 0.0)
    assert lane.overrides == ("seed=1", "problem.gate=off")
    with pytest.raises(SystemExit):
        sharing.search_on(Refused("run_search.py x.toml: status 2"), 1, 0.0)


def test_nothing_is_told_before_it_is_scored(lanes):
    assert [*sharing.rows("cifar10", *lanes, Unknown(), Unknown())] == []


def test_an_architecture_in_a_table_has_no_borders():
    assert race.cell("conv 16k3 | fc 8") == r"`conv 16k3 \| fc 8`"
