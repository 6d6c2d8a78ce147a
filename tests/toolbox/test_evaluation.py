"""What becomes of a network that fails: a record, a finite worst, and never a second try."""

import math
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from fractions import Fraction

import numpy
import pytest
import torch

from problems.spaces.bit_string import BitString
from tests.conftest import REPOSITORY, Gathering, Run, onemax
from toolbox.archive import Archive
from toolbox.individual import Individual
from toolbox.measure import Job, Measure, Outcome
from toolbox.operator_error import OperatorError


class Failing:
    """OneMax that fails in its own way on strings that begin with 1."""

    measures = ("ones",)
    evaluations = 0

    def __init__(self, how="raise", length=6):
        self.how = how
        self.space = BitString(length)

    def evaluate(self, genome):
        if not genome[0]:
            return {"ones": float(sum(genome))}
        Failing.evaluations += 1
        match self.how:
            case "raise":
                raise RuntimeError("out of\nmemory")
            case "exit":
                raise SystemExit(3)
            case "nan":
                return {"ones": math.nan}
            case "infinite":
                return {"ones": math.inf}
            case "text":
                return {"ones": "many"}
            case _:
                return [1.0]


MESSAGES = {
    "raise": "RuntimeError: out of memory",
    "exit": "SystemExit: 3",
    "nan": "ones = nan, not a finite number",
    "infinite": "ones = inf, not a finite number",
    "text": "ones = 'many', not a finite number",
    "list": "evaluate returned list, not a dict of numbers",
}


def failing(how, **changes):
    problem = {"use": "failing", "how": how}
    return Run(onemax(**changes) | {"problem": problem}, problems={"failing": Failing})


@pytest.mark.parametrize("how", MESSAGES)
def test_a_failure_is_remembered_with_its_message_and_has_the_worst_fitness(how):
    run = failing(how, generations=0, population=20)
    failed = [record for record in run.archive if record.genome[0]]
    assert failed
    for record in failed:
        assert (record.status, record.measurement) == ("error", {})
        assert MESSAGES[how] in record.message
    for individual in run.population:
        worst = run.declaration.objectives[0].worst
        assert (individual.fitness.values == (worst,)) == bool(individual[0])
    assert run.generations[0].failed == sum(individual[0] for individual in run.population)


def test_a_failed_network_is_not_tried_again():
    run = failing("raise", generations=3)
    before = Failing.evaluations
    Run(
        onemax(generations=3) | {"problem": {"use": "failing"}},
        archive=run.archive,
        problems={"failing": Failing},
    )
    assert Failing.evaluations == before


def test_a_genome_outside_the_space_is_infeasible_and_never_trained():
    class Half(BitString):
        def violation(self, genome):
            return "it begins with 1" if genome[0] else ""

    class Problem(Failing):
        def __init__(self):
            super().__init__()
            self.space = Half(6)

    run = Run(onemax(generations=0) | {"problem": "half"}, problems={"half": Problem})
    before = Failing.evaluations
    individual = Individual([1, 0, 0, 0, 0, 0], weights=(1.0,))
    assert run.toolbox.evaluate(individual) == (run.declaration.objectives[0].worst,)
    record = run.archive.get(run.toolbox.evaluator.networks.identify(individual)[0])
    assert (record.status, record.message) == ("infeasible", "it begins with 1")
    assert Failing.evaluations == before
    assert run.toolbox.evaluator.networks.counts["infeasible"] == 1


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ([9] + [0] * 11, "an individual has bit1 = 9; legal: 0 to 1"),
        ([0, -1] + [0] * 10, "an individual has bit2 = -1; legal: 0 to 1"),
        ([0.5] + [0] * 11, "an individual has bit1 = 0.5; legal: 0 to 1"),
        ([0, 1], r"\[0, 1\] has 2 genes; this space has 12"),
    ],
)
def test_an_algorithm_that_asks_for_what_is_no_genome_is_told(genes, message):
    """Its operators are looked after, and an algorithm of somebody's own may do without them."""
    run = Run(onemax(generations=0))
    with pytest.raises(OperatorError, match=f"evaluate: {message}"):
        run.toolbox.map(run.toolbox.evaluate, [Individual(genes, (1.0,))])


def test_genes_of_numpy_are_evaluated_as_plain_ones():
    run = Run(onemax(generations=0))
    individual = Individual([numpy.int64(1)] * 12, (1.0,))
    assert run.toolbox.map(run.toolbox.evaluate, [individual]) == [(12.0,)]
    assert {type(gene) for record in run.archive for gene in record.genome} == {int}


def test_a_measurement_keeps_integers_and_floats():
    class Counting:
        space = BitString(2)

        def evaluate(self, genome):
            return {"params": 3264, "accuracy": 0.5}

    outcome = Measure(Counting())(Job(7, [0, 1]))
    assert outcome == Outcome(7, "ok", {"params": 3264, "accuracy": 0.5})
    assert isinstance(outcome.measurement["params"], int)


def test_a_measurement_becomes_plain_numbers():
    class Counting:
        space = BitString(2)

        def evaluate(self, genome):
            return {
                "a": numpy.float64(0.5),
                "b": numpy.int64(2),
                "c": True,
                "d": Fraction(1, 4),
                "e": numpy.array(0.75),
                "f": torch.tensor(3),
                "g": torch.tensor(True),
            }

    outcome = Measure(Counting())(Job(0, [0, 1]))
    numbers = [0.5, 2, 1, 0.25, 0.75, 3, 1]
    assert list(outcome.measurement.values()) == numbers
    assert list(map(type, outcome.measurement.values())) == list(map(type, numbers))


def test_an_array_of_several_numbers_is_no_measurement():
    class Counting:
        space = BitString(2)

        def evaluate(self, genome):
            return {"a": torch.tensor([1.0])}

    outcome = Measure(Counting())(Job(0, [0, 1]))
    assert (outcome.status, outcome.measurement) == ("error", {})
    assert "evaluate returned a = tensor([1.]), not a finite number" in outcome.message


def test_a_network_twice_among_those_asked_for_is_reused_once():
    run = Run(onemax(generations=0))
    networks = run.toolbox.evaluator.networks
    networks.take_counts()
    known = list(run.population[0])
    fresh = next(g for g in ([0] * 12, [1] * 12) if g not in run.population)
    asked = [Individual(g, weights=(1.0,)) for g in (known, fresh, fresh, known)]
    run.toolbox.map(run.toolbox.evaluate, asked)
    assert networks.counts["reused"] == 3
    assert (networks.counts["trained"], networks.counts["evaluated"]) == (1, 4)


def test_a_backend_that_loses_a_job_is_caught():
    with pytest.raises(OperatorError, match=r"toolbox\.map: it answered for all but 8 jobs"):
        Run(onemax(), swap=lambda toolbox, problem: toolbox.register("map", lambda f, jobs: []))


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (lambda function, jobs: None, "it returned None"),
        (lambda function, jobs: jobs, "it yielded Job"),
        (lambda function, jobs: 2 * list(map(function, jobs)), "it yielded Outcome.*once for each"),
    ],
)
def test_a_map_that_does_not_answer_for_each_job_once_is_refused(backend, message):
    with pytest.raises(OperatorError, match=rf"toolbox\.map: {message}"):
        Run(onemax(), swap=lambda toolbox, problem: toolbox.register("map", backend))


def test_what_takes_longest_is_begun_first():
    class Costly(Failing):
        def cost(self, genome):
            return int("".join(map(str, genome)), 2)

    began = []

    def noting(function, jobs):
        began.append([job.genome for job in jobs])
        return map(function, jobs)

    run = Run(
        onemax(generations=2, population=20) | {"problem": "costly"},
        problems={"costly": Costly},
        swap=lambda toolbox, problem: toolbox.register("map", noting),
    )
    assert len(began[0]) > 5
    assert began == [sorted(genomes, reverse=True) for genomes in began]
    assert [r.genome for r in list(run.archive)[: len(began[0])]] == began[0]


def test_two_genomes_of_one_network_share_a_record():
    from problems.spaces.layer_string import LayerString

    class Untrained:
        space = LayerString()

        def evaluate(self, genome):
            return {"ones": 1.0}

    run = Run(
        onemax(use="random_search", generations=0) | {"problem": "untrained"},
        archive=Archive({}),
        problems={"untrained": Untrained},
    )
    space = Untrained.space
    genome = space.encode("NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;")
    inert = list(genome)
    inert[space.slots[-1].start + 2] = 1
    identify = run.toolbox.evaluator.networks.identify
    assert genome != inert
    assert identify(genome) == identify(inert)


def told_to(records, path):
    """Note each record that anybody is told of, and that it is on disk by then."""

    def watch(toolbox, problem):
        toolbox.register("map", Gathering(3))

        def told(record):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
                query = "SELECT count(*) FROM evaluations WHERE key = ?"
                (on_disk,) = reader.execute(query, [record.key]).fetchone()
            records.append((record.key, on_disk))

        toolbox.evaluator.networks._on_record = told

    return watch


GENERATIONAL, STREAM = onemax(), onemax(use="steady_state", in_flight=3)


@pytest.mark.parametrize("tables", [GENERATIONAL, STREAM], ids=["generations", "stream"])
def test_nobody_is_told_of_an_evaluation_that_is_not_on_disk(tables, tmp_path):
    path = tmp_path / "archive.sqlite"
    archive = Archive({}, path)
    told = []
    run = Run(tables, archive=archive, swap=told_to(told, path))
    assert told == [(record.key, 1) for record in archive]
    assert len(told) == sum(generation.trained for generation in run.generations) > 20
    archive.close()


def test_what_arrives_together_is_one_transaction(tmp_path):
    archive = Archive({}, tmp_path / "archive.sqlite")
    commits = []
    archive._connection.set_trace_callback(
        lambda statement: commits.append(statement) if statement == "COMMIT" else None
    )
    one_by_one = len(commits)
    run = Run(
        onemax(population=12, generations=0),
        archive=archive,
        swap=lambda toolbox, problem: toolbox.register("map", Gathering(4)),
    )
    transactions = -(-len(archive) // 4)
    others = 2  # births, and what the generation took
    assert len(commits) - one_by_one == transactions + others
    assert run.generations[0].trained == len(archive)
    archive.close()


KILLED = """
import os, signal, sqlite3, sys
from functools import partial
from pathlib import Path
from tests.conftest import Gathering, Run
from tests.toolbox.test_evaluation import GENERATIONAL, STREAM
from toolbox import archive

_, path, told, tables, moment = sys.argv
commits = 0

class Killed(sqlite3.Connection):
    def executemany(self, statement, rows):
        global commits
        commits += "evaluations" in statement
        return super().executemany(statement, rows)

    def __exit__(self, *error):
        if moment == "before" and commits == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__exit__(*error)
        if moment == "after" and commits == 5:
            os.kill(os.getpid(), signal.SIGKILL)

def watch(toolbox, problem):
    toolbox.register("map", Gathering(3))
    toolbox.evaluator.networks._on_record = lambda record: print(record.key, file=told_to)

told_to = open(told, "w", buffering=1)
sqlite3.connect = partial(sqlite3.connect, factory=Killed)
Run(globals()[tables], archive=archive.Archive({}, Path(path)), swap=watch)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("tables", "moment"), [("GENERATIONAL", "before"), ("STREAM", "after")])
def test_a_kill_between_arrival_and_telling_loses_nothing_that_anybody_was_told(
    tables, moment, tmp_path
):
    path, told = tmp_path / "archive.sqlite", tmp_path / "told"
    command = [sys.executable, "-c", KILLED, path, told, tables, moment]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    known = Archive.read(path)
    heard = told.read_text(encoding="utf-8").split()
    assert heard == [record.key for record in known][: len(heard)]
    assert len(known) - len(heard) == (3 if moment == "after" else 0)
    archive = Archive({}, path)
    gathering = Gathering(3)
    again = Run(globals()[tables], archive, swap=lambda box, _: box.register("map", gathering))
    undisturbed = Run(
        globals()[tables], Archive({}), swap=lambda box, _: box.register("map", gathering)
    )
    assert again.population == undisturbed.population
    assert [record.key for record in archive] == [record.key for record in undisturbed.archive]
    assert sum(generation.trained for generation in again.generations) == len(archive) - len(known)
    archive.close()
