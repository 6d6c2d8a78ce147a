"""Searches whose machine, disk or network fails: what is finished stays, and the search goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests import chaos
from tests.chaos import COMMANDS, Search, descendants, prepared, uninterrupted, wait_until_gone
from tests.conftest import REPOSITORY, run_search

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes in /proc"),
]


ONE = ["algorithm.population=1", "algorithm.elite=0", "algorithm.generations=0"]


class Watched:
    """A search of a problem that sleeps, whose processes can be looked at and signalled."""

    def __init__(self, folder, backend, *more, seed=5):
        self.search = Search(folder, backend, seed)
        self.search.start(*more)
        self.folder = folder

    @property
    def output(self):
        return (self.folder / "output").read_text(encoding="utf-8")

    def wait_for_evaluations(self, count):
        end = time.monotonic() + 60
        while len(self.search.committed) < count:
            assert self.search.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.02)
            self.search.look()

    def pids(self, kind):
        return chaos.targets(self.search, spare=0)[kind]

    def everyone(self):
        return [self.search.process.pid, *descendants(self.search.process.pid)]

    def end(self):
        """The exit status, when it has ended."""
        return self.search.process.wait(timeout=120)


@pytest.fixture
def folder():
    with prepared(5) as found:
        yield found


@pytest.mark.parametrize(("backend", "rounds"), [("processes", 6), ("scoop", 6), ("ray", 1)])
def test_nothing_is_lost_or_repeated_by_kills_at_random_moments(backend, rounds):
    assert "nothing lost, nothing repeated" in chaos.run(backend, rounds, seed=1)


def test_a_search_goes_on_without_the_workers_of_scoop_that_are_killed(folder):
    expected = uninterrupted(folder, 5)
    (folder / "log").unlink()
    watched = Watched(folder, "scoop")
    watched.wait_for_evaluations(5)
    for pid in watched.pids("worker")[:2]:
        os.kill(pid, signal.SIGKILL)
    assert watched.end() == 0, watched.output
    assert "was lost; 1 are left" in watched.output
    watched.search.check(expected)


def test_an_idle_worker_of_scoop_that_is_killed_stops_nothing(folder):
    # One evaluation of two seconds at a time: two of the three workers have nothing to do.
    one = [
        "algorithm.population=1",
        "algorithm.elite=0",
        "algorithm.generations=0",
        "problem.seconds=2",
    ]
    watched = Watched(folder, "scoop", *one)
    end = time.monotonic() + 30
    while not (folder / "log").exists():
        assert time.monotonic() < end, watched.output
        time.sleep(0.02)
    (child,) = watched.pids("child")
    busy = next(p for p in watched.pids("worker") if child in descendants(p))
    for pid in watched.pids("worker"):
        if pid != busy:
            os.kill(pid, signal.SIGKILL)
    assert watched.end() == 0, watched.output
    assert watched.output.count("was lost") == 2


def test_without_any_worker_of_scoop_a_search_says_so_and_goes_on_later(folder):
    expected = uninterrupted(folder, 5)
    (folder / "log").unlink()
    watched = Watched(folder, "scoop")
    watched.wait_for_evaluations(5)
    everyone = watched.everyone()
    for pid in watched.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    assert watched.end() == 1
    assert "error: all workers of SCOOP were lost; everything finished is in" in watched.output
    wait_until_gone(everyone, folder, "scoop")
    watched.search.start()
    assert watched.end() == 0, watched.output
    watched.search.check(expected)


def test_a_worker_of_scoop_that_was_never_invited_ends_with_the_broker(tmp_path):
    """What started it on another machine may have been killed, and SCOOP itself waits for ever."""
    broker = ["--brokerHostname", "127.0.0.1", "--taskPort", "1", "--metaPort", "2", "--size", "2"]
    command = [sys.executable, "-m", "scoop.bootstrap", "--workingDirectory", tmp_path, *broker]
    worker = subprocess.Popen([*command, REPOSITORY / "run_search.py"], cwd=tmp_path)
    try:
        assert worker.wait(timeout=90) == 0
    finally:
        worker.kill()


def test_a_worker_of_scoop_that_no_longer_answers_counts_as_lost(folder):
    watched = Watched(folder, "scoop", "problem.seconds=0.2")
    watched.wait_for_evaluations(3)
    stopped = watched.pids("worker")[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        assert watched.end() == 0, watched.output
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert "was silent for 15 s" in watched.output


@pytest.mark.parametrize(
    ("backend", "sent"),
    [
        ("processes", signal.SIGINT),
        ("scoop", signal.SIGINT),
        ("scoop", signal.SIGTERM),
        ("ray", signal.SIGTERM),
    ],
)
def test_the_first_signal_stops_cleanly_with_130_and_leaves_no_orphan(folder, backend, sent):
    watched = Watched(folder, backend, "problem.seconds=0.3")  # it must not end by itself before
    watched.wait_for_evaluations(5)
    everyone = watched.everyone()
    watched.search.process.send_signal(sent)
    assert watched.end() == 130, watched.output
    assert "interrupted: everything finished is in the archive" in watched.output
    assert "Traceback" not in watched.output
    wait_until_gone(everyone, folder, backend)
    watched.search.look()


@pytest.mark.parametrize("backend", ["processes", "scoop"])
def test_the_second_signal_kills(folder, backend):
    watched = Watched(folder, backend)
    watched.wait_for_evaluations(3)
    everyone = watched.everyone()
    root = watched.pids("root")[0]
    os.kill(root, signal.SIGSTOP)  # a search that no longer gets to its end by itself
    watched.search.process.send_signal(signal.SIGTERM)
    if backend == "scoop":
        time.sleep(0.5)
    else:
        os.kill(root, signal.SIGCONT)
    watched.search.process.send_signal(signal.SIGTERM)
    assert watched.end() != 0
    wait_until_gone(everyone, folder, backend)
    watched.search.look()


def test_scoop_started_by_hand_gives_a_status_that_is_not_0_for_an_error(folder):
    command = [sys.executable, "-m", "scoop", "-q", "-n", "3", REPOSITORY / "run_search.py"]
    for overrides, succeeds in (
        (["toolbox.map=scoop", "algorithm.generations=0"], True),
        (["toolbox.map=scoop", "seed=-1"], False),
    ):
        process = subprocess.Popen(
            [*command, "chaos.toml", *overrides], cwd=folder, stderr=subprocess.PIPE, text=True
        )
        _, errors = process.communicate(timeout=60)
        assert (process.returncode == 0) is succeeds, errors
        assert ("error: seed = -1" in errors) is not succeeds


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["seed=-1", "--workers", "2"], 2, "seed = -1"),
        (["--workers", "0"], 2, "a number of at least 1 is needed"),
        (["--hostfile", "nowhere"], 2, "--hostfile nowhere: it cannot be read"),
        (["--hostfile", "no_number"], 2, "line 2: 'node1'; a host and how many workers"),
        (["--hostfile", "empty"], 2, "it names no host"),
        (["--hostfile", "unknown"], 2, "'nowhere.invalid' cannot be reached"),
    ],
)
def test_a_mistake_with_workers_is_one_line_and_the_true_status(folder, arguments, status, part):
    (folder / "no_number").write_text("# mine\nnode1\n")
    (folder / "empty").write_text("\n# nothing\n")
    (folder / "unknown").write_text("nowhere.invalid 2\n")
    done = run_search("chaos.toml", *arguments, cwd=folder)
    assert done.returncode == status
    assert part in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "runs").exists()


def test_a_hostfile_says_what_runs_where(folder):
    # Three entries of this machine: Debian gives its name the last of these addresses.
    (folder / "hosts").write_text("localhost 1  # a remark\n127.0.0.1 1\n127.0.1.1 1\n")
    done = run_search("chaos.toml", "--hostfile", "hosts", "algorithm.generations=0", cwd=folder)
    assert done.returncode == 0, done.stderr
    log = (folder / "runs" / "chaos" / "seed-0" / "run.log").read_text()
    assert "joined: 3 of 3" in log


FAKE_SSH = """#!/bin/bash
# ssh [options] HOST COMMAND, into the network namespace that plays that host.
while [[ $1 == -* ]]; do [[ $1 == -[Rop] ]] && shift; shift; done
shift
echo "$*" >> "{log}"
exec ip netns exec {name} env -i PATH="$PATH" HOME="$HOME" sh -c "$*"
"""


@pytest.fixture
def other_host(tmp_path):
    """The address of a second host: a network namespace, and an ssh that leads there."""
    name = f"deap{os.getpid()}"
    address = f"10.{os.getpid() % 200 + 20}.77"
    script = f"""
        ip netns add {name} && ip link add {name[-8:]}a type veth peer name {name[-8:]}b &&
        ip link set {name[-8:]}b netns {name} && ip addr add {address}.1/24 dev {name[-8:]}a &&
        ip link set {name[-8:]}a up && ip -n {name} addr add {address}.2/24 dev {name[-8:]}b &&
        ip -n {name} link set {name[-8:]}b up && ip -n {name} link set lo up
    """
    made = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    try:
        if made.returncode:
            pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
        ssh = tmp_path / "ssh"
        ssh.write_text(FAKE_SSH.format(name=name, log=tmp_path / "ssh.log"))
        ssh.chmod(0o755)
        yield f"{address}.2", tmp_path
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", f"{name[-8:]}a"], capture_output=True, check=False)


def test_workers_on_another_host_join_by_the_network(folder, other_host):
    address, bin_folder = other_host
    (folder / "hosts").write_text(f"{address} 2\nlocalhost 1\n")
    path = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = run_search("chaos.toml", "--hostfile", "hosts", "seed=5", cwd=folder, env=path)
    assert done.returncode == 0, done.stderr
    assert "scoop" in (bin_folder / "ssh.log").read_text()
    run = folder / "runs" / "chaos" / "seed-5"
    assert "joined: 3 of 3" in (run / "run.log").read_text()
    (folder / "log").unlink()
    assert (run / "population.csv").read_text() == uninterrupted(folder, 5)


def test_an_evaluation_of_90_seconds_is_executed_once_by_scoop(folder):
    one = [
        "algorithm.population=1",
        "algorithm.elite=0",
        "algorithm.generations=0",
        "problem.seconds=90",
    ]
    (folder / "sleeping.py").write_text(
        chaos.PROBLEM.replace("self.seconds * (1 + sum(genome) % 3)", "self.seconds")
    )
    done = run_search("chaos.toml", *one, "--workers", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len((folder / "log").read_text().splitlines()) == 1


def test_ray_keeps_failures_apart_and_ends_what_takes_too_long(folder):
    (folder / "sleeping.py").write_text(
        chaos.PROBLEM.replace(
            "        time.sleep(self.seconds * (1 + sum(genome) % 3))\n",
            "        match genome[:2]:\n"
            "            case [0, 0]: os._exit(7)\n"
            "            case [0, 1]: time.sleep(600)\n"
            "            case [1, 0]: raise RuntimeError('no good')\n",
        )
    )
    done = run_search(
        "chaos.toml",
        "toolbox.map={use='ray', workers=2, retries=1, timeout_seconds=20}",
        *("algorithm.generations=0", "seed=3"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    archive = sqlite3.connect(folder / "runs" / "chaos" / "seed-3" / "archive.sqlite")
    found = archive.execute("SELECT genome, status, message, attempts FROM evaluations").fetchall()
    archive.close()
    expected = {"[0, 0": "crash", "[0, 1": "timeout", "[1, 0": "error", "[1, 1": "ok"}
    assert len({status for _, status, _, _ in found}) == 4
    for genome, status, message, attempts in found:
        assert status == expected[genome[:5]], message
        assert attempts == (2 if status == "crash" else 1)


ANSWERING = """
import time
from toolbox.measure import Outcome

def answers(job):
    time.sleep({1: 0, 2: 30}[job.number])
    return Outcome(job.number, "ok")
"""

OCCUPIED = """
import time, ray
from answering import answers
from toolbox.backends.ray import Ray
from toolbox.measure import Job

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
ray.get(ray.remote(lambda: 1).remote())  # its process is there then
theirs = ray.remote(lambda: time.sleep(8)).remote()  # another search has the only place
time.sleep(1)
backend = Ray(1, timeout_seconds=4, retries=0)
for outcome in backend(answers, [Job(1, [0]), Job(2, [0])]):
    print(outcome.number, outcome.status, outcome.message)
"""


def test_waiting_for_a_place_on_a_ray_cluster_is_no_evaluation_that_takes_too_long(tmp_path):
    (tmp_path / "answering.py").write_text(ANSWERING)
    (tmp_path / "occupied.py").write_text(OCCUPIED)
    done = subprocess.run(
        [sys.executable, "occupied.py"],
        cwd=tmp_path,
        env=chaos.untraced() | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.splitlines()
    assert said == ["1 ok ", "2 timeout not finished after 4 s"], done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("address='127.0.0.1:1', workers=1", "workers = 1 is for address = 'local'"),
        ("address='127.0.0.1:1'", "address = '127.0.0.1:1': nothing answers there ("),
        ("address='127.0.0.1:99999'", "address = '127.0.0.1:99999': nothing answers there ("),
        ("gpus_per_worker=-1", "toolbox.map.gpus_per_worker = -1"),
        ("workers=1, gpus_per_worker=500", "an evaluation needs 1 CPU and 500 GPU of one machine"),
    ],
)
def test_a_mistake_with_ray_is_one_line(folder, options, part):
    done = run_search("chaos.toml", f"toolbox.map={{use='ray', {options}}}", cwd=folder)
    assert done.returncode == 2
    assert part in done.stderr
    assert not (folder / "runs").exists()


def test_a_disk_that_is_full_ends_the_search_in_one_line_and_it_goes_on_later(folder):
    expected = uninterrupted(folder, 5)
    (folder / "log").unlink()
    # No file may grow beyond 48 KiB, as on a disk with so much left; coverage has files of its own.
    code = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (49152, 49152)); "
        "os.environ.pop('COVERAGE_PROCESS_CONFIG', None); "
        "os.environ.pop('COVERAGE_PROCESS_START', None); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    done = run_search(
        *("chaos.toml", "seed=5", *COMMANDS["processes"]), cwd=folder, launcher=["-c", code]
    )
    assert done.returncode == 1, done.stderr
    assert "archive.sqlite cannot be written: " in done.stderr
    assert "Traceback" not in done.stderr
    search = Search(folder, "processes", 5)
    search.look()
    assert len(search.committed) > 5
    search.start()
    assert search.process.wait(60) == 0
    search.check(expected)


def test_a_failed_network_is_remembered_until_it_is_asked_for(folder):
    broken = chaos.PROBLEM.replace(
        "        time.sleep", "        assert genome[0]\n        time.sleep"
    )
    (folder / "sleeping.py").write_text(broken)
    first = run_search("chaos.toml", "toolbox.map=serial", cwd=folder)
    assert first.returncode == 0, first.stderr
    begun = (folder / "log").read_text().splitlines()
    failed = [line for line in begun if line.split()[1][0] == "0"]
    assert failed
    run_search("chaos.toml", "toolbox.map=serial", cwd=folder)
    assert (folder / "log").read_text().splitlines() == begun
    (folder / "sleeping.py").write_text(chaos.PROBLEM)
    again = run_search("chaos.toml", "toolbox.map=serial", "--retry-failed", cwd=folder)
    assert again.returncode == 0, again.stderr
    log = (folder / "log").read_text().splitlines()[len(begun) :]
    assert {line.split()[1] for line in log} >= {line.split()[1] for line in failed[:3]}
    archive = sqlite3.connect(folder / "runs" / "chaos" / "seed-0" / "archive.sqlite")
    statuses = dict(archive.execute("SELECT genome, status FROM evaluations"))
    archive.close()
    first_generation = [line.split()[1] for line in failed[:3]]
    for genome in first_generation:
        assert statuses[str([int(bit) for bit in genome])] == "ok"
