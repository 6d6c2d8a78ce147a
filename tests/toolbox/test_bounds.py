"""Bounds: checked before training, met by drawing again, then ranked by how far beyond."""

import math

import pytest

from problems.spaces.bit_string import BitString
from tests.conftest import Run, lotz, onemax
from toolbox.archive import Archive
from toolbox.assemble import rehearse
from toolbox.bounds import Bounds, closest
from toolbox.declaration import declare


class Priced:
    """OneMax in which each one costs 1 (known before) and takes 10 ms (told by a preview)."""

    measures = ("ones", "cost", "latency_seconds", "memory")
    evaluated = 0
    previewed = 0

    def __init__(self, length=8, floor=0):
        self.space = BitString(length)
        self.floor = floor

    def known(self, genome):
        return {"cost": float(max(self.floor, sum(genome)))}

    def preview(self, genome):
        Priced.previewed += 1
        return self.known(genome) | {"latency_seconds": 0.01 * sum(genome)}

    def evaluate(self, genome):
        Priced.evaluated += 1
        return self.preview(genome) | {"ones": float(sum(genome)), "memory": 100.0 * sum(genome)}


PROBLEMS = {"priced": Priced}


def tables(bounds, **algorithm):
    return onemax(population=12, **algorithm) | {"problem": {"use": "priced"}, "bounds": bounds}


def searched(bounds, archive=None, **algorithm):
    return Run(tables(bounds, **algorithm), archive=archive, problems=PROBLEMS)


def test_nothing_beyond_a_known_bound_is_ever_trained():
    Priced.evaluated = 0
    run = searched({"cost": 5, "redraws": 0}, generations=8)
    trained = [record for record in run.archive if record.status == "ok"]
    refused = [record for record in run.archive if record.status == "infeasible"]
    assert Priced.evaluated == len(trained)
    assert refused
    assert all(sum(record.genome) <= 5 for record in trained)
    for record in refused:
        assert sum(record.genome) > 5
        assert record.measurement == {"cost": sum(record.genome)}
        assert record.message == f"cost = {sum(record.genome)}, at most 5"
    assert run.generations[-1].best == (5.0,)


def test_a_child_beyond_a_bound_is_drawn_again():
    run = searched({"cost": 6, "redraws": 50}, generations=6)
    assert {record.status for record in run.archive} == {"ok"}
    assert run.toolbox.redrawn["mate"] + run.toolbox.redrawn["mutate"] > 0
    assert sum(generation.infeasible for generation in run.generations) == 0


def test_fitness_beyond_a_bound_is_finite_and_worse_the_further_it_is():
    run = searched({"cost": 2, "redraws": 0}, generations=0)
    evaluate = run.toolbox.evaluate
    fitness = [evaluate([1] * ones + [0] * (8 - ones))[0] for ones in range(9)]
    assert fitness[:3] == [0, 1, 2]
    worst = run.declaration.objectives[0].worst
    beyond = fitness[3:]
    assert all(math.isfinite(value) and value < worst for value in beyond)
    assert beyond == sorted(beyond, reverse=True)
    assert len(set(beyond)) == 6


def test_even_an_infinite_violation_has_a_finite_fitness():
    begun = {"individual": {"use": "seeded", "genomes": ["0" * 8]}}  # the one network within it
    bounded = tables({"cost": 1e-320, "redraws": 0}, generations=0)
    run = Run(bounded | {"toolbox": bounded["toolbox"] | begun}, problems=PROBLEMS)
    worst = run.declaration.objectives[0].worst
    assert run.toolbox.evaluate([1] * 8) == (worst - 1,)


def test_a_search_that_begins_beyond_its_bounds_works_its_way_in():
    ones = {"use": "seeded", "genomes": ["1" * 8] * 12}
    start = tables({"cost": 3, "redraws": 0}, generations=60) | {
        "toolbox": {"map": "serial", "individual": ones, "select": "tournament"}
    }
    run = Run(start, problems=PROBLEMS)
    assert run.generations[0].best[0] < 0
    assert run.generations[-1].best == (3.0,)


def test_what_only_a_preview_tells_is_checked_before_training_too():
    Priced.evaluated = Priced.previewed = 0
    run = searched({"latency_seconds": 0.035}, generations=4)
    refused = [record for record in run.archive if record.status == "infeasible"]
    assert refused
    assert Priced.evaluated == len(run.archive) - len(refused)
    assert all("latency_seconds" in record.message for record in refused)
    assert sum(generation.infeasible for generation in run.generations) == len(refused)
    assert run.generations[-1].best == (3.0,)


def test_a_preview_is_not_made_for_what_arithmetic_tells():
    Priced.evaluated = Priced.previewed = 0
    searched({"cost": 5}, generations=1)
    assert Priced.previewed == Priced.evaluated  # once inside each evaluation, and no more


def test_what_only_training_tells_is_infeasible_after_it():
    run = searched({"memory": 350}, generations=4)
    refused = [record for record in run.archive if record.status == "infeasible"]
    assert refused
    assert all(record.measurement["memory"] > 350 for record in refused)
    assert run.generations[-1].best == (3.0,)


def test_wider_bounds_train_what_was_refused_and_keep_what_was_trained():
    archive = Archive({"use": "priced"})
    searched({"cost": 4, "redraws": 0}, archive=archive, generations=4)
    before = {r.key: r for r in archive}
    Priced.evaluated = 0
    wider = searched({"cost": 6, "redraws": 0}, archive=archive, generations=4)
    for key, record in before.items():
        if record.status == "ok":
            assert archive.get(key) == record
    retrained = [
        k for k, r in before.items() if r.status == "infeasible" and archive.get(k).status == "ok"
    ]
    assert retrained
    assert all(sum(before[key].genome) in (5, 6) for key in retrained)
    assert wider.generations[-1].best == (6.0,)


def test_narrower_bounds_hold_for_what_was_trained_before():
    archive = Archive({"use": "priced"})
    searched({}, archive=archive, generations=4)
    narrower = searched({"cost": 3, "redraws": 0}, archive=archive, generations=4)
    assert narrower.generations[-1].best[0] <= 3


def test_a_genome_that_breaks_a_rule_is_not_asked_what_it_costs():
    class Ruled(Priced):
        def __init__(self):
            super().__init__()
            self.space = NotAllZero(8)

        def known(self, genome):
            return {"cost": 1 / sum(genome)}

    class NotAllZero(BitString):
        def violation(self, genome):
            return "" if any(genome) else "all zero"

    run = Run(tables({"cost": 5}, generations=0) | {"problem": "ruled"}, problems={"ruled": Ruled})
    worst = run.declaration.objectives[0].worst
    assert run.toolbox.evaluate([0] * 8) == (worst,)
    assert [r.message for r in run.archive if r.status == "infeasible"] == ["all zero"]


def test_a_complete_measurement_beyond_a_bound_is_served_when_the_bound_is_widened():
    archive = Archive({"use": "priced"})
    searched({"memory": 350}, archive=archive, generations=2)
    Priced.evaluated = 0
    known = {r.key for r in archive}
    wider = searched({"memory": 10_000}, archive=archive, generations=2)
    assert Priced.evaluated == len(archive) - len(known)
    assert wider.generations[-1].best[0] > 3


def tenth_of_cost(measurement):
    return measurement["cost"] / 10


def twice_memory(measurement):
    return 2 * measurement["memory"]


def bound(function, most, **algorithm):
    """A search for many ones and little of a function, which has an upper bound."""
    name = function.__name__
    return lotz(population=12, generations=6, **algorithm) | {
        "objectives": [
            {"use": "measured", "name": "ones", "direction": "maximize", "worst": 0.0},
            {"use": f"{__name__}:{name}", "direction": "minimize", "worst": 1e9},
        ],
        "problem": {"use": "priced"},
        "bounds": {"redraws": 0, name: most},
    }


def test_an_objective_of_somebody_s_own_may_be_bound_before_training():
    Priced.evaluated = 0
    run = Run(bound(tenth_of_cost, 0.5), problems=PROBLEMS)
    refused = [record for record in run.archive if record.status == "infeasible"]
    assert refused
    assert Priced.evaluated == len(run.archive) - len(refused)
    assert all(record.measurement == {"cost": sum(record.genome)} for record in refused)
    assert refused[0].message == f"tenth_of_cost = {sum(refused[0].genome) / 10:g}, at most 0.5"
    assert max(sum(one) for one in run.population) == 5


@pytest.mark.parametrize("algorithm", ["nsga2", "steady_state"])
def test_an_objective_that_only_training_tells_is_bound_after_it(algorithm):
    def searched(most, archive=None):
        tables = bound(twice_memory, most, use=algorithm)
        return Run(tables, archive=archive, problems=PROBLEMS)

    run = searched(700.0)
    refused = [record for record in run.archive if record.status == "infeasible"]
    assert {record.key for record in refused} == {r.key for r in run.archive if sum(r.genome) > 3}
    ones = sum(refused[0].genome)
    assert refused[0].message == f"twice_memory = {200 * ones:,}, at most 700"
    assert sum(generation.infeasible for generation in run.generations) > 0
    Priced.evaluated = 0
    known = len(run.archive)
    wider = searched(1500.0, run.archive)
    assert Priced.evaluated == len(wider.archive) - known  # what was measured is served


def test_a_number_that_is_none_is_within_and_the_objective_s_worst():
    bounds = Bounds({"x": 1.0}, views={"x": lambda measurement: math.nan})
    assert bounds.violation({}) == 0.0
    assert bounds.reason({}) == ""
    beyond = Bounds({"x": 1.0}, views={"x": lambda measurement: math.inf})
    assert beyond.violation({}) == math.inf
    assert beyond.measured == Bounds()


def rehearsed(bounds, **problem):
    declared = tables(bounds) | {"problem": {"use": "priced", **problem}}
    declaration = declare(declared, PROBLEMS, "test")
    rehearse(declaration, declaration.problem.build())


def test_bounds_that_admit_no_network_are_refused_before_the_search():
    with pytest.raises(ValueError, match=r"they admit no network.*, has cost = 4, at most 2"):
        rehearsed({"cost": 2}, floor=4)


def test_bounds_that_admit_a_single_network_are_not_refused():
    rehearsed({"cost": 0.5, "redraws": 0}, length=40)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"cots": 3}, "bounds.cots: unknown key; legal: redraws, ones, cost"),
        ({"cost": 0}, "bounds.cost = 0: it should be greater than 0"),
        ({"cost": "x"}, "bounds.cost = 'x'"),
        ({"redraws": -1}, "bounds.redraws = -1"),
        ([], r"bounds = \[\]: a table is needed"),
    ],
)
def test_wrong_bounds_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        rehearsed(bounds)


def test_the_closest_genome_is_found_over_rules_of_the_space():
    class Even(BitString):
        def violation(self, genome):
            return "odd" if sum(genome) % 2 else ""

    known = Priced().known
    # Every way to fewer ones breaks the rule, so nothing closer is found by single changes.
    assert closest([1, 1, 0, 0], Even(4), known, Bounds({"cost": 1})) == [1, 1, 0, 0]
    assert closest([1, 1, 1, 0], BitString(4), known, Bounds({"cost": 1})) in (
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
    )


@pytest.mark.parametrize(
    ("said", "limit"),
    [("96 KB", 98304), ("96KiB", 98304), ("0.5 MB", 524288), ("512 B", 512), (98304, 98304)],
)
def test_a_bound_in_bytes_is_declared_as_people_write_it(said, limit):
    declaration = declare(tables({"flash_bytes": said}), PROBLEMS, name="test")
    assert declaration.bounds.limits == {"flash_bytes": limit}


@pytest.mark.parametrize("said", ["96 kilo", "KB", "-1 KB", ""])
def test_a_size_that_is_none_is_refused(said):
    with pytest.raises(ValueError, match=r"bounds\.ram_bytes = '.*': a number of bytes or a size"):
        declare(tables({"ram_bytes": said}), PROBLEMS, name="test")


def test_only_names_in_bytes_take_a_size():
    with pytest.raises(ValueError, match=r"bounds\.params = '96 KB'"):
        declare(tables({"params": "96 KB"}), PROBLEMS, name="test")


class Forgetful(Priced):
    """Tells no cost of what it measured, as before anybody asked for it."""

    def evaluate(self, genome):
        return {"ones": float(sum(genome))}


def test_networks_that_are_known_get_the_counted_costs_that_are_asked_for_later():
    problems = {"priced": Forgetful}
    first = Run(tables({}), problems=problems)
    assert not any("cost" in record.measurement for record in first.archive)
    before = [record.key for record in first.archive]
    run = Run(tables({"cost": 5}), archive=first.archive, problems=problems)
    known = run.toolbox.evaluator.networks.records
    served = [known[key] for key in before if key in known and known[key].status == "ok"]
    assert served
    assert [record.key for record in run.archive][: len(before)] == before
    assert all(record.measurement["cost"] == sum(record.genome) for record in served)
