"""Archives of a whole space become one table, and the table is read back."""

import csv
import io
import lzma
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.tables import export
from benchmarks.tables.skip_cells import EDGES, SkipCells
from problems.seeds import seed_of
from problems.spaces.bit_string import BitString
from problems.tabular import Tabular
from toolbox.archive import Archive, Record
from toolbox.measure import Outcome


@dataclass(frozen=True)
class Made:
    """Numbers out of a seed and an architecture, in place of a training."""

    space: SkipCells = field(default_factory=SkipCells)

    def evaluate(self, genome, seed):
        drawn = seed_of(f"{seed} {self.space.decode(genome)}") % 1000 / 1000
        scores = {"val_accuracy": drawn, "test_accuracy": drawn / 2, "train_seconds": 1.0 + seed}
        return scores | {"params": 100 + sum(genome), "macs": 10 * sum(genome)}


PROBLEM = Made()
NETWORKS = {
    tuple(PROBLEM.space.canonical([a, b, 0, c, 0, d]))
    for a in range(4)
    for b in range(4)
    for c in range(4)
    for d in range(4)
}


@pytest.fixture
def folders(monkeypatch):
    """Run folders of three seeds, by name; they stand in memory."""
    monkeypatch.setattr(
        SkipCells, "violation", lambda self, genome: "left out" if genome[2] or genome[4] else ""
    )
    runs = {}
    for seed in (2, 1, 3):
        archive = Archive({"use": "made", "seed": seed})
        for genome in sorted(NETWORKS):
            architecture = PROBLEM.space.decode(list(genome))
            outcome = Outcome(1, "ok", PROBLEM.evaluate(list(genome), seed), "")
            archive.add(Record.of(archive.key(architecture), list(genome), architecture, outcome))
        runs[Path(f"seed-{seed}")] = SimpleNamespace(
            path=Path(f"seed-{seed}"), problem=PROBLEM, archive=archive
        )
    monkeypatch.setattr(export.FinishedRun, "open", runs.__getitem__)
    return runs


def exported(folders, path, *names):
    return export.main([*map(str, names or folders), "--to", str(path)])


def test_a_row_for_each_genome_with_what_each_run_measured_of_its_network(folders, tmp_path):
    assert exported(folders, tmp_path / "table.csv.xz") == 0
    text = lzma.decompress((tmp_path / "table.csv.xz").read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 256
    row = next(row for row in rows if row["edge02"] == "3x3" and row["edge23"] == "identity")
    choices = [row[f"edge{begin}{end}"] for begin, end in EDGES]
    genome = PROBLEM.space.encode(" ".join(choices))
    network = list(map(int, row["network"]))
    assert network == PROBLEM.space.canonical(genome)
    for seed in (1, 2, 3):
        score = PROBLEM.evaluate(network, seed)["val_accuracy"]
        assert float(row[f"val_accuracy_{seed}"]) == score
    assert float(row["train_seconds"]) == 3.0
    assert int(row["params"]) == 100 + sum(network)


def test_the_format_skip_cells_reads_what_is_exported(folders, tmp_path):
    exported(folders, tmp_path / "table.csv.xz")
    problem = Tabular(str(tmp_path / "table.csv.xz"), "skip_cells", seed=4).prepared()
    genome = problem.space.canonical(problem.space.encode("3x3 3x3 none identity none 1x1"))
    scores = [PROBLEM.evaluate(genome, seed) for seed in (1, 2, 3)]
    found = problem.evaluate(genome)
    assert found["val_accuracy"] in [one["val_accuracy"] for one in scores]
    mean = sum(one["test_accuracy"] for one in scores) / 3
    assert found["test_accuracy"] == pytest.approx(mean, abs=1e-6)
    assert found["params"] == scores[0]["params"]


def test_what_is_exported_is_told_in_figures(folders, tmp_path, capsys):
    exported(folders, tmp_path / "table.csv.xz")
    told = capsys.readouterr().out
    assert f"networks: {len(NETWORKS)}; trainings of each: 3" in told
    assert "val_accuracy, standard deviation of a training: " in told


def test_the_order_of_the_folders_changes_nothing(folders, tmp_path):
    exported(folders, tmp_path / "one", "seed-1", "seed-2", "seed-3")
    exported(folders, tmp_path / "other", "seed-3", "seed-1", "seed-2")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def refusal(folders, tmp_path, capsys, *names):
    path = tmp_path / "table.csv.xz"
    assert exported(folders, path, *names) == 2
    assert not path.exists()
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def test_a_run_that_has_not_ended_makes_no_table(folders, tmp_path, capsys):
    run = folders[Path("seed-2")]
    whole = list(run.archive)
    run.archive = Archive(run.archive.problem)
    for record in whole[:-1]:
        run.archive.add(record)
    told = refusal(folders, tmp_path, capsys)
    assert f"seed-2: 1 of {len(NETWORKS)} networks are not measured in it" in told
    assert repr(whole[-1].architecture) in told


def test_a_run_of_another_problem_is_refused(folders, tmp_path, capsys):
    folders[Path("seed-3")].archive.problem["use"] = "other"
    assert 'it is of another problem: problem.use was "made", now "other"' in refusal(
        folders, tmp_path, capsys
    )


def test_the_same_seed_twice_and_a_single_run_are_refused(folders, tmp_path, capsys):
    twice = refusal(folders, tmp_path, capsys, "seed-1", "seed-2", "seed-1")
    assert "seed-1: it has the seed of seed-1, 1" in twice
    assert "one run tells nothing of noise" in refusal(folders, tmp_path, capsys, "seed-1")


def test_genes_that_interact_are_not_explained_by_a_sum_over_them():
    space = PROBLEM.space

    def share(accuracy):
        found = {
            space.decode(list(genome)): [{"val_accuracy": accuracy(genome)}]
            for genome in set(export.canonical_genomes(space).values())
        }
        return export.additive_share(space, found)

    unconnected = space.canonical([0] * 6)
    assert share(lambda genome: float(list(genome) != unconnected)) < 0.9


def test_genes_that_add_up_are_explained_by_a_sum_over_them():
    space = BitString(4)
    genomes = export.canonical_genomes(space)
    found = {
        space.decode(list(genome)): [{"val_accuracy": genome[0] / 2 + genome[3] / 5}]
        for genome in genomes
    }
    assert export.additive_share(space, found) == pytest.approx(1.0)
