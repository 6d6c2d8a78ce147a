"""A declaration to begin with, in a checkout and from a wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_search

SMALL = ["problem.dataset.limit=100", "problem.training.epochs=1", "algorithm.generations=1"]


def test_the_declarations_are_listed_with_what_they_are(tmp_path):
    done = run_search("start", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert listed == sorted(path.stem for path in (REPOSITORY / "experiments").glob("*.toml"))
    assert "handwritten digits" in done.stdout


@pytest.mark.parametrize(
    ("to", "written"),
    [([], "quickstart.toml"), (["a/b"], "a/b/quickstart.toml"), (["a/mine.toml"], "a/mine.toml")],
)
def test_one_is_copied(tmp_path, to, written):
    done = run_search("start", "quickstart", *to, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    original = REPOSITORY / "experiments" / "quickstart.toml"
    assert (tmp_path / written).read_text() == original.read_text()


def test_a_wrong_name_is_one_line_and_a_file_that_is_there_is_kept(tmp_path):
    done = run_search("start", "quikstart", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean 'quickstart'?" in done.stderr
    (tmp_path / "quickstart.toml").write_text("mine")
    done = run_search("start", "quickstart", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "quickstart.toml").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_the_wheel_searches_without_the_checkout(tmp_path):
    """Built and installed apart, it finds its dependencies here but none of the checkout."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("deap_nas", "toolbox", "problems", "experiments"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    shutil.copy(REPOSITORY / "run_search.py", source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *options, "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("deap_nas-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "-t", site, wheel], check=True)
    shutil.rmtree(source)

    work = tmp_path / "work"
    work.mkdir()
    env = {**os.environ, "PYTHONPATH": str(site)}

    def deap_nas(*arguments):
        code = "import sys, run_search; run_search.console()"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=work, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import deap_nas, toolbox, problems; print(toolbox.__file__, problems.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=work, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert all(Path(path).is_relative_to(site) for path in found.split())
    assert {"deap_nas", "toolbox", "problems"} == {
        path.parent.name for path in site.glob("*/py.typed")
    }
    assert len(deap_nas("start").splitlines()) == len(list((REPOSITORY / "experiments").glob("*")))
    deap_nas("start", "quickstart")
    assert "Pareto front" in deap_nas("quickstart.toml", *SMALL)
    deap_nas("report", "runs/quickstart/seed-1")
    assert (work / "runs" / "quickstart" / "seed-1" / "report" / "report.html").exists()
