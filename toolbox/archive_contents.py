"""What the tables of an archive's file may hold.  All else is refused, whoever wrote the file.

A file is only data: it holds no views and triggers, which SQLite would run, no number that is not
finite, which would reach DEAP, and no value of another type than its readers expect.
"""

import json
import re
import sqlite3
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain
from math import isfinite
from typing import Annotated, Any, get_args

from annotated_types import Ge
from pydantic import AfterValidator, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from toolbox.measure import Status

COLUMNS = {
    "evaluations": (
        *("key", "genome", "architecture", "status"),
        *("measurement", "message", "attempts", "finished_at"),
    ),
    "meta": ("name", "value"),
    "births": ("number", "generation", "key", "operators", "parents", "survived"),
    "trainings": ("key", "worker", "seconds", "curve"),
}
STATUSES = frozenset(get_args(Status))
KEY = re.compile(r"[\w .-]+")  # it becomes the name of files, and a link in a page
LONGEST = 60  # letters of a wrong value in a message


def _declaration(text: str) -> str:
    tables = tomllib.loads(text)
    chosen = [tables.get(name) for name in ("problem", "toolbox", "algorithm")]
    if not all(isinstance(table, dict) for table in chosen):
        raise ValueError("a declaration with problem, toolbox and algorithm is needed")
    return text


def _session(told: dict[str, str]) -> dict[str, str]:
    if "ended" not in told or not _is_moment(told.get("began", "")):
        raise ValueError("when it began, in ISO 8601, and how it ended are needed")
    return told


class _Change(TypedDict):
    gene: str
    before: str
    after: str
    genome: list[int]
    key: str


class _Ablation(TypedDict):
    network: str
    changes: list[_Change]


class _Source(TypedDict):
    problem: dict[str, Any]
    networks: list[tuple[list[int], str, dict[str, FiniteFloat]]]
    verdict: str


_Numbers = list[FiniteFloat]
_KINDS: Mapping[str, Any] = {
    "format": int,
    "problem": dict[str, Any],
    "declaration": Annotated[str, AfterValidator(_declaration)],
    "sessions": list[Annotated[dict[str, str], AfterValidator(_session)]],
    "generation_seconds": list[Annotated[FiniteFloat, Ge(0)]],
    "in_flight": Annotated[int, Ge(1)],
    "finals": dict[str, list[str]],
    "beliefs": dict[str, tuple[_Numbers, _Numbers, _Numbers]],
    "ablations": list[_Ablation],
    "learned_from": dict[str, _Source],
}
OF_TUPLES = ("beliefs", "learned_from")  # which JSON writes as lists
NOTES: Mapping[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in _KINDS.items()}


def check_tables(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError if there is anything but tables as an archive has them."""
    connection.execute("PRAGMA trusted_schema = OFF")
    for kind, name, told in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind == "index" and told is None:  # SQLite's own, of a primary key
            continue
        if kind != "table" or not re.match(r"CREATE TABLE\b", str(told)):
            raise sqlite3.DatabaseError(f"it has a {kind} {_short(name)}, and an archive has none")
        if name not in COLUMNS:
            continue  # of something else; it is not read
        found = list(connection.execute(f"PRAGMA table_xinfo({name})"))
        columns = tuple(column[1] for column in found)
        if columns != COLUMNS[name] or any(column[6] for column in found):  # that are computed
            raise sqlite3.DatabaseError(
                f"its table {name} has other columns than an archive's: {_short(columns)}"
            )


def check_evaluations(columns: Mapping[str, Iterable[Any]]) -> None:
    """Raise sqlite3.DataError for a value that no evaluation has."""
    _check("evaluations", columns, _EVALUATION)


def check_trainings(columns: Mapping[str, Iterable[Any]]) -> None:
    """Raise sqlite3.DataError for a value that no training has."""
    _check("trainings", columns, _TRAINING)


def check_births(columns: Mapping[str, Iterable[Any]]) -> None:
    """Raise sqlite3.DataError for a value that no birth has."""
    _check("births", columns, _BIRTH)


def check_notes(notes: Mapping[str, Any]) -> None:
    """Raise sqlite3.DataError for a note that says something else than its name."""
    for name, adapter in NOTES.items():
        if name in notes:
            try:
                adapter.validate_python(notes[name], strict=name not in OF_TUPLES)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(map(str, (name, *first["loc"])))
                raise sqlite3.DataError(f"in meta, {where}: {first['msg']}") from error


def parsed(table: str, column: str, texts: Iterable[Any]) -> list[Any]:
    """What each text says in JSON; all at once, because a call for each takes twice as long.

    Raises sqlite3.DataError if one is no JSON value.
    """
    texts = tuple(texts)
    _check(table, {column: texts}, {column: _TEXT})
    try:
        values: list[Any] = json.loads(f"[{','.join(texts)}]")
    except (ValueError, RecursionError) as error:
        raise sqlite3.DataError(f"in {table}, {column} is no JSON ({error})") from error
    if len(values) != len(texts):
        raise sqlite3.DataError(f"in {table}, {column} is no JSON value in each row")
    return values


_Right = tuple[Callable[[Any], bool], str]  # whether a value may be there, and what is legal


def _check(table: str, columns: Mapping[str, Iterable[Any]], right: Mapping[str, _Right]) -> None:
    for column, values in columns.items():
        fits, legal = right[column]
        values = tuple(values)
        if not all(map(fits, values)):
            wrong = next(value for value in values if not fits(value))
            raise sqlite3.DataError(f"in {table}, {column} = {_short(wrong)}: {legal} is needed")


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_key(value: Any) -> bool:
    return type(value) is str and KEY.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and isfinite(value)
    except OverflowError:
        return False


def _is_genome(value: Any) -> bool:
    return type(value) is list and set(map(type, value)) <= {int}


def _is_measurement(value: Any) -> bool:
    if type(value) is not dict:
        return False
    try:
        return set(map(type, value.values())) <= {int, float, bool} and all(
            map(isfinite, value.values())
        )
    except OverflowError:
        return False


def _is_moment(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        return not value or bool(datetime.fromisoformat(value).timestamp())
    except (ValueError, OverflowError):
        return False


def _is_curve(value: Any) -> bool:
    if type(value) is not str:
        return False
    if not value:
        return True
    try:
        curve = json.loads(value)
        return (
            type(curve) is dict
            and {type(values) for values in curve.values()} == {list}
            and len({len(values) for values in curve.values()}) == 1
            and all(map(_is_number, chain.from_iterable(curve.values())))
        )
    except (ValueError, RecursionError):
        return False


_TEXT: _Right = (_is_text, "a text")
_A_KEY: _Right = (_is_key, "a key")
_COUNT: _Right = (_is_count, "a whole number of at least 0")
_EVALUATION: Mapping[str, _Right] = {
    "key": _A_KEY,
    "genome": (_is_genome, "a list of whole numbers"),
    "architecture": _TEXT,
    "status": (STATUSES.__contains__, f"one of {', '.join(sorted(STATUSES))}"),
    "measurement": (_is_measurement, "finite numbers by their names"),
    "message": _TEXT,
    "attempts": _COUNT,
    "finished_at": (_is_moment, "a moment as in ISO 8601"),
}
_TRAINING: Mapping[str, _Right] = {
    "key": _A_KEY,
    "worker": _TEXT,
    "seconds": (_is_number, "a finite number"),
    "curve": (_is_curve, "lists of finite numbers, all of one length, by their names"),
}
_BIRTH: Mapping[str, _Right] = {
    "number": _COUNT,
    "generation": _COUNT,
    "key": _A_KEY,
    "operators": (
        lambda value: type(value) is list and set(map(type, value)) <= {str},
        "a list of texts",
    ),
    "parents": (
        lambda value: type(value) is list and all(map(_is_count, value)),
        "a list of the numbers of births",
    ),
    "survived": ((0, 1).__contains__, "0 or 1"),
}
