"""Show what a search found: one page, report.html, with its plots (PNG, SVG) and tables (CSV).

It only reads the runs, so it works on a search that is still going on too, and with --watch the
page follows it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deap_nas.finished_run import run_folders
from deap_nas.reporting import open_reported, write_reported
from deap_nas.watch_server import PageServer
from deap_nas.watching import Watch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN_FOLDER",
        help="or a folder of those of several seeds",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: report/ in the first folder"
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="show it in this machine's browser as the search goes on, until Ctrl-C; the folder "
        "need not exist yet",
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help="of the page with --watch; default: any that is free"
    )


def run(chosen: argparse.Namespace) -> int:
    out = chosen.out or chosen.runs[0] / "report"
    if chosen.watch:
        return _watch(chosen.runs, out, chosen.port or 0)
    if chosen.port is not None:
        raise ValueError(f"--port {chosen.port}: it is the port of --watch")
    reported, quantities = open_reported(run_folders(chosen.runs))
    screen = Console(stderr=True)
    page = write_reported(reported, quantities, out, screen)
    print(f"written: {page}")
    return 0


def _watch(paths: Sequence[Path], out: Path, port: int) -> int:
    watch = Watch(paths, out)
    watch.look()
    with PageServer(watch.file, watch.news, port) as server:
        print(f"watching, until Ctrl-C: {server.address}", flush=True)
        try:
            watch.keep_looking()
        except KeyboardInterrupt:
            page = out / "report.html"
            left = f"; the page is in {page}" if page.is_file() else ""
            print(f"\nno longer watched{left}")
    return 0
