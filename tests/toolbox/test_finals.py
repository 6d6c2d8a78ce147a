"""Finals on networks whose true values and noise are declared."""

import random
import re
import time
from dataclasses import replace
from statistics import fmean
from typing import ClassVar

import pytest

from problems.seeds import seed_of
from problems.spaces.bit_string import BitString
from tests.conftest import Run, lotz, onemax
from tests.toolbox.test_halving import ACCURACY, Curves
from tests.toolbox.test_run_folder import table
from toolbox.algorithms import ALGORITHMS
from toolbox.archive import Archive, Record
from toolbox.declaration import declare
from toolbox.finals import Finals, mean_fitness, standings
from toolbox.judge import Judge
from toolbox.quantities import QUANTITIES
from toolbox.report.axes import Axes
from toolbox.report.evaluations import Evaluations
from toolbox.report.finals import finals_facts, finals_sections
from toolbox.report.picking import pick
from toolbox.report.ranking import front, ranking
from toolbox.report.tables import result_tables
from toolbox.run_folder import RunFolder

NOISE = 1.0
DECLARED = {"networks": 4, "seeds": 2}


class Noisy:
    """Strings of bits worth their number of ones; each training of one adds noise of its own."""

    measures = ("ones", "zeros")
    reseeds: ClassVar[bool | int] = True
    asked: ClassVar[list] = []  # (architecture, seed) of each evaluation that ended
    stop_before: ClassVar[int | None] = None
    fails: ClassVar[tuple] = ()  # (architecture, seed)

    def __init__(self, length=12, noise=NOISE, seed=0):
        self.space, self.noise, self.seed = BitString(length), noise, seed

    def evaluate(self, genome, seed=0):
        if len(self.asked) == self.stop_before:
            raise KeyboardInterrupt
        text = self.space.decode(genome)
        self.asked.append((text, seed))
        if (text, seed) in self.fails or seed in self.fails:
            raise FloatingPointError("it diverged")
        draw = random.Random(seed_of(f"{self.seed} {text} {seed}"))
        ones = sum(genome) + draw.gauss(0, self.noise)
        return {"ones": ones, "zeros": len(genome) - sum(genome)}


class Slow(Noisy):
    """The same, of trainings that take long enough to be on their way when a search ends."""

    def evaluate(self, genome, seed=0):
        time.sleep(0.06 * (1 + sum(genome[:3])))
        return super().evaluate(genome, seed)


@pytest.fixture(autouse=True)
def _nothing_was_asked():
    for problem in (Noisy, Curves):
        problem.asked.clear()
        problem.stop_before = None
    Curves.kept.clear()
    Noisy.fails = ()


ONES = {"use": "measured", "name": "ones", "direction": "maximize", "worst": -100.0}
MANY = {"use": "measured", "name": "zeros", "direction": "maximize", "worst": -100.0}


def declared(finals=DECLARED, several=False, evaluations=40, **algorithm):
    base = lotz if several else onemax
    return base(**{"population": 8, "generations": 30} | algorithm) | {
        "objectives": [ONES, MANY] if several else [ONES],
        "problem": {"use": "noisy"},
        "stop": {"evaluations": evaluations},
        "finals": finals,
    }


def searched(tables, archive=None, problem=Noisy):
    return Run(tables, archive=archive, problems={"noisy": problem})


def judge_of(run):
    return run.toolbox.evaluator.judge


def told(run):
    """All that finals say."""
    return [
        (s.record.key, s.mean, s.standard_error, s.trainings, s.failed, s.probability)
        for s in run.generations[-1].finals
    ]


def of_algorithm(algorithm):
    options = {"islands": 2} if algorithm == "islands" else {}
    return declared(several=algorithm != "genetic_algorithm", use=algorithm, **options)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_with_every_algorithm_the_budget_is_exact_and_a_replay_trains_nothing(algorithm):
    run = searched(of_algorithm(algorithm))
    assert len(Noisy.asked) == len(set(Noisy.asked)) == len(run.archive) == 40
    assert len(run.toolbox.evaluator.networks.records) == len(run.archive.networks()) == 32
    assert sum(seed > 0 for _, seed in Noisy.asked) == 8
    assert len(told(run)) == 4
    again = searched(of_algorithm(algorithm), run.archive)
    assert len(Noisy.asked) == 40
    assert told(again) == told(run)
    assert again.population == run.population


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("stop_before", [20, 33, 37, 39])
def test_finals_that_were_killed_go_on_and_train_nothing_twice(algorithm, stop_before):
    whole = searched(of_algorithm(algorithm))
    asked = list(Noisy.asked)
    Noisy.asked.clear()
    Noisy.stop_before = stop_before
    archive = Archive(whole.archive.problem)
    with pytest.raises(KeyboardInterrupt):
        searched(of_algorithm(algorithm), archive)
    assert len(archive) == stop_before
    Noisy.stop_before = None
    again = searched(of_algorithm(algorithm), archive)
    assert sorted(Noisy.asked) == sorted(asked)
    assert told(again) == told(whole)


def test_the_candidates_of_one_objective_are_the_best_by_value():
    run = searched(declared())
    records = run.toolbox.evaluator.networks.records.values()
    best = sorted(records, key=lambda record: -record.measurement["ones"])[:4]
    assert {s.record.key for s in run.generations[-1].finals} == {record.key for record in best}


def test_those_of_several_objectives_are_the_front_and_its_near_misses():
    run = searched(declared(several=True, finals={"networks": 9, "seeds": 1}, evaluations=49))
    records = list(run.toolbox.evaluator.networks.records.values())
    candidates = {s.record.key for s in run.generations[-1].finals}
    first = {record.key for record in front(judge_of(run), records)}
    assert first < candidates
    assert {s.trainings for s in run.generations[-1].finals} == {2}


def test_the_better_half_gets_more_trainings_round_by_round():
    run = searched(declared(finals={"networks": 8, "seeds": 3}, evaluations=60))
    counts = sorted(s.trainings - 1 for s in run.generations[-1].finals)
    # 24: one for each of 8, two for each of the best 4, and four for each of the best 2
    assert counts == [1, 1, 1, 1, 3, 3, 7, 7]
    best = run.generations[-1].finals[0]
    assert best.trainings == 8


@pytest.mark.parametrize("networks", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_every_training_that_is_declared_is_spent(networks, seeds):
    size = {"networks": networks, "seeds": seeds}
    run = searched(declared(finals=size))
    assert sum(s.trainings - 1 for s in run.generations[-1].finals) == networks * seeds
    assert len(run.archive) == 40


def test_a_problem_with_few_trainings_is_asked_for_no_more(monkeypatch):
    monkeypatch.setattr(Noisy, "reseeds", 2)
    run = searched(declared())
    assert {s.trainings for s in run.generations[-1].finals} == {3}


def test_without_a_limit_the_finals_come_after_the_last_generation():
    tables = declared(generations=2)
    del tables["stop"]
    run = searched(tables)
    assert run.generations[-1].stopped == "2 generations were evolved"
    assert [bool(generation.finals) for generation in run.generations] == [False, False, True]
    assert len(run.archive) == len(run.archive.networks()) + 8
    assert run.declaration.most_evaluations == 8 + 2 * 7 + 8


def test_a_further_training_is_no_network_of_its_own(tmp_path):
    run = searched(declared())
    plain = searched(declared(finals={}, evaluations=32))
    # the search itself takes the same steps
    assert plain.population == run.population
    networks = run.archive.networks()
    assert {one.key for one in networks} == {one.key for one in plain.archive}
    found = Evaluations("run", judge_of(run), run.archive, 8)
    assert len(found.records) == sum(found.shares[k] for k in ("measured", "failed")) == 32
    assert [len(one.further) for one in networks if one.further]
    assert {other.seed for one in networks for other in one.further} >= {1, 2}


def test_results_are_by_mean_with_standard_error(tmp_path):
    run = searched(declared())
    judge, networks = judge_of(run), run.archive.networks()
    best = run.generations[-1].finals[0]
    assert best.mean[0] == max(s.mean[0] for s in run.generations[-1].finals)
    assert pick(judge, networks, "best").key == best.record.key
    assert ranking(judge, networks)[0].key == best.record.key
    values = [one.measurement["ones"] for one in (best.record, *best.record.further)]
    assert best.mean[0] == pytest.approx(fmean(values))
    with RunFolder(tmp_path, run.declaration) as folder:
        for generation in run.generations:
            folder.write_generation(generation, {})
        folder.write_results(judge, networks)
        rows = table(folder.results)
    assert float(rows[0]["ones_mean"]) == best.mean[0]
    assert float(rows[0]["ones_standard_error"]) == best.standard_error[0] > 0
    assert [row["seeds"] for row in rows[4:]] == ["1"] * 28
    assert {row["ones_mean"] for row in rows[4:]} == {""}
    (shown,) = result_tables(judge, networks, {})
    assert shown.title == "Finals: 4 networks by the mean of their trainings"


def test_the_report_has_a_table_of_the_finals():
    run = searched(declared())
    found = Evaluations("run", judge_of(run), run.archive, 8)
    (section,) = finals_sections([found])
    assert [row["trainings"] for row in section.tables[0].rows] == [
        s.trainings for s in run.generations[-1].finals
    ]
    assert not finals_sections([Evaluations("x", judge_of(run), Archive({}), 8)])
    (best, *_) = run.generations[-1].finals
    facts = finals_facts(found, Axes.of([found], QUANTITIES))
    assert facts == {"ones after finals": f"{best.mean[0]:.4g} over {best.trainings} trainings"}


def test_the_front_is_that_of_the_networks_in_the_finals():
    run = searched(declared(several=True, finals={"networks": 9, "seeds": 1}, evaluations=49))
    judge, networks = judge_of(run), run.archive.networks()
    found = front(judge, networks)
    assert all(record.further for record in found)
    for record in found:
        own = mean_fitness(judge, record)
        for standing in run.generations[-1].finals:
            other = standing.mean
            assert not (other[0] >= own[0] and other[1] >= own[1] and other != own)
    assert pick(judge, networks, "knee").further
    assert pick(judge, networks, "best").key == run.generations[-1].finals[0].record.key


def test_a_search_without_finals_forgets_those_of_another_one():
    run = searched(declared())
    assert run.archive.finals
    searched(declared(finals={}), run.archive)
    assert not run.archive.finals
    assert not any(record.further for record in run.archive.networks())


def test_more_seeds_go_on_from_those_that_are_known():
    run = searched(declared(finals={"networks": 1, "seeds": 2}, evaluations=34))
    before = len(Noisy.asked)
    more = searched(declared(finals={"networks": 1, "seeds": 5}, evaluations=37), run.archive)
    assert [seed for _, seed in Noisy.asked[before:]] == [3, 4, 5]
    assert more.generations[-1].finals[0].trainings == 6


def test_a_training_that_fails_is_not_repeated_and_costs_its_network_the_place():
    Noisy.fails = (1,)  # whoever is trained again, once
    run = searched(declared(finals={"networks": 1, "seeds": 2}, evaluations=34))
    (alone,) = run.generations[-1].finals
    assert (alone.failed, alone.trainings, alone.standard_error) == (1, 3, None)
    best = alone.record.architecture
    Noisy.fails = ((best, 1),)
    run = searched(declared())
    last = run.generations[-1].finals[-1]
    assert (last.record.architecture, last.failed, last.probability) == (best, 1, 0.0)
    asked = len(Noisy.asked)
    assert told(searched(declared(), run.archive)) == told(run)
    assert len(Noisy.asked) == asked


def regret(finals, seed):
    problem = type("Seeded", (Noisy,), {})
    problem.__init__ = lambda self: Noisy.__init__(self, noise=2.0, seed=seed)
    tables = declared(finals=finals, evaluations=60) | {"seed": seed}
    run = searched(tables, problem=problem)
    return 12 - sum(pick(judge_of(run), run.archive.networks(), "best").genome)


@pytest.mark.slow
def test_the_network_that_is_returned_is_better_than_the_lucky_one():
    alone = [regret({}, seed) for seed in range(40)]
    finals = [regret({"networks": 6, "seeds": 3}, seed) for seed in range(40)]
    assert fmean(finals) < fmean(alone) - 0.2


def test_the_probability_is_that_of_the_best_of_two_normal_values():
    def finalist(name, *values):
        own, *further = [Record(f"{name}{v}", [], name, "ok", {"ones": v}) for v in values]
        return replace(own, further=tuple(further))

    (objective,) = declare(declared(), {"noisy": Noisy}, "test").objectives
    better, worse = standings(Judge([objective]), [finalist("b", -1, 1), finalist("a", 0, 2)])
    # Their means differ by 1; both have a standard error of sqrt(2) / sqrt(2) = 1.
    assert (better.mean, worse.mean) == ((1.0,), (0.0,))
    assert better.standard_error == worse.standard_error == (pytest.approx(1.0),)
    assert better.probability == pytest.approx(0.760, abs=0.02)  # Phi(1 / sqrt(2))
    assert better.probability + worse.probability == pytest.approx(1)


def test_equals_that_have_no_noise_are_all_the_best():
    run = searched(declared(), problem=lambda: Noisy(length=3, noise=0.0))
    probabilities = {s.probability for s in run.generations[-1].finals if s.mean == (3.0,)}
    assert probabilities == {1.0}
    assert sum(s.trainings - 1 for s in run.generations[-1].finals) == 8


def test_what_halving_stopped_is_no_candidate_and_finals_train_in_full():
    class Learning(Curves):
        reseeds = True
        seeds: ClassVar[list] = []

        def evaluate(self, genome, epochs=18, key="", seed=0):
            if seed:
                self.seeds.append((epochs, key))
            return super().evaluate(genome, epochs, key)

    tables = {
        "objectives": [ACCURACY],
        "seed": 2,
        "problem": "curves",
        "toolbox": {"map": "serial"},
        "algorithm": {"use": "genetic_algorithm", "population": 9, "generations": 2},
        "halving": {"epochs": [2, 6]},
        "finals": {"networks": 3, "seeds": 1},
    }
    run = Run(tables, problems={"curves": Learning})
    assert Learning.seeds == [(18, "")] * 3
    finals = run.generations[-1].finals
    assert all(run.archive.is_whole(standing.record) for standing in finals)
    epochs = sum(
        record.measurement.get("trained_epochs", record.measurement["epochs"])
        for record in run.archive
        if not record.failed
    )
    assert run.generations[-1].epochs == epochs


@pytest.mark.parametrize(
    ("finals", "reseeds", "message"),
    {
        "neither": ({"seeds": 2}, True, "finals: one of networks and share is needed, like"),
        "both": ({"networks": 2, "share": 0.2}, True, "finals: one of networks and share is"),
        "share": ({"share": 1.0}, True, "finals.share = 1.0: it should be less than 1"),
        "zero": ({"networks": 0, "seeds": 1}, True, "finals.networks = 0: it should be greater"),
        "name": ({"network": 2, "seeds": 1}, True, "did you mean 'networks'?"),
        "budget": (
            {"networks": 14, "seeds": 2},
            True,
            "stop.evaluations = 40: the finals take 28 of them, so that at least 42 are needed",
        ),
        "not": (DECLARED, False, "finals: this problem cannot train a network again with another"),
        "few": (DECLARED, 1, "finals.seeds = 2: this problem has 1 further trainings"),
    }.values(),
)
def test_finals_that_make_no_sense_are_refused_with_one_line(monkeypatch, finals, reseeds, message):
    monkeypatch.setattr(Noisy, "reseeds", reseeds)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        searched(declared(finals=finals))
    assert "\n" not in str(caught.value)
    assert not Noisy.asked


def test_finals_of_networks_that_inherit_are_refused():
    problem = type("Inheriting", (Noisy,), {"inherits": True})
    with pytest.raises(ValueError, match=r"finals: .* parents' weights .*problem\.inherit"):
        searched(declared(), problem=problem)


def test_the_resolved_declaration_repeats_the_finals():
    declaration = declare(declared(), {"noisy": Noisy}, "test")
    assert declaration.table()["finals"] == DECLARED
    assert declaration.finals == Finals(4, 2)
    assert "finals" not in declare(declared(finals={}), {"noisy": Noisy}, "test").table()


@pytest.mark.parametrize(("evaluations", "networks"), [(20, 2), (50, 4), (100, 8), (400, 30)])
def test_a_share_of_the_trainings_says_how_many_networks_are_in_the_finals(evaluations, networks):
    tables = declared(finals={"share": 0.15}, evaluations=evaluations)
    declaration = declare(tables, {"noisy": Noisy}, "test")
    assert declaration.finals == Finals(networks, 2)
    assert declaration.table()["finals"] == {"networks": networks, "seeds": 2}
    assert declaration.most_networks == evaluations - 2 * networks


def test_without_a_budget_the_share_is_of_what_can_be_bred():
    tables = declared(finals={"share": 0.5}, population=10, generations=9) | {"stop": {}}
    assert declare(tables, {"noisy": Noisy}, "test").finals == Finals(23, 2)


@pytest.mark.slow
def test_finals_on_processes_are_those_in_this_process():
    here = searched(declared(several=True))
    tables = declared(several=True)
    tables["toolbox"] = tables["toolbox"] | {"map": {"use": "processes", "workers": 2}}
    assert told(searched(tables)) == told(here)


@pytest.mark.slow
def test_what_is_on_its_way_when_the_search_ends_is_kept_and_not_repeated():
    tables = declared(use="steady_state", in_flight=3, generations=9) | {
        "stop": {"stale_generations": 1}
    }
    tables["toolbox"] = tables["toolbox"] | {"map": {"use": "processes", "workers": 3}}
    run = searched(tables, problem=Slow)
    known = len(run.toolbox.evaluator.networks.records)
    assert len(run.archive.networks()) > known  # what was in flight
    assert len(run.archive) == len(run.archive.networks()) + 8
    tables["toolbox"] = tables["toolbox"] | {"map": "serial"}
    again = searched(tables, run.archive)
    assert not Noisy.asked
    assert told(again) == told(run)
