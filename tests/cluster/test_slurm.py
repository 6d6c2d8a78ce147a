"""Searches as jobs of a real SLURM, over several machines of this one (see machines.py).

The shipped batch files are submitted as they are.  A search must end as it does without a cluster,
and nothing that was finished may be lost or repeated.
"""

import os
import shutil
import time

import pytest

from tests import chaos
from tests.cluster.machines import REPOSITORY, machines_or_skip
from tests.cluster.slurm import Slurm, missing

SEED = 5
IN_SHORT = pytest.mark.skipif(
    bool(os.environ.get("CI")), reason="takes most of a minute: python -m pytest tests/cluster"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"not installed: {', '.join(missing())}"),
]


@pytest.fixture(scope="module")
def slurm():
    with machines_or_skip("login", "n1", "n2") as machines:
        slurm = Slurm(machines)
        slurm.start()
        yield slurm


@pytest.fixture(scope="module")
def project():
    """A folder as a user's, and the end of its search without a cluster."""
    with chaos.prepared(SEED) as folder:
        (folder / "run_search.py").symlink_to(REPOSITORY / "run_search.py")
        (folder / "examples").symlink_to(REPOSITORY / "examples")
        yield folder, chaos.uninterrupted(folder, SEED)


@pytest.fixture
def folder(project):
    folder, _ = project
    shutil.rmtree(folder / "runs", ignore_errors=True)
    (folder / "log").unlink(missing_ok=True)
    return folder


@pytest.fixture
def search(project, folder):
    return chaos.Search(folder, "scoop", SEED)


def begun(slurm, search, *options, seconds=0.6):
    """The number of a job whose search has finished some evaluations."""
    problem = f"problem.seconds={seconds}"
    job = slurm.submit(
        *(*options, "examples/slurm/scoop.sbatch", "chaos.toml", f"seed={SEED}", problem),
        cwd=search.folder,
    )
    end = time.monotonic() + 120
    while len(search.committed) < 6:
        assert time.monotonic() < end, said(search, job)
        time.sleep(0.1)
        search.look()
    return job


def said(search, job):
    return (search.folder / f"slurm-{job}.out").read_text()


def at_once(slurm, job):
    """What is requeued begins after two minutes, unless somebody says otherwise."""
    slurm.wait_for(job, "PENDING")
    slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")


def test_a_preempted_search_is_requeued_and_goes_on_to_the_same_end(slurm, search, project):
    job = begun(slurm, search)
    urgent = slurm.submit("-N2", "-p", "high", "--exclusive", "--wrap", "true", cwd=search.folder)
    slurm.wait_for(urgent, "COMPLETED", seconds=120)
    assert search.look()
    at_once(slurm, job)
    state, restarts, _ = slurm.wait_for(job, "COMPLETED", "FAILED", "TIMEOUT", seconds=180)
    assert (state, restarts) == ("COMPLETED", 1), said(search, job)
    search.check(project[1])


@IN_SHORT
def test_a_search_ends_before_its_time_is_over_and_goes_on_in_the_next_job(slurm, search, project):
    end = int(time.time()) + 16
    job = begun(slurm, search, f"--export=ALL,SLURM_JOB_END_TIME={end}")
    slurm.wait_for(job, "PENDING", seconds=120)
    assert "its job ends: everything finished is in the archive" in said(search, job)
    assert search.look()
    at_once(slurm, job)
    state, restarts, _ = slurm.wait_for(job, "COMPLETED", "FAILED", seconds=180)
    assert (state, restarts) == ("COMPLETED", 1), said(search, job)
    search.check(project[1])


@IN_SHORT
def test_a_cancelled_search_is_continued_by_the_next_job(slurm, search, project):
    job = begun(slurm, search)
    slurm.run("scancel", job)
    slurm.wait_for(job, "CANCELLED", seconds=120)
    chaos.wait_until_gone([], search.folder, "scoop")
    job = begun(slurm, search)
    state, _, _ = slurm.wait_for(job, "COMPLETED", "FAILED", seconds=180)
    assert state == "COMPLETED", said(search, job)
    search.check(project[1])


def test_an_array_searches_with_many_seeds(slurm, folder):
    job = slurm.submit("--array=5-7", "examples/slurm/seeds.sbatch", "chaos.toml", cwd=folder)
    for task in (5, 6, 7):
        state, _, _ = slurm.wait_for(f"{job}_{task}", "COMPLETED", "FAILED", seconds=180)
        assert state == "COMPLETED", (folder / f"slurm-{job}_{task}.out").read_text()
    found = sorted(path.name for path in (folder / "runs/chaos").glob("seed-*"))
    assert found == ["seed-5", "seed-6", "seed-7"]


@IN_SHORT
def test_one_search_runs_over_the_nodes_by_ray(slurm, search, project):
    pytest.importorskip("ray")
    job = slurm.submit("examples/slurm/ray.sbatch", "chaos.toml", f"seed={SEED}", cwd=search.folder)
    state, _, _ = slurm.wait_for(job, "COMPLETED", "FAILED", seconds=180)
    assert state == "COMPLETED", said(search, job)
    search.check(project[1])
