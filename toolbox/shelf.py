"""Take a thing off a shelf: by its name in a table, or by `module:function`."""

import importlib
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


def take(use: str, shelf: Mapping[str, Any], key: str) -> Any:
    """What `use` names: an entry of `shelf`, or an importable `module:attribute`.

    An entry that is itself a "module:attribute" string is imported, so that a shelf can list what
    is slow to import.  Raises ValueError that names `key`, what is legal and the nearest name.

    >>> take("max", {"max": max, "min": min}, "toolbox.select.use") is max
    True
    >>> take("math:sqrt", {}, "toolbox.select.use")(4)
    2.0
    """
    found = shelf.get(use, use if ":" in use else None)
    if found is None:
        raise ValueError(
            f"{key} = {use!r}: unknown; legal: {', '.join(sorted(shelf))} or 'module:function'"
            f"{did_you_mean(use, shelf)}"
        )
    return _import(found, key) if isinstance(found, str) else found


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name that is most like `name`; empty if none is.

    A name of which it is a whole word comes first.  cutoff: the least similarity, from 0 to 1
    (difflib).

    >>> nearest("RAM", ["params", "ram_bytes"]), nearest("parms", ["params", "ram_bytes"])
    ('ram_bytes', 'params')
    """
    names = list(known)
    word = name.casefold()
    of_it = [one for one in names if word in re.split(r"[\W_]+", one.casefold())]
    found = get_close_matches(name, of_it, n=1, cutoff=0.0) if word else []
    return next(iter(found or get_close_matches(name, names, n=1, cutoff=cutoff)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing.

    >>> did_you_mean("reset_gen", ["reset_gene", "shift_gene"])
    "; did you mean 'reset_gene'?"
    """
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""


def _import(use: str, key: str) -> Any:
    module_name, _, attribute = use.partition(":")
    if not module_name or not attribute:
        raise ValueError(f"{key} = {use!r}: 'module:function' is needed")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{key} = {use!r}: there is no module {error.name!r} in the current folder, "
            "beside the declaration, or installed"
        ) from error
    except Exception as error:  # whatever a user's module does when it is imported
        raise ValueError(
            f"{key} = {use!r}: importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    if not callable(getattr(module, attribute, None)):
        functions = [name for name, value in vars(module).items() if callable(value)]
        raise ValueError(
            f"{key} = {use!r}: module {module_name!r} has no function {attribute!r}"
            f"{did_you_mean(attribute, functions)}"
        )
    return getattr(module, attribute)
