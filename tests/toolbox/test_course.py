"""A search that is followed without an evaluation: what it asks for, and when it would have it."""

import itertools
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from problems import PROBLEMS
from problems.bit_counting import LeadingOnesTrailingZeros
from tests.conftest import Run, lotz, onemax
from toolbox.archive import Archive
from toolbox.course import at_most, course
from toolbox.declaration import declare
from toolbox.problem import adapted


class Known(LeadingOnesTrailingZeros):
    """A problem of which everything is known without an evaluation."""

    def known(self, genome):
        return self.evaluate(genome)


class Trained(LeadingOnesTrailingZeros):
    """A problem with six epochs and any number of seeds, whose networks differ in their cost."""

    epochs, reseeds = 6, True

    def cost(self, genome):
        return 1.0 + sum(genome)


def followed(tables, archive=None, problem=None, seconds=lambda genome, epochs: 1.0, **options):
    shelf = PROBLEMS if problem is None else {**PROBLEMS, "mine": problem}
    declaration = declare(tables, shelf, name="test")
    problem = adapted(declaration.problem.build())
    archive = archive or Archive(declaration.identity(problem))
    return course(declaration, problem, archive, seconds, options.pop("slots", 1), **options)


def test_what_is_known_without_training_is_followed_to_the_network():
    tables = lotz(generations=8) | {"problem": {"use": "mine", "length": 8}}
    run = Run(tables, problems={**PROBLEMS, "mine": Known})
    found = followed(tables, problem=Known)
    assert found.networks == found.evaluations == len(run.archive)
    assert found.reused == sum(generation.reused for generation in run.generations)
    assert found.stopped == run.generations[-1].stopped
    assert found.complete


def test_a_batch_waits_for_its_slowest_network_and_a_stream_for_none():
    batches = followed(onemax(), slots=4)
    assert batches.evaluations == 8 + 5 * 7
    assert batches.seconds == pytest.approx((2 + 5 * 2) * 1.0, abs=0.9)
    streamed = followed(onemax(use="steady_state"), slots=4)
    assert streamed.seconds == pytest.approx(streamed.evaluations / 4, abs=1.5)


def test_the_curve_tells_when_each_network_is_known():
    found = followed(onemax(generations=0), slots=2, seconds=lambda genome, epochs: 10.0)
    networks, seconds = zip(*found.curve, strict=True)
    assert networks == tuple(range(9))
    assert [round(second, -1) for second in seconds] == [0, 10, 10, 20, 20, 30, 30, 40, 40]


def test_what_the_archive_has_takes_no_time():
    run = Run(onemax())
    before = len(run.archive)
    found = followed(onemax(), run.archive)
    assert (found.evaluations, found.served) == (0, before)
    assert found.seconds < 1
    assert len(run.archive) == before


def test_halving_trains_most_networks_for_a_few_epochs():
    tables = onemax(generations=0) | {"problem": "mine", "objectives": ["trailing_zeros"]}
    tables["halving"] = {"epochs": [2], "keep": 0.25}
    found = followed(tables, problem=Trained, seconds=lambda genome, epochs: epochs)
    assert found.epochs == 8 * 2 + 2 * 4
    assert found.seconds == pytest.approx(8 * 2 + 2 * 4, abs=0.9)


def test_the_finals_are_counted():
    tables = onemax(generations=0) | {"problem": "mine", "objectives": ["trailing_zeros"]}
    found = followed(tables | {"finals": {"networks": 2, "seeds": 3}}, problem=Trained)
    assert (found.networks, found.evaluations) == (8, 8 + 6)
    assert found.curve[-1][0] == 14


def test_the_rules_that_count_end_it():
    assert followed(onemax() | {"stop": {"evaluations": 11}}).evaluations == 11
    stopped = followed(onemax() | {"stop": {"wall_seconds": 10}})
    assert stopped.evaluations == 8 + 7
    assert stopped.stopped == "10 seconds have passed"


def test_a_continued_search_has_used_up_what_its_archive_took():
    run = Run(onemax(generations=1))
    run.archive.note("generation_seconds", [500.0, 990.0])
    found = followed(onemax() | {"stop": {"wall_seconds": 995}}, run.archive)
    assert found.evaluations == 7


@pytest.fixture
def ticking(monkeypatch):
    """A processor whose clock goes on by a millisecond each time that it is looked at."""
    ticks = itertools.count()
    clock = SimpleNamespace(process_time=lambda: next(ticks) / 1000)
    monkeypatch.setattr("toolbox.course.time", clock)


def test_where_the_time_runs_out_the_rest_is_in_proportion(ticking):
    found = followed(onemax(population=400, generations=50), limit_seconds=0.5)
    assert not found.complete
    assert found.seconds == pytest.approx(400 + 50 * 399, rel=0.05)


def test_where_there_is_no_time_at_all_nothing_is_made_up(ticking):
    with pytest.raises(ValueError, match="no evaluation of it could be followed"):
        followed(onemax(), limit_seconds=0.0)


def test_arithmetic_alone_is_an_upper_limit():
    declaration = declare(onemax(), PROBLEMS, name="test")
    found = at_most(declaration, known=3, seconds=2.0, slots=4)
    assert (found.evaluations, found.seconds) == (40, 20.0)


def test_nothing_random_of_the_search_is_moved(caplog):
    random.seed(5)
    expected = random.random()
    random.seed(5)
    followed(onemax())
    assert random.random() == expected
    assert not caplog.records


def test_a_bound_on_what_is_only_measured_does_not_refuse_every_network():
    tables = lotz(generations=1) | {"bounds": {"leading_ones": 3}}
    assert followed(tables).evaluations > 5


def test_an_algorithm_of_the_users_is_followed_too():
    def evolve(population, toolbox):
        fresh = [toolbox.individual() for _ in range(3)]
        for one, values in zip(fresh, toolbox.map(toolbox.evaluate, fresh), strict=True):
            one.fitness.values = values
        return [*population[3:], *fresh]

    declaration = declare(onemax(), PROBLEMS, name="test")
    algorithm = replace(declaration.algorithm, target=evolve, options={}, given=())
    problem = adapted(declaration.problem.build())
    archive = Archive(declaration.identity(problem))
    of = replace(declaration, algorithm=algorithm)
    found = course(of, problem, archive, lambda genome, epochs: 1.0, 1)
    assert found.evaluations == 8 + 5 * 3
