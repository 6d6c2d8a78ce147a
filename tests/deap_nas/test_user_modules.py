"""A user's own modules are found, and none of them is taken for one of ours."""

import shutil
import subprocess
import sys

import pytest

from deap_nas.user_modules import OURS
from tests.conftest import REPOSITORY, run_search
from tests.test_run_search import ONEMAX, evaluations

pytestmark = pytest.mark.slow  # searches in processes of their own

PROBLEM = """
from problems.bit_counting import OneMax
import helper_of_mine

class Mine(OneMax):
    def evaluate(self, genome):
        return {"ones": helper_of_mine.count(genome)}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "onemax.toml").write_text(ONEMAX.replace('"serial"', '"processes"'))
    return tmp_path


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("made", ["module", "package"])
def test_a_module_of_the_user_s_with_a_name_of_ours_is_refused(folder, name, made):
    path = folder / (f"{name}.py" if made == "module" else f"{name}/__init__.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    done = run_search("onemax.toml", cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert str(folder / (path.name if made == "module" else name)) in done.stderr
    assert "name of a module of deap-nas" in done.stderr
    assert not (folder / "runs").exists()


def test_it_is_refused_beside_the_declaration_too(folder, tmp_path_factory):
    (folder / "problems.py").write_text("")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run_search(folder / "onemax.toml", cwd=elsewhere)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert str(folder / "problems.py") in done.stderr


@pytest.mark.parametrize("name", ["problems", "toolbox"])
def test_it_is_refused_where_python_puts_the_user_s_folder_first(folder, name):
    (folder / f"{name}.py").write_text("")
    code = (
        f"import sys; sys.path.append({str(REPOSITORY)!r}); import run_search; "
        "sys.exit(run_search.main(['onemax.toml']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"{name}.py" in done.stderr


def test_a_folder_of_data_may_be_called_as_it_likes(folder):
    for name in OURS:
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("mine")
    done = run_search("onemax.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = evaluations(folder / "runs" / "onemax" / "seed-1" / "archive.sqlite")
    assert {status for _, _, status, _ in found.values()} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "way",
    [
        ["toolbox.map=processes"],
        pytest.param(
            ["--workers", "2"],
            marks=pytest.mark.skipif(shutil.which("ssh") is None and sys.platform == "win32",
                                     reason="SCOOP does not start there"),
        ),
    ],
    ids=["processes", "scoop"],
)  # fmt: skip
def test_the_children_find_the_user_s_modules_and_ours(folder, tmp_path_factory, way):
    (folder / "my_problem.py").write_text(PROBLEM)
    (folder / "helper_of_mine.py").write_text("def count(genome):\n    return sum(genome)\n")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run_search(folder / "onemax.toml", "problem.use=my_problem:Mine", *way, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    found = evaluations(elsewhere / "runs" / "onemax" / "seed-1" / "archive.sqlite")
    assert {status for _, _, status, _ in found.values()} == {"ok"}
