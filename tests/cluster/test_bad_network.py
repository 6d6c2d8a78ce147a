"""SCOOP over ssh between machines whose network delays, loses and cuts."""

import time

import pytest

from tests import chaos
from tests.cluster.machines import REPOSITORY, machines_or_skip, marks, python_first

SEED = 6
pytestmark = marks("ip", "unshare", "ssh-keygen", "sshd")


@pytest.fixture
def machines():
    with machines_or_skip("lead", "one", "two", seed=SEED) as machines:
        yield machines


def test_a_search_over_a_network_that_delays_loses_and_is_cut_ends_as_alone(machines):
    switch = machines.switch
    with chaos.prepared(SEED) as folder:
        expected = chaos.uninterrupted(folder, SEED)
        (folder / "log").unlink()
        (folder / "hosts").write_text("one 2\ntwo 2\n")
        search = chaos.Search(folder, "scoop", SEED)
        ssh = python_first(machines.with_ssh() | {"PYTHONPATH": str(REPOSITORY)})
        command = ["python", REPOSITORY / "run_search.py", "chaos.toml", f"seed={SEED}"]
        command += ["problem.seconds=0.3", "--hostfile", "hosts"]
        process = machines.start("lead", *command, cwd=folder, env=ssh)
        switch.delay, switch.loss = 0.1, 0.05
        cut = None
        while process.poll() is None:
            search.look()
            if cut is None and len(search.committed) > 20:
                switch.cut, cut = {"two"}, time.monotonic()
            if cut and time.monotonic() > cut + 30:
                switch.cut = set()
            time.sleep(0.1)
        said = (machines.folder / "lead-python.txt").read_text()
        assert process.returncode == 0, said
        assert cut is not None
        assert switch.lost > 20
        search.check(expected)
