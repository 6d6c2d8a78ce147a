"""How long an evaluation takes: fitted to trials, or to what an archive measured."""

import numpy
import pytest
from scipy.optimize import nnls

from problems import PROBLEMS
from tests.conftest import Run, onemax
from tests.toolbox.test_course import Trained
from toolbox.archive import Archive
from toolbox.backends.serial import Serial
from toolbox.pace import Tried, _least_squares, pace_of_archive, pace_of_trials, timed, tries
from toolbox.problem import adapted


class Measured(Trained):
    """It tells of seconds that nobody waited for: 2 and 3 for each unit of its cost."""

    def evaluate(self, genome):
        told = super().evaluate(genome) | {"epochs": 6}
        return told | {"train_seconds": 2.0 + 3.0 * self.cost(genome)}


def trials(problem, seconds, epoch=0.0):
    genomes = [[1] * ones + [0] * (8 - ones) for ones in range(8)]
    told = [
        {
            "expected_seconds": seconds(problem.cost(genome)),
            "least_seconds": seconds(problem.cost(genome)) / 2,
            "epoch_seconds": epoch,
        }
        for genome in genomes
    ]
    return Tried(genomes, told)


def test_the_pace_is_a_fixed_time_and_one_in_proportion_to_the_cost():
    problem = adapted(Trained(8))
    pace = pace_of_trials(problem, trials(problem, lambda cost: 2 + 3 * cost))
    assert pace.seconds([0] * 8) == pytest.approx(5)
    assert pace.seconds([1] * 8) == pytest.approx(29)
    assert pace.least_share == pytest.approx(0.5)
    assert pace.source == "trials of 8 networks"


def test_no_part_of_it_is_negative():
    problem = adapted(Trained(8))
    pace = pace_of_trials(problem, trials(problem, lambda cost: 20 - 2 * cost))
    assert pace.fixed > 0
    assert pace.slope == 0
    assert pace.seconds([1] * 8) == pytest.approx(11)  # the mean


def test_the_fit_is_that_of_scipy():
    random, bounds = numpy.random.default_rng(0), 0
    for _ in range(300):
        columns = random.random((random.integers(2, 6), 2)) * [1, 10.0 ** random.integers(-3, 3)]
        found, expected = _least_squares(columns), nnls(columns, numpy.ones(len(columns)))[0]
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
        bounds += 0.0 in found
    assert 50 < bounds < 250  # both kinds of optimum were seen


def test_fewer_epochs_take_less():
    problem = adapted(Trained(8))
    pace = pace_of_trials(problem, trials(problem, lambda cost: 7.0, epoch=1.0))
    assert pace.seconds([0] * 8, 6) == pytest.approx(7)
    assert pace.seconds([0] * 8, 1) == pytest.approx(2)


def test_trainings_that_were_seen_to_stop_tell_of_the_others():
    problem = adapted(Trained(8))
    found = trials(problem, lambda cost: 7.0, epoch=1.0)
    found.told[0]["epochs"], found.told[1]["epochs"] = 2.0, 3.0
    pace = pace_of_trials(problem, found)
    assert pace.epochs == 2.5
    assert pace.seconds([0] * 8) == pytest.approx(7 - 3.5)
    assert pace.source == "trials of 8 networks, 2 of which were seen to stop after 2.5 epochs"


def run_of(problem, seconds):
    tables = onemax() | {"problem": "mine", "objectives": ["trailing_zeros"]}
    run = Run(tables, problems={**PROBLEMS, "mine": problem})
    run.archive.note("generation_seconds", seconds)
    return run


def test_an_archive_tells_how_networks_differ_and_its_generations_how_long_a_search_takes():
    run = run_of(Measured, [100.0, 200.0])
    problem = adapted(run.problem)
    pace = pace_of_archive(problem, run.archive, slots=2)
    assert pace.fixed / pace.slope == pytest.approx(2 / 3)
    ended = {b.key for b in run.archive.births if b.generation < 2}
    took = [pace.seconds(run.archive.get(key).genome) for key in ended]
    assert sum(took) / 2 == pytest.approx(200)


def test_where_no_time_is_measured_the_cost_tells_how_networks_differ():
    run = run_of(Trained, [100.0])
    pace = pace_of_archive(adapted(run.problem), run.archive, slots=1)
    assert pace.slope > 0


def test_an_archive_without_a_finished_generation_tells_nothing():
    run = run_of(Measured, [])
    assert pace_of_archive(adapted(run.problem), run.archive, 1) is None
    assert pace_of_archive(adapted(run.problem), Archive({}), 1) is None


def test_whole_evaluations_are_timed_until_there_is_no_time_left():
    problem = adapted(Trained(8))
    brief = timed(problem, 1.0)
    assert brief.whole
    genomes = [[0] * 8, [1] * 8]
    found = tries(Serial(), brief, genomes, 60.0)
    assert found.genomes == genomes
    assert [one["trailing_zeros"] for one in found.measured] == [8, 0]
    assert [one["first"] for one in found.told] == [1, 0]
    for told in found.told:
        assert told["expected_seconds"] == told["least_seconds"] == told["trial_seconds"] >= 0
        assert told["resident_bytes"] > 1e6
    assert len(tries(Serial(), brief, genomes, 0.0).genomes) == 1


def test_what_fails_is_told_and_left_out():
    class Picky(Trained):
        def evaluate(self, genome):
            if sum(genome):
                raise RuntimeError("too many ones")
            return super().evaluate(genome)

    found = tries(Serial(), timed(adapted(Picky(8)), 1.0), [[1] * 8, [0] * 8], 60.0)
    assert found.genomes == [[0] * 8]
    assert found.failure == "RuntimeError: too many ones"
