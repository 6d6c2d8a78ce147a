"""What the seeds of one search found together, read as if it were one run."""

from collections.abc import Sequence
from pathlib import Path

from deap_nas.finished_run import FinishedRun, run_folders
from toolbox.archive import Archive, Record, differences
from toolbox.finals import estimated_losses
from toolbox.judge import Judge

SEED = "problem.seed "  # how a difference of seeds begins


class _Together(Archive):
    """The networks of several archives.

    One that several seeds found is there once, with the measurement that is the best by the first
    objective.
    """

    def __init__(self, judge: Judge, archives: Sequence[Archive]):
        super().__init__(archives[0].problem)
        self._archives = archives
        best: dict[str, tuple[tuple[float, ...], Record]] = {}
        for archive in archives:
            for record in archive.networks():
                self.add(record)
                place = (
                    not archive.is_whole(record),
                    *estimated_losses(judge, [record])[0].tolist(),
                )
                known = best.get(record.architecture)
                if known is None or place < known[0]:
                    best[record.architecture] = place, record
        self._networks = [record for _, record in best.values()]

    def networks(self) -> list[Record]:
        return list(self._networks)

    def is_whole(self, record: Record) -> bool:
        return any(one.get(record.key) and one.is_whole(record) for one in self._archives)


def open_together(path: Path) -> FinishedRun:
    """The run in a folder, or the seeds of one search that a folder holds, as one run.

    Its declaration and its problem are the first seed's.  Raises ValueError, one line, if there is
    none, or if they are not seeds of one search.
    """
    folders = run_folders([path])
    if folders == [path]:
        return FinishedRun.open(path)
    runs = [FinishedRun.open(folder) for folder in folders]
    first = runs[0]
    for other in runs[1:]:
        changes = [
            *differences(_objectives(first), _objectives(other), "objectives"),
            *differences(first.archive.problem, other.archive.problem),
        ]
        changes = [change for change in changes if not change.startswith(SEED)]
        if changes:
            raise ValueError(
                f"{other.path}: it is no seed of the search of {first.path} "
                f"({'; '.join(changes)}); name one run folder"
            )
    archive = _Together(first.judge, [run.archive for run in runs])
    return FinishedRun(path, first.declaration, first.problem, archive, first.path)


def _objectives(run: FinishedRun) -> list[str]:
    return [objective.name for objective in run.declaration.objectives]
