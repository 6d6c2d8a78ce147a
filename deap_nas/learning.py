"""What a search learns from others: the run folders of `learn_from`, read once and kept."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from deap_nas.finished_run import run_folders
from toolbox.archive import Archive, noted_in
from toolbox.declaration import Declaration
from toolbox.screening.foretelling import Foretelling
from toolbox.shelf import did_you_mean
from toolbox.sources import NOTE, Source

log = logging.getLogger(__name__)


def taught(declaration: Declaration, archive: Path) -> Declaration:
    """`all_taught` of one search."""
    return all_taught([(declaration, archive)])[0]


def all_taught(searches: Iterable[tuple[Declaration, Path]]) -> list[Declaration]:
    """Declarations with what was found in the run folders of their `learn_from`, each read once.

    searches: each with its archive's file, if there is one yet.  It keeps what the search began to
    learn from, so that it goes on as it began whatever becomes of those folders.  Raises
    ValueError, one line, for what is no run folder.
    """
    read: dict[str, Source] = {}
    return [_taught(declaration, archive, read) for declaration, archive in searches]


def _taught(declaration: Declaration, archive: Path, read: dict[str, Source]) -> Declaration:
    """read: the sources that are known by now, by their names; it grows."""
    if not declaration.learn_from:
        return declaration
    kept = noted_in(archive, NOTE) if archive.is_file() else None
    sources = []
    for number, name in enumerate(declaration.learn_from):
        if kept and name in kept:
            sources.append(Source.kept(name, kept[name]))
            continue
        try:
            folders = _folders(name, archive)
            if name not in read:
                read[name] = Source.of(
                    name, [Archive.read(folder / "archive.sqlite") for folder in folders]
                )
            sources.append(read[name])
        except ValueError as error:
            raise ValueError(f"learn_from[{number}] = {name!r}: {error}") from None
    return replace(declaration, sources=tuple(sources))


def keep(archive: Archive, sources: Sequence[Foretelling]) -> None:
    """Keep in the archive of a search what it learns from, and what became of it."""
    noted = archive.noted(NOTE, {})
    told = {}
    for one in sources:
        before = noted.get(one.name, {}).get("verdict")
        verdict = one.verdict or before or ""
        if verdict != before:
            told[one.name] = {**one.source.table(), "verdict": verdict}
    if told:
        archive.note(NOTE, noted | told)


def _folders(name: str, own: Path) -> list[Path]:
    """The run folder of this name, or those of the seeds of a search.  Raises ValueError."""
    path = Path(name).expanduser()
    folders = run_folders([path])
    if not (folders[0] / "archive.sqlite").is_file():
        what = "there is no archive.sqlite in it" if path.is_dir() else "there is no such folder"
        raise ValueError(
            f"{what}; a run folder is needed, like runs/quickstart/seed-1"
            f"{did_you_mean(name, _near(path))}"
        )
    if own.parent.resolve() in [folder.resolve() for folder in folders]:
        raise ValueError("it is the folder of this very search")
    return folders


def _near(path: Path) -> list[str]:
    """The run folders, and the folders of seeds, near a path that is none."""
    above = next((one for one in (path, *list(path.parents)[:2]) if one.is_dir()), None)
    if above is None:
        return []
    patterns = ("archive.sqlite", "*/archive.sqlite", "*/*/archive.sqlite")
    found = [file.parent for pattern in patterns for file in sorted(above.glob(pattern))]
    return [str(one) for one in dict.fromkeys([*found, *(folder.parent for folder in found)])]
