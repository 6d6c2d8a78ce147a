"""What the tests share: small declarations, the command line, and the real images."""

import contextlib
import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from problems import PROBLEMS
from tests import chaos
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.search import search

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = REPOSITORY.parent / "shared" / "datasets"


def onemax(**algorithm):
    """A single-objective declaration that trains nothing."""
    return {
        "objectives": ["ones"],
        "seed": 1,
        "problem": {"use": "onemax", "length": 12},
        "toolbox": {"select": "tournament", "map": "serial"},
        "algorithm": {"use": "genetic_algorithm", "population": 8, "generations": 5} | algorithm,
    }


def lotz(**algorithm):
    """A two-objective declaration whose front is known and that trains nothing."""
    return {
        "objectives": ["leading_ones", "trailing_zeros"],
        "seed": 1,
        "problem": {"use": "lotz", "length": 8},
        "toolbox": {"map": "serial", "mutate": {"use": "reset_gene", "gene_probability": 0.125}},
        "algorithm": {"use": "nsga2", "population": 20, "generations": 40} | algorithm,
    }


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory):
    """The key that seals run folders is not the one of whoever runs the tests, and Ray's workers,
    which it gives a niceness of 15, get their share of a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture
def untraced(monkeypatch):
    """Coverage is not measured in what a test starts: for long tests of which every line is run by
    others too, because tracing takes a third of the time."""
    for name in os.environ.keys() - chaos.untraced().keys():
        monkeypatch.delenv(name)


def pytest_collection_modifyitems(items):
    """The files with the most slow tests come first, so that none of them is alone at the end.

    A GPU's libraries warn of much that is no fault: tests that need one show it and go on.
    """
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.filterwarnings("default"))


class Run:
    """A search in this process: its declaration, problem, toolbox and generations."""

    def __init__(self, tables, archive=None, problems=PROBLEMS, swap=None):
        self.declaration = declare(tables, problems, name="test")
        self.problem = self.declaration.problem.build()
        identity = self.declaration.identity(self.problem)
        self.archive = Archive(identity) if archive is None else archive
        self.toolbox = assemble(self.declaration, self.problem, self.archive)
        if swap:
            swap(self.toolbox, self.problem)
        self.generations = list(search(self.declaration, self.toolbox))
        self.toolbox.close()

    @property
    def population(self):
        return self.generations[-1].population


class Unfollowed(contextlib.nullcontext):
    """Follows a search and shows nothing."""

    def readying(self):
        return contextlib.nullcontext()

    def expects(self, course):
        pass

    def record(self, record):
        pass

    def generation_done(self, generation, device_use):
        pass


class Gathering:
    """A backend in this process whose outcomes arrive `size` at a time, the last of them first."""

    def __init__(self, size):
        self.size = size

    def __call__(self, function, jobs):
        return itertools.chain.from_iterable(self.together(function, jobs))

    def together(self, function, jobs):
        jobs = iter(jobs)
        while hand := [job for job in itertools.islice(jobs, self.size) if job is not None]:
            yield [function(job) for job in reversed(hand)]

    def room(self, function):
        return self.size


def run_search(*arguments, cwd, launcher=(), env=None, **options):
    """`python run_search.py ...` in `cwd`, with its output as text."""
    return subprocess.run(
        [sys.executable, *launcher, str(REPOSITORY / "run_search.py"), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,
    )


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """A folder with the real Fashion-MNIST and CIFAR-10 as torchvision lays them out."""
    if not REAL_DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the real images are missing: {REAL_DATA}")
        pytest.skip(f"the real images are not in {REAL_DATA}")
    folder = tmp_path_factory.mktemp("images")
    subprocess.run([sys.executable, REAL_DATA / "unpack.py", folder], check=True)
    return folder
