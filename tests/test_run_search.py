"""The command line, as a person uses it: what it says, what it leaves, how it ends."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.conftest import REPOSITORY, run_search

pytestmark = pytest.mark.slow  # searches in processes of their own

ONEMAX = """
objectives = ["ones"]
seed = 1
[problem]
use = "onemax"
length = 12
[toolbox]
select = "tournament"
map = "serial"
[algorithm]
use = "genetic_algorithm"
population = 8
generations = 5
"""

DIGITS = """
objectives = ["val_accuracy", "params"]
seed = 3
[problem]
use = "image_classification"
dataset = { use = "digits", size = 12, limit = 200, validation = 100 }
space = { use = "layer_string", normal = [1, 1], kernels = [3] }
training = { epochs = 1, optimizer = "adam", learning_rate = 0.01 }
device = "cpu"
[toolbox]
map = "serial"  # each child would import torch anew
[algorithm]
use = "nsga2"
population = 4
generations = 2
"""

# No evaluation after the number in the file `most` ends until that file is gone, so however busy
# the machine is, a search is still there when a test wants to disturb it.
SLOW = """
import time
from pathlib import Path
from problems.spaces.bit_string import BitString

def let_go(number):
    try:
        return number <= int(Path("most").read_text())
    except FileNotFoundError:
        return True

class SlowOnes:
    def __init__(self, length=10, seconds=0.15):
        self.space, self.seconds = BitString(length), seconds
    def evaluate(self, genome):
        time.sleep(self.seconds)
        with open("begun", "ab") as begun:
            begun.write(b".")
            begun.flush()
            number = begun.tell()
        while not let_go(number):
            time.sleep(0.05)
        return {"ones": sum(genome)}
"""

OPERATORS = """
import random

def flip_one(individual, space, times=1):
    for _ in range(times):
        position = random.randrange(len(space.genes))
        individual[position] = 1 - individual[position]
    return (individual,)

def forgets_the_tuple(individual):
    return individual
"""


@pytest.fixture
def folder(tmp_path):
    """A folder of a person's own, with declarations and operators."""
    (tmp_path / "onemax.toml").write_text(ONEMAX)
    (tmp_path / "digits.toml").write_text(DIGITS)
    (tmp_path / "slow.toml").write_text(
        ONEMAX.replace('use = "onemax"\nlength = 12', 'use = "slow_ones:SlowOnes"')
    )
    (tmp_path / "slow_ones.py").write_text(SLOW)
    (tmp_path / "my_ops.py").write_text(OPERATORS)
    return tmp_path


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def evaluations(path):
    """What an archive holds, apart from measured times, by key."""
    connection = sqlite3.connect(path)
    found = {}
    for key, genome, architecture, status, measurement in connection.execute(
        "SELECT key, genome, architecture, status, measurement FROM evaluations"
    ):
        kept = {k: v for k, v in json.loads(measurement).items() if not k.endswith("seconds")}
        found[key] = (genome, architecture, status, kept)
    connection.close()
    return found


def refused(done, *parts):
    """It ended with status 2 and one line on stderr that has these parts."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


def test_a_search_says_what_it_does_and_leaves_its_files(folder):
    done = run_search("onemax.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "budget: at most 43 evaluations" in done.stdout
    assert "generation 5/5" in done.stdout
    assert "Top 5 by ones" in done.stdout
    run = folder / "runs" / "onemax" / "seed-1"
    assert {path.name for path in run.iterdir()} - {".lock"} == {
        *("declaration.toml", "archive.sqlite", "generations.csv"),
        *("population.csv", "ranking.csv", "run.log"),
    }
    assert "generation 5/5" in (run / "run.log").read_text(encoding="utf-8")


def test_the_same_command_again_trains_nothing_and_ends_the_same(folder):
    run_search("onemax.toml", cwd=folder)
    run = folder / "runs" / "onemax" / "seed-1"
    population = (run / "population.csv").read_bytes()
    done = run_search("onemax.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {row["trained"] for row in rows(run / "generations.csv")} == {"0"}
    assert (run / "population.csv").read_bytes() == population


def test_more_generations_go_on_from_where_it_was(folder):
    run_search("onemax.toml", cwd=folder)
    run_search("onemax.toml", "algorithm.generations=8", cwd=folder)
    generations = rows(folder / "runs" / "onemax" / "seed-1" / "generations.csv")
    assert len(generations) == 9
    assert {row["trained"] for row in generations[:6]} == {"0"}


def test_a_changed_problem_is_refused_with_the_difference(folder):
    run_search("onemax.toml", cwd=folder)
    done = run_search("onemax.toml", "problem.length=13", cwd=folder)
    refused(done, "problem.length was 12, now 13", "--runs")
    assert run_search("onemax.toml", "problem.length=13", "--runs", "b", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["onemax.toml", "sed=3"], ["sed: unknown key", "did you mean 'seed'?"]),
        (["onemax.toml", "seed"], ["'seed'", "key=value"]),
        (["onemax.toml", "seed=x"], ["seed = 'x'", "integer"]),
        (["onmax.toml"], ["onmax.toml", "no such file", "did you mean 'onemax.toml'?"]),
        ([], ["EXPERIMENT.toml", "--help"]),
        (["onemax.toml", "--rnus", "x"], ["--rnus"]),
        (["onemax.toml", "--run", "x"], ["--run"]),
        (["onemax.toml", "--runs", ""], ["--runs", "the name of a folder"]),
        (
            ["onemax.toml", 'toolbox.mutate={use="reset_part", kinds=["bit"]}'],
            ["toolbox.mutate.kinds = ['bit']", "did you mean 'bits'?"],
        ),
        (["onemax.toml", "toolbox.mutate=reset"], ["toolbox.mutate.use = 'reset'", "legal:"]),
        (["onemax.toml", 'objectives=["oens"]'], ["objectives[0] = 'oens'", "'ones'"]),
        (["onemax.toml", "algorithm.population=0"], ["algorithm.population = 0"]),
        (
            ["onemax.toml", "toolbox.select={use='tournament', size=3_000_000_000}"],
            ["toolbox.select.size = 3000000000", "less than or equal to 10000"],
        ),
        (["onemax.toml", "problem.length=0"], ["problem.length = 0"]),
        (["onemax.toml", "toolbox.map=scoop"], ["toolbox.map", "not started by SCOOP"]),
        (["onemax.toml", "toolbox.mutate=my_ops:flip_on"], ["'flip_on'", "'flip_one'"]),
        (["onemax.toml", "toolbox.mutate=my_ops:forgets_the_tuple"], ["must return a tuple"]),
        (
            ["onemax.toml", 'toolbox.individual={use="seeded", genomes=["01"]}'],
            ["toolbox.individual.genomes[0]", "'01' is not a string of 12 bits"],
        ),
        (["digits.toml", "problem.device=cuda"], ["problem.device = 'cuda'"]),
        (["digits.toml", "problem.training.epochs=1.5"], ["problem.training.epochs = 1.5"]),
        (
            ["digits.toml", 'objectives=["peak_memory_bytes"]'],
            ["needs 'peak_memory_bytes', which this problem does not measure"],
        ),
        (
            [
                "digits.toml",
                'toolbox.individual={use="seeded", genomes=["RC 2 3 relu;RC 2 3 relu;'
                'RC 2 3 relu;FL relu;"]}',
            ],
            ["has 3 RC layers; exactly 2 are needed"],
        ),
        (
            ["digits.toml", "problem.dataset.size=8", "problem.space.kernels=[5]"],
            ["problem.space: none of 10,000 random genomes is a network"],
        ),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_mistake_is_one_line_and_leaves_nothing(folder, arguments, parts):
    if "problem.device=cuda" in arguments:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a CUDA device")
    before = set(folder.iterdir())
    refused(run_search(*arguments, cwd=folder), *parts)
    assert {p for p in folder.iterdir() if p.name != "__pycache__"} == before


def test_a_user_s_own_operator_is_swapped_in_by_the_declaration(folder):
    plain = run_search("onemax.toml", cwd=folder)
    override = 'toolbox.mutate={use="my_ops:flip_one", times=2}'
    own = run_search("onemax.toml", override, "--runs", "own", cwd=folder)
    assert (plain.returncode, own.returncode) == (0, 0), own.stderr
    populations = [
        (folder / runs / "onemax" / "seed-1" / "population.csv").read_bytes()
        for runs in ("runs", "own")
    ]
    assert populations[0] != populations[1]


def test_deap_s_own_operators_are_named_in_the_declaration(folder):
    done = run_search(
        *("onemax.toml", "toolbox.mate=deap.tools:cxTwoPoint"),
        'toolbox.mutate={use="deap.tools:mutFlipBit", indpb=0.1}',
        'toolbox.select={use="deap.tools:selTournament", tournsize=4}',
        *("algorithm.generations=25", "algorithm.population=20"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "generation 25/25" in done.stdout


def test_an_operator_beside_the_declaration_is_found_from_elsewhere(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run_search(
        folder / "onemax.toml", "toolbox.mutate=my_ops:flip_one", "toolbox.map=processes",
        cwd=elsewhere,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_an_operator_s_own_error_is_one_line_that_names_its_line(folder):
    (folder / "my_ops.py").write_text("def broken(individual):\n    return 1 / 0\n")
    done = run_search("onemax.toml", "toolbox.mutate=my_ops:broken", cwd=folder)
    refused(done, "toolbox.mutate: ZeroDivisionError: division by zero (my_ops.py, line 2)")


def test_help_and_version_need_no_torch(folder):
    code = (
        "import sys, run_search\n"
        "try: run_search.main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "exit status: 0 done; 2" in done.stdout
    assert done.stdout.endswith("False\n")
    assert run_search("--version", cwd=folder).stdout.startswith("deap-nas ")


def test_a_search_of_a_problem_without_networks_needs_no_torch(folder):
    """Its import takes seconds, and half a GiB of the leading process."""
    code = (
        "import sys, run_search\n"
        "assert run_search.main(['onemax.toml', '--runs', 'light']) == 0\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("False\n")


def started(*arguments, cwd):
    """A search in the background, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "run_search.py"), *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_evaluations(archive, number, process):
    """Wait until the archive of a running search holds so many evaluations."""
    for _ in range(3_000):
        assert process.poll() is None, process.stdout.read()
        try:
            if archive.exists() and len(evaluations(archive)) >= number:
                return
        except sqlite3.OperationalError:  # not begun yet, or being written at this moment
            pass
        time.sleep(0.02)
    raise AssertionError("the search did not get that far")


SLOW_SEARCH = ("slow.toml", "toolbox.map={use='processes', workers=2}")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_search_loses_nothing_and_ends_like_an_uninterrupted_one(folder):
    run_search(*SLOW_SEARCH, "--runs", "whole", cwd=folder)
    whole = folder / "whole" / "slow" / "seed-1"
    part = folder / "part" / "slow" / "seed-1"
    (folder / "begun").unlink()
    (folder / "most").write_text("12")
    process = started(*SLOW_SEARCH, "--runs", "part", cwd=folder)
    wait_for_evaluations(part / "archive.sqlite", 11, process)
    process.kill()
    process.communicate()
    kept = evaluations(part / "archive.sqlite")
    assert 11 <= len(kept) < len(evaluations(whole / "archive.sqlite"))
    (folder / "most").unlink()
    done = run_search(*SLOW_SEARCH, "--runs", "part", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert evaluations(part / "archive.sqlite") == evaluations(whole / "archive.sqlite")
    trained = sum(int(row["trained"]) for row in rows(part / "generations.csv"))
    assert trained == len(evaluations(whole / "archive.sqlite")) - len(kept)
    assert (part / "population.csv").read_bytes() == (whole / "population.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise on Windows")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_ends_with_130_and_goes_on_later(folder, sent):
    (folder / "most").write_text("3")
    process = started(*SLOW_SEARCH, cwd=folder)
    archive = folder / "runs" / "slow" / "seed-1" / "archive.sqlite"
    wait_for_evaluations(archive, 3, process)
    process.send_signal(sent)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: everything finished is in the archive" in output
    assert "Traceback" not in output
    (folder / "most").unlink()
    assert run_search(*SLOW_SEARCH, cwd=folder).returncode == 0


@pytest.mark.slow
def test_a_second_search_in_the_same_folder_is_refused(folder):
    (folder / "most").write_text("1")
    process = started(*SLOW_SEARCH, cwd=folder)
    try:
        archive = folder / "runs" / "slow" / "seed-1" / "archive.sqlite"
        wait_for_evaluations(archive, 1, process)
        refused(run_search(*SLOW_SEARCH, cwd=folder), "another search is running in this folder")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_every_backend_gives_the_same_search(folder):
    ways = {
        "serial": ["toolbox.map=serial"],
        "processes": ["toolbox.map=processes"],
        "in_flight": ["toolbox.map=processes", "problem.in_flight=3"],
        "scoop": ["--workers", "2"],
        "ray": ["toolbox.map=ray"],
    }
    archives, populations = [], set()
    for name, more in ways.items():
        done = run_search("digits.toml", *more, "--runs", name, cwd=folder)
        assert done.returncode == 0, done.stderr
        run = folder / name / "digits" / "seed-3"
        archives.append(evaluations(run / "archive.sqlite"))
        populations.add((run / "population.csv").read_bytes())
    assert len(archives[0]) > 6
    assert {row[2] for row in archives[0].values()} == {"ok"}
    assert all(archive == archives[0] for archive in archives)
    assert len(populations) == 1


@pytest.mark.slow
def test_scoop_finds_a_user_s_own_problem_and_reports_its_failures(folder):
    (folder / "slow_ones.py").write_text(
        SLOW.replace("time.sleep(self.seconds)", "assert genome[0] == 0, 'no ones in front'")
    )
    done = run_search(
        "slow.toml", "toolbox.map=scoop", cwd=folder, launcher=["-m", "scoop", "-q", "-n", "2"]
    )
    assert done.returncode == 0, done.stderr
    found = evaluations(folder / "runs" / "slow" / "seed-1" / "archive.sqlite")
    assert {status for _, _, status, _ in found.values()} == {"ok", "error"}
    assert "AssertionError: no ones in front" in done.stdout


@pytest.mark.slow
def test_a_problem_that_does_not_reach_a_scoop_worker_is_an_error_of_each_network(folder):
    unmovable = "    def __setstate__(self, state):\n        raise RuntimeError('too heavy')\n"
    (folder / "slow_ones.py").write_text(SLOW + unmovable)
    done = run_search(
        *("slow.toml", "toolbox.map=scoop", "algorithm.generations=0"),
        cwd=folder,
        launcher=["-m", "scoop", "-q", "-n", "2"],
    )
    found = evaluations(folder / "runs" / "slow" / "seed-1" / "archive.sqlite")
    assert {status for _, _, status, _ in found.values()} == {"error"}, done.stderr
    assert "RuntimeError: too heavy" in done.stdout


@pytest.mark.slow
def test_scoop_without_workers_is_refused(folder):
    done = run_search(
        "onemax.toml", "toolbox.map=scoop", cwd=folder, launcher=["-m", "scoop", "-q", "-n", "1"]
    )
    assert "there are no workers with -n 1" in done.stderr
    assert not (folder / "runs").exists()


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_a_real_fashion_mnist_search_is_continued(folder, real_data):
    experiment = REPOSITORY / "experiments" / "fashion_mnist_nsga2.toml"
    size = ["problem.dataset.limit=600", "problem.training.epochs=1", "algorithm.population=4"]
    size.append("toolbox.map=serial")
    env = {"DEAP_NAS_DATA": str(real_data)}
    run = folder / "runs" / "fashion_mnist_nsga2" / "seed-1"
    first = run_search(experiment, *size, "algorithm.generations=1", cwd=folder, env=env)
    assert first.returncode == 0, first.stderr
    known = evaluations(run / "archive.sqlite")
    more = run_search(experiment, *size, "algorithm.generations=2", cwd=folder, env=env)
    assert more.returncode == 0, more.stderr
    assert known.items() <= evaluations(run / "archive.sqlite").items()
    assert [row["trained"] for row in rows(run / "generations.csv")][:2] == ["0", "0"]
    assert "device: cpu" in more.stdout or "device: cuda" in more.stdout


def test_nothing_is_left_open(folder):
    """A finished search has closed its archive: no journal lies beside it."""
    run_search("onemax.toml", cwd=folder)
    run = folder / "runs" / "onemax" / "seed-1"
    assert not [path for path in run.iterdir() if path.name.endswith(("-journal", ".part"))]
    assert os.access(run / "archive.sqlite", os.R_OK)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("objectivs=3", "did you mean 'objectives'"),
        ("algorithm.generation=3", "did you mean 'generations'"),
        ("toolbox.mutate=reset_gen", "did you mean 'reset_gene'"),
        ("bounds.redraw=-1", "bounds.redraw = -1"),
        ("stop.evaluation=3", "did you mean 'evaluations'"),
        ("halving.keeps=0.5", "halving.keeps: unknown key"),
        ("problem.use=image_clasification", "did you mean 'image_classification'"),
    ],
)
def test_a_wrong_name_is_refused_before_torch_is_imported(wrong, said):
    """torch takes seconds to import, scipy.stats and scikit-learn one each."""
    program = (
        "import sys, run_search\n"
        "status = run_search.main(sys.argv[1:])\n"
        "slow = {'torch', 'scipy.stats', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "print(status, sorted(slow))\n"
    )
    experiment = str(REPOSITORY / "experiments" / "quickstart.toml")
    done = subprocess.run(
        [sys.executable, "-c", program, experiment, wrong],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == "2 []\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "3"], "unrecognized arguments: --seed 3; without the dashes: seed=3;"),
        (["--problem.x=3"], "--problem.x=3; without the dashes: problem.x=3;"),
        (["objectives=ones", "params"], "quote the whole"),
    ],
)
def test_what_is_written_as_for_another_program_is_told_how_to_be_written(capsys, arguments, said):
    import run_search as program

    try:
        status = program.main(["experiments/quickstart.toml", *arguments])
    except SystemExit as end:
        status = end.code
    assert status == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_several_seeds_are_searches_of_their_own_with_one_summary(tmp_path):
    (tmp_path / "onemax.toml").write_text(ONEMAX)
    done = run_search("onemax.toml", "--seeds", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "onemax"
    assert sorted(path.parent.name for path in folder.glob("*/ranking.csv")) == [
        *("seed-1", "seed-2", "seed-3"),
    ]
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1", "2", "3"]
    for row in rows:
        with (folder / f"seed-{row['seed']}" / "ranking.csv").open(newline="") as file:
            best = next(iter(csv.DictReader(file)))
        assert float(row["best_ones"]) == float(best["ones"])
    assert "median" in done.stdout
    alone = run_search("onemax.toml", "seed=2", "--runs", "alone", cwd=tmp_path)
    assert alone.returncode == 0
    other = tmp_path / "alone" / "onemax" / "seed-2" / "population.csv"
    assert other.read_bytes() == (folder / "seed-2" / "population.csv").read_bytes()

    reported = run_search("report", folder, cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    assert (folder / "report" / "report.html").is_file()


def test_several_seeds_and_a_declared_one_are_refused(tmp_path):
    (tmp_path / "onemax.toml").write_text(ONEMAX)
    for more, said in (("seed=4", "leave seed= out"), ("--workers=2", "start one for each seed")):
        done = run_search("onemax.toml", "--seeds", 3, more, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_function_that_ends_the_program_is_told(tmp_path):
    (tmp_path / "leaving.py").write_text("def leave(individual):\n    raise SystemExit(0)\n")
    (tmp_path / "x.toml").write_text(ONEMAX)
    done = run_search("x.toml", "toolbox.mutate=leaving:leave", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: something that was called ended the program (SystemExit: 0); a function of your "
        "own must raise an error instead\n"
    )
    assert not (tmp_path / "runs").exists()


SWALLOWING = """
import os, signal, sys, time
from run_search import stopping_on_signals

class Closing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)

with stopping_on_signals(None):
    try:
        one = Closing()
        del one
        time.sleep(20)
        print("lost")
    except KeyboardInterrupt:
        print("came again")
print(sys.unraisablehook is sys.__unraisablehook__)
"""


def test_an_interrupt_that_a_finalizer_drops_comes_again():
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWING],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("came again\nTrue\n", "")


@pytest.mark.parametrize("backend", ["serial", "processes"])
def test_an_evaluation_that_changes_the_directory_leaves_the_search_where_it_was(folder, backend):
    (folder / "afar").mkdir()
    (folder / "slow_ones.py").write_text(
        SLOW.replace(
            "        time.sleep(self.seconds)\n",
            # A name of its own: two children are in the same folder at once.
            "        import os\n        here = Path(f'here-{os.getpid()}')\n"
            "        here.touch(exist_ok=False)\n        here.unlink()\n        os.chdir('afar')\n",
        )
    )
    done = run_search("slow.toml", f"toolbox.map={backend}", "algorithm.generations=1", cwd=folder)
    assert done.returncode == 0, done.stderr
    run = folder / "runs" / "slow" / "seed-1"
    assert (run / "ranking.csv").exists()
    assert {status for _, _, status, _ in evaluations(run / "archive.sqlite").values()} == {"ok"}
    assert {path.name for path in (folder / "afar").iterdir()} == {"begun"}
