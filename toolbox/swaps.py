"""Overrides that swap one thing for another: of its table, what only the former has is left out."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from toolbox.overrides import keys_of, override
from toolbox.shelf import take
from toolbox.signature import signature_of

log = logging.getLogger(__name__)


def overridden(
    tables: dict[str, Any], overrides: Iterable[str], shelves: Mapping[str, Mapping[str, Any]]
) -> None:
    """Apply `key=value` overrides in place, as `override` does.

    shelves: by the key of a table, what its `use` may name.  `algorithm.use=random_search` keeps
    the table's size of the population and leaves out, with a warning, what it says of crossover,
    which only the former algorithm has.
    """
    for text in overrides:
        *above, name = keys_of(text)
        key = ".".join(above)
        table = _at(tables, above) if name == "use" and key in shelves else None
        former = table.get("use") if table else None
        override(tables, text)
        if table and isinstance(former, str) and isinstance(table["use"], str):
            _leave_out(table, former, shelves[key], key)


def _at(tables: Any, keys: Iterable[str]) -> dict[str, Any] | None:
    for key in keys:
        tables = tables.get(key) if isinstance(tables, dict) else None
    return tables if isinstance(tables, dict) else None


def _leave_out(table: dict[str, Any], former: str, shelf: Mapping[str, Any], key: str) -> None:
    """Drop the keys that `former` has and what the table names now has not."""
    try:
        before, _ = signature_of(take(former, shelf, key))
        now, takes_any_key = signature_of(take(table["use"], shelf, key))
    except ValueError:
        return  # the check of the declaration says what is wrong
    if takes_any_key:
        return
    dropped = [name for name in table if name in before and name not in now]
    for name in dropped:
        del table[name]
    if dropped:
        log.warning(
            "%s.use = %r instead of %r, which alone has %s: left out",
            *(key, table["use"], former, ", ".join(dropped)),
        )
