"""Power cuts, full disks and kills at every write of a search.

    python -m tests.disk_faults [--every N] [--variants N] [--seed N]

Runs a search with `disk_faults.c` between it and the disk, which records each write, sync, rename
and change of size.  Then, at each N-th of these operations:

- **power cut**: the disk is put together as the operations before the cut may have left it.  What
  was synced is there; of what was not, nothing, everything, or any part, in any order between two
  syncs, and one write torn at a sector.  A new name without a synced folder may be missing.  The
  archive must open, whole, with every evaluation that the algorithm had been given; every other
  file is missing or as it once was.
- **full disk**: from this operation on there is no room.  The search stops with one line and
  status 1 or 2; where there is room again, the same command goes on to the identical end.
- **kill**: the search is killed in place of the operation; the same command goes on to the
  identical end, and no evaluation of the archive is begun again.

The searches are forks of one process that has everything imported, so each costs milliseconds.
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import untraced
from tests.conftest import REPOSITORY

SECTOR = 512
SHIM = Path(__file__).with_suffix(".c")
DECLARATION = """
objectives = ["ones"]
seed = 3
[problem]
use = "tests.disk_faults:Counting"
length = 10
begun = "{begun}"
[toolbox]
map = "serial"
select = "tournament"
mutate = {{ use = "reset_gene", gene_probability = 0.2 }}
[algorithm]
use = "genetic_algorithm"
population = 6
generations = 3
elite = 1
[finals]
networks = 2
seeds = 1
"""


@dataclass(frozen=True)
class Counting:
    """As many ones as possible; each evaluation that is begun adds a line to a file."""

    length: int
    begun: str = field(default="", metadata={"identity": False})

    reseeds = True

    @property
    def space(self):
        from problems.spaces.bit_string import BitString

        return BitString(self.length)

    def evaluate(self, genome, seed=0):
        with open(self.begun, "a", encoding="utf-8") as file:
            print(seed, *genome, file=file)
        return {"ones": sum(genome) + seed / 1000}


@dataclass(frozen=True)
class Operation:
    """One change of the folder, as `disk_faults.c` tells of it."""

    kind: str
    path: str
    offset: int
    data: bytes


def operations(log: Path) -> list[Operation]:
    """What was done, in order."""
    found, raw, place = [], log.read_bytes(), 0
    while place < len(raw):
        end = raw.index(b"\n", place)
        kind, offset, size, length = raw[place:end].split()
        path = raw[end + 1 : end + 1 + int(length)]
        place = end + 1 + int(length) + int(size)
        data = raw[place - int(size) : place]
        found.append(Operation(kind.decode(), path.decode(), int(offset), data))
    return found


class Disk:
    """What a disk may hold after a power cut.

    A file is its content and what was done to it since it was synced last; a name is durable when
    its folder was synced.  Names change in the order in which they were changed, as on any file
    system with a journal; the content of files does not.
    """

    def __init__(self) -> None:
        self.durable: dict[int, bytes] = {}
        self.pending: dict[int, list[Operation]] = {}
        self.names: dict[str, int] = {}
        self.durable_names: dict[str, int] = {}
        self.pending_names: list[dict[str, int | None]] = []

    def apply(self, operation: Operation) -> None:
        kind, path = operation.kind, operation.path
        if kind == "c":
            number = len(self.durable)
            self.durable[number], self.pending[number] = b"", []
            self._name({path: number})
        elif kind == "r":
            self._name({path: None, operation.data.decode(): self.names[path]})
        elif kind == "u":
            self._name({path: None})
        elif kind == "s" and path in self.names:
            number = self.names[path]
            for one in self.pending[number]:
                self.durable[number] = _done(self.durable[number], one)
            self.pending[number] = []
        elif kind == "s":  # a folder
            for change in self.pending_names:
                _rename(self.durable_names, change)
            self.pending_names = []
        elif kind in "wz":
            self.pending[self.names[path]].append(operation)

    def _name(self, change: dict[str, int | None]) -> None:
        _rename(self.names, change)
        self.pending_names.append(change)

    def after_a_cut(self, rng: random.Random, variant: int) -> dict[str, bytes]:
        """The files after a cut.  Variant 0: what is durable; 1: everything; others: a draw."""
        names = dict(self.durable_names)
        reached = [0, len(self.pending_names), rng.randint(0, len(self.pending_names))]
        for change in self.pending_names[: reached[min(variant, 2)]]:
            _rename(names, change)
        return {path: self._content(number, rng, variant) for path, number in names.items()}

    def _content(self, number: int, rng: random.Random, variant: int) -> bytes:
        content, pending = self.durable[number], self.pending[number]
        if variant == 0:
            return content
        if variant > 1:
            pending = [one for one in pending if rng.random() < 0.5]
            if rng.random() < 0.5:
                rng.shuffle(pending)
            pending = [_torn(one, rng) if rng.random() < 0.2 else one for one in pending]
        for one in pending:
            content = _done(content, one)
        return content


def _rename(names: dict[str, int], change: dict[str, int | None]) -> None:
    for path, number in change.items():
        if number is None:
            names.pop(path, None)
        else:
            names[path] = number


def _done(content: bytes, one: Operation) -> bytes:
    if one.kind == "z":
        return content[: one.offset].ljust(one.offset, b"\0")
    content = content.ljust(one.offset, b"\0")
    return content[: one.offset] + one.data + content[one.offset + len(one.data) :]


def _torn(one: Operation, rng: random.Random) -> Operation:
    if one.kind != "w" or len(one.data) <= SECTOR:
        return one
    kept = rng.randrange(0, len(one.data), SECTOR)
    return Operation("w", one.path, one.offset, one.data[:kept])


def compiled(folder: Path) -> Path:
    """The library to be preloaded."""
    library = folder / "disk_faults.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SHIM, "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library


class Bench:
    """Searches in forks of this process, into which `disk_faults.c` is preloaded."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.begun = folder / "begun"
        self.log = folder / "operations"
        (folder / "faults.toml").write_text(DECLARATION.format(begun=self.begun))
        self.faults = ctypes.CDLL(None)
        self.faults.disk_faults_operations.restype = ctypes.c_long
        import toolbox.algorithms.genetic_algorithm
        import toolbox.backends.serial  # noqa: F401

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def run_folder(self) -> Path:
        return self.runs / "faults" / "seed-3"

    def search(self, *, log: bool = False, full_at: int = -1, kill_at: int = -1) -> tuple[int, str]:
        """The exit status (negative: a signal) of a search, and its last line of errors."""
        errors = self.folder / "errors"
        child = os.fork()
        if not child:
            status = 70
            with contextlib.suppress(BaseException):
                output = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(output, 1)
                os.dup2(output, 2)
                path = str(self.log if log else "").encode()
                self.faults.disk_faults_begin(
                    str(self.runs).encode(), path, ctypes.c_long(full_at), ctypes.c_long(kill_at)
                )
                status = self._run()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), errors.read_text(encoding="utf-8")

    def _run(self) -> int:
        from run_search import main
        from toolbox.judge import Judge

        fitness = Judge.fitness

        def given(judge, record):
            """What the algorithm is given, noted among the operations of the disk."""
            values = fitness(judge, record)
            with (
                contextlib.suppress(OSError),  # a full disk has no room for this note either
                open(self.runs / "given", "a", encoding="utf-8") as file,
            ):
                print(record.key, file=file)
            return values

        Judge.fitness = given  # type: ignore[method-assign]
        os.chdir(self.folder)
        return main(["faults.toml", "--runs", str(self.runs)])

    def population(self) -> str:
        return (self.run_folder / "population.csv").read_text(encoding="utf-8")

    def evaluations(self) -> list[str]:
        return self.begun.read_text(encoding="utf-8").splitlines() if self.begun.exists() else []

    def clear(self) -> None:
        shutil.rmtree(self.runs, ignore_errors=True)
        self.begun.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)


def records_in(archive: Path) -> dict[str, tuple[object, ...]]:
    """The evaluations in an archive file, checked by SQLite and opened by the toolbox."""
    from toolbox.archive import Archive

    whole = Archive.read(archive)
    Archive(whole.problem, archive).close()
    with contextlib.closing(sqlite3.connect(archive)) as file:
        (verdict,) = file.execute("PRAGMA integrity_check").fetchone()
        assert verdict == "ok", verdict
    return {r.key: (r.genome, r.status, json.dumps(r.measurement)) for r in whole}


def power_cuts(bench: Bench, every: int, variants: int, rng: random.Random) -> tuple[int, int]:
    """Cut the power at each `every`-th operation; how many cuts, and how many disks were looked at.

    Raises AssertionError for anything lost.
    """
    bench.clear()
    status, output = bench.search(log=True)
    assert status == 0, output
    done = operations(bench.log)
    final = records_in(bench.run_folder / "archive.sqlite")
    disk, given, versions = Disk(), set(), {}
    cuts = looked = 0
    for number, operation in enumerate(done, start=1):
        disk.apply(operation)
        if operation.path.endswith("/given") and operation.kind == "w":
            given.update(operation.data.decode().split())
        if operation.kind == "r":
            named = disk.names[operation.data.decode()]
            content = disk.durable[named]
            for one in disk.pending[named]:
                content = _done(content, one)
            versions.setdefault(operation.data.decode(), set()).add(content)
        if number % every and number != len(done):
            continue
        cuts += 1
        for variant in range(variants):
            files = disk.after_a_cut(rng, variant)
            _check(files, bench, given, final, versions, f"cut {number}, variant {variant}")
            looked += 1
    return cuts, looked


def _check(files, bench, given, final, versions, where) -> None:
    folder = bench.folder / "cut"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in files.items():
        if Path(path).name.startswith("archive.sqlite"):
            (folder / Path(path).name).write_bytes(content)
        elif path in versions:
            assert content in versions[path], f"{where}: {path} is not whole"
    archive = folder / "archive.sqlite"
    found = {}
    if archive.exists() and archive.stat().st_size:
        with contextlib.suppress(*([] if given else [ValueError])):  # its tables may not be begun
            found = records_in(archive)
    assert given <= set(found), f"{where}: {len(given - set(found))} evaluations are lost"
    for key, record in found.items():
        assert final[key] == record, f"{where}: {record} is {final[key]}"


def disturbed(bench: Bench, every: int, fault: str) -> int:
    """A search for each `every`-th operation, in which a fault comes; how many there were.

    fault: `full_at` or `kill_at`.  Raises AssertionError unless each goes on to the identical end.
    """
    bench.clear()
    status, output = bench.search(log=True)
    assert status == 0, output
    expected, begun = bench.population(), sorted(bench.evaluations())
    total = len(operations(bench.log))
    tried = 0
    for number in range(0, total, every):
        bench.clear()
        status, output = bench.search(**{fault: number})
        where = f"{fault} = {number}: status {status}: {output[-1500:]}"
        if fault == "kill_at":
            # What arrives together is one commit, so another run may end after fewer operations.
            assert status == -9 or (status == 0 and number > 0.9 * total), where
        elif status != 0:  # a file that can be written later is no reason to stop
            assert status in (1, 2), where
            assert "Traceback" not in output, where
            assert output.splitlines()[-1].startswith("error: "), where
        committed = set()
        with contextlib.suppress(ValueError, sqlite3.Error):
            committed = set(records_in(bench.run_folder / "archive.sqlite"))
        before = bench.evaluations()
        status, output = bench.search()
        assert status == 0, f"after {where}: {output}"
        assert bench.population() == expected, where
        again = len(bench.evaluations()) - len(set(bench.evaluations()))
        assert again <= max(0, len(before) - len(committed)), f"{where}: {again} begun again"
        assert sorted(set(bench.evaluations())) == begun, where
        tried += 1
    return tried


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """A bench in a folder of its own, inside a process with the library preloaded."""
    with tempfile.TemporaryDirectory(prefix="disk-faults-") as folder:
        yield Bench(Path(folder).resolve())


def preloaded(arguments: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    """This module run with `disk_faults.c` in its place."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**untraced(), "LD_PRELOAD": str(compiled(Path(folder)))}
        return subprocess.run(
            [sys.executable, "-m", "tests.disk_faults", *arguments],
            cwd=REPOSITORY,
            env=environment,
            text=True,
            check=False,
            **how,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="try each N-th operation (default 1)")
    parser.add_argument("--variants", type=int, default=12, help="disks looked at after a cut")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if "disk_faults" not in os.environ.get("LD_PRELOAD", ""):
        sys.exit(preloaded(sys.argv[1:]).returncode)
    with bench() as one:
        cuts, looked = power_cuts(one, chosen.every, chosen.variants, random.Random(chosen.seed))
        print(f"power cut at {cuts} operations, {looked} disks: nothing lost", flush=True)
        full = disturbed(one, chosen.every, "full_at")
        print(f"full disk at {full} operations: each went on to the identical end", flush=True)
        killed = disturbed(one, chosen.every, "kill_at")
        print(f"killed at {killed} operations: nothing lost, nothing repeated", flush=True)


if __name__ == "__main__":
    main()
