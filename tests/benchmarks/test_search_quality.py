import json
import os
from dataclasses import replace

import numpy
import pytest

from benchmarks import search_quality
from benchmarks.noisy_table import NoisyTable
from benchmarks.search_quality import Course, Scorer, Task, hypervolume, losses, ours
from benchmarks.tables import path_cells

if not search_quality.TABLE.is_file() and os.environ.get("CI"):
    pytest.fail(f"the published table is missing: {search_quality.TABLE}", pytrace=False)
needs_table = pytest.mark.skipif(
    not search_quality.TABLE.is_file(), reason=f"{search_quality.TABLE} is not there"
)
TABLE = search_quality.MACRO


def test_the_losses_of_the_best_and_the_worst_corner_are_0_and_1():
    found = losses([93.0, 80.0, 86.5], [10, 30, 20], extent=((80.0, 93.0), (10, 30)))
    assert found.tolist() == [[0, 0], [1, 1], [0.5, 0.5]]


def test_hypervolume_counts_what_lies_below_the_reference_point_once():
    assert hypervolume(numpy.array([[0.0, 0.0]])) == 1.0
    assert hypervolume(numpy.array([[0.5, 0.5], [0.0, 0.75], [2.0, 0.0]])) == 0.375
    assert hypervolume(numpy.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.6]])) == 0.25


@needs_table
def test_a_search_of_the_whole_table_misses_nothing():
    scorer = Scorer(TABLE)
    everything = list(scorer.accuracy)
    assert len(everything) == 3**8
    front = scorer.returned(everything, 3, "two")
    assert 90 < scorer.share(front) < 100  # it returns by noise
    assert scorer.share(everything) == pytest.approx(100)
    assert scorer.regret(everything) == 0.0
    # What is returned is chosen by a noisy number, and scored on the true one.
    observed = scorer.observed(everything, seed=3)
    (returned,) = scorer.returned(everything, 3, "one")
    assert observed[everything.index(returned)] == max(observed)
    assert scorer.floor([3]) == [scorer.best - scorer.accuracy[returned]]


@needs_table
@pytest.mark.parametrize(
    ("objectives", "name"),
    [(objectives, name) for objectives, found in search_quality.OURS.items() for name in found],
)
def test_each_search_of_ours_spends_its_budget_with_its_finals(objectives, name):
    settings = search_quality.OURS[objectives][name]
    course = ours(Task(name, objectives, 5, (40,), TABLE, settings), 40)
    assert len(set(course.networks)) == len(course.networks) == (31 if "finals" in name else 40)
    assert course.asked >= len(course.networks)
    assert set(course.returned) <= set(course.networks)
    assert len(course.returned) == 1 or objectives == "two"
    again = ours(Task(name, objectives, 5, (40,), TABLE, settings), 40)
    assert (again.networks, again.returned) == (course.networks, course.returned)


def csv_table(path, noise=0.01):
    """A table of 16 networks, the accuracy of two trainings each; the NoisyTable of it."""
    rows = [
        f"{a},{b},{(a + b) / 10 + noise * a},{(a + b) / 10 - noise * a},{a * b}"
        for a in range(4)
        for b in range(4)
    ]
    path.write_text("a,b,first,second,macs\n" + "\n".join(rows), encoding="utf-8")
    return NoisyTable(str(path), "csv", ("a", "b"), ("first", "second"), "macs")


def test_the_noise_of_a_table_is_fresh_for_every_seed_and_the_same_for_one(tmp_path):
    table = csv_table(tmp_path / "table.csv")
    seen = {seed: replace(table, seed=seed).evaluate([3, 3])["val_accuracy"] for seed in (1, 2)}
    assert seen[1] != seen[2]
    assert replace(table, seed=1).evaluate([3, 3]) == {"val_accuracy": seen[1], "macs": 9.0}
    again = replace(table, seed=1)
    assert (
        again.evaluate([3, 3], seed=1) != again.evaluate([3, 3], seed=2) != again.evaluate([3, 3])
    )
    assert table.truth.accuracy[3, 3] == pytest.approx(0.6, abs=0.01)
    assert 0.01 < table.truth.noise < 0.05
    without = csv_table(tmp_path / "other.csv", noise=0.0)
    assert without.truth.noise == 0
    assert without.evaluate([1, 2])["val_accuracy"] == pytest.approx(0.3)


def test_a_table_of_single_trainings_is_refused_in_one_line(tmp_path):
    table = replace(csv_table(tmp_path / "table.csv"), runs=("first",))
    with pytest.raises(ValueError, match=r"runs = \['first'\]: two trainings"):
        table.truth  # noqa: B018


def test_any_table_is_searched_and_ours_is_tested_against_the_best_peer(tmp_path, capsys):
    pytest.importorskip("pymoo")
    pytest.importorskip("optuna")
    path_cells.main([str(tmp_path / "cells.csv")])
    header = (tmp_path / "cells.csv").read_text(encoding="utf-8").partition("\n")[0].split(",")
    names = [name for name in header if name.startswith("edge")]
    runs = [name for name in header if name.startswith("val")]
    words = ["--table", str(tmp_path / "cells.csv"), "--genes", *names, "--runs", *runs]
    words += ["--cost", "params", "--seeds", "2", "--budget", "50"]
    search_quality.main([*words, "--only", "genetic_algorithm", "random search", "local search"])
    shown = capsys.readouterr().out
    assert "cells.csv, a run's standard deviation 0.6" in shown.replace("0.59", "0.6")
    assert "| ours, less the best peer | 50 |" in shown
    assert ", p 1.000 (" in shown or ", p 0.500 (" in shown  # of two seeds no other can be


@needs_table
def test_the_benchmark_writes_its_tables_and_its_plot(tmp_path, capsys):
    page, plot = tmp_path / "page.md", tmp_path / "plot.png"
    words = ["--only", "nsga2", "--seeds", "2", "--budget", "50"]
    search_quality.main([*words, "--out", str(page), "--plot", str(plot)])
    text = page.read_text(encoding="utf-8")
    assert text in capsys.readouterr().out + "\n"
    assert "seeds 1000 to 1001" in text
    assert "| whole table |" in text
    assert text.count("| nsga2 |") == 5  # three scores, and the cost of each kind
    assert plot.read_bytes().startswith(b"\x89PNG")


@needs_table
def test_what_a_peer_found_is_kept_and_found_again(tmp_path):
    pytest.importorskip("pymoo")
    pytest.importorskip("optuna")
    task = Task("pymoo GA", "one", 5, (25, 30), TABLE, cache=str(tmp_path))
    earlier, course = search_quality.run(task)
    assert len(set(course.networks)) == len(course.networks) == 30
    assert earlier.networks == course.networks[:25]
    (kept,) = tmp_path.glob("*.json")
    assert Course(**json.loads(kept.read_text(encoding="utf-8"))[1]) == course
    other = {"networks": ["0"], "returned": ["0"], "asked": 1, "seconds": 0.0}
    kept.write_text(json.dumps([other]), encoding="utf-8")
    assert search_quality.run(task)[0].networks == ["0"]


def test_a_memory_evaluates_a_genome_once_and_ends_when_the_questions_are_spent():
    pytest.importorskip("pymoo")
    pytest.importorskip("optuna")
    from benchmarks.peers import Memory, Spent

    evaluated = []

    def evaluate(genome):
        evaluated.append(genome)
        return [0.0]

    memory = Memory(evaluate, [2, 2], budget=2, most_asks=4)
    for genome in ([0, 1], [0, 1], [1, 1]):
        memory.losses(numpy.array(genome))
    assert evaluated == memory.genomes == [(0, 1), (1, 1)]
    assert memory.spent
    with pytest.raises(Spent):
        memory.losses([0, 0])
    assert memory.losses([0, 1]) == [0.0]
    with pytest.raises(Spent):
        memory.losses([0, 1])
    assert len(evaluated) == 2


def test_genomes_of_one_network_are_one_network_to_every_peer():
    pytest.importorskip("pymoo")
    pytest.importorskip("optuna")
    from benchmarks.peers import Memory

    evaluated = []

    def evaluate(genome):
        evaluated.append(genome)
        return [0.0]

    memory = Memory(evaluate, [3, 3], budget=9, most_asks=90, canonical=sorted)
    for genome in ([0, 1], [1, 0], [2, 1], [1, 2]):
        memory.losses(genome)
    assert evaluated == memory.genomes == [(0, 1), (1, 2)]


def test_the_largest_networks_come_first():
    pytest.importorskip("pymoo")
    pytest.importorskip("optuna")
    from benchmarks.peers import Memory, largest_first

    memory = Memory(lambda genome: [0.0], [3, 2], budget=3, most_asks=30, cost=sum)
    largest_first(memory, 1, seed=1, population=20)
    assert memory.genomes[0] == (2, 1)
    assert [sum(genome) for genome in memory.genomes] == [3, 2, 2]


def test_local_search_and_regularized_evolution_find_the_best_of_a_small_space():
    pytest.importorskip("pymoo")
    pytest.importorskip("optuna")
    from benchmarks.peers import Memory, local_search, regularized_evolution

    for search in (local_search, regularized_evolution):
        memory = Memory(lambda genome: [-sum(genome)], [4] * 6, budget=300, most_asks=3000)
        search(memory, 1, seed=1, population=20)
        assert min(map(min, memory.known.values())) == -18, search.__name__


@pytest.mark.slow
@needs_table
@pytest.mark.parametrize("objectives", ["one", "two"])
def test_every_peer_stays_within_the_budget(objectives):
    pytest.importorskip("pymoo")
    pytest.importorskip("optuna")
    from benchmarks.peers import PEERS

    for name in PEERS[objectives]:
        (course,) = search_quality.peer(Task(name, objectives, 1, (25,), TABLE))
        assert len(set(course.networks)) == len(course.networks) == 25, name
        assert 25 <= course.asked <= 250, name
