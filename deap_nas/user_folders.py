"""Where the modules of somebody's own that a declaration names were found, kept in its run folder.

So that the other commands find them from any current folder.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deap_nas import user_modules
from toolbox.declaration import Declaration
from toolbox.whole_file import write_whole

FILE = "user_modules.json"  # {module: the folder it was imported from}


def remember(path: Path, declaration: Declaration) -> None:
    """Write into a run folder where each `module:name` of its declaration was imported from."""
    found = {}
    for name in sorted(set(_modules(declaration.table()))):
        top = sys.modules.get(name.partition(".")[0])
        if top is not None and getattr(top, "__file__", None):
            file = Path(str(top.__file__)).absolute()
            found[name] = str(file.parents[1] if file.name == "__init__.py" else file.parent)
    if found:
        write_whole(path / FILE, json.dumps(found, indent=1))


def admit_again(path: Path) -> None:
    """Let the modules of a run folder's declaration be imported from where they were found.

    What is found in another way comes first.  A folder that is not there any more is left out.
    """
    try:
        folders = json.loads((path / FILE).read_text(encoding="utf-8")).values()
    except (OSError, ValueError, AttributeError):
        return
    user_modules.admit(
        *(Path(folder) for folder in dict.fromkeys(folders) if Path(folder).is_dir())
    )


def _modules(value: Any) -> Iterator[str]:
    """The modules that `use = "module:name"` and lists of such name, anywhere in a table."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from _modules(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _modules(entry)
    elif isinstance(value, str):
        module, colon, name = value.partition(":")
        if colon and name and all(part.isidentifier() for part in module.split(".")):
            yield module
