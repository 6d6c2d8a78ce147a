"""The keys of a recipe of which a declaration says a range where a value stands."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import reduce
from typing import Any

from problems.spaces.ranges import (
    SearchedKey,
    check_range,
    is_range,
    text_of,
    values_of,
    with_defaults,
)

Table = Mapping[str, Any]

NOT_SEARCHED = {
    "epochs": "networks are compared after equally many; [halving] gives the worse ones fewer",
    "keep": "the best epoch's score is never below the last one's, so that nothing is compared",
    "precision": "it is decided once, by what the device is fastest in",
}
# What means something only beside some values of another key.
ONLY_WITH: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "momentum": ("optimizer", ("sgd",)),
    "patience": ("early_stop", ("loss", "accuracy")),
    "min_delta": ("early_stop", ("loss", "accuracy")),
}


def with_ranges(usual: Any, table: Any, read: Callable[[Table], Any]) -> Any:
    """The recipe of a declaration's table, in which ranges may stand where values do.

    usual: the recipe of defaults.  read: makes a recipe of a table without ranges, and checks it;
    each value of each range is checked so.  Raises ValueError, one line, for a range that is wrong
    or cannot be searched.
    """
    ranges = dict(_ranges(usual, table))
    if not ranges:
        return read(table)
    bare = _without(table, ranges)
    keys, first = [], bare
    for name, declared in ranges.items():
        other, legal = ONLY_WITH.get(name, ("", ()))
        fixed = bare.get(other, getattr(usual, other)) if other and other not in ranges else None
        if fixed is not None and fixed not in legal:
            raise ValueError(
                f"{name} = {dict(declared)}: it means nothing with {other} = {fixed!r}, only with "
                f"{' or '.join(map(repr, legal))}"
            )
        key, said = _searched(name, declared, bare, read)
        keys.append(key)
        # The optimizer that a momentum of the table needs, if it is among the searched ones.
        needed = [legal for k, (by, legal) in ONLY_WITH.items() if k in table and by == name]
        fitting = [one for one in said if needed and one in needed[0]]
        first = _put(first, name, (fitting or said)[0])
    return replace(read(first), searched=tuple(keys))


def fixed(recipe: Any, values: Mapping[str, Any]) -> Any:
    """The recipe in which searched keys have these values, by their dotted names.

    What means nothing beside them has its default.  A key that is not searched stays as it is.
    """
    searched = {key.name for key in recipe.searched}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in searched:
            continue
        key, dot, inner = name.partition(".")
        part = changes.get(key, getattr(recipe, key))
        changes[key] = replace(part, **{inner: value}) if dot else value
    idle = {k for k, (by, legal) in ONLY_WITH.items() if by in changes and changes[by] not in legal}
    changes |= {f.name: f.default for f in fields(recipe) if f.name in idle}
    left = tuple(key for key in recipe.searched if key.name not in {*values, *idle})
    return replace(recipe, searched=left, **changes)


def _ranges(usual: Any, table: Any) -> Iterator[tuple[str, Table]]:
    """The ranges of a table, by their dotted names.  Raises ValueError for one that is wrong."""
    known = {f.name: getattr(usual, f.name) for f in fields(usual) if f.name != "searched"}
    for name, value in table.items() if isinstance(table, Mapping) else ():
        if name not in known or not isinstance(value, Mapping):
            continue
        found: dict[str, Table] = {name: value}
        if is_dataclass(known[name]) and not is_range(value):  # a table of keys of its own
            found = {f"{name}.{key}": one for key, one in value.items() if isinstance(one, Mapping)}
        for key, one in found.items():
            if reason := NOT_SEARCHED.get(key):
                raise ValueError(f"{key} = {dict(one)}: it cannot be searched: {reason}")
            check_range(one, key)
            yield key, one


def _searched(
    name: str, declared: Table, bare: Table, read: Callable[[Table], Any]
) -> tuple[SearchedKey, Sequence[Any]]:
    """A searched key, and its values as a declaration would say them."""
    top = name.partition(".")[0]
    beside = {top: bare[top]} if top in bare else {}

    def built(value: Any) -> Any:
        """What a recipe holds for a value."""
        return reduce(getattr, name.split("."), read(_put(beside, name, value)))

    lowest = declared["between"][0] if "between" in declared else None
    whole = lowest is not None and isinstance(built(lowest), int)
    said = values_of(declared, whole)
    values, texts = tuple(map(built, said)), tuple(map(text_of, said))
    for number, value in enumerate(values):
        if value in values[:number] or texts[number] in texts[:number]:
            raise ValueError(f"{name} = {dict(declared)}: {texts[number]} stands there twice")
    return SearchedKey(
        name, with_defaults(declared, len(said)), values, texts, ONLY_WITH.get(name)
    ), said


def _without(table: Table, names: Mapping[str, Any]) -> dict[str, Any]:
    """A table without the values of some dotted names."""
    return {
        name: {k: v for k, v in value.items() if f"{name}.{k}" not in names}
        if isinstance(value, Mapping)
        else value
        for name, value in table.items()
        if name not in names
    }


def _put(table: Table, name: str, value: Any) -> dict[str, Any]:
    """A table with a value at a dotted name; TOML has no None, and its word is "none"."""
    if (name, value) == ("gradient_clip", "none"):
        return dict(table)
    key, dot, inner = name.partition(".")
    return {**table, key: {**table.get(key, {}), inner: value} if dot else value}
