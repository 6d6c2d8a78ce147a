"""A published table as a problem: looked up exactly, refused with one line where it is wrong."""

import json
import lzma
import pickle
import shutil
import subprocess
import sys

import pytest

from problems import PROBLEMS
from problems.tables import open_table
from problems.tabular import Tabular
from tests.conftest import REPOSITORY, Run, run_search
from toolbox.declaration import declare
from toolbox.signature import described

MACRO = REPOSITORY.parent / "shared" / "tables" / "nas-bench-macro_cifar10.json"
needs_macro = pytest.mark.skipif(not MACRO.is_file(), reason=f"{MACRO} is not there")

CSV = """width,act,val_accuracy,params,note
8,relu,0.5,100,a
16,relu,0.6,200,b
8,tanh,0.4,110,c
"""


@pytest.fixture
def table(tmp_path):
    """A function that writes a CSV table and makes it a problem."""

    def made(text=CSV, **declared):
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        columns = {"genes": ("width", "act"), "measures": ("val_accuracy", "params")}
        open_table.cache_clear()  # the test writes several tables to one path
        return Tabular(str(path), **(columns | declared))

    return made


def macro(**declared):
    return Tabular(str(MACRO), "nas_bench_macro", **declared)


@needs_macro
def test_nas_bench_macro_answers_with_one_published_run_and_their_mean():
    published = json.loads(MACRO.read_text())
    problem = macro(seed=3).prepared()
    assert len(problem.space.file.table().rows) == len(published) == 6561
    for architecture in ("02012100", "11111221", "22222222"):
        entry = published[architecture]
        measurement = problem.evaluate(problem.space.encode(architecture))
        assert measurement["val_accuracy"] in [run / 100 for run in entry["test_acc"]]
        assert measurement["test_accuracy"] == entry["mean_acc"] / 100
        assert (measurement["params"], measurement["flops"]) == (entry["params"], entry["flops"])
        assert tuple(measurement) == problem.measures


@needs_macro
def test_the_run_is_drawn_by_seed_and_network_alone():
    genomes = [[n % 3, n // 3 % 3, n // 9 % 3, 1, 0, 2, 0, 0] for n in range(27)]

    def runs(seed):
        problem = macro(seed=seed)
        table = problem.space.file.table()
        return [
            table.rows[tuple(g)]["val_accuracy"].index(problem.evaluate(g)["val_accuracy"])
            for g in genomes
        ]

    assert runs(1) == runs(1) != runs(2)
    assert set(runs(1)) == {0, 1, 2}


@needs_macro
def test_parameters_and_flops_are_known_without_training():
    problem = macro()
    genome = problem.space.encode("02012100")
    assert problem.known(genome) == {"params": 890666, "flops": 47327744}


@needs_macro
def test_a_search_bounded_by_parameters_looks_nothing_up_beyond_them():
    tables = {
        "objectives": ["val_accuracy", "flops"],
        "problem": {"use": "tabular", "format": "nas_bench_macro", "path": str(MACRO)},
        "toolbox": {"map": "serial"},
        "algorithm": {"use": "nsga2", "population": 10, "generations": 3},
        "bounds": {"params": 1_000_000, "redraws": 0},
    }
    run = Run(tables)
    beyond = [record for record in run.archive if record.measurement["params"] > 1_000_000]
    assert beyond
    assert {(r.status, tuple(r.measurement)) for r in beyond} == {
        ("infeasible", ("params", "flops"))
    }


def test_a_csv_table_tells_genes_choices_and_measurements(table):
    problem = table(untrained=("params",))
    space = problem.space
    assert [gene.choices for gene in space.genes] == [(8, 16), ("relu", "tanh")]
    assert problem.evaluate([1, 0]) == {"val_accuracy": 0.6, "params": 200}
    assert problem.known([1, 0]) == {"params": 200}
    assert space.decode([1, 0]) == "width=16;act=relu"
    assert space.encode("width=8;act=tanh") == [0, 1]
    assert space.canonical([1, 0]) == [1, 0]
    assert space.parts == {"genes": ((0,), (1,))}
    assert space.slots == (slice(0, 1), slice(1, 2))


def test_the_order_of_the_rows_changes_nothing(table):
    problem = table()
    header, *rows = CSV.splitlines()
    genes, decoded = problem.space.genes, problem.space.decode([0, 1])
    turned = table("\n".join([header, *reversed(rows)]) + "\n")
    assert (turned.space.genes, turned.space.decode([0, 1])) == (genes, decoded)


def test_a_combination_that_the_table_has_not_breaks_a_rule(table):
    problem = table()
    assert problem.space.violation([0, 1]) == ""
    assert problem.space.violation([1, 1]) == "it is not in the table"
    assert problem.known([1, 1]) == {}
    with pytest.raises(ValueError, match="width=16;act=tanh is not in the table"):
        problem.evaluate([1, 1])
    with pytest.raises(ValueError, match="'width=16;act=tanh' is not in the table"):
        problem.space.encode("width=16;act=tanh")


def test_numbers_of_a_gene_are_ordered_by_size_and_text_by_name(table):
    text = "a,b,c,score\n10,0.5,x1,1\n9,2,10,2\n"
    problem = table(text, genes=("a", "b", "c"), measures=("score",))
    assert [gene.choices for gene in problem.space.genes] == [(9, 10), (0.5, 2.0), ("10", "x1")]


def test_a_byte_order_mark_spaces_and_empty_lines_are_passed_over(table):
    text = b"\xef\xbb\xbf" + CSV.replace(",", " , ").replace("\n", "\n\n").encode()
    assert table(text).evaluate([1, 0]) == {"val_accuracy": 0.6, "params": 200}


WRONG = {
    "a second row": (CSV + "8,relu,0.9,1,d\n", {}, "line 5: width=8;act=relu stands in it a secon"),
    "no number": (CSV.replace("0.6", "high"), {}, "line 3: val_accuracy = 'high' is not a finite"),
    "nan": (CSV.replace("0.6", "nan"), {}, "line 3: val_accuracy = 'nan' is not a finite number"),
    "infinity": (CSV.replace("0.6", "1e999"), {}, "line 3: val_accuracy = '1e999' is not a fin"),
    "a short row": (CSV.replace(",b", ""), {}, "line 3: it has 4 values; the header has 5"),
    "an empty gene": (CSV.replace("16,relu", "16,"), {}, "line 3: act = '': a choice is needed"),
    "a separator": (CSV.replace("16,relu", "16,a;b"), {}, "line 3: act = 'a;b': a choice"),
    "no rows": ("width,act,val_accuracy,params\n", {}, "it has no rows"),
    "not text": (b"\xff\xfe\x00", {}, "it is not CSV"),
    "a gene that is missing": (CSV, {"genes": ("width", "akt")}, r"genes\[1\] = 'akt': 0 columns"),
    "a measure that is missing": (
        CSV,
        {"measures": ("val_acuracy",)},
        r"measures\[0\] = 'val_acuracy': 0 columns .* did you mean 'val_accuracy'\?",
    ),
    "two columns of a name": (CSV.replace("note", "act"), {}, r"genes\[1\] = 'act': 2 columns"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_table_is_one_line(table, what):
    text, declared, message = WRONG[what]
    with pytest.raises(ValueError, match=message) as caught:
        table(text, **declared).prepared()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, r"problem\.genes = \[\]: at least one column"),
        ({"genes": ["g"]}, r"problem\.measures = \[\]: at least one column"),
        ({"genes": ["g"], "measures": ["g"]}, r"problem\.measures = \['g'\]: 'g' is named twice"),
        (
            {"genes": ["g"], "measures": ["m"], "untrained": ["g"]},
            r"problem\.untrained\[0\] = 'g': unknown; legal: m",
        ),
        (
            {"format": "nas_bench_macro", "genes": ["g"]},
            r"problem\.genes = \['g'\]: format = 'nas_bench_macro' has its own; leave it out",
        ),
        ({"format": "nas_bench"}, r"problem\.format = 'nas_bench': .*did you mean 'nas_bench_mac"),
        ({"format": "skip_cels"}, r"problem\.format = 'skip_cels': .*did you mean 'skip_cells'\?"),
        (
            {"format": "skip_cells", "measures": ["val_accuracy"]},
            r"problem\.measures = \['val_accuracy'\]: format = 'skip_cells' has its own; leave it",
        ),
        (
            {"path": "", "format": "nas_bench_macro"},
            r"problem\.path = '': format = 'nas_bench_macro' needs the path of its file; without a "
            "path: skip_cells",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_before_the_table_is_read(declared, message):
    problem = {"use": "tabular", "path": "nowhere.csv", **declared}
    algorithm = {"use": "nsga2", "population": 4, "generations": 1}
    tables = {"objectives": ["val_accuracy"], "problem": problem, "algorithm": algorithm}
    with pytest.raises(ValueError, match=message):
        declare(tables, PROBLEMS, name="test").problem.build()


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"path = .*nowhere\.csv.*: there is no such file"):
        Tabular(str(tmp_path / "nowhere.csv"), genes=("g",), measures=("m",)).prepared()
    with pytest.raises(ValueError, match="path = "):
        Tabular(str(tmp_path), genes=("g",), measures=("m",)).prepared()


@pytest.mark.parametrize(
    "content", ["no json", "{}", "[]", '{"00000000": {"test_acc": [1.0], "mean_acc": 1}}']
)
def test_another_file_is_not_taken_for_nas_bench_macro(tmp_path, content):
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="it is not the table of NAS-Bench-Macro"):
        Tabular(str(path), "nas_bench_macro").prepared()


def test_nas_bench_macro_with_a_number_that_is_none_is_refused(tmp_path):
    if not MACRO.is_file():
        pytest.skip(f"{MACRO} is not there")
    published = json.loads(MACRO.read_text())
    for broken in ({"test_acc": [90.0, 91.0]}, {"params": "many"}, {"mean_acc": float("nan")}):
        path = tmp_path / f"{next(iter(broken))}.json"
        path.write_text(json.dumps(published | {"01201201": published["01201201"] | broken}))
        with pytest.raises(ValueError, match="it is not the table of NAS-Bench-Macro"):
            Tabular(str(path), "nas_bench_macro").prepared()


CELLS = """edge01,edge02,edge12,edge03,edge13,edge23,network,params,macs,\
val_accuracy_1,val_accuracy_2,val_accuracy_3,test_accuracy_1,test_accuracy_2,test_accuracy_3,train_seconds
none,none,none,none,none,none,000000,10,20,0.1,0.1,0.1,0.1,0.1,0.1,0.5
none,none,none,3x3,none,none,000300,90,800,0.5,0.6,0.7,0.4,0.6,0.8,1.5
none,3x3,none,none,none,identity,000300,90,800,0.5,0.6,0.7,0.4,0.6,0.8,1.5
none,none,none,1x1,none,none,000200,30,200,0.2,0.3,0.4,0.2,0.3,0.4,1.0
"""


@pytest.fixture
def cells(tmp_path):
    """A function that writes a small table of cells and makes it a problem."""

    def made(text=CELLS, seed=0):
        path = tmp_path / "cells.csv.xz"
        path.write_bytes(text if isinstance(text, bytes) else lzma.compress(text.encode()))
        open_table.cache_clear()
        return Tabular(str(path), "skip_cells", seed=seed)

    return made


def test_a_table_of_cells_answers_with_one_training_and_with_means(cells):
    space = cells().space
    genome = space.encode("none none none 3x3 none none")
    assert genome == [0, 0, 0, 3, 0, 0]
    answers = [cells(seed=seed).prepared().evaluate(genome) for seed in range(20)]
    assert {answer["val_accuracy"] for answer in answers} == {0.5, 0.6, 0.7}
    assert all(answer["test_accuracy"] == pytest.approx(0.6) for answer in answers)
    assert cells().known(genome) == {"params": 90, "macs": 800}
    assert tuple(answers[0]) == cells().measures


def test_genomes_that_compute_the_same_are_one_network_with_one_answer(cells):
    for seed in range(10):
        problem = cells(seed=seed)
        one, other = ([0, 0, 0, 3, 0, 0], [0, 3, 0, 0, 0, 1])
        assert problem.space.canonical(other) == problem.space.canonical(one) == one
        assert problem.evaluate(other) == problem.evaluate(one)


def test_a_search_of_cells_measures_no_network_twice(cells):
    problem = {"use": "tabular", "format": "skip_cells", "path": cells().path}
    genomes = [" ".join(line.split(",")[:6]) for line in CELLS.splitlines()[1:]]
    run = Run(
        {
            "objectives": ["val_accuracy"],
            "problem": problem,
            "toolbox": {"map": "serial", "individual": {"use": "seeded", "genomes": genomes}},
            "algorithm": {"use": "random_search", "population": 4, "generations": 0},
        }
    )
    assert len(run.archive) == 3
    assert problem["path"] not in json.dumps(run.archive.problem)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CELLS.encode(), "it is not a table of small cells .Input format not supported"),
        (CELLS.replace("1x1", "5x5"), "line 5: edge03 = '5x5': legal: none, identity, 1x1, 3x3"),
        (CELLS.replace("0.7", "nan"), "line 3: val_accuracy_3 = 'nan' is not a finite number"),
        (CELLS.replace("train_seconds", "seconds"), "'train_seconds': 0 columns"),
        (CELLS.replace("000200", "000100"), "its network 000100 is no row of it"),
        (CELLS + CELLS.splitlines()[1], "a genome stands in it twice"),
    ],
)
def test_another_file_is_not_taken_for_a_table_of_cells(cells, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        cells(content).prepared()
    assert "\n" not in str(caught.value)


def test_a_table_is_told_by_its_content_and_not_by_its_path(table, tmp_path):
    problem = table().prepared()
    identity = described(problem, identity=True)
    copied = tmp_path / "copied.csv"
    shutil.copy(problem.path, copied)
    elsewhere = Tabular(str(copied), genes=problem.genes, measures=problem.measures).prepared()
    assert described(elsewhere, identity=True) == identity
    assert "path" not in identity
    changed = table(CSV.replace("0.6", "0.7")).prepared()
    assert described(changed, identity=True) != identity


def test_a_table_that_changes_meanwhile_is_noticed(table):
    problem = table().prepared()
    table(CSV.replace("0.6", "0.7"))
    with pytest.raises(ValueError, match="has changed since the search began"):
        problem.evaluate([1, 0])


@needs_macro
def test_a_problem_is_sent_to_a_worker_without_its_table():
    problem = macro().prepared()
    problem.evaluate([0] * 8)
    sent = pickle.dumps(problem)
    assert len(sent) < 1000
    assert pickle.loads(sent) == problem


def test_a_table_is_read_without_torch():
    code = "import sys, problems.tabular; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_a_search_over_a_csv_table_finds_its_best_and_is_reported(table, tmp_path):
    problem = table(untrained=("params",))
    (tmp_path / "own.toml").write_text(
        'objectives = ["val_accuracy", "params"]\n'
        'problem = { use = "tabular", path = "table.csv", genes = ["width", "act"], '
        'measures = ["val_accuracy", "params"] }\n'
        'algorithm = { use = "nsga2", population = 6, generations = 2 }\n'
        'toolbox = { map = "serial" }\n'
    )
    done = run_search("own.toml", "--runs", "runs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "table: 3 networks, 2 genes, table.csv" in done.stdout
    assert "width=16;act=relu" in done.stdout
    # The archive is enough afterwards, wherever the table has gone.
    (tmp_path / problem.path).unlink()
    done = run_search("report", "runs/own/seed-0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_accuracy_that_judges_a_result_is_no_objective_by_accident():
    tables = {
        "objectives": ["test_accuracy"],
        "problem": {"use": "onemax"},
        "algorithm": {"use": "nsga2", "population": 4, "generations": 1},
    }
    with pytest.raises(ValueError, match=r"objectives\[0\] = 'test_accuracy': unknown"):
        declare(tables, PROBLEMS, name="test")


@needs_macro
def test_another_seed_answers_with_another_training_of_the_table():
    problem = macro(seed=3)
    published = json.loads(MACRO.read_text())
    assert problem.reseeds == 2
    genome = problem.space.encode("02012100")
    answers = [problem.evaluate(genome, seed=seed)["val_accuracy"] for seed in range(3)]
    assert sorted(answers) == sorted(run / 100 for run in published["02012100"]["test_acc"])
    assert problem.evaluate(genome)["val_accuracy"] == answers[0]


def test_a_table_of_single_trainings_has_none_for_finals(table):
    assert table().reseeds == 0
    tables = {
        "objectives": ["val_accuracy"],
        "problem": "single",
        "toolbox": {"map": "serial"},
        "algorithm": {"use": "random_search", "population": 2, "generations": 0},
        "finals": {"networks": 1, "seeds": 1},
    }
    with pytest.raises(ValueError, match="finals: this problem cannot train a network again"):
        Run(tables, problems={"single": table})


def test_the_shipped_table_of_cells_is_whole_and_opens_by_its_name():
    problem = Tabular(format="skip_cells").prepared()
    table = problem.space.file.table()
    assert (len(table.rows), table.networks) == (4**6, 1011)
    dense = problem.evaluate(problem.space.encode("3x3 3x3 3x3 3x3 3x3 3x3"))
    assert dense["params"] == 10180
    assert dense["val_accuracy"] > 0.9
    assert problem.evaluate([0] * 6)["val_accuracy"] < 0.2
