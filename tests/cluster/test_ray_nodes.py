"""A Ray of several nodes: some join during a search, some are lost, some have GPUs."""

import contextlib
import itertools
import json
import secrets
import sqlite3
import time
from collections import Counter, defaultdict
from datetime import datetime

import pytest

from tests import chaos
from tests.cluster.machines import REPOSITORY, machines_or_skip, marks, python_first

pytest.importorskip("ray")
SEED = 8
PORT = 6379
pytestmark = marks("ip", "unshare")

ON_GPUS = '''
import json, os, platform, time
from dataclasses import dataclass
from problems.spaces.bit_string import BitString

@dataclass(frozen=True)
class Holding:
    """Holds a GPU for a moment and logs which, from when until when."""
    log: str
    length: int = 12

    @property
    def space(self):
        return BitString(self.length)

    def evaluate(self, genome):
        begun = time.time()
        time.sleep(0.5)
        gpus = [platform.node(), os.environ.get("CUDA_VISIBLE_DEVICES", "")]
        with open(self.log, "a") as log:
            log.write(json.dumps([gpus, begun, time.time()]) + "\\n")
        return {"ones": sum(genome)}
'''


class Cluster:
    """Ray on machines: the first leads, and evaluates nothing."""

    def __init__(self, machines):
        self.machines = machines
        self.head = machines.names[0]
        self.address = f"{machines.addresses[self.head]}:{PORT}"
        self.environment = python_first(
            {
                "PYTHONPATH": str(REPOSITORY),
                "RAY_TMPDIR": str(machines.folder),
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": secrets.token_hex(16),
            }
        )
        self._start(self.head, "--head", f"--port={PORT}", "--num-cpus=0", "--num-gpus=0")

    def join(self, name, cpus=2, gpus=0):
        self._start(name, f"--address={self.address}", f"--num-cpus={cpus}", f"--num-gpus={gpus}")

    def _start(self, name, *options):
        where = f"--node-ip-address={self.machines.addresses[name]}"
        options = (where, *options, "--object-store-memory=80000000", "--disable-usage-stats")
        self.machines.start(name, "ray", "start", "--block", *options, env=self.environment)
        end = time.monotonic() + 60
        while "Ray runtime started" not in self.said("ray", name):
            assert time.monotonic() < end, self.said("ray", name)
            time.sleep(0.1)

    def search(self, folder, *overrides, experiment="chaos.toml"):
        """Start a search on the leading machine."""
        command = ["python", REPOSITORY / "run_search.py", experiment, *overrides]
        return self.machines.start(self.head, *command, cwd=folder, env=self.environment)

    def said(self, what="python", name="*"):
        files = self.machines.folder.glob(f"{name}-{what}.txt")
        return "".join(file.read_text() for file in files)

    def ended(self, process, seconds=240):
        with contextlib.suppress(Exception):
            process.wait(seconds)
        assert process.returncode == 0, self.said()


@pytest.fixture
def machines():
    with machines_or_skip("lead", "one", "two", seed=SEED) as machines:
        yield machines


@pytest.fixture
def cluster(machines):
    return Cluster(machines)


def backend(cluster, **options):
    told = {"use": "ray", "address": cluster.address, "retries": 50} | options
    return "toolbox.map={" + ", ".join(f"{key}={value!r}" for key, value in told.items()) + "}"


def machines_of(search):
    """How many evaluations each machine has finished."""
    with contextlib.closing(sqlite3.connect(search.run_folder / "archive.sqlite")) as archive:
        workers = archive.execute("SELECT worker FROM trainings").fetchall()
    return Counter(worker.split()[0] for (worker,) in workers)


def pause(search):
    """The longest time in which no evaluation was committed, in seconds."""
    ends = sorted(datetime.fromisoformat(row[2]).timestamp() for row in search.committed.values())
    return max(later - earlier for earlier, later in itertools.pairwise(ends))


@pytest.mark.parametrize("lost", ["switched off", "cut off"])
def test_a_node_that_joins_is_used_and_one_that_is_lost_costs_only_time(cluster, lost):
    machines = cluster.machines
    with chaos.prepared(SEED) as folder:
        expected = chaos.uninterrupted(folder, SEED)
        (folder / "log").unlink()
        search = chaos.Search(folder, "ray", SEED)
        cluster.join("one")
        process = cluster.search(folder, backend(cluster), f"seed={SEED}", "problem.seconds=0.4")
        joined = gone = False
        while process.poll() is None:
            if search.look() and len(search.committed) > 6 and not joined:
                cluster.join("two")
                joined = True
            elif joined and not gone and machines_of(search)["two"] > 4:
                if lost == "cut off":
                    machines.switch.cut = {"one"}
                else:
                    machines.kill("one")
                gone = True
            time.sleep(0.1)
        cluster.ended(process)
        assert gone
        assert machines_of(search)["one"] > 4
        assert machines_of(search)["two"] > 10
        print("longest time without an outcome:", pause(search))
        search.check(expected)


def test_an_asynchronous_search_goes_on_when_a_node_is_lost(cluster):
    with chaos.prepared(SEED) as folder:
        search = chaos.Search(folder, "ray", SEED)
        for name in ("one", "two"):
            cluster.join(name)
        changes = ("problem.seconds=0.3", "toolbox.select={use='tournament', size=3}")
        changes += (
            "algorithm={use='regularized_evolution', population=10, generations=6, in_flight=4}",
        )
        process = cluster.search(folder, backend(cluster), f"seed={SEED}", *changes)
        gone = False
        while process.poll() is None:
            if search.look() and not gone and min(machines_of(search)[n] for n in ("one", "two")):
                cluster.machines.kill("one")
                gone = True
            time.sleep(0.1)
        cluster.ended(process)
        assert gone
        assert search.look()
        search.check((search.run_folder / "population.csv").read_text())  # there is no other one
        kept = (search.run_folder / "population.csv").read_text()
        again = cluster.search(folder, backend(cluster), f"seed={SEED}", *changes)
        cluster.ended(again)
        assert (search.run_folder / "population.csv").read_text() == kept


def test_each_evaluation_has_the_share_of_a_gpu_that_it_asks_for(cluster):
    with chaos.prepared(SEED) as folder:
        (folder / "sleeping.py").write_text(ON_GPUS)
        cluster.join("one", cpus=16, gpus=1)
        cluster.join("two", cpus=16, gpus=2)
        text = (folder / "chaos.toml").read_text().replace("sleeping:Sleeping", "sleeping:Holding")
        (folder / "chaos.toml").write_text(text)
        process = cluster.search(
            folder, backend(cluster, gpus_per_worker=0.5), f"seed={SEED}", "algorithm.generations=3"
        )
        cluster.ended(process)
        spans = defaultdict(list)
        for line in (folder / "log").read_text().splitlines():
            (machine, gpu), begun, ended = json.loads(line)
            spans[machine, gpu].append((begun, ended))
    assert set(spans) == {("one", "0"), ("two", "0"), ("two", "1")}
    for held in spans.values():
        at_once = [sum(begun <= moment < ended for begun, ended in held) for moment, _ in held]
        assert max(at_once) == 2
