"""The run folder: what a search leaves behind, to be read and to be continued."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit

from toolbox.archive import Archive, Record
from toolbox.declaration import Declaration
from toolbox.finals import Standing, estimated_fitness, standings
from toolbox.folder_lock import held
from toolbox.judge import Judge
from toolbox.report.ranking import front, ranking
from toolbox.search import Generation
from toolbox.whole_file import GrowingTable, write_table, write_whole

log = logging.getLogger(__name__)
COUNTS = ("evaluated", "trained", "reused", "infeasible", "failed")


class RunFolder:
    """`<runs>/<name of the declaration>/seed-<seed>/`, held by one search at a time.

    Each file is replaced whole, so a reader never sees half of one.  Use as a context manager;
    raises ValueError if another search is in the folder, or it cannot be written.
    """

    def __init__(self, runs: Path, declaration: Declaration):
        self.shown = runs / declaration.name / f"seed-{declaration.seed}"  # as a person says it
        self.path = self.shown.absolute()  # also after an operator that changes the directory
        self.declaration = declaration
        self._held = ExitStack()
        self._generations = GrowingTable(self.path / "generations.csv")
        self._made: list[Path] = []  # folders that were not there before, the innermost first
        self._declared = False

    def __enter__(self) -> "RunFolder":
        self._made = [one for one in (self.path, *self.path.parents) if not one.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            busy = (
                "another search is running in this folder; wait for it, or choose another folder "
                "with --runs"
            )
            instead = "choose a folder on another disk with --runs"
            self._held.enter_context(held(self.path, busy, instead))
        except OSError as error:
            self._unmake()
            raise ValueError(f"{self.shown}: it cannot be written: {error.strerror}") from error
        except ValueError:
            self._unmake()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with _warning_of_generations():
            self._generations.write()
        self._held.close()
        if kind:
            self._unmake()

    @contextmanager
    def removed_unless_declared(self) -> Iterator[None]:
        """Around a search: if it is refused before its declaration is written, the folder that was
        made for it goes again."""
        try:
            yield
        finally:
            if not self._declared and self.path in self._made:
                shutil.rmtree(self.path, ignore_errors=True)  # still held: nobody else is in it

    def _unmake(self) -> None:
        """Remove the folders that were made, as far as nothing is in them."""
        with suppress(OSError):
            for folder in self._made:
                if folder.exists():
                    folder.rmdir()

    def begin_session(self, archive: Archive, command: str, versions: str) -> None:
        """Remember what was started here, when, and with which versions."""
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        session = {"command": command, "versions": versions, "began": began, "ended": ""}
        archive.note("sessions", [*archive.noted("sessions", []), session])

    def end_session(self, archive: Archive, reason: str) -> None:
        """Remember that the search came to its end, and why."""
        *earlier, session = archive.noted("sessions")
        archive.note("sessions", [*earlier, {**session, "ended": reason}])

    def write_declaration(self) -> str:
        """Write declaration.toml; its text."""
        text = tomlkit.dumps(self.declaration.table())
        write_whole(self.path / "declaration.toml", text)
        self._declared = True
        return text

    def write_generation(
        self, generation: Generation, device_use: Mapping[str, float]
    ) -> dict[str, Any]:
        """Add a generation, and how the device was used in it, to generations.csv; its row."""
        names = [objective.name for objective in self.declaration.objectives]
        row: dict[str, Any] = {"generation": generation.number}
        row |= {name: getattr(generation, name) for name in COUNTS}
        row |= {f"best_{name}": value for name, value in zip(names, generation.best, strict=True)}
        row |= {f"median_{n}": value for n, value in zip(names, generation.median, strict=True)}
        if len(names) > 1:
            row["hypervolume"] = generation.hypervolume
        if generation.epochs:
            row["epochs"] = generation.epochs
        row |= {"seconds": round(generation.seconds, 3), **device_use}
        with _warning_of_generations():
            self._generations.add(row)
            if generation.stopped:
                self._generations.write()
        return row

    def write_population(self, population: Sequence[Any], space: Any) -> None:
        names = [objective.name for objective in self.declaration.objectives]
        rows = [
            {
                "genome": json.dumps(list(map(int, individual))),
                "architecture": space.decode(individual),
            }
            | dict(zip(names, individual.fitness.values, strict=True))
            for individual in population
        ]
        write_table(self.path / "population.csv", rows)

    @property
    def archive(self) -> Path:
        """The file of everything that was evaluated."""
        return self.path / "archive.sqlite"

    @property
    def results(self) -> Path:
        """front.csv for several objectives, ranking.csv for one."""
        several = len(self.declaration.objectives) > 1
        return self.path / ("front.csv" if several else "ranking.csv")

    def write_results(self, judge: Judge, networks: Sequence[Record]) -> None:
        """Write `results`, of everything in the archive.

        With a learned guide with what it and the trainings say together: `<objective>_estimate`.
        After finals with the means of those that were in them: `<objective>_mean`,
        `<objective>_standard_error`, `seeds` (trainings, 1 for all others) and `probability`.
        """
        several = len(self.declaration.objectives) > 1
        records = front(judge, networks) if several else ranking(judge, networks)
        of_finals = {one.record.key: one for one in standings(judge, networks)}
        rows = [self._result(judge, record, of_finals) for record in records]
        objectives = [objective.name for objective in self.declaration.objectives]
        write_table(self.results, rows, header=[*objectives, "architecture", "genome"])

    def _result(
        self, judge: Judge, record: Record, of_finals: Mapping[str, Standing]
    ) -> dict[str, Any]:
        names = [objective.name for objective in self.declaration.objectives]
        means: dict[str, Any] = {}
        if record.belief:
            estimates = estimated_fitness(judge, record)
            means = {f"{name}_estimate": one for name, one in zip(names, estimates, strict=True)}
        if of_finals:
            standing = of_finals.get(record.key)
            for place, name in enumerate(names):
                error = standing.standard_error if standing else None
                means[f"{name}_mean"] = standing.mean[place] if standing else None
                means[f"{name}_standard_error"] = error[place] if error else None
            means["seeds"] = standing.trainings if standing else 1
            means["probability"] = standing.probability if standing else None
        return {
            **dict(zip(names, judge.fitness(record), strict=True)),
            **means,
            "architecture": record.architecture,
            "genome": json.dumps(record.genome),
            **{k: v for k, v in record.measurement.items() if k not in names},
            "key": record.key,
        }


@contextmanager
def _warning_of_generations() -> Iterator[None]:
    """Go on without the file: a spreadsheet may hold it open, and it is tried again."""
    try:
        yield
    except OSError as error:
        log.warning("generations.csv cannot be written now: %s", error.strerror)
