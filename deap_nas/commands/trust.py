"""Let the code that a run folder's declaration names be imported by the other commands.

A declaration names functions of somebody's own as module:name, and to read it again is to run
them.  A run folder that no search of yours on this machine has written is therefore refused, until
you have looked at its declaration.toml and say so here.  What it then may import is printed.

--modules DIR: where its modules are, beside the current folder; it is remembered."""

import argparse
from pathlib import Path

from deap_nas.finished_run import run_folders
from deap_nas.user_folders import declared_names, seal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN_FOLDER", help="or a folder of those of several seeds"
    )
    parser.add_argument("--modules", type=Path, metavar="DIR", help="where its modules are")


def run(chosen: argparse.Namespace) -> int:
    """Seal what each run folder's declaration names; 0.  Raises ValueError."""
    if chosen.modules is not None and not chosen.modules.is_dir():
        raise ValueError(f"--modules {chosen.modules}: there is no such folder")
    for path in run_folders([chosen.run_folder]):
        if not (path / "declaration.toml").is_file():
            raise ValueError(f"{path}: it is no run folder; there is no declaration.toml in it")
        names = sorted(declared_names(path))
        if not names:
            print(f"{path}: its declaration names no code, and needs no trust")
            continue
        modules = dict.fromkeys(name.partition(":")[0] for name in names)
        folder = str(chosen.modules.absolute()) if chosen.modules else ""
        try:
            seal(path, names, dict.fromkeys(modules, folder) if folder else {})
        except OSError as error:
            raise ValueError(f"{path}: it cannot be written: {error.strerror}") from error
        print(f"{path}: trusted to import {', '.join(map(ascii, names))}")
    return 0
