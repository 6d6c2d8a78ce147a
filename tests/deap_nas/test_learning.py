"""A search that learns from others, by the command line."""

import json
import re
import shutil
import sqlite3
from contextlib import closing

import pytest

PROBLEM = """
import random
from problems.spaces.bit_string import BitString

class Narrow(BitString):
    def violation(self, genome):
        return "both ends are taken" if genome[0] and genome[-1] else ""

class Hills:
    measures = ("value", "size")
    quantities = {
        "value": {"direction": "maximize", "worst": -9.0},
        "size": {"direction": "minimize", "worst": 100.0},
    }

    def __init__(self, shift=0.0, bits=12, chance=False, narrow=False):
        self.space = (Narrow if narrow else BitString)(bits)
        self.shift, self.chance = shift, chance

    def evaluate(self, genome):
        value = sum(gene * (place + 1) for place, gene in enumerate(genome)) / 78
        value += self.shift * genome[0] - 0.3 * genome[3] * genome[5]
        if self.chance:
            value = random.Random(str(genome)).random()
        return {"value": value, "size": float(sum(genome) + 1)}
"""

SEARCH = """
objectives = ["value"]
problem = "hills:Hills"
[toolbox]
screen = "interaction_ranker"
map = "serial"
[algorithm]
use = "genetic_algorithm"
population = 10
generations = 5
elite = 4
"""
SOURCE = 'learn_from=["runs/first/seed-0"]'
LATER = ("later.toml", "problem.shift=0.1", SOURCE)


def rows(run, query):
    with closing(sqlite3.connect(run / "archive.sqlite")) as archive:
        return archive.execute(query).fetchall()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder with the declarations of two searches, of which the first has ended."""
    from tests.conftest import run_search

    folder = tmp_path_factory.mktemp("learning")
    (folder / "hills.py").write_text(PROBLEM)
    (folder / "first.toml").write_text(SEARCH)
    (folder / "later.toml").write_text(SEARCH)
    done = run_search("first.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def place(first, tmp_path, monkeypatch):
    """A copy of it, as the working folder."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(out):
    return re.findall(r"learn_from: (.*)", out)


@pytest.mark.slow
def test_a_search_learns_from_another_and_says_so(place, command):
    status, out, error = command(*LATER)
    assert status == 0, error
    what, verdict = said(out)
    assert re.fullmatch(r"runs/first/seed-0: \d+ networks \(problem.shift was 0.0, now 0.1\)", what)
    assert verdict.startswith("runs/first/seed-0: its ranking of networks carries over")
    assert command("report", "runs/later/seed-0")[0] == 0
    page = (place / "runs/later/seed-0/report/report.html").read_text()
    assert "seed-0 learned from runs/first/seed-0: its ranking of networks carries over" in page


def test_half_of_the_first_population_are_the_best_of_the_other_search(place, command):
    assert command(*LATER, "algorithm.generations=0")[0] == 0
    values = dict(
        rows(
            place / "runs/first/seed-0",
            "SELECT genome, json_extract(measurement, '$.value') FROM evaluations",
        )
    )
    begun = rows(place / "runs/later/seed-0", "SELECT genome FROM evaluations")
    known = sorted((values[genome] for (genome,) in begun if genome in values), reverse=True)
    assert len(known) >= 5
    assert known[4] >= sorted(values.values())[-12]


@pytest.mark.slow
def test_what_was_learned_from_is_kept_with_the_search(place, command):
    assert command(*LATER, "algorithm.generations=2")[0] == 0
    shutil.rmtree(place / "runs/first")
    status, _, error = command(*LATER)
    assert status == 0, error
    gone_on = (place / "runs/later/seed-0/population.csv").read_text()
    shutil.rmtree(place / "runs/later")
    status, _, error = command(*LATER)
    assert (status, error.count("\n")) == (2, 1)
    assert "learn_from[0] = 'runs/first/seed-0': there is no such folder" in error
    assert command("first.toml")[0] == 0
    assert command(*LATER)[0] == 0
    assert (place / "runs/later/seed-0/population.csv").read_text() == gone_on


def test_what_is_no_network_here_is_left_out_and_not_kept(place, command):
    narrow = (*LATER, "problem.narrow=true")
    status, out, error = command(*narrow, "algorithm.generations=2")
    assert status == 0, error
    inside, outside = map(int, re.findall(r"(\d+) (?:networks|more are no networks here)", out)[:2])
    assert inside >= 20
    assert outside > 5
    ((kept,),) = rows(
        place / "runs/later/seed-0", "SELECT value FROM meta WHERE name = 'learned_from'"
    )
    genomes = [genome for genome, _, _ in json.loads(kept)["runs/first/seed-0"]["networks"]]
    assert len(genomes) == inside
    assert not [genome for genome in genomes if genome[0] and genome[-1]]
    shutil.rmtree(place / "runs/first")
    status, out, error = command(*narrow)
    assert status == 0, error
    assert f"{inside} networks" in said(out)[0]


def test_a_source_that_does_not_carry_over_is_not_used(place, command):
    status, out, error = command("later.toml", "problem.chance=true", SOURCE)
    assert status == 0, error
    assert said(out)[1].startswith(
        "runs/first/seed-0: its ranking of networks does not carry over to this search"
    )


def test_from_chance_nothing_is_learned(place, command):
    assert command("first.toml", "problem.chance=true", "--runs", "chance")[0] == 0
    status, out, error = command("later.toml", 'learn_from=["chance/first/seed-0"]')
    assert status == 0, error
    assert "looks like chance" in said(out)[1]


def test_all_seeds_of_a_search_are_learned_from_together(place, command):
    assert command("first.toml", "seed=1")[0] == 0
    status, out, error = command("later.toml", 'learn_from=["runs/first"]')
    assert status == 0, error
    networks = int(re.match(r"runs/first: (\d+) networks$", said(out)[0])[1])
    assert networks > 60


def test_without_a_guide_only_the_first_population_learns(place, command):
    status, out, error = command(*LATER, "toolbox.screen=everyone")
    assert status == 0, error
    assert "only the first population learns from it" in out


def test_several_objectives_are_learned_together(place, command):
    more = ("objectives=value,size", "algorithm={use='nsga2', population=10, generations=3}")
    status, out, error = command(*LATER, *more)
    assert status == 0, error
    assert "carries over" in said(out)[1]


@pytest.mark.slow
def test_a_plan_and_a_comparison_learn_too(place, command):
    status, out, error = command("plan", *LATER, "--json")
    assert (status, '"networks"' in out) == (0, True), error
    status, out, error = command(
        "compare", *LATER, "--vary", "toolbox.screen=everyone,interaction_ranker", "--seeds", "2"
    )
    assert status == 0, error


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['learn_from="runs/first"'], "learn_from = 'runs/first': a list is needed"),
        (['learn_from=["runs/frist/seed-0"]'], "did you mean 'runs/first/seed-0'?"),
        (['learn_from=["hills.py"]'], "learn_from[0] = 'hills.py': there is no such folder"),
        (['learn_from=["runs/first", "runs/first"]'], "learn_from[1] = 'runs/first': it is named"),
        ([SOURCE, "problem.bits=8"], "its networks have 12 genes, those of this search 8"),
        ([SOURCE, "objectives=nothing"], "objectives[0] = 'nothing'"),
        (['learn_from=["runs/later/seed-0"]'], "there is no such folder"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused_in_one_line(
    place, command, overrides, message
):
    status, _, error = command("later.toml", *overrides)
    assert status == 2
    assert error.count("\n") == 1
    assert message in error
    assert not (place / "runs/later").exists()


def test_a_search_does_not_learn_from_itself(place, command):
    status, _, error = command("first.toml", SOURCE)
    assert status == 2
    assert "it is the folder of this very search" in error


def test_too_few_networks_are_refused(place, command):
    assert command("first.toml", "algorithm.generations=0", "--runs", "few")[0] == 0
    status, _, error = command("later.toml", 'learn_from=["few/first/seed-0"]')
    assert status == 2
    assert "10 of its networks were measured and are networks of this search" in error
