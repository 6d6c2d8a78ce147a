"""How long is it from starting the command to the first measurement?

    python -m benchmarks.time_to_first_result [--repeats 5] [--out FILE.md]

Starts the quickstart in a folder of its own, with one network of one epoch on 100 images, and reads
the clock when the archive holds its measurement.  Medians of separate processes, for each backend.
"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.result_file import keep, machine, parser_of

REPOSITORY = Path(__file__).parents[1]
SMALLEST = (
    "algorithm.population=1",
    "algorithm.generations=0",
    "problem.training.epochs=1",
    "problem.dataset.limit=100",
    "problem.device=cpu",
)


def seconds_to_first_result(backend: str) -> float:
    """From the start of the process to the first row of its archive."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "run_search.py", "experiments/quickstart.toml", *SMALLEST]
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, f"toolbox.map={backend}", "--runs", folder],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
        )
        archive = Path(folder) / "quickstart" / "seed-1" / "archive.sqlite"
        while not _rows(archive):
            assert process.poll() in (None, 0), "the search failed"
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        process.wait()
    return seconds


def _rows(archive: Path) -> int:
    if not archive.exists():
        return 0
    connection = sqlite3.connect(f"file:{archive}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*) FROM evaluations").fetchone()[0]
    except sqlite3.OperationalError:  # the table is not there yet
        return 0
    finally:
        connection.close()


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    lines = [
        "# Time from the start of the command to the first measurement",
        "",
        f"{machine()}; median of {arguments.repeats} (least to most).",
        "",
        "| backend | seconds |",
        "|---|---|",
    ]
    for backend in ("serial", "processes"):
        times = sorted(seconds_to_first_result(backend) for _ in range(arguments.repeats))
        lines.append(f"| {backend} | {median(times):.2f} ({times[0]:.2f} to {times[-1]:.2f}) |")
    print("\n".join(lines))
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
