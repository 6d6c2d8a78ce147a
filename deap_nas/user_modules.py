"""Where a user's own modules are found, and that none of them is called as one of ours.

The folders of a user come last on `sys.path`, and child processes and workers are given the same
order.  A `problems.py` of the user's would still be one that nobody can import, or, where Python
itself puts the user's folder first, one that hides ours; so it is refused by name.

This file imports nothing of ours, because it is what makes sure that the others are ours.
"""

import importlib.util
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]  # the checkout, or where packages are installed
OURS = ("deap_nas", "problems", "toolbox", "run_search")


def admit(*folders: Path) -> None:
    """Let modules in these folders be imported, here and in child processes.

    Raises ValueError, one line, if a module in them has a name of ours, or if one of ours would be
    imported from somewhere else.
    """
    for folder in folders:
        for name in OURS:
            for path in (folder / f"{name}.py", folder / name):
                _refuse(path, name)
    refuse_others()
    for folder in (HOME, *folders):  # ours before the user's, also for a child process
        if str(folder.absolute()) not in sys.path:
            sys.path.append(str(folder.absolute()))


def refuse_others() -> None:
    """Raise ValueError, one line, if a module of the user's comes before one of ours."""
    for name in OURS:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            path = Path(spec.origin)
            _refuse(path.parent if path.name == "__init__.py" else path, name)


def _refuse(path: Path, name: str) -> None:
    """Raise ValueError if a path is a module or a package, and not ours."""
    if not (path.is_file() or (path.is_dir() and any(path.glob("*.py")))):
        return
    if path.resolve().parent != HOME:
        raise ValueError(
            f"{path}: {name!r} is the name of a module of deap-nas, so one of the two could not be "
            "imported; give yours another name"
        )
