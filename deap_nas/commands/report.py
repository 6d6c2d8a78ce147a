"""Show what a search found: one page, report.html, with its plots (PNG, SVG) and tables (CSV).

It only reads the runs, so it works on a search that is still going on too, and with --watch the
page follows it.

--ablate N trains: the N single changes of one gene that should tell most about the chosen network
(by a model of all networks of the search; one change of each gene first), as the search trains.
They are kept beside the search's archive, in ablation.sqlite, so that the search itself is as it
was; asked again, they are there, and the page shows them from now on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deap_nas.ablation import ablate
from deap_nas.finished_run import FinishedRun, run_folders
from deap_nas.output import console_on
from deap_nas.reporting import open_reported, write_reported
from deap_nas.watch_server import PageServer
from deap_nas.watching import Watch
from toolbox.problem import adapted
from toolbox.progress import log_to_console
from toolbox.quantities import quantities_with
from toolbox.report.ablation import ablation_table


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
        "--ablate", type=int, metavar="N", help="train N single changes of one network"
    )
    parser.add_argument(
        "--network",
        metavar="RULE",
        help="which one --ablate changes, as --pick of retrain; default: best or knee",
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
    if chosen.network and chosen.ablate is None:
        raise ValueError(f"--network {chosen.network}: it is the network of --ablate N")
    if chosen.watch:
        if chosen.ablate is not None:
            raise ValueError(f"--ablate {chosen.ablate}: it cannot go with --watch; run it before")
        return _watch(chosen.runs, out, chosen.port or 0)
    if chosen.port is not None:
        raise ValueError(f"--port {chosen.port}: it is the port of --watch")
    folders = run_folders(chosen.runs)
    if chosen.ablate is not None:
        _ablate(folders, chosen.ablate, chosen.network)
    reported, quantities = open_reported(folders)
    page = write_reported(reported, quantities, out, Console(stderr=True))
    print(f"written: {page}")
    return 0


def _ablate(folders: Sequence[Path], count: int, rule: str | None) -> None:
    """Train single changes of a network of one run, and show what they did."""
    if count < 1:
        raise ValueError(f"--ablate {count}: a number of at least 1 is needed")
    if len(folders) > 1:
        raise ValueError(
            f"--ablate {count}: one run folder is needed, like {folders[0]}; {len(folders)} are "
            "given"
        )
    screen = console_on()
    log_to_console(screen)
    finished = FinishedRun.open(folders[0])
    quantities = quantities_with(adapted(finished.problem).quantities)
    found = ablate(finished, rule, count, screen)
    screen.print(ablation_table(finished.judge, found, finished.archive.networks(), quantities))


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
