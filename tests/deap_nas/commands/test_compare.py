import csv
import sqlite3

import pytest

from deap_nas.commands.compare import BASELINE, split_outside_brackets, variants_of
from tests.conftest import REPOSITORY, run_search
from tests.test_run_search import DIGITS, ONEMAX
from toolbox.archive import Archive

pytestmark = pytest.mark.slow  # searches in processes of their own

LOTZ = """
objectives = ["leading_ones", "trailing_zeros"]
[problem]
use = "lotz"
length = 8
[toolbox]
map = "serial"
[algorithm]
use = "nsga2"
population = 6
generations = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "onemax.toml").write_text(ONEMAX)
    (tmp_path / "lotz.toml").write_text(LOTZ)
    (tmp_path / "digits.toml").write_text(DIGITS)
    return tmp_path


def compare(folder, *arguments):
    return run_search("compare", *arguments, cwd=folder)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_variants_and_the_baseline_have_the_same_budget_and_share_an_archive(folder):
    done = compare(folder, "onemax.toml", "--vary", "toolbox.mutate=reset_gene,shift_gene",
                   "--seeds", "6", "--budget", "30")  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = folder / "runs" / "onemax" / "comparison"
    found = rows(out / "comparison.csv")
    assert {row["variant"] for row in found} == {"reset_gene", "shift_gene", BASELINE}
    assert {row["seed"] for row in found} == set("123456")
    for variant in ("reset_gene", "shift_gene", BASELINE):
        mine = [row for row in found if row["variant"] == variant and row["seed"] == "1"]
        assert mine[-1]["networks"] == "30"
        values = [float(row["value"]) for row in mine if row["value"] != "nan"]
        assert values == sorted(values)  # the best so far never gets worse
    shares = [float(row["distinct"]) for row in rows(out / "final_populations.csv")]
    assert len(shares) == 18
    assert all(0 < share <= 1 for share in shares)
    assert {(row["first"], row["second"]) for row in rows(out / "differences.csv")} == {
        ("reset_gene", BASELINE),
        ("shift_gene", BASELINE),
        ("reset_gene", "shift_gene"),
    }
    # On bits both operators draw the other value, so that they are one search, trained once.
    archive = sqlite3.connect(out / "seed-1.sqlite")
    (evaluated,) = archive.execute("SELECT count(*) FROM evaluations").fetchone()
    archive.close()
    assert evaluated < 3 * 30
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "comparison.svg").read_text()
    assert "30 networks, 6 seeds" in done.stdout


def test_several_objectives_are_compared_by_hypervolume_and_nothing_is_trained_twice(folder):
    arguments = ("lotz.toml", "--vary", "toolbox.mate=uniform,one_point", "--seeds", "2")
    first = compare(folder, *arguments)
    assert first.returncode == 0, first.stderr
    out = folder / "runs" / "lotz" / "comparison"
    values = [float(row["value"]) for row in rows(out / "comparison.csv")]
    assert 0 <= min(values) <= max(values) <= 1
    assert max(values) > 0.5
    before = (out / "comparison.csv").read_bytes()
    again = compare(folder, *arguments)
    assert again.stdout.count("0 of them trained now") == 6
    assert (out / "comparison.csv").read_bytes() == before
    assert "too few seeds" in again.stdout
    assert "--seeds 2: no difference can be told from chance" in again.stdout
    assert "--budget 24: 3 generations after the first population of 6" in again.stdout
    assert again.stdout.index("--budget 24") < again.stdout.index("seed 1,")


@pytest.mark.slow
def test_networks_are_compared_too(folder):
    done = compare(folder, "digits.toml", "problem.training.epochs=3", "--vary",
                   "halving={epochs=[1]}", "--seeds", "1", "--budget", "4",
                   "--out", "here")  # fmt: skip
    assert done.returncode == 0, done.stderr
    # 4 networks for an epoch, 1 of them for 2 more; what is known in full counts as if trained so
    assert "seed 1, {epochs=[1]}: 4 networks, 4 of them trained now; 6 epochs in all" in done.stdout
    assert "seed 1, random search: 4 networks, 3 of them trained now; 12 epochs" in done.stdout
    assert done.stdout.count("device: ") == 1
    assert not list((folder / "here" / "seed-1").glob("states/*"))
    assert (folder / "here" / "comparison.csv").exists()


def test_what_only_a_bound_or_a_variant_needs_is_measured(folder, command, monkeypatch):
    monkeypatch.chdir(folder)
    status, out, error = command(
        "compare", "digits.toml", "toolbox.map=serial", "bounds.flash_bytes=20 KB", "--vary",
        "objectives=val_accuracy,[val_accuracy,ram_bytes]", "--seeds", "1", "--budget", "4",
    )  # fmt: skip
    assert status == 0, error
    assert out.count(": 4 networks, ") == 3
    (path,) = folder.glob("runs/digits/comparison/seed-1.sqlite")
    measured = [record.measurement for record in Archive.read(path) if record.status == "ok"]
    assert measured
    assert all(one["flash_bytes"] <= 20 * 1024 and "ram_bytes" in one for one in measured)


def test_searches_of_the_recipe_are_compared(folder, command, monkeypatch):
    monkeypatch.chdir(folder)
    status, out, error = command(
        "compare", REPOSITORY / "experiments" / "joint_digits.toml", "toolbox.map=serial",
        "problem.dataset.limit=100", "problem.training.epochs=1", "algorithm.population=4",
        "--vary", "toolbox.mutate=shift_gene,reset_gene", "--seeds", "1", "--budget", "6",
    )  # fmt: skip
    assert status == 0, error
    assert out.count(": 6 networks, ") == 3
    (path,) = folder.glob("runs/joint_digits/comparison/seed-1.sqlite")
    assert len({record.measurement["learning_rate"] for record in Archive.read(path)}) > 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["onemax.toml"], "the following arguments are required: --vary"),
        (["nowhere.toml", "--vary", "seed=1"], "there is no such file"),
        (["onemax.toml", "--vary", "toolbox.mutate"], "it is KEY=A,B, like toolbox.mutate=a,b"),
        (["onemax.toml", "--vary", "toolbox.mutate=reset_gen"], "did you mean 'reset_gene'?"),
        (["onemax.toml", "--vary", "toolbox.mutate=reset_gene", "--seeds", "0"], "--seeds 0"),
        (["onemax.toml", "--vary", "toolbox.mutate=reset_gene", "--budget", "3"], "--budget 3"),
        (["onemax.toml", "--vary", "problem.length=4,5"], "changes the problem"),
        (["digits.toml", "problem.inherit=true", "--vary", "seed=1"], "compare without it"),
    ],
)
def test_a_mistake_is_one_line(folder, arguments, part):
    done = compare(folder, *arguments)
    assert done.returncode == 2
    assert part in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(folder.glob("runs/*/*/*.csv"))


def test_every_combination_is_a_variant():
    variants = variants_of(["toolbox.mate=a,b", "toolbox.mutate=c,{use='d', p=[1,2]}"])
    assert list(variants) == [
        "a c",
        "a {use='d', p=[1,2]}",
        "b c",
        "b {use='d', p=[1,2]}",
        BASELINE,
    ]
    assert variants["b c"] == ["toolbox.mate=b", "toolbox.mutate=c"]
    assert split_outside_brackets('"a,b",c') == ['"a,b"', "c"]


def test_a_selection_that_keeps_one_network_shows_in_the_final_population(folder):
    (folder / "greedy.py").write_text(
        "def greedy(individuals, k):\n"
        "    return [max(individuals, key=lambda one: one.fitness.values)] * k\n"
    )
    done = compare(
        folder, "onemax.toml", "algorithm.crossover_probability=0", "algorithm.remutations=0",
        "algorithm.mutation_probability=0.2", "algorithm.elite=0",
        "--vary", "toolbox.select=greedy:greedy", "--seeds", "2", "--budget", "12",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "distinct in the end" in done.stdout
    shares = {
        row["variant"]: float(row["distinct"])
        for row in rows(folder / "runs" / "onemax" / "comparison" / "final_populations.csv")
    }
    assert shares["greedy:greedy"] < 0.8 < shares[BASELINE]
