"""`run_search.py plan`: what it says, of what, and that it leaves nothing behind."""

import json
import re
import sqlite3

import pytest

from tests.deap_nas.commands.test_supernet import DIGITS as SHARED
from tests.test_run_search import DIGITS, ONEMAX
from toolbox.archive import Archive
from toolbox.backends.serial import Serial

OWN = """
from problems.spaces.bit_string import BitString

class Ones:
    def __init__(self, length=10, fails=False):
        self.space, self.fails = BitString(length), fails
    def evaluate(self, genome):
        if self.fails:
            raise RuntimeError("the instrument is off")
        return {"ones": sum(genome)}
"""
OWN_ONES = (
    "objectives=[{use='measured', name='ones', direction='maximize', worst=0.0}]",
    "problem={use='own_ones:Ones'}",
)
SERIAL = "toolbox.map=serial"


@pytest.fixture
def _here(monkeypatch):
    """Whole evaluations in this process, which is faster than to start others."""
    monkeypatch.setattr("deap_nas.planning.Processes", lambda *given, **care: Serial())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("ones", ONEMAX), ("digits", DIGITS), ("shared", SHARED)):
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "own_ones.py").write_text(OWN)
    return tmp_path


@pytest.fixture
def planned(command):
    """The numbers that a plan tells."""

    def plan(*arguments):
        status, out, err = command("plan", *arguments, "--seconds", "0.1", "--json")
        assert status == 0, err
        return json.loads(out)

    return plan


def archived(run):
    return len(Archive.read(run / "archive.sqlite"))


def test_a_plan_says_what_a_search_takes_and_writes_nothing(folder, command):
    before = sorted(folder.rglob("*"))
    status, out, err = command("plan", "digits.toml", SERIAL, "--seconds", "0.1")
    assert status == 0, err
    for line in (
        r"networks    \d+ of at most 12",
        r"epochs      \d+",
        r"time        (under a second|[\d a-z]+), of which (under a second|[\d a-z]+) to start",
        r"finished    .*\d\d:\d\d, if it begins now",
        r"disk        [\d.]+ KiB",
        r"memory      [\d.]+ [MG]iB for each of 1 worker",
        r"energy      ",
        r"known from  trials of \d+ networks?",
    ):
        assert re.search(f"^{line}", out, re.MULTILINE), (line, out)
    assert sorted(folder.rglob("*")) == before


def test_what_the_archive_has_is_not_counted_again(folder, command, planned):
    for run in ("digits.toml", "runs/digits/seed-3"):
        fresh = planned(run, SERIAL)
        if run == "digits.toml":
            assert fresh["served"] == 0
            status, _, err = command("digits.toml", SERIAL)
            assert status == 0, err
            continue
        assert fresh["evaluations"] == 0
        assert fresh["served"] == archived(folder / run)
        assert fresh["source"].endswith("networks of the archive")
        more = planned(run, SERIAL, "algorithm.generations=4")
        assert 0 < more["evaluations"] <= 8


def test_a_problem_of_ones_own_is_evaluated_in_processes_that_can_be_stopped(folder, planned):
    told = planned("ones.toml", *OWN_ONES, SERIAL)
    assert told["evaluations"] == told["networks"] > 20
    assert told["source"].startswith("trials of")


@pytest.mark.usefixtures("_here")
def test_whole_evaluations_are_kept_in_an_archive_that_is_there(folder, command, planned):
    status, _, err = command("ones.toml", *OWN_ONES, "algorithm.generations=0")
    assert status == 0, err
    run = folder / "runs" / "ones" / "seed-1"
    connection = sqlite3.connect(run / "archive.sqlite")
    with connection:  # as after a kill in the first generation
        connection.execute("DELETE FROM meta WHERE name = 'generation_seconds'")
    connection.close()
    before = archived(run)
    planned("ones.toml", *OWN_ONES)
    assert archived(run) > before


@pytest.mark.usefixtures("_here")
def test_several_seeds_are_planned_together_and_what_one_of_them_has_is_served(
    folder, command, planned
):
    one = planned("ones.toml", *OWN_ONES)
    three = planned("ones.toml", *OWN_ONES, "--seeds", "3")
    assert three["most_networks"] == 3 * one["most_networks"]
    assert 2 * one["networks"] < three["networks"] < 4 * one["networks"]
    status, _, err = command("ones.toml", *OWN_ONES, "seed=2")
    assert status == 0, err
    less = planned("ones.toml", *OWN_ONES, "--seeds", "3")
    assert less["networks"] == three["networks"]
    assert less["served"] == archived(folder / "runs" / "ones" / "seed-2")
    assert less["evaluations"] == three["evaluations"] - less["served"]


def test_the_supernet_and_its_gate_come_before_the_search(folder, planned):
    told = planned("shared.toml", SERIAL)
    assert told["ready_seconds"] > 0
    gate = {"use": "kendall_tau", "networks": 5, "epochs": 40}
    gated = planned("shared.toml", SERIAL, f"problem.gate={json.dumps(gate).replace(':', '=')}")
    assert gated["ready_seconds"] > told["ready_seconds"]


def test_early_stopping_makes_it_a_range(folder, planned):
    told = planned(
        "digits.toml", SERIAL, "problem.training.epochs=30", "problem.training.early_stop=loss"
    )
    assert told["least_seconds"] < told["seconds"]


@pytest.mark.usefixtures("_here")
def test_workers_that_are_elsewhere_are_assumed_or_told(folder, planned):
    assumed = planned("ones.toml", *OWN_ONES, "toolbox.map=scoop")
    assert "--workers says others" in assumed["remarks"][0]
    told = planned("ones.toml", *OWN_ONES, "toolbox.map=scoop", "--workers", "7")
    assert (told["workers"], told["remarks"]) == (7, [])


@pytest.mark.usefixtures("_here")
def test_rules_that_may_end_it_earlier_are_named(folder, planned):
    told = planned("ones.toml", "stop.stale_generations=2")
    assert told["remarks"] == ["it may end earlier, by stop.stale_generations"]


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ones.toml", "algorithm.generation=2"], "did you mean 'generations'?"),
        (["ones.toml", "--seconds", "soon"], "'soon': a number of seconds above 0 is needed"),
        (["ones.toml", "--seeds", "2", "seed=3"], "--seeds 2: the seeds are 1 to 2; leave seed="),
        (["ones.toml", "--workers", "0"], "'0': a number of at least 1 is needed"),
        ([".", "--seconds", "1"], ".: it is no run folder; there is no archive.sqlite in it"),
        (["oness.toml"], "oness.toml: there is no such file; did you mean 'ones.toml'?"),
        (
            ["ones.toml", OWN_ONES[0], "problem={use='own_ones:Ones', fails=true}"],
            "no network could be tried: RuntimeError: the instrument is off",
        ),
    ],
)
def test_what_cannot_be_planned_is_one_line(folder, command, arguments, message):
    status, _, err = command("plan", *arguments)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err


def test_another_problem_than_the_archives_is_refused_as_the_search_would(folder, command):
    status, _, err = command("ones.toml")
    assert status == 0, err
    status, _, err = command("plan", "ones.toml", "problem.length=13")
    assert status == 2
    assert "was begun with another one (problem.length was 12, now 13)" in err


@pytest.mark.usefixtures("_here")
def test_a_plan_into_the_archive_of_a_running_search_only_reads(folder, command, planned):
    status, _, err = command("ones.toml", *OWN_ONES)
    assert status == 0, err
    told = planned("runs/ones/seed-1")
    assert told["evaluations"] == 0
    assert told["seconds"] == pytest.approx(told["start_seconds"], abs=1)
