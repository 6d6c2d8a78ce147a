"""Optional methods and attributes of a user's object, read in one place: the hooks of a contract.

A contract is a class whose members are the hooks, each with its default.
"""

import inspect
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar

from toolbox.operator_error import failed
from toolbox.shelf import did_you_mean, nearest

log = logging.getLogger(__name__)
NEARLY = 0.85  # the similarity of two names that differ in a letter
_MISSING = object()
_pointed_out: set[tuple[type, str]] = set()


class Hooks:
    """An object with the defaults of a contract for the hooks that it lacks.

    Each hook is looked up once.  Any other name is the object's own.  _arithmetic: the hooks that
    answer of a genome by arithmetic; what one raises is told in one line, as an OperatorError that
    names `_key` and the hook.
    """

    _contract: ClassVar[type]
    _hooks: ClassVar[frozenset[str]]
    _arithmetic: ClassVar[frozenset[str]]
    _key: ClassVar[str]

    def __init__(self, own: Any):
        self.own = own

    def __getattr__(self, name: str) -> Any:
        """A hook or another name of the object, kept so that it is not looked up again."""
        if name.startswith("__") or name == "own":  # copying and pickling ask before there is one
            raise AttributeError(name)
        if name not in self._hooks:
            return getattr(self.own, name)
        value = vars(self)[name] = self._found(name)
        return value

    def _found(self, name: str) -> Any:
        if offers(self.own, name):
            found = getattr(self.own, name)
            return _telling(found, f"{self._key}.{name}") if name in self._arithmetic else found
        default = inspect.getattr_static(self._contract, name)
        return default.__get__(self, type(self)) if hasattr(default, "__get__") else default

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        return type(self), (self.own,)

    def __repr__(self) -> str:
        return repr(self.own)


def _telling(hook: Callable[..., Any], said: str) -> Callable[..., Any]:
    def asked(*arguments: Any) -> Any:
        try:
            return hook(*arguments)
        except Exception as error:  # whatever a user's function does
            raise failed(said, error) from error

    return asked


def offers(own: Any, name: str) -> bool:
    """Whether an object has a name, without computing what a property answers."""
    return inspect.getattr_static(own, name, _MISSING) is not _MISSING or hasattr(own, name)


def check_required(own: Any, required: Iterable[str], key: str) -> None:
    """Raise ValueError, one line, if an object lacks a hook that has no default."""
    for name in required:
        if not offers(own, name):
            near = did_you_mean(name, _public(own))
            raise ValueError(f"{key} = {_name(own)}: it has no {name!r}, which is needed{near}")


def point_out_near_misses(own: Any, hooks: Collection[str], key: str) -> None:
    """Warn, once a class, of a name that is nearly a hook's where the hook itself is missing."""
    for name in _public(own) - set(hooks):
        hook = nearest(name, hooks, cutoff=NEARLY)
        if hook and not offers(own, hook) and (type(own), name) not in _pointed_out:
            _pointed_out.add((type(own), name))
            said = "%s = %s: nothing asks for its %r; did you mean %r?"
            log.warning(said, key, _name(own), name, hook)


def _public(own: Any) -> set[str]:
    return {name for name in dir(own) if not name.startswith("_")}


def _name(own: Any) -> str:
    return own.__name__ if isinstance(own, type) else type(own).__name__
