import itertools
import random
from dataclasses import dataclass

import pytest

from problems.bit_counting import OneMax
from tests.conftest import Gathering, Run, onemax
from toolbox.archive import Archive
from toolbox.operator_error import OperatorError


def steady(in_flight=3, **options):
    tables = onemax(use="steady_state", in_flight=in_flight, population=6, generations=4, **options)
    return tables | {"problem": {"use": "onemax", "length": 24}}


def out_of_order(seed):
    """A map that finishes what it has in hand, up to four jobs, in an order of its own."""
    order = random.Random(seed)

    class OutOfOrder:
        def __call__(self, function, jobs):
            jobs, hand = iter(jobs), []
            while True:
                while len(hand) < 4:
                    job = next(jobs, None)
                    if job is None:
                        break
                    hand.append(job)
                if not hand:
                    return
                yield function(hand.pop(order.randrange(len(hand))))

        def room(self, function):
            return 4

    return OutOfOrder()


def use(backend):
    return lambda toolbox, problem: toolbox.register("map", backend)


def test_children_are_bred_one_by_one_as_networks_become_known():
    moments = []

    def note(toolbox, problem):
        measure, mutate = toolbox.evaluator.measure, toolbox.mutate

        def measuring(job):
            moments.append("train")
            return measure(job)

        def breeding(individual):
            moments.append("breed")
            return mutate(individual)

        toolbox.evaluator.measure = measuring
        toolbox.register("mutate", breeding)

    Run(steady(in_flight=1, remutations=0, crossover_probability=0), swap=note)
    bred_between = [
        sum(1 for _ in group) for kind, group in itertools.groupby(moments[6:]) if kind == "train"
    ]
    assert set(bred_between) == {1}


def test_what_is_bred_depends_on_the_order_in_which_networks_become_known():
    runs = [Run(steady(), swap=use(out_of_order(seed))) for seed in range(6)]
    assert len({tuple(map(tuple, run.population)) for run in runs}) > 1


@pytest.mark.parametrize("kept", [0, 7, 13, 20])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_continued_stream_breeds_what_it_bred_before(kept, seed):
    whole = Run(steady(), swap=use(out_of_order(seed)))
    known = Archive(whole.archive.problem)
    for record in list(whole.archive)[:kept]:
        known.add(record)
    trained = []

    def in_the_first_order(function, jobs):
        """The rest becomes known in the order of the first search."""
        hand = {}
        for record in list(whole.archive)[max(kept, 6) :]:
            while (job := next(jobs)) is not None:
                hand[tuple(job.genome)] = job
            trained.append(record.key)
            yield function(hand.pop(tuple(record.genome)))

    class FirstOrder:
        def __call__(self, function, jobs):
            if isinstance(jobs, list):
                return map(function, jobs)
            return in_the_first_order(function, jobs)

        def room(self, function):
            return 1

    again = Run(steady(), archive=known, swap=use(FirstOrder()))
    assert again.population == whole.population
    assert [record.key for record in known][6:] == [record.key for record in whole.archive][6:]
    assert len(trained) == len(whole.archive) - max(kept, 6)


def test_the_number_in_flight_is_remembered():
    first = Run(steady(in_flight=None), swap=use(out_of_order(1)))
    assert first.archive.noted("in_flight") == 4
    again = Run(steady(in_flight=None), archive=first.archive)  # one at a time, by itself
    assert again.population == first.population
    assert sum(g.trained for g in again.generations) == 0
    assert first.archive.noted("in_flight") == 4


def test_the_last_children_are_waited_for_and_no_more_are_bred():
    run = Run(steady(in_flight=5))
    assert sum(g.evaluated for g in run.generations) == 6 + 4 * 6
    assert len(run.toolbox.stream()) == 0


def test_a_budget_is_spent_to_the_last_network():
    for budget in (6, 7, 20):
        run = Run(steady(in_flight=4) | {"stop": {"evaluations": budget}})
        assert len(run.archive) == budget
        assert run.generations[-1].stopped == f"{budget} networks were evaluated"


def test_a_map_that_wants_all_its_jobs_at_once_is_refused():
    with pytest.raises(OperatorError, match=r"toolbox\.map: this algorithm breeds a child as soon"):
        Run(steady(), swap=use(map))


def test_a_decorated_evaluation_is_asked_in_a_stream_too():
    def double(toolbox, problem):
        def doubled(evaluate):
            return lambda individual: tuple(2 * value for value in evaluate(individual))

        toolbox.decorate("evaluate", doubled)

    run = Run(steady(), swap=double)
    best = max(record.measurement["ones"] for record in run.archive)
    assert max(one.fitness.values[0] for one in run.population) == 2 * best


def test_an_evaluation_of_the_user_s_own_needs_no_archive():
    def own(toolbox, problem):
        toolbox.register("evaluate", lambda individual: (float(sum(individual)),))

    run = Run(steady(), swap=own)
    assert len(run.archive) == 0
    assert all(one.fitness.values == (float(sum(one)),) for one in run.population)


@dataclass(frozen=True)
class Fenced(OneMax):
    """OneMax whose number of ones is known without training, so that a bound sees it."""

    def known(self, genome):
        return {"ones": sum(genome)}


def test_a_network_beyond_a_bound_goes_through_no_worker():
    tables = steady(in_flight=2)
    tables |= {"problem": {"use": "fenced", "length": 24}, "bounds": {"ones": 12, "redraws": 0}}
    run = Run(tables, problems={"fenced": Fenced})
    assert sum(g.infeasible for g in run.generations) > 0
    assert {r.status for r in run.archive if r.measurement["ones"] > 12} == {"infeasible"}


@pytest.mark.parametrize("backend", ["processes", "scoop", "ray"])
def test_our_backends_say_how_much_they_hold(backend):
    from toolbox.backends import BACKENDS
    from toolbox.shelf import take

    assert callable(take(backend, BACKENDS, "toolbox.map").room)


@pytest.mark.parametrize("most_ones", [24, 12], ids=["unbounded", "bounded"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_what_arrives_together_is_bred_from_in_the_order_of_the_archive(most_ones, size):
    tables = steady(in_flight=4)
    tables |= {"problem": {"use": "fenced", "length": 24}}
    tables |= {"bounds": {"ones": most_ones, "redraws": 0}}
    problems = {"fenced": Fenced}
    first = Run(tables, problems=problems, swap=use(Gathering(size)))
    again = Run(tables, archive=first.archive, problems=problems)
    assert again.population == first.population
    assert sum(g.trained + g.infeasible for g in again.generations) == 0
    assert any(g.infeasible for g in first.generations) == (most_ones == 12)


@pytest.mark.slow
def test_no_worker_waits_for_another(tmp_path):
    run = Run(
        steady(in_flight=None)
        | {"problem": {"use": "tests.toolbox.test_stream:Uneven"}}
        | {"toolbox": {"select": "tournament", "map": {"use": "processes", "workers": 2}}}
    )
    assert run.archive.noted("in_flight") == 2
    again = Run(
        steady(in_flight=None) | {"problem": {"use": "tests.toolbox.test_stream:Uneven"}},
        archive=run.archive,
    )
    assert again.population == run.population
    assert sum(g.trained for g in again.generations) == 0


@dataclass(frozen=True)
class Uneven(OneMax):
    """OneMax that takes the longer the more ones there are."""

    length: int = 24

    def evaluate(self, genome):
        import time

        time.sleep(0.002 * sum(genome))
        return super().evaluate(genome)
