"""What the README shows is run, not only shown."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.usefixtures("untraced")

TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = [
    line.partition("  # ")[0].strip()
    for language, block in BLOCKS
    if language == "sh"
    for line in block.splitlines()
]
SEARCHES = [command for command in COMMANDS if "run_search.py" in command]
# The commands are run as they stand, on fewer images and networks.
SMALLER = ["problem.dataset.limit=100", "problem.training.epochs=1", "algorithm.generations=1"]
ALONE = "toolbox.map=serial"  # no child that imports torch anew, where they are not the matter
FEWER = {"--seeds": "2", "--budget": "24"}


def python_block(name):
    (block,) = [b for _, b in BLOCKS if b.startswith(f"# {name}\n")]
    return block


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a fresh clone holds, with the README's own files beside it."""
    folder = tmp_path_factory.mktemp("clone")
    for name in (
        "Makefile",
        "setup.cfg",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "run_search.py",
    ):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("deap_nas", "toolbox", "problems", "experiments"):
        shutil.copytree(REPOSITORY / name, folder / name)
    quickstart = folder / "experiments" / "quickstart.toml"
    shorter = quickstart.read_text().replace("epochs = 8", "epochs = 2")  # of `make search`
    assert shorter != quickstart.read_text()
    quickstart.write_text(shorter)
    for name in ("my_ops.py", "my_search.py", "my_network.py"):
        (folder / name).write_text(python_block(name))
    return folder


def run(command, cwd):
    done = subprocess.run(
        command, cwd=cwd, env=os.environ, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_screen_has_two_commands_and_three_uses():
    assert COMMANDS[:2] == ["make search", "make test"]
    assert TEXT.index("## Three uses") < TEXT.index("## Installing")
    assert len(SEARCHES) == 9


def arguments_of_windows(line):
    """The arguments that a program of Windows reads off its command line (Microsoft C runtime)."""
    found, current, quoted, begun, backslashes = [], "", False, False, 0
    for character in line + " ":
        if character == "\\":
            backslashes += 1
            begun = True
            continue
        if character == '"':
            current += "\\" * (backslashes // 2)
            if backslashes % 2:
                current += '"'
            else:
                quoted = not quoted
            begun, backslashes = True, 0
            continue
        current += "\\" * backslashes
        backslashes = 0
        if character in " \t" and not quoted:
            if begun:
                found.append(current)
            current, begun = "", False
        else:
            current += character
            begun = True
    return found


def passed_by_cmd(command):
    """What cmd.exe hands to a program: the line as it is, if nothing in it is special."""
    outside = "".join(command.split('"')[::2])
    assert not set(outside) & set("&|<>^%!()"), command
    return arguments_of_windows(command)


def passed_by_powershell(command):
    """What Windows PowerShell hands to a program: words, requoted if there is a space in them.

    It takes quotes off and does not escape those inside.
    """
    tokens = re.findall(r"""(?:'[^']*'|"[^"]*"|[^\s'"])+""", command)
    words = []
    for token in tokens:
        outside = re.sub(r"""'[^']*'|"[^"]*\"""", "", token)
        assert not set(outside) & set("&|<>;,(){}$@`#"), command
        word = re.sub(r"""'([^']*)'|"([^"]*)\"""", lambda m: m[1] or m[2] or "", token)
        words.append(f'"{word}"' if " " in word else word)
    return arguments_of_windows(" ".join(words))


def test_the_shells_of_windows_are_played_as_they_are():
    """The quotes of a table in the old form were kept, dropped, and eaten."""
    old = """x 'toolbox.select={use="tournament",size=5}'"""
    assert passed_by_cmd("""x "a b" c\\d""") == ["x", "a b", "c\\d"]
    assert passed_by_powershell(old) == ["x", "toolbox.select={use=tournament,size=5}"]
    assert passed_by_cmd(old) == ["x", "'toolbox.select={use=tournament,size=5}'"]


@pytest.mark.parametrize("command", SEARCHES)
def test_the_shells_of_windows_pass_a_search_of_the_readme_on_unchanged(command):
    assert passed_by_cmd(command) == shlex.split(command)
    assert passed_by_powershell(command) == shlex.split(command)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_search_runs_a_whole_search(clone):
    (clone / ".venv").mkdir()
    for mark in ("created", "installed"):  # the packages of this very test run are used
        (clone / ".venv" / mark).touch()
    output = run(["make", "search", f"BIN={Path(sys.executable).parent}"], clone)
    for line in ("INFO device:", "INFO budget: at most 72 networks", "generation 10/10"):
        assert line in output
    assert "Pareto front, estimated by the guide and all trainings: " in output
    assert (clone / "runs" / "quickstart" / "seed-1" / "front.csv").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_test_runs_this_suite():
    assert "-m pytest" in run(["make", "--dry-run", "test"], REPOSITORY)


@pytest.mark.slow
@pytest.mark.parametrize("command", SEARCHES)
def test_a_search_of_the_readme_runs(clone, command):
    program, *arguments = shlex.split(command)
    assert program == "python"
    for option, number in FEWER.items():
        if option in arguments:
            arguments[arguments.index(option) + 1] = number
    after = arguments[1] in ("report", "retrain", "export")  # of what a search above has left
    more = [] if after else SMALLER if "--workers" in arguments else [*SMALLER, ALONE]
    output = run([sys.executable, *arguments, *more], clone)
    assert "written: runs/" in output.replace(os.sep, "/")


@pytest.mark.slow
def test_the_readme_s_search_in_python_runs(clone):
    source = (clone / "my_search.py").read_text()
    statements = [line for line in source.splitlines() if line and not line.startswith("#")]
    assert len(statements) <= 8
    smaller = source.replace('quickstart.toml"', f'quickstart.toml", *{[*SMALLER, ALONE]!r}')
    assert smaller != source
    (clone / "my_search.py").write_text(smaller)
    lines = run([sys.executable, "my_search.py"], clone).splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "<Network"]


@pytest.mark.slow
def test_the_readme_s_network_is_searched(clone):
    space = 'problem.space={use="my_network:build", width=[8, 16]}'
    command = ["run_search.py", "experiments/quickstart.toml", "--runs", "runs/network", space]
    assert "depth=" in run([sys.executable, *command, *SMALLER, ALONE], clone)


def test_every_file_that_the_readme_names_is_there():
    named = re.findall(r"`((?:docs|experiments)/[\w/.]+)`", TEXT)
    assert named
    for name in named:
        assert (REPOSITORY / name).exists(), name
    for name in re.findall(r"^\| `(\w+\.toml)`", TEXT, flags=re.MULTILINE):
        assert (REPOSITORY / "experiments" / name).exists(), name


def test_the_readme_s_diff_is_that_of_the_two_experiments():
    (diff,) = [block for language, block in BLOCKS if language == "diff"]
    one, other = (
        [line for line in path.read_text().splitlines() if not line.startswith("#")]
        for path in (
            REPOSITORY / "experiments" / "nas_ga_basic.toml",
            REPOSITORY / "experiments" / "nas_ga_basic_roulette.toml",
        )
    )
    pairs = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    assert len(pairs) == 2
    assert diff.splitlines() == [text for a, b in pairs for text in (f"-{a}", f"+{b}")]


def test_the_readme_s_figures_are_those_of_the_results():
    results = "".join(
        path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "benchmarks" / "results").glob("*_cpu-*.md")
    )
    _, _, section = TEXT.partition("## How fast")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    figures = [
        figure.strip()
        for row in rows
        for cell in row.split("|")[2:5]
        for figure in cell.split(";")
        if re.fullmatch(r"[\d,.]+", figure.strip())
    ]
    assert len(figures) >= 15
    for figure in figures:
        # The results have a ratio by two decimals.
        assert re.search(rf"(?<![\d,.]){re.escape(figure)}\d?(?![\d,])", results), figure


def test_the_readme_names_everything_on_the_shelves():
    from problems import PROBLEMS
    from problems.datasets import DATASETS
    from problems.spaces import SPACES
    from problems.training.schedules import SCHEDULES
    from toolbox.algorithms import ALGORITHMS
    from toolbox.backends import BACKENDS
    from toolbox.crossover import CROSSOVERS
    from toolbox.initialization import INITIALIZATIONS
    from toolbox.mutation import MUTATIONS
    from toolbox.objectives import OBJECTIVES
    from toolbox.selection import SELECTIONS

    of_bit_strings = {"ones", "leading_ones", "trailing_zeros"}
    for shelf in (
        *(PROBLEMS, DATASETS, SCHEDULES, SPACES, ALGORITHMS, BACKENDS, CROSSOVERS),
        *(INITIALIZATIONS, MUTATIONS, OBJECTIVES, SELECTIONS),
    ):
        for name in set(shelf) - of_bit_strings:
            assert f"`{name}`" in TEXT, name
