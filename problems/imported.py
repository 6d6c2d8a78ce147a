"""A thing of somebody's own module, by its name `module:name`."""

import importlib
import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Any


def imported(use: str) -> Any:
    """What `module:name` names.  Raises ValueError, one line, if it cannot be had.

    >>> imported("math:sqrt")(4)
    2.0
    """
    module_name, _, name = use.partition(":")
    if not module_name or not name:
        raise ValueError(f"{use!r}: 'module:function' is needed")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{use!r}: there is no module {error.name!r} in the current folder, beside the "
            "declaration, or installed"
        ) from error
    except Exception as error:  # whatever a module does when it is imported
        raise ValueError(
            f"{use!r}: importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(
                f"{use!r}: there is no {part!r} in {module_name!r}{did_you_mean(part, dir(found))}"
            )
        found = getattr(found, part)
    return found


def name_of(thing: Any) -> str:
    """`module:name` of a class or function."""
    return f"{thing.__module__}:{thing.__qualname__}"


def source_of(use: str) -> str:
    """A digest of the file that a `module:name` is defined in; empty if there is no such file."""
    file = inspect.getsourcefile(inspect.unwrap(imported(use)))
    if not file or not Path(file).is_file():
        return ""
    return blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
