"""A run folder read again, whether its search has ended or is still going on."""

import csv
import logging
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from deap_nas.user_folders import admit_again, names_in
from problems import PROBLEMS
from toolbox.archive import Archive, differences
from toolbox.declaration import Declaration, declare, load
from toolbox.judge import Judge
from toolbox.shelf import did_you_mean

log = logging.getLogger(__name__)


def declared(path: Path, overrides: Sequence[str] = ()) -> Declaration:
    """The declaration in a run folder, named as its experiment."""
    declaration = load(path / "declaration.toml", overrides, PROBLEMS)
    return replace(declaration, name=path.absolute().parent.name)


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """The run folders among paths, and those in a folder that holds the seeds of one search."""
    found = []
    for path in paths:
        seeds = [] if (path / "archive.sqlite").is_file() else list(path.glob("seed-*"))
        with_archive = [seed for seed in seeds if (seed / "archive.sqlite").is_file()]
        found += sorted(with_archive, key=_number) or [path]
    return found


def _number(folder: Path) -> tuple[int, str]:
    digits = folder.name.removeprefix("seed-")
    return (int(digits) if digits.isdecimal() else 0, folder.name)


def notice_edits(path: Path, declaration: Declaration, archive: Archive) -> None:
    """Tell of what was changed in a run folder's declaration since its search wrote it.

    Raises ValueError, one line, if its networks were not trained so.  An archive of a version that
    did not keep the declaration tells nothing.
    """
    file, kept = path / "declaration.toml", archive.noted("declaration")
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    if kept is None or not (changes := differences(tomllib.loads(kept), tables, "")):
        return
    if names_in(tomllib.loads(kept)) <= names_in(tables):
        before = declare(tomllib.loads(kept), PROBLEMS, declaration.name)
        old, new = (one.identity(one.problem.build()) for one in (before, declaration))
        trained_otherwise = differences(old, new)
    else:  # an archive is only data: what it alone names is not imported
        trained_otherwise = [change for change in changes if change.startswith("problem.")]
    if trained_otherwise:
        raise ValueError(
            f"{file}: it was edited after the search ({'; '.join(trained_otherwise)}), and the "
            "networks were not trained so; write it as it was"
        )
    log.warning("%s: it was edited after the search (%s)", file, "; ".join(changes))


@dataclass(frozen=True)
class FinishedRun:
    """A search's declaration, problem and archive; nothing here writes.

    declared_in: the folder of its declaration.toml; of several seeds that are read as one run, the
    first one's.
    """

    path: Path
    declaration: Declaration
    problem: Any
    archive: Archive
    declared_in: Path

    @classmethod
    def open(cls, path: Path) -> "FinishedRun":
        """The run in a folder.  Raises ValueError, one line, if there is none or it is empty."""
        if not path.exists():
            others = map(str, path.parent.glob("*/")) if path.parent.is_dir() else ()
            raise ValueError(f"{path}: there is no such folder{did_you_mean(str(path), others)}")
        if not (path / "archive.sqlite").is_file():
            near = sorted(str(found.parent) for found in path.glob("**/archive.sqlite"))
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{path}: there is no archive.sqlite in it; a run folder is needed, like "
                f"runs/quickstart/seed-1{hint}"
            )
        archive = Archive.read(path / "archive.sqlite")
        if not len(archive):
            raise ValueError(f"{path}: nothing has been evaluated in it yet")
        admit_again(path)
        declaration = declared(path)
        notice_edits(path, declaration, archive)
        return cls(path, declaration, declaration.problem.build(), archive, path)

    def redeclared(self, overrides: Sequence[str]) -> Declaration:
        """The declaration with `key=value` overrides applied.  Raises ValueError as `load` does."""
        return declared(self.declared_in, overrides)

    @cached_property
    def judge(self) -> Judge:
        """Reads fitness off the records, as the search did."""
        return Judge(self.declaration.objectives, self.declaration.bounds)

    @cached_property
    def generations(self) -> list[dict[str, str]]:
        """The rows of generations.csv; none if the search has not finished its first one."""
        path = self.path / "generations.csv"
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
