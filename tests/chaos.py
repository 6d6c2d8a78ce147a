"""Kill searches at random moments, continue them, and look whether anything was lost or repeated.

    python -m tests.chaos [--rounds 50] [--backends processes scoop ray] [--seed 0]
        [--generations 8]

A round is one kill.  Searches of a problem that only sleeps run one after another; whatever is
running, a process of it is killed with SIGKILL: the one that leads, a child that evaluates, or a
worker.  A search that has lost its leading process is started again by the same command.  When it
has ended, it is held against the same search without a kill: the more generations, the fewer of
those.  For Linux.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
# Until then nothing of a search whose leading process was killed may be left.  A Ray that was begun
# by it ends by itself, and takes its time.  A SLURM that tells processes by their parents loses
# those of a batch script that is killed; the search then ends when it misses its workers.
GONE_SECONDS = {"processes": 30.0, "scoop": 30.0, "ray": 180.0, "slurm": 120.0}

PROBLEM = '''
import os, time
from dataclasses import dataclass
from problems.spaces.bit_string import BitString

@dataclass(frozen=True)
class Sleeping:
    """As many ones as possible, a nap for each try; it keeps a log of what was begun when."""
    log: str
    length: int = 16
    seconds: float = 0.05
    seed: int = 0

    @property
    def space(self):
        return BitString(self.length)

    def evaluate(self, genome):
        line = f"{time.time()} {''.join(map(str, genome))}\\n"
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, line.encode())
        os.close(log)
        time.sleep(self.seconds * (1 + sum(genome) % 3))
        return {"ones": sum(genome)}
'''

DECLARATION = """
objectives = ["ones"]
[problem]
use = "sleeping:Sleeping"
log = "{log}"
[toolbox]
select = "tournament"
mutate = {{ use = "reset_gene", gene_probability = 0.2 }}
[algorithm]
use = "genetic_algorithm"
population = 12
generations = 8
"""

COMMANDS = {  # overrides and options of each backend
    "processes": ["toolbox.map={use='processes', workers=3, retries=50}"],
    "scoop": ["toolbox.map={use='scoop', retries=50}", "--workers", "3"],
    "ray": ["toolbox.map={use='ray', workers=3, retries=50}"],
}


@dataclass
class Search:
    """One search, and what was seen of it."""

    folder: Path
    backend: str
    seed: int
    generations: int = 8
    runs: str = "runs"
    kills: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    committed: dict[str, tuple] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    def start(self, *more: str) -> None:
        command = [sys.executable, str(REPOSITORY / "run_search.py"), "chaos.toml"]
        command += [f"seed={self.seed}", f"algorithm.generations={self.generations}"]
        command += ["--runs", self.runs, *COMMANDS[self.backend], *more]
        with (self.folder / "output").open("a", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=untraced(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def run_folder(self) -> Path:
        return self.folder / self.runs / "chaos" / f"seed-{self.seed}"

    def look(self) -> bool:
        """Read the archive; whatever was once committed must still be there as it was.

        False if it cannot be read now: it is not there yet, or was left in the middle of a commit,
        which the search itself takes back when it opens it.
        """
        archive = self.run_folder / "archive.sqlite"
        try:
            file = sqlite3.connect(f"file:{archive}?mode=ro", uri=True)
            with contextlib.closing(file):
                columns = "key, genome, measurement, finished_at, status"
                found = file.execute(f"SELECT {columns} FROM evaluations")
                rows = {key: tuple(rest) for key, *rest in found}
        except sqlite3.OperationalError:
            return False
        for key, row in self.committed.items():
            assert rows.get(key) == row, f"committed and then lost: {row} is now {rows.get(key)}"
        self.committed = rows
        return True

    def check(self, expected: str) -> None:
        """Everything committed is there, was evaluated without an error, and never again."""
        assert self.look()
        assert {row[3] for row in self.committed.values()} == {"ok"}
        finished = {
            "".join(map(str, json.loads(genome))): when
            for genome, _, when, _ in self.committed.values()
        }
        for line in (self.folder / "log").read_text(encoding="utf-8").splitlines():
            begun, genome = line.split()
            begun_at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(float(begun)))
            fraction = f".{int(float(begun) % 1 * 1000):03d}"
            assert begun_at + fraction <= finished[genome], f"{genome} was repeated"
        population = (self.run_folder / "population.csv").read_text(encoding="utf-8")
        assert population == expected, "another population than that of the uninterrupted search"


def untraced() -> dict[str, str]:
    """The environment without what measures coverage: a search that is begun again and again runs
    nothing new, and tracing it takes a third of its time."""
    return {name: one for name, one in os.environ.items() if not name.startswith("COVERAGE_")}


def processes() -> Iterator[tuple[int, Path]]:
    """The number of each process of this machine, and where the kernel tells of it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            yield int(entry.name), entry


def command_line(entry: Path) -> str:
    """Of a process.  Raises OSError if it has ended."""
    return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def status_of(entry: Path) -> list[str]:
    """Of a process: its state, its parent, and the rest.  Raises OSError if it has ended."""
    return (entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()


def descendants(pid: int) -> dict[int, str]:
    """The processes below `pid` and their command lines."""
    parents, commands = {}, {}
    for one, entry in processes():
        with contextlib.suppress(OSError):
            parents[one] = int(status_of(entry)[1])
            commands[one] = command_line(entry)
    found: dict[int, str] = {}
    frontier = {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found |= {child: commands.get(child, "") for child in frontier}
    return found


def targets(search: Search, spare: int = 1) -> dict[str, list[int]]:
    """What can be killed, by what it is; so many workers of SCOOP are left to go on with."""
    assert search.process is not None
    kinds: dict[str, list[int]] = {"child": [], "worker": [], "root": []}
    for pid, command in descendants(search.process.pid).items():
        if "spawn_main" in command or command.startswith("ray::"):
            kinds["child"].append(pid)
        elif "scoop.bootstrap" in command:
            kinds["root" if "--origin" in command else "worker"].append(pid)
    if search.backend == "scoop":
        kinds["launcher"] = [search.process.pid]
        if len(kinds["worker"]) <= spare:
            kinds["worker"] = []
    else:
        kinds["root"] = [search.process.pid]
    return {kind: pids for kind, pids in kinds.items() if pids}


def wait_until_gone(pids: list[int], folder: Path, backend: str) -> None:
    """Nothing that was started for a search may outlive it: these, and whoever is in its folder."""
    end = time.monotonic() + GONE_SECONDS[backend]
    while alive := [pid for pid in [*pids, *_inhabitants(folder)] if _alive(pid)]:
        assert time.monotonic() < end, f"left behind: {[_described(pid) for pid in alive]}"
        time.sleep(0.02)


def _inhabitants(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for pid, entry in processes():
        with contextlib.suppress(OSError):
            if (entry / "cwd").resolve() == folder:
                found.append(pid)
    return found


def _alive(pid: int) -> bool:
    return _state(pid) not in ("", "Z")


def _state(pid: int) -> str:
    """What a process does, in the kernel's letter; nothing if it has ended."""
    try:
        return status_of(Path(f"/proc/{pid}"))[0]
    except OSError:
        return ""


def _described(pid: int) -> str:
    """A process that nobody expected: number, state, what it is, and each of its threads' waits."""
    entry, what = Path(f"/proc/{pid}"), f"{pid} ({_state(pid)})"
    with contextlib.suppress(OSError):
        waits = [(thread / "wchan").read_text() for thread in (entry / "task").iterdir()]
        what += f" {command_line(entry)} waits in {', '.join(waits)}"
    return what


def uninterrupted(folder: Path, seed: int, generations: int = 8) -> str:
    """The final population of a search that nobody disturbs; without naps, which do not matter."""
    search = Search(folder, "processes", seed, generations, runs="uninterrupted")
    search.start("problem.seconds=0")
    assert search.process is not None
    assert search.process.wait() == 0, (folder / "output").read_text(encoding="utf-8")
    return (search.run_folder / "population.csv").read_text(encoding="utf-8")


@contextlib.contextmanager
def prepared(seed: int) -> Iterator[Path]:
    """A folder with the problem and its declaration."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    (folder / "sleeping.py").write_text(PROBLEM, encoding="utf-8")
    text = DECLARATION.format(log=folder / "log")
    (folder / "chaos.toml").write_text(text, encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


def disturb(
    backend: str, seed: int, rounds: int, luck: random.Random, generations: int = 8
) -> Search:
    """One search with at most so many kills."""
    with prepared(seed) as folder:
        expected = uninterrupted(folder, seed, generations)
        (folder / "log").unlink()
        search = Search(folder, backend, seed, generations)
        search.start()
        assert search.process is not None
        while search.process.poll() is None or _ray_gave_up(search):
            # A moment of the start-up, or one while it searches.
            slow = 4 if backend == "ray" else 1
            pause = time.monotonic() + slow * luck.uniform(0, 1.5 if luck.random() < 0.7 else 6.0)
            while time.monotonic() < pause and search.process.poll() is None:
                time.sleep(0.01)
            search.look()
            found = targets(search)
            if search.process.poll() is not None or search.kills.total() >= rounds or not found:
                continue
            kind = luck.choice(sorted(found))
            if backend == "ray" and "child" in found and luck.random() < 0.6:
                kind = "child"  # after the other one, a minute passes until nothing is left of Ray
            before = [search.process.pid, *descendants(search.process.pid)]
            pid = luck.choice(found[kind])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                search.kills[kind] += 1
                with (folder / "output").open("a", encoding="utf-8") as output:
                    print(f"{time.strftime('%T')} killed: {kind} {pid} of {found}", file=output)
            if kind in ("root", "launcher"):
                ended_before = search.process.wait() == 0  # and is then checked as it is
                wait_until_gone(before, folder, backend)
                search.look()
                if not ended_before:
                    search.start()
        output = (folder / "output").read_text(encoding="utf-8")
        assert search.process.wait() == 0, output
        search.check(expected)
        return search


def _ray_gave_up(search: Search) -> bool:
    """Whether Ray ended the search: at its start, soon after another one was killed, or because
    the node itself did not survive a kill.  It is then started again, as a person would."""
    assert search.process is not None
    if search.backend != "ray" or search.process.wait() == 0:
        return False
    assert search.given_up < 30, (search.folder / "output").read_text(encoding="utf-8")
    search.given_up += 1
    search.look()
    search.start()
    return True


def run(backend: str, rounds: int, seed: int, generations: int = 8) -> str:
    """So many rounds on one backend; what was done, if nothing was wrong."""
    luck = random.Random(seed)
    start = time.monotonic()
    kills: Counter[str] = Counter()
    searches = given_up = 0
    while kills.total() < rounds:
        left = rounds - kills.total()
        search = disturb(backend, seed * 1000 + searches, left, luck, generations)
        kills += search.kills
        given_up += search.given_up
        searches += 1
    what = ", ".join(f"{count} x {kind}" for kind, count in sorted(kills.items()))
    again = f"; {given_up} times Ray itself gave up, and the search was started again"
    if not given_up:
        again = ""
    return (
        f"{backend}: {kills.total()} kills ({what}) in {searches} searches, "
        f"{time.monotonic() - start:.0f} s: nothing lost, nothing repeated{again}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="kills, over all backends")
    parser.add_argument("--backends", nargs="+", default=sorted(COMMANDS), choices=COMMANDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generations", type=int, default=8)
    arguments = parser.parse_args()
    rounds = -(-arguments.rounds // len(arguments.backends))
    for backend in arguments.backends:
        print(run(backend, rounds, arguments.seed, arguments.generations), flush=True)


if __name__ == "__main__":
    main()
