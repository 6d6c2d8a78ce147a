"""Run folders, read for a report, and the report of them written."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from deap_nas.ablation import ablations_of
from deap_nas.commands.retrain import FOLDER
from deap_nas.finished_run import FinishedRun
from toolbox.archive import Record
from toolbox.problem import adapted
from toolbox.quantities import Quantity, quantities_with
from toolbox.report import figures
from toolbox.report.ablation import ablation_sections
from toolbox.report.evaluations import Evaluations
from toolbox.report.network_drawing import Layer
from toolbox.report.page import Section, ready_for_files, write
from toolbox.report.sections import Reported, report
from toolbox.space import Space
from toolbox.work import Work


def write_report(runs: Sequence[Path], out: Path | None = None) -> Path:
    """Write the report of run folders; the path of its page.  Raises ValueError, one line."""
    return write_reported(*open_reported(runs), out or runs[0] / "report")


def open_reported(runs: Sequence[Path]) -> tuple[list[Reported], dict[str, Quantity]]:
    """Run folders, read, and what their names mean.  Raises ValueError, one line."""
    opened = [FinishedRun.open(path) for path in runs]
    check_comparable(opened)
    quantities = quantities_with(adapted(opened[0].problem).quantities)
    with figures.styled():
        reported = [
            _reported(one, name) for one, name in zip(opened, names_of(opened), strict=True)
        ]
    return reported, quantities


def write_reported(
    reported: Sequence[Reported],
    quantities: Mapping[str, Quantity],
    out: Path,
    screen: Console | None = None,
) -> Path:
    """Write the report of what was read; the path of its page.  Raises ValueError, one line.

    screen: shows how far it is.
    """
    ready_for_files(out)
    networks = sum(len(one.evaluations.records) for one in reported)
    said = f"{networks:,} network{'s' * (networks != 1)}"
    with figures.styled():
        if screen is None:
            return write(report(reported, quantities), out)
        if not screen.is_terminal:
            screen.print(f"drawing the report of {said}", highlight=False)
        with Work(screen, "plots", 0, f"reading {said}") as work:
            page = report(reported, quantities)
            work.total, work.title = sum(len(one.plots) for one in page.sections), "drawing"
            return write(page, out, work.advance)


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
        space_of(one),
        partial(_layers, one),
        sections,
        tested,
        ablation_sections(one.judge, ablations, one.archive.networks(), name),
    )


def space_of(one: FinishedRun) -> Space | None:
    """The search space of a run; None if what it is read from, such as a table, has gone."""
    try:
        space = adapted(one.problem).space
        return space if space.genes else None  # a table is read when it is asked for
    except ValueError:
        return None


def check_comparable(opened: Sequence[FinishedRun]) -> None:
    """Raise ValueError, one line, if some runs have no report together."""
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


def names_of(opened: Sequence[FinishedRun]) -> list[str]:
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
