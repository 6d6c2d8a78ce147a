"""A declaration that is written in Python, as the plain data that a file would hold."""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from toolbox.declaration import Declaration

PLAIN = (str, bool, int, float, type(None))
IN_THIS_PROCESS = "serial"  # the backend that evaluates where the declaration was written


def plain(value: Any, key: str = "") -> Any:
    """The same tables, in which functions and classes are named as "module:name".

    Paths become text, numbers of numpy plain ones.  Raises ValueError, one line with the key, for
    what no file can say.
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return {name: plain(one, f"{key}.{name}" if key else name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, f"{key}[{number}]") for number, one in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == ():  # of numpy, or a tensor
        return value.item()
    return _name(value, key)


def _name(value: Any, key: str) -> str:
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    if callable(value) and name:
        try:
            if reduce(getattr, name.split("."), sys.modules[module]) is value:
                return f"{module}:{name}"
        except (AttributeError, KeyError):
            pass
        raise ValueError(
            f"{key} = {value!r}: it must be found again by its name, so a function or class at the "
            "top of a module is needed, and no lambda or one within a function; an operator can be "
            "registered instead, search.toolbox.register"
        )
    raise ValueError(
        f"{key} = {value!r}: a {type(value).__name__} cannot be declared; legal: plain data, and "
        "functions and classes of a module"
    )


def check_reachable(declaration: Declaration) -> None:
    """Raise ValueError, one line, if a problem is made by what only this prompt or notebook knows
    and other processes are to evaluate it."""
    interactive = not hasattr(sys.modules["__main__"], "__file__")
    if not interactive or declaration.toolbox["map"].use == IN_THIS_PROCESS:
        return
    for key, name in texts(declaration.table()["problem"], "problem"):
        if name.startswith("__main__:"):
            function = name.partition(":")[2]
            raise ValueError(
                f"{key} = {name!r}: the processes that train do not know what a notebook or a "
                f"prompt defines; put it into a file, as %%writefile my_module.py does, and name "
                f"it 'my_module:{function}', or declare toolbox.map = 'serial'"
            )


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The texts anywhere in plain data, with their keys."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from texts(one, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from texts(one, f"{key}[{number}]")
