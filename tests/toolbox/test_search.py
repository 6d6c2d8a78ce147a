import functools
import random

import pytest
from deap import tools

from problems.spaces.bit_string import BitString
from tests.conftest import Run, lotz, onemax
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.individual import Individual
from toolbox.operator_error import OperatorError
from toolbox.search import search
from toolbox.stopped import NothingMeasured


def rows(run):
    return [
        (g.number, g.population, g.evaluated, g.best, g.median, g.hypervolume)
        for g in run.generations
    ]


def test_a_network_is_never_trained_twice():
    evaluated = []
    run = Run(onemax(generations=20), swap=lambda toolbox, problem: spy(toolbox, evaluated))
    assert len(evaluated) == len(set(evaluated)) == len(run.archive)
    assert sum(g.reused for g in run.generations) > 0


def spy(toolbox, evaluated):
    """Note each genome that reaches the problem."""
    measure = toolbox.evaluator.measure

    def noting(job):
        evaluated.append(tuple(job.genome))
        return measure(job)

    toolbox.evaluator.measure = noting


def test_a_replay_trains_nothing_and_ends_with_the_same_population():
    first = Run(lotz(generations=6))
    again = Run(lotz(generations=6), archive=first.archive)
    assert sum(g.trained for g in again.generations) == 0
    assert [g.population for g in again.generations] == [g.population for g in first.generations]
    assert [g.best for g in again.generations] == [g.best for g in first.generations]
    assert [g.hypervolume for g in again.generations] == [g.hypervolume for g in first.generations]
    assert [g.seconds for g in again.generations] == [g.seconds for g in first.generations]


@pytest.mark.parametrize("interrupted_after", [1, 7, 30, 61])
def test_an_interrupted_search_continues_as_if_nothing_had_happened(interrupted_after):
    whole = Run(lotz(generations=6))
    archive = Archive(whole.archive.problem)

    def interrupt(toolbox, problem):
        measure, done = toolbox.evaluator.measure, []

        def failing(job):
            done.append(job)
            if len(done) > interrupted_after:
                raise KeyboardInterrupt
            return measure(job)

        toolbox.evaluator.measure = failing

    with pytest.raises(KeyboardInterrupt):
        Run(lotz(generations=6), archive=archive, swap=interrupt)
    assert len(archive) == interrupted_after
    continued = Run(lotz(generations=6), archive=archive)
    assert continued.population == whole.population
    assert sum(g.trained for g in continued.generations) == len(whole.archive) - interrupted_after


def test_counts_add_up():
    run = Run(lotz(generations=8))
    for g in run.generations:
        assert g.evaluated == g.trained + g.reused + g.infeasible
    assert sum(g.trained for g in run.generations) == len(run.archive)
    assert run.generations[0].evaluated == 20


def test_0_generations_evaluate_the_first_population_only():
    run = Run(onemax(generations=0))
    assert len(run.generations) == 1
    assert run.generations[0].evaluated == 8
    assert run.generations[0].stopped == "0 generations were evolved"


@pytest.mark.parametrize("evaluations", [1, 5, 8, 13, 20])
@pytest.mark.parametrize(
    "algorithm", ["nsga2", "nsga3", "spea2", "random_search", "eaMuPlusLambda"]
)
def test_the_budget_of_evaluations_is_exact(evaluations, algorithm):
    run = Run(
        lotz(use=algorithm, population=8, generations=50) | {"stop": {"evaluations": evaluations}}
    )
    assert len(run.archive) == sum(g.trained for g in run.generations) == evaluations
    assert run.generations[0].evaluated <= 8
    assert run.generations[-1].stopped == f"{evaluations} networks were evaluated"
    assert all(i.fitness.valid for i in run.population)


def test_it_stops_at_the_target_fitness():
    run = Run(onemax(generations=200, population=20) | {"stop": {"target_fitness": 11}})
    assert run.generations[-1].stopped == "the target fitness was reached"
    assert run.generations[-1].best[0] >= 11
    assert all(g.best[0] < 11 for g in run.generations[:-1])


def test_it_stops_when_one_network_reaches_every_target():
    run = Run(lotz(generations=99) | {"stop": {"target_fitness": [4, 4]}})
    assert run.generations[-1].stopped == "the target fitness was reached"
    assert any(min(i.fitness.values) >= 4 for i in run.population)


def test_it_stops_when_nothing_better_is_found():
    tables = onemax(generations=99) | {"stop": {"stale_generations": 3}}
    tables["problem"] = {"use": "onemax", "length": 4}
    run = Run(tables)
    assert run.generations[-1].stopped == "nothing better was found in 3 generations"
    assert len({g.best for g in run.generations[-4:]}) == 1


def test_it_stops_when_its_time_has_passed_and_a_replay_stops_there_too():
    tables = onemax(generations=99) | {"stop": {"wall_seconds": 1e-9}}
    run = Run(tables)
    assert len(run.generations) == 1
    assert run.generations[-1].stopped == "1e-09 seconds have passed"
    archive = run.archive
    archive.note("generation_seconds", [5e-10, 8e-10, 2e-9])
    Run(onemax(generations=2), archive=archive)  # trains two more generations
    archive.note("generation_seconds", [5e-10, 8e-10, 2e-9])
    assert len(Run(tables, archive=archive).generations) == 3


def test_the_same_seed_gives_the_same_search_and_another_seed_another():
    assert rows(Run(lotz(generations=4))) == rows(Run(lotz(generations=4)))
    assert rows(Run(lotz(generations=4))) != rows(Run(lotz(generations=4) | {"seed": 2}))


def test_the_hypervolume_never_shrinks():
    volumes = [g.hypervolume for g in Run(lotz(generations=10)).generations]
    assert volumes == sorted(volumes)
    assert volumes[-1] > volumes[0]
    assert Run(onemax(generations=1)).generations[-1].hypervolume is None


def test_an_operator_is_swapped_by_registering_another():
    def never(individual):
        return (individual,)

    run = Run(
        onemax(crossover_probability=0.0, mutation_probability=1.0),
        swap=lambda toolbox, problem: toolbox.register("mutate", never),
    )
    assert len(run.archive) == len({tuple(i) for i in run.generations[0].population})


def test_deap_s_operators_run_behind_the_archive():
    def swap(toolbox, problem):
        toolbox.register("mate", tools.cxTwoPoint)
        toolbox.register("mutate", tools.mutFlipBit, indpb=0.1)
        toolbox.register("select", tools.selTournament, tournsize=3)

    run = Run(onemax(generations=30, population=20), swap=swap)
    assert run.generations[-1].best == (12.0,)


def test_any_map_can_be_registered():
    from multiprocessing.pool import ThreadPool

    with ThreadPool(2) as pool:
        run = Run(
            onemax(), swap=lambda toolbox, problem: toolbox.register("map", pool.imap_unordered)
        )
    assert run.population == Run(onemax()).population


def test_a_user_s_own_evaluate_is_simply_applied():
    run = Run(
        onemax(generations=10),
        swap=lambda toolbox, problem: toolbox.register(
            "evaluate", lambda individual: (float(individual[0]),)
        ),
    )
    assert len(run.archive) == 0
    assert run.generations[-1].best == (1.0,)


def test_evaluate_answers_for_one_individual_too():
    run = Run(onemax(generations=0))
    individual = run.toolbox.individual()
    assert run.toolbox.evaluate(individual) == (float(sum(individual)),)


def test_evaluation_draws_nothing_from_the_global_generator():
    run = Run(onemax(generations=0))
    state = random.getstate()
    run.toolbox.evaluate(run.population[0])
    assert random.getstate() == state


def test_another_individual_is_used_from_the_first_population_on():
    from toolbox.individual import Individual

    def swap(toolbox, problem):
        toolbox.register("individual", lambda: Individual([0] * 12, weights=(1.0,)))

    run = Run(onemax(generations=0), swap=swap)
    assert run.population == [[0] * 12] * 8


def test_a_decorated_evaluate_is_still_served_by_the_backend():
    served = []

    def backend(function, jobs):
        served.extend(jobs)
        return map(function, jobs)

    def halved(evaluate):
        @functools.wraps(evaluate)
        def half(individual):
            (ones,) = evaluate(individual)
            return (ones / 2,)

        return half

    def swap(toolbox, problem):
        toolbox.register("map", backend)
        toolbox.decorate("evaluate", halved)

    run = Run(onemax(generations=10), swap=swap)
    assert len(served) == len(run.archive)
    assert 5 <= run.generations[-1].best[0] <= 6


def test_a_problem_that_draws_from_the_global_generators_does_not_steer_the_search():
    import numpy

    from problems.bit_counting import OneMax

    class Drawing(OneMax):
        def evaluate(self, genome):
            random.random()
            numpy.random.rand()
            return super().evaluate(genome)

    tables = onemax(generations=8)
    steered = Run(tables | {"problem": {"use": "d", "length": 12}}, problems={"d": Drawing})
    assert steered.population == Run(tables).population


def test_an_algorithm_of_one_s_own_is_given_what_it_asks_for(tmp_path, monkeypatch):
    (tmp_path / "own_mutants.py").write_text(
        "from toolbox.evaluation import evaluate_invalid\n"
        "def mutants(population, toolbox, space, generations, objectives):\n"
        "    assert len(space.genes) == 12 and generations == 4 and len(objectives) == 1\n"
        "    children = [toolbox.mutate(toolbox.clone(one))[0] for one in population]\n"
        "    for child in children: del child.fitness.values\n"
        "    evaluate_invalid(children, toolbox)\n"
        "    return toolbox.select(population + children, len(population))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    algorithm = {"use": "own_mutants:mutants", "population": 6, "generations": 4}
    run = Run(onemax() | {"algorithm": algorithm})
    assert len(run.generations) == 5


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return [99] * len(space.genes)", "is no network of this space"),
        ("return [0]", "toolbox.individual: it returned 1 genes"),
        ("return None", "toolbox.individual: it returned None"),
    ],
)
def test_an_initialization_that_leaves_the_space_is_named(tmp_path, monkeypatch, body, message):
    name = f"own_individuals_{len(body)}"
    (tmp_path / f"{name}.py").write_text(f"def draw(space): {body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    tables = onemax()
    tables["toolbox"] = tables["toolbox"] | {"individual": f"{name}:draw"}
    with pytest.raises(OperatorError, match=message):
        Run(tables)


class Broken:
    """A problem whose evaluations fail, but for a genome of ones."""

    space = BitString(12)
    fails = staticmethod(lambda genome: True)

    def evaluate(self, genome):
        if self.fails(genome):
            raise RuntimeError("the picture is broken" if genome[0] else "no memory")
        return {"ones": float(sum(genome))}


def broken(fails, **algorithm):
    problem = type("Broken", (Broken,), {"fails": staticmethod(fails)})
    return Run(onemax(**algorithm) | {"problem": "mine"}, problems={"mine": problem})


def test_a_search_ends_after_a_generation_in_which_every_network_failed():
    with pytest.raises(NothingMeasured, match=r"measured: 8 of 8 failed, \d of them"):
        broken(lambda genome: True)


def test_one_network_that_is_measured_is_enough_to_go_on():
    seen = []
    assert len(broken(lambda genome: bool(seen.append(1)) or len(seen) > 1).generations) == 6


def test_a_search_that_was_refused_everything_ends_without_a_result():
    class Refused(BitString):
        def violation(self, genome):
            return "" if self.drawing else "nothing is right"

        drawing = True

    space = Refused(12)
    problem = type("Mine", (Broken,), {"space": space})
    tables = onemax(generations=2) | {"problem": "mine"}
    declaration = declare(tables, {"mine": problem}, name="test")
    toolbox = assemble(declaration, problem(), Archive({}))
    toolbox.population(n=8)  # a first population can be drawn
    object.__setattr__(space, "drawing", False)
    toolbox.register("individual", lambda: Individual([0] * 12, weights=(1.0,)))
    with pytest.raises(NothingMeasured, match="1 of 1 were refused, 1 of them with: nothing is"):
        list(search(declaration, toolbox))
