"""The two wings do not know each other; only run_search.py and deap_nas/ know both."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.conftest import REPOSITORY


def imported_modules(path):
    """The modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def imported(path):
    """The top-level packages that a file imports anywhere in it."""
    return (module.partition(".")[0] for module in imported_modules(path))


@pytest.mark.parametrize(
    ("wing", "forbidden"),
    [
        ("toolbox", {"torch", "torchvision", "problems", "deap_nas"}),
        ("problems", {"deap", "toolbox", "scoop", "deap_nas"}),
    ],
)
def test_a_wing_imports_nothing_of_the_other(wing, forbidden):
    files = sorted((REPOSITORY / wing).rglob("*.py"))
    assert len(files) > 10
    assert not {
        (file.name, package) for file in files for package in set(imported(file)) & forbidden
    }


def test_spaces_import_neither_torch_nor_numpy():
    for file in (REPOSITORY / "problems" / "spaces").rglob("*.py"):
        assert not set(imported(file)) & {"torch", "numpy"}, file


@pytest.mark.parametrize(
    "drawer", ["algorithms", "crossover", "initialization", "mutation", "selection"]
)
def test_an_operator_can_be_deleted_without_breaking_another(drawer):
    files = sorted((REPOSITORY / "toolbox" / drawer).glob("[!_]*.py"))
    assert len(files) > 1
    for file in files:
        siblings = [m for m in imported_modules(file) if m.startswith((".", f"toolbox.{drawer}"))]
        assert not siblings, file


def printed_by(code, *arguments):
    """The lines that a process prints, the last one with the names of all modules it has then."""
    words = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)", *arguments]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def imported_with(modules):
    """The names of all modules that a process has when it has imported these."""
    return set(printed_by(f"import {modules}")[-1].split())


SLOW = {"torch", "scipy", "sklearn", "pandas", "matplotlib"}


def test_a_search_is_begun_without_what_is_slow_to_import():
    assert not SLOW & imported_with("toolbox.assemble, toolbox.search, deap_nas.commands.search")


def test_a_search_that_ends_and_goes_on_has_imported_none_of_it(tmp_path):
    text = (
        "objectives = ['ones']\nproblem = 'onemax'\ntoolbox.select = 'tournament'\n"
        "algorithm = {use = 'genetic_algorithm', population = 6, generations = 2}\n"
    )
    (tmp_path / "small.toml").write_text(text, encoding="utf-8")
    code = (
        "import run_search\n"
        "for more in ([], ['algorithm.generations=3']):\n"
        "    assert not run_search.main([*sys.argv[1:], *more])\n"
    )
    *said, modules = printed_by(code, str(tmp_path / "small.toml"), "--runs", str(tmp_path))
    assert "\n".join(said).count("Top 5 by ones") == 2
    assert not SLOW & set(modules.split())


@pytest.mark.slow
def test_what_trains_imports_no_statistics_and_no_compiler():
    """Each takes a second or more in every process that trains."""
    code = (
        "from problems.datasets import Digits\n"
        "from problems.image_classification import ImageClassification\n"
        "from problems.spaces.conv_chain import PlainCnn\n"
        "space = PlainCnn(depth=(1, 1), filters=(4, 8))\n"
        "problem = ImageClassification(\n"
        "    dataset=Digits(limit=200, validation=100), space=space, device='cpu')\n"
        "genome = [0] * len(space.genes)\n"
        "assert 0 <= problem.evaluate(genome)['val_accuracy'] <= 1\n"
    )
    assert not {"scipy", "sklearn", "torch._dynamo"} & set(printed_by(code)[-1].split())


def files_by_module():
    for room in ("toolbox", "problems", "deap_nas"):
        for file in (REPOSITORY / room).rglob("*.py"):
            parts = file.relative_to(REPOSITORY).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def test_no_module_imports_itself_by_way_of_others():
    """Imports inside of functions count too."""
    files = dict(files_by_module())
    arrows = {}
    for module, file in files.items():
        found = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (whole & files.keys()) or {node.module}
        arrows[module] = found & files.keys() - {module}
    assert len(list(TopologicalSorter(arrows).static_order())) == len(files)
