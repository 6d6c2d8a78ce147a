"""Copy a declaration to begin with into the current folder.

  start                          lists them
  start quickstart               writes quickstart.toml
  start quickstart DIR/mine.toml

A file that is there already is not touched."""

import argparse
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from deap_nas.output import as_argument
from deap_nas.user_modules import HOME
from toolbox.shelf import did_you_mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("to", nargs="?", type=Path, metavar="DIR_OR_FILE", help="default: .")


def run(chosen: argparse.Namespace) -> int:
    """List the declarations, or copy one; 0.  Raises ValueError."""
    installed = files("deap_nas") / "experiments"
    folder = installed if installed.is_dir() else HOME / "experiments"  # a checkout has them there
    experiments = {
        entry.name.removesuffix(".toml"): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    if chosen.name is None:
        for name in sorted(experiments):
            print(f"{name:<34}{_first_comment(experiments[name])}")
        return 0
    name = chosen.name.removesuffix(".toml")
    if name not in experiments:
        raise ValueError(
            f"{chosen.name!r}: there is no such declaration; legal: "
            f"{', '.join(sorted(experiments))}{did_you_mean(name, experiments)}"
        )
    to = chosen.to or Path()
    path = to if to.suffix == ".toml" else to / f"{name}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(experiments[name].read_text(encoding="utf-8"))
    except FileExistsError:
        raise ValueError(f"{path}: it is there already, and is not overwritten") from None
    except OSError as error:
        raise ValueError(f"{path}: it cannot be written: {error.strerror}") from error
    print(f"written: {path}; now: deap-nas {as_argument(path)}")
    return 0


def _first_comment(experiment: Traversable) -> str:
    """What the first line of a declaration says of it."""
    return experiment.read_text(encoding="utf-8").partition("\n")[0].strip("# ")
