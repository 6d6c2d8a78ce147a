"""Successive halving on networks whose learning curves are declared, so that all is arithmetic."""

import re
from typing import ClassVar

import pytest

from deap_nas.commands.retrain import picked
from deap_nas.finished_run import FinishedRun
from problems.spaces.bit_string import BitString
from tests.conftest import Run, run_search
from tests.toolbox.test_run_folder import table
from toolbox.archive import Archive, Record
from toolbox.assemble import rehearse
from toolbox.declaration import declare
from toolbox.halving import Halving, epochs_for
from toolbox.learning_curve import kept
from toolbox.measure import Measure
from toolbox.operator_error import OperatorError
from toolbox.report.evaluations import Evaluations
from toolbox.report.origins import ancestry
from toolbox.report.picking import pick
from toolbox.report.ranking import front, ranking
from toolbox.run_folder import RunFolder

RUNGS = {"epochs": [2, 6], "keep": 0.33}


class Curves:
    """Strings of bits that learn: the more ones, the better at the start and in the end.

    keeps: what was trained under a key goes on, as in a problem with a folder.
    """

    measures = ("accuracy", "zeros", "epochs", "seconds")
    grow_with_epochs = ("epochs", "seconds")
    epochs = 18
    asked: ClassVar[list] = []  # (architecture, epochs) of each evaluation that ended
    kept: ClassVar[dict] = {}
    stop_before: ClassVar[int | None] = None

    def __init__(self, length=12, keeps=True):
        self.space, self.keeps = BitString(length), keeps

    def evaluate(self, genome, epochs=18, key=""):
        if len(self.asked) == self.stop_before:
            raise KeyboardInterrupt
        if genome[:4] == [1, 1, 1, 1]:
            raise FloatingPointError("it diverged")
        begun = self.kept.get(key, 0) if self.keeps else 0
        self.kept[key] = epochs
        self.asked.append(("".join(map(str, genome)), epochs))
        trained = {"trained_epochs": epochs - begun} if key else {}
        accuracy = sum(genome) / len(genome) * (1 - 0.5**epochs)
        zeros = len(genome) - sum(genome)
        return {"accuracy": accuracy, "zeros": zeros, "epochs": epochs, "seconds": epochs} | trained

    def forget(self, key):
        self.kept.pop(key, None)


@pytest.fixture(autouse=True)
def _nothing_was_asked():
    Curves.asked.clear()
    Curves.kept.clear()
    Curves.stop_before = None


ACCURACY = {"use": "measured", "name": "accuracy", "direction": "maximize", "worst": 0.0}
ZEROS = {"use": "measured", "name": "zeros", "direction": "maximize", "worst": 0.0}


def tables(genomes=None, halving=RUNGS, objectives=(ACCURACY,), **algorithm):
    individual = {"use": "seeded", "genomes": genomes} if genomes else "uniform_random"
    size = {"population": len(genomes) if genomes else 9, "generations": 0 if genomes else 4}
    use = "genetic_algorithm" if len(objectives) == 1 else "nsga2"
    return {
        "objectives": list(objectives),
        "seed": 2,
        "problem": "curves",
        "toolbox": {"map": "serial", "select": "nsga2", "individual": individual},
        "algorithm": {"use": use} | size | algorithm,
    } | ({"halving": halving} if halving else {})


def searched(tables, archive=None, keeps=True):
    return Run(tables, archive=archive, problems={"curves": lambda: Curves(keeps=keeps)})


NINE = ["0" * (11 - ones) + "1" * ones + "0" for ones in range(9)]


def test_the_best_network_is_found_by_the_epochs_of_the_rungs():
    run = searched(tables(NINE))
    # 9 networks for 2 epochs, 3 of them for 4 more, 1 of those for 12 more
    assert run.generations[-1].epochs == 9 * 2 + 3 * 4 + 1 * 12
    (best, *_) = ranking(run.toolbox.evaluator.judge, run.archive.networks())
    assert (best.architecture, best.measurement["epochs"]) == (NINE[8], 18)
    last = {r.architecture: r.measurement["epochs"] for r in run.archive.networks()}
    assert [last[network] for network in NINE] == [2] * 6 + [6] * 2 + [18]
    assert run.generations[-1].evaluated == run.generations[-1].trained == 9
    assert Curves.kept == {}


def test_without_going_on_every_rung_counts_from_its_start():
    run = searched(tables(NINE), keeps=False)
    assert run.generations[-1].epochs == 9 * 2 + 3 * 6 + 1 * 18


def test_without_halving_every_network_is_trained_in_full_under_the_same_key():
    halved, plain = searched(tables(NINE)), searched(tables(NINE, halving=None))
    assert plain.generations[-1].epochs == 9 * 18
    best = next(record for record in halved.archive if record.measurement["epochs"] == 18)
    assert plain.archive.get(best.key).measurement["accuracy"] == best.measurement["accuracy"]
    assert {record.key for record in plain.archive} & {r.key for r in halved.archive} == {best.key}


def test_promotion_is_by_front_and_then_by_crowding():
    run = searched(tables(NINE, objectives=(ACCURACY, ZEROS)))
    # They trade accuracy for zeros, so all are on the front: its two ends go on first.
    ends = {r.architecture for r in run.archive.networks() if r.measurement["epochs"] > 2}
    assert {NINE[0], NINE[8]} < ends
    assert len(ends) == 3


def test_who_fails_or_is_refused_is_not_promoted():
    failing = ["1111" + "0" * 8, "0" * 11 + "1"]
    run = searched(tables(failing, halving={"epochs": [2], "keep": 0.9}))
    assert Curves.asked == [(failing[1], 2), (failing[1], 18)]
    statuses = {r.architecture: r.status for r in run.archive.networks()}
    assert statuses == {failing[0]: "error", failing[1]: "ok"}
    beyond = {"bounds": {"zeros": 10, "redraws": 0}}
    run = searched(tables(["0" * 12, "000000000011"]) | beyond)
    assert [epochs for _, epochs in Curves.asked[2:]] == [2, 2, 6, 18]
    assert run.archive.networks()[0].status == "infeasible"


def population(run):
    return [(list(one), one.fitness.values) for one in run.population]


@pytest.mark.parametrize("stop_before", [4, 10, 12, 30])
def test_a_search_that_was_killed_in_a_rung_goes_on_and_trains_nothing_twice(stop_before):
    whole = searched(tables())
    asked = list(Curves.asked)
    assert len(set(asked)) == len(asked) > 30
    Curves.asked.clear()
    Curves.stop_before = stop_before
    archive = Archive(whole.archive.problem)
    with pytest.raises(KeyboardInterrupt):
        searched(tables(), archive)
    Curves.stop_before = None
    again = searched(tables(), archive)
    assert population(again) == population(whole)
    assert [g.epochs for g in again.generations] == [g.epochs for g in whole.generations]
    assert sorted(Curves.asked) == sorted(asked)
    before = len(Curves.asked)
    replayed = searched(tables(), archive)
    assert population(replayed) == population(whole)
    assert replayed.generations[-1].trained == 0
    assert len(Curves.asked) == before


def test_what_the_archive_knows_in_full_needs_no_rung_then_or_later():
    archive = Archive({})
    searched(tables(NINE[6:], halving=None), archive)
    first = searched(tables(NINE), archive)
    rungs = [(n, 2) for n in NINE[:6]], [(n, 6) for n in NINE[5:3:-1]], [(NINE[5], 18)]
    assert Curves.asked[3:] == [*rungs[0], *rungs[1], *rungs[2]]
    # those of the other search count with all that they took
    assert first.generations[-1].epochs == 3 * 18 + 6 * 2 + 2 * 4 + 12
    assert population(searched(tables(NINE), archive)) == population(first)
    plain = searched(tables(NINE, halving=None), archive)
    assert plain.generations[-1].epochs == 9 * 18


def test_the_limit_counts_distinct_networks():
    run = searched(tables(generations=30) | {"stop": {"evaluations": 20}})
    assert len(run.toolbox.evaluator.networks.records) == len(run.archive.networks()) == 20
    assert len(run.archive) > 20


def test_every_report_shows_a_network_once_by_its_furthest_rung(tmp_path):
    run = searched(tables(generations=3))
    judge = run.toolbox.evaluator.judge
    networks = run.archive.networks()
    assert len({record.architecture for record in networks}) == len(networks) < len(run.archive)
    found = Evaluations("run", judge, run.archive, 9)
    assert len(found.records) == len(networks)
    assert found.epochs == run.generations[-1].epochs
    assert found.shares["measured"] + found.shares["failed"] == len(networks)
    best = pick(judge, networks, "best")
    assert best.measurement["epochs"] == 18
    assert pick(judge, networks, best.key[:12]) == best
    assert ancestry(found, best.key).line[-1].key == best.key
    # a search that is cut short may have births of records that went on since
    assert {found.records[found.by_key[r.key]].architecture for r in run.archive} == {
        record.architecture for record in networks
    }
    with RunFolder(tmp_path, run.declaration) as folder:
        for generation in run.generations:
            folder.write_generation(generation, {})
        folder.write_results(judge, networks)
        rows, totals = table(folder.results), table(folder.path / "generations.csv")
    assert len(rows) == len({row["architecture"] for row in rows})
    assert [float(row["epochs"]) for row in totals] == [g.epochs for g in run.generations]


def test_a_network_that_failed_on_its_way_has_failed():
    archive = Archive({})
    whole, part = archive.key("a"), archive.key("a", epochs=2)
    assert whole != part
    archive.add(Record(part, [1], "a", "ok", {"accuracy": 0.5, "epochs": 2}))
    assert not archive.is_whole(archive.networks()[0])
    archive.add(Record(archive.key("a", epochs=6), [1], "a", "crash"))
    archive.add(Record(archive.key("a", epochs=4), [1], "a", "ok", {"accuracy": 0.6, "epochs": 4}))
    assert [record.status for record in archive.networks()] == ["crash"]
    archive.add(Record(whole, [1], "a", "ok", {"accuracy": 0.9, "epochs": 18}))
    assert archive.networks() == [archive.get(whole)]
    assert front(searched(tables(NINE)).toolbox.evaluator.judge, archive.networks()) == [
        archive.get(whole)
    ]


def test_a_training_that_diverged_counts_the_epochs_that_it_took():
    told = {"epochs": 2, "trained_epochs": 2}

    class Diverging(Curves):
        def evaluate(self, genome, **options):
            if not any(genome):  # one network is measured, so that the search goes on
                return super().evaluate(genome, **options)
            error = FloatingPointError("the loss is nan")
            error.measurement = told
            raise error

    run = Run(tables(NINE), problems={"curves": Diverging})
    assert run.generations[-1].epochs == 8 * 2 + 18
    told["epochs"] = "none of the sort"
    assert Run(tables(NINE), problems={"curves": Diverging}).generations[-1].epochs == 18
    failed = [record for record in run.archive if record.failed]
    assert len(failed) == 8
    assert epochs_for(failed[0], first=False) == 2


def test_the_leading_process_names_no_network_for_an_ordinary_search():
    searched(tables(NINE, halving=None))
    assert list(Curves.kept) == [""]


def test_options_reach_a_problem_that_evaluates_many():
    class Many(Curves):
        def evaluate_many(self, genomes):
            for number, job in enumerate(genomes):
                genome, options = job
                yield number, self.evaluate(genome, **options)

    run = Run(tables(NINE), problems={"curves": Many})
    assert run.generations[-1].epochs == 9 * 2 + 3 * 4 + 1 * 12
    assert isinstance(run.toolbox.evaluator.measure, Measure)


@pytest.mark.parametrize(
    ("halving", "message"),
    {
        "": ({"keep": 0.5}, "halving.epochs is missing"),
        "none": ({"epochs": []}, "halving.epochs = []: it should have at least 1 item"),
        "order": ({"epochs": [6, 2]}, "halving.epochs = [6, 2]: each must be more than the one"),
        "twice": ({"epochs": [2, 2]}, "halving.epochs = [2, 2]: each must be more than the one"),
        "zero": ({"epochs": [0]}, "halving.epochs[0] = 0: it should be greater than or equal to 1"),
        "all": ({"epochs": [2, 18]}, "halving.epochs = [2, 18]: they must be fewer than the 18"),
        "keep": ({"epochs": [2], "keep": 1}, "halving.keep = 1: it should be less than 1"),
        "name": ({"epoch": [2]}, "did you mean 'epochs'?"),
    }.values(),
)
def test_a_halving_that_makes_no_sense_is_refused_with_one_line(halving, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        searched(tables(NINE, halving=halving))
    assert "\n" not in str(caught.value)
    assert not Curves.asked


def test_an_objective_that_favours_the_stopped_is_refused():
    seconds = {"use": "measured", "name": "seconds", "direction": "minimize", "worst": 100.0}
    with pytest.raises(ValueError, match=r"halving: .* objectives\[1\] = 'seconds'"):
        searched(tables(NINE, objectives=(ACCURACY, seconds)))


def test_a_problem_without_epochs_is_refused():
    from tests.conftest import onemax

    with pytest.raises(ValueError, match="halving: this problem has no epochs"):
        Run(onemax() | {"halving": RUNGS})


def test_an_algorithm_without_batches_is_refused():
    with pytest.raises(OperatorError, match="halving: it compares the new networks of a batch"):
        searched(tables(use="steady_state"))
    assert len(Curves.asked) > 0  # by itself this shows in the rehearsal, before anything begins
    declaration = declare(tables(use="steady_state"), {"curves": Curves}, "test")
    Curves.asked.clear()
    with pytest.raises(OperatorError, match="halving"):
        rehearse(declaration, Curves())
    assert not Curves.asked


def test_the_resolved_declaration_repeats_the_halving():
    declared = searched(tables(NINE)).declaration
    assert declared.table()["halving"] == {"epochs": [2, 6], "keep": 0.33}
    assert "halving" not in searched(tables(NINE, halving=None)).declaration.table()
    assert searched(tables(NINE, halving={})).declaration.halving is None


def test_what_becomes_of_the_networks_is_said_before():
    halving = Halving(epochs=(2, 6))
    said = halving.said(9, Curves())
    assert said == "of 9 new networks 3 go on after 2, 1 go on after 6 of 18 epochs"


DIGITS = """
objectives = ["val_accuracy", "params"]
seed = 3
halving = { epochs = [1, 2], keep = 0.5 }
[problem]
use = "image_classification"
dataset = { use = "digits", size = 12, limit = 150, validation = 100 }
space = { use = "layer_string", normal = [1, 1], kernels = [3] }
training = { epochs = 4, optimizer = "adam", learning_rate = 0.01, schedule = "cosine" }
device = "cpu"
[toolbox]
map = { use = "processes", workers = 2 }
[algorithm]
use = "nsga2"
population = 6
generations = 0
"""


@pytest.mark.slow
def test_real_networks_go_on_in_other_processes_and_end_as_if_they_had_never_stopped(tmp_path):
    (tmp_path / "digits.toml").write_text(DIGITS)
    done = run_search("digits.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "halving: of 6 new networks 3 go on after 1, 2 go on after 2 of 4 epochs" in done.stdout
    folder = tmp_path / "runs" / "digits" / "seed-3"
    archive = Archive.read(folder / "archive.sqlite")
    assert not list((folder / "states").iterdir())
    trained = sum(record.measurement["trained_epochs"] for record in archive)
    assert f"epochs trained for it: {trained:,}" in done.stdout
    networks = archive.networks()
    # each began once, and nothing that it had behind it was trained again
    assert trained == sum(record.measurement["epochs"] for record in networks)
    whole = next(record for record in networks if archive.is_whole(record))
    part = next(record for record in networks if not archive.is_whole(record))
    finished = FinishedRun.open(folder)
    # to be retrained by its recipe, and not for the epochs after which it was stopped
    assert [one.epochs for one in picked(finished, [whole.key, part.key])] == [4, None]
    alone = finished.problem.evaluate(whole.genome)
    assert kept(alone.pop("learning_curve")) == whole.curve
    for name in alone:
        if not name.endswith("seconds"):
            assert alone[name] == whole.measurement[name]
