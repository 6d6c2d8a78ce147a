"""`import deap_nas`: a search as an object, by the path of the command line."""

import csv
import functools
import gc
import logging
import random
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import partial

import numpy
import pytest
from deap.tools import cxTwoPoint, selTournament

import deap_nas
from problems.spaces.bit_string import BitString
from tests.conftest import REPOSITORY, onemax, run_search
from tests.test_run_search import DIGITS, ONEMAX, evaluations

pytestmark = pytest.mark.slow  # searches in processes of their own


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "onemax.toml").write_text(ONEMAX)
    (tmp_path / "digits.toml").write_text(DIGITS)
    return tmp_path


def all_ones(individual, share=1.0):
    for place in range(int(len(individual) * share)):
        individual[place] = 1
    return (individual,)


def populations(path):
    with (path / "population.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_is_the_search_of_the_command_line(folder):
    done = run_search("onemax.toml", "algorithm.generations=3", "--runs", "there", cwd=folder)
    assert done.returncode == 0, done.stderr
    result = deap_nas.Search("onemax.toml", "algorithm.generations=3").run()
    there = folder / "there" / "onemax" / "seed-1"
    assert populations(result.path) == populations(there)
    assert evaluations(result.path / "archive.sqlite") == evaluations(there / "archive.sqlite")
    assert {path.name for path in result.path.iterdir()} == {path.name for path in there.iterdir()}
    assert "generation 3/3" in (result.path / "run.log").read_text(encoding="utf-8")
    assert "deap_nas.Search" in (result.path / "run.log").read_text(encoding="utf-8")


def test_tables_do_instead_of_a_file(folder):
    tables = tomllib.loads(ONEMAX)
    search = deap_nas.Search(tables, "seed=4", name="mine", runs="kept")
    assert search.run().path == folder / "kept" / "mine" / "seed-4"
    assert tables == tomllib.loads(ONEMAX)


def test_who_searches_may_change_the_directory_meanwhile(folder, monkeypatch):
    (folder / "afar").mkdir()
    search = deap_nas.Search("onemax.toml")
    for _ in search:
        monkeypatch.chdir(folder / "afar")
    assert search.result.best
    assert (folder / "runs" / "onemax" / "seed-1" / "ranking.csv").exists()
    assert not list((folder / "afar").iterdir())


@dataclass(frozen=True)
class Ones:
    """As many ones as possible, of a class that a person has at hand."""

    length: int = 6

    @property
    def space(self):
        return BitString(self.length)

    def evaluate(self, genome):
        return {"ones": sum(genome)}


def own_tables(**toolbox):
    return {
        "objectives": [{"use": "measured", "name": "ones", "direction": "maximize", "worst": 0.0}],
        "problem": {"use": Ones, "length": numpy.int64(4)},
        "toolbox": {"map": "serial", **toolbox},
        "algorithm": {"use": "genetic_algorithm", "population": 4, "generations": 1},
    }


def test_a_function_or_class_stands_for_its_name():
    search = deap_nas.Search(own_tables(mutate={"use": all_ones, "share": 0.5}, mate=cxTwoPoint))
    declared = search.declaration.table()
    assert declared["problem"] == {"use": f"{__name__}:Ones", "length": 4}
    assert declared["toolbox"]["mutate"] == {"use": f"{__name__}:all_ones", "share": 0.5}
    assert declared["toolbox"]["mate"] == {"use": "deap.tools.crossover:cxTwoPoint"}
    assert search.run().best.measurement["ones"] >= 2


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (own_tables(mutate=lambda one: (one,)), r"toolbox\.mutate = <function .*no lambda or one"),
        (own_tables(mutate={"use": partial(all_ones, share=1)}), r"use = .*: a partial cannot be"),
        (own_tables() | {"problem": Ones()}, r"problem = Ones\(length=6\): a Ones cannot be decl"),
        (own_tables() | {"objectives": {"ones"}}, "objectives = .*: a set cannot be declared"),
    ],
)
def test_what_has_no_name_cannot_be_declared(tables, message):
    with pytest.raises(ValueError, match=message) as caught:
        deap_nas.Search(tables)
    assert "\n" not in str(caught.value)


def test_what_a_notebook_defines_is_evaluated_in_it_alone(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.delattr(main, "__file__", raising=False)
    monkeypatch.setattr(
        main, "Bits", type("Bits", (Ones,), {"__module__": "__main__"}), raising=False
    )
    tables = own_tables() | {"problem": main.Bits}
    with pytest.raises(ValueError, match=r"problem\.use = '__main__:Bits': .* %%writefile"):
        deap_nas.Search(tables | {"toolbox": {"map": "processes"}})
    assert deap_nas.Search(tables).run().best.measurement["ones"] >= 2


def test_an_operator_is_registered_as_in_deap_and_stays_when_the_search_goes_on():
    search = deap_nas.Search("onemax.toml", "algorithm.mutation_probability=1.0")
    search.toolbox.register("mutate", all_ones, share=1.0)
    for _ in search:
        break
    generations = list(search)
    assert generations[-1].best == (12.0,)
    assert generations[1].median == (12.0,)


def test_a_decorator_is_applied_once_each_time():
    calls = []

    def counted(operator):
        def wrapper(*arguments, **options):
            calls.append(1)
            return operator(*arguments, **options)

        return wrapper

    def copy(individual):
        return (individual,)

    search = deap_nas.Search("onemax.toml", "algorithm.generations=0")
    search.toolbox.register("mutate", copy)
    search.toolbox.decorate("mutate", counted)
    list(search)
    calls.clear()
    search.toolbox.mutate(search.toolbox.individual())
    assert calls == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("onmax.toml",), "did you mean 'onemax.toml'"),
        (("onemax.toml", "sed=2"), "sed: unknown key"),
        (({"objectives": ["ones"]},), "problem is missing"),
    ],
)
def test_a_mistake_is_a_value_error_of_one_line_and_leaves_nothing(folder, arguments, message):
    before = set(folder.iterdir())
    with pytest.raises(ValueError, match=message) as raised:
        deap_nas.Search(*arguments)
    assert "\n" not in str(raised.value)
    assert set(folder.iterdir()) == before


def test_an_operator_that_breaks_its_contract_is_a_value_error(folder):
    search = deap_nas.Search("onemax.toml", "algorithm.mutation_probability=1.0")
    search.toolbox.register("mutate", lambda individual: individual)
    with pytest.raises(ValueError, match="must return a tuple"):
        search.run()
    deap_nas.Search("onemax.toml").run()  # the folder is free


def test_a_loop_that_is_left_frees_the_folder_though_a_traceback_holds_it():
    kept = []
    for _ in range(2):
        loop = iter(deap_nas.Search("onemax.toml"))
        kept.append(loop)
        next(loop)
    assert len(deap_nas.Search("onemax.toml").run().networks) > 8
    assert list(kept[0]) == []


def test_a_loop_that_is_left_ends_its_children():
    import multiprocessing

    before = set(multiprocessing.active_children())
    search = deap_nas.Search("onemax.toml", "toolbox.map={use='processes', workers=2}")
    for _ in search:
        break
    gc.collect()
    assert set(multiprocessing.active_children()) <= before
    list(search)


def test_another_process_in_the_folder_is_a_value_error(folder):
    code = (
        f"import sys; sys.path.append({str(REPOSITORY)!r})\nimport deap_nas\n"
        "loop = iter(deap_nas.Search('onemax.toml'))\nnext(loop)\n"
        "print('in', flush=True)\nsys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    try:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(ValueError, match="another search is running in this folder"):
            deap_nas.Search("onemax.toml").run()
    finally:
        other.communicate()


def test_what_cannot_go_on_is_search_stopped(monkeypatch):
    from toolbox.run_folder import RunFolder

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "write_population", full)
    with pytest.raises(deap_nas.SearchStopped, match="No space left"):
        deap_nas.Search("onemax.toml").run()


def test_the_user_s_logging_is_as_it_was(caplog, folder):
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    with caplog.at_level(logging.WARNING):
        deap_nas.Search("onemax.toml").run()
    assert not caplog.records
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before
    assert logging.getLogger("toolbox").level == logging.NOTSET
    deap_nas.Search(onemax(), progress=False).run()


def test_objects_say_what_they_are():
    search = deap_nas.Search("onemax.toml")
    assert "'onemax': genetic_algorithm for ones" in repr(search)
    (*_, last) = search
    assert "population" not in repr(last)
    assert "best=" in repr(last)
    result = search.result
    assert "on the front>" in repr(result)
    assert "ones=" in repr(result.best)
    assert search.problem.space.genes
    assert search.declaration.seed == 1


def test_the_public_names_are_those_of_all():
    for name in deap_nas.__all__:
        assert getattr(deap_nas, name).__doc__, name
    assert set(dir(deap_nas)) == set(deap_nas.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Serach'"):
        deap_nas.Serach  # noqa: B018


def test_a_front_is_a_frame_or_plain_records(monkeypatch):
    result = deap_nas.Search("digits.toml", "algorithm.generations=1", progress=False).run()
    frame = result.front
    assert list(frame.columns[:3]) == ["val_accuracy", "params", "architecture"]
    monkeypatch.setattr("deap_nas.result.find_spec", lambda name: None)
    records = result.front
    assert records == frame.to_dict("records")
    assert isinstance(records[0]["genome"], list)
    assert len(result.networks) >= len(records)
    assert records[0]["architecture"] in result._repr_html_()


@pytest.mark.slow
def test_the_best_network_is_retrained_loaded_and_reported():
    import torch

    result = deap_nas.Search("digits.toml", "algorithm.generations=1", progress=False).run()
    best = deap_nas.open(result.path).best
    with pytest.raises(ValueError, match="has not been retrained"):
        best.network()
    scores = best.retrain("training.epochs=1", seeds=1)
    assert [score["seed"] for score in scores] == [1]
    assert 0 <= scores[0]["accuracy"] <= 1
    network = best.network()
    assert network(torch.rand(2, 1, 12, 12)).shape == (2, 10)
    assert result.report().name == "report.html"
    with pytest.raises(ValueError, match=r"did you mean 'training\.epochs'"):
        best.retrain("training.epoch=1")
    assert best.key == result.pick(best.key).key


def test_the_random_numbers_of_a_search_are_its_seed_s():
    random.seed(0)
    first = deap_nas.Search("onemax.toml", runs="a").run()
    random.seed(1)
    second = deap_nas.Search("onemax.toml", runs="b").run()
    assert populations(first.path) == populations(second.path)


def test_what_was_registered_and_is_never_called_is_warned_of(caplog):
    search = deap_nas.Search("onemax.toml", "algorithm.generations=2")
    search.toolbox.register("mutat", all_ones)
    search.toolbox.register("share", random.random)
    search.toolbox.register("mutate", lambda one: all_ones(one, search.toolbox.share()))
    search.toolbox.register(alias="select", function=selTournament, tournsize=2)
    search.run()
    (warned,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert warned.getMessage() == (
        "toolbox.mutat: it was registered, and this search (algorithm 'genetic_algorithm') does "
        "not call it; did you mean 'mutate'?"
    )


def test_what_is_registered_may_be_given_arrays_and_be_taken_back(caplog):
    search = deap_nas.Search("onemax.toml", "algorithm.generations=1")
    search.toolbox.register("table", lambda array: array, numpy.arange(3))
    assert search.toolbox.table().tolist() == [0, 1, 2]
    search.toolbox.register("mutat", all_ones)
    search.toolbox.unregister("mutat")
    search.run()
    assert "mutat" not in caplog.text
    search.toolbox.unregister("evaluate")
    with pytest.raises(TypeError):
        search.toolbox.register("helper", 5)


def test_an_operator_that_the_algorithm_does_not_use_is_warned_of(caplog):
    steady = ("algorithm.use=regularized_evolution", "algorithm.generations=1")
    search = deap_nas.Search("onemax.toml", *steady)
    search.toolbox.register("mate", cxTwoPoint)
    search.run()
    assert "toolbox.mate: it was registered, and this search (algorithm 'reg" in caplog.text


def test_an_evaluate_of_ones_own_is_told_that_it_is_not_kept(caplog):
    search = deap_nas.Search("onemax.toml", "algorithm.generations=1")
    before = search.toolbox.evaluate
    search.toolbox.decorate("evaluate", lambda one: functools.wraps(one)(lambda i: one(i)))
    assert "toolbox.evaluate" not in caplog.text
    search.toolbox.register("evaluate", lambda one: before(one))
    assert "toolbox.evaluate: a function of your own, so the run folder keeps no" in caplog.text
