"""Searches whose wall clock jumps by days, forward and back, and which are killed meanwhile.

    python -m tests.clock_jumps [--searches 5] [--backends processes scoop] [--seed 0]

`clock_jumps.c` is loaded into every process of a search and moves its clock, all of them alike, a
few times a second.  The search must end as it does with a steady clock, nothing committed may be
lost or begun again, and the report must be made.  For Linux, with a C compiler.
"""

import argparse
import contextlib
import json
import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

from tests import chaos
from tests.conftest import run_search

SHIM = Path(__file__).with_suffix(".c")
FARTHEST = 200_000  # seconds that the clock is off at most
MOST_KILLS = 2


@dataclass
class Jumped:
    """What became of a search."""

    jumps: int = 0
    kills: int = 0
    back: int = 0  # evaluations that ended before the one before them, by the clock
    networks: int = 0


@contextlib.contextmanager
def moved_clock(folder):
    """Where the environment is that of processes whose clock is moved: a function that moves it."""
    library, offset = folder / "clock_jumps.so", folder / "offset"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True)
    offset.write_bytes(struct.pack("l", 0))
    with offset.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:

        def move(seconds):
            shared[:] = struct.pack("l", seconds)

        with patch.dict(os.environ, LD_PRELOAD=str(library), CLOCK_OFFSET=str(offset)):
            yield move


def jump(backend, seed):
    """One search; raises AssertionError if anything was lost, repeated or not as it should be."""
    luck, found = random.Random(seed), Jumped()
    with chaos.prepared(seed) as folder, tempfile.TemporaryDirectory() as own:
        expected = chaos.uninterrupted(folder, seed)
        (folder / "log").unlink()
        search = chaos.Search(folder, backend, seed)
        unfinished = Counter()  # evaluations that a kill may have ended
        with moved_clock(Path(own)) as move:
            search.start()
            while search.process.poll() is None:
                time.sleep(luck.uniform(0.1, 0.4))
                move(luck.randint(-FARTHEST, FARTHEST))
                found.jumps += 1
                search.look()
                if found.kills < MOST_KILLS and search.committed and luck.random() < 0.1:
                    before = [search.process.pid, *chaos.descendants(search.process.pid)]
                    search.process.kill()
                    search.process.wait()
                    chaos.wait_until_gone(before, folder, backend)
                    search.look()
                    known = {_genome(row) for row in search.committed.values()}
                    unfinished.update(set(_begun(folder)) - known)
                    found.kills += 1
                    search.start()
        assert search.process.returncode == 0, (folder / "output").read_text()
        assert search.look()
        begun = _begun(folder)
        assert set(begun) == {_genome(row) for row in search.committed.values()}
        for genome, times in begun.items():
            assert times <= 1 + unfinished[genome], f"{genome} was repeated"
        assert (search.run_folder / "population.csv").read_text() == expected
        done = run_search("report", search.run_folder, cwd=folder)
        assert done.returncode == 0, done.stderr
        ends = [row[2] for row in search.committed.values()]
        found.back = sum(later < earlier for earlier, later in pairwise(ends))
        found.networks = len(ends)
    return found


def _genome(row):
    return "".join(map(str, json.loads(row[0])))


def _begun(folder):
    """How often each genome was begun."""
    lines = (folder / "log").read_text(encoding="utf-8").splitlines()
    return Counter(line.split()[1] for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=5, help="with each backend")
    parser.add_argument("--backends", nargs="+", default=["processes", "scoop"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for backend in arguments.backends:
        found = [jump(backend, arguments.seed + number) for number in range(arguments.searches)]
        told = ", ".join(
            f"{sum(getattr(one, name) for one in found)} {name}"
            for name in ("jumps", "kills", "networks", "back")
        )
        print(f"{backend}: {told}: nothing lost, nothing repeated", flush=True)


if __name__ == "__main__":
    sys.exit(main())
