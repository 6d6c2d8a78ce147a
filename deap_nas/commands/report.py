"""Show what a search found: one page, report.html, with its plots (PNG, SVG) and tables (CSV).

It only reads the runs, so it works on a search that is still going on too.

--ablate N trains: the N single changes of one gene that should tell most about the chosen network
(by a model of all networks of the search; one change of each gene first), as the search trains.
They are kept beside the search's archive, in ablation.sqlite, so that the search itself is as it
was; asked again, they are there, and the page shows them from now on.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from deap_nas.ablation import ablate, ablations_of
from deap_nas.commands.retrain import FOLDER
from deap_nas.finished_run import FinishedRun, run_folders
from toolbox.archive import Record
from toolbox.problem import adapted
from toolbox.progress import log_to_console
from toolbox.quantities import quantities_with
from toolbox.report import figures
from toolbox.report.ablation import ablation_sections, ablation_table
from toolbox.report.evaluations import Evaluations
from toolbox.report.network_drawing import Layer
from toolbox.report.page import Section, write
from toolbox.report.sections import Reported, report


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


def run(chosen: argparse.Namespace) -> int:
    out = chosen.out or chosen.runs[0] / "report"
    folders = run_folders(chosen.runs)
    if chosen.ablate is not None:
        _ablate(folders, chosen.ablate, chosen.network)
    elif chosen.network:
        raise ValueError(f"--network {chosen.network}: it is the network of --ablate N")
    print(f"written: {write_report(folders, out)}")
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
    screen = Console(width=None if sys.stdout.isatty() else 160)
    log_to_console(screen)
    finished = FinishedRun.open(folders[0])
    quantities = quantities_with(adapted(finished.problem).quantities)
    found = ablate(finished, rule, count, screen)
    screen.print(ablation_table(finished.judge, found, finished.archive.networks(), quantities))


def write_report(runs: Sequence[Path], out: Path | None = None) -> Path:
    """Write the report of run folders; the path of its page.  Raises ValueError, one line."""
    opened = [FinishedRun.open(path) for path in runs]
    _check_comparable(opened)
    reported = [_reported(one, name) for one, name in zip(opened, _names(opened), strict=True)]
    quantities = quantities_with(adapted(opened[0].problem).quantities)
    with figures.styled():
        return write(report(reported, quantities), out or runs[0] / "report")


def _reported(one: FinishedRun, name: str) -> Reported:
    declaration = one.declaration
    run = Evaluations(name, one.judge, one.archive, declaration.population, one.generations)
    sections: list[Section] = []
    tested: dict[str, str] = {}
    of_all_seeds = one.path.absolute().parent / FOLDER
    for folder, called in ((of_all_seeds, f"{name}-of-all-seeds"), (one.path / FOLDER, name)):
        if folder.is_dir():
            from deap_nas.retraining.shown import retrained_sections  # it needs torch

            shown, of_networks = retrained_sections(folder, one.archive, called)
            sections += shown
            tested |= of_networks
    ablations = ablations_of(one)
    return Reported(
        declaration,
        run,
        bool(run.ended),
        adapted(one.problem).space,
        partial(_layers, one),
        sections,
        tested,
        ablation_sections(one.judge, ablations, one.archive.networks(), name),
    )


def _check_comparable(opened: Sequence[FinishedRun]) -> None:
    first = [objective.name for objective in opened[0].declaration.objectives]
    for other in opened[1:]:
        names = [objective.name for objective in other.declaration.objectives]
        if names != first:
            raise ValueError(
                f"{other.path}: its objectives are {', '.join(names)}, and those of "
                f"{opened[0].path} are {', '.join(first)}; report them one at a time"
            )
    paths = [one.path.resolve() for one in opened]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(f"{path} is named twice")


def _names(opened: Sequence[FinishedRun]) -> list[str]:
    """What tells the runs from each other: the parts of their folders that differ.

    One run is called as its folder.
    """
    parts = [list(one.path.absolute().parts) for one in opened]
    while len(parts) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    while len(parts) > 1 and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    return ["/".join(part) for part in parts] if len(parts) > 1 else [parts[0][-1]]


def _layers(one: FinishedRun, record: Record) -> list[Layer]:
    """The layers of a network, the image first; none for a problem that tells of none."""
    layers = [Layer(**layer) for layer in adapted(one.problem).layers(record.genome)]
    if sum(layer.params for layer in layers) != record.measurement.get("params"):
        return []  # the images' shape is only known to the search, which read them
    return layers
