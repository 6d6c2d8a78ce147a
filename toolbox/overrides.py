"""`key=value` overrides of a declaration, as a person can type them in any shell.

cmd.exe and PowerShell treat quotes each in their own way, so no override needs a quote inside it:

    objectives=val_accuracy,params      toolbox.select=tournament      toolbox.select.size=5
    objectives.0.per_million_params=5   problem.dataset.root=C:\\photographs
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

TABLES = (
    "objectives",
    "seed",
    "learn_from",
    "problem",
    "toolbox",
    "algorithm",
    "bounds",
    "stop",
    "halving",
    "finals",
)
QUOTED_PATH = re.compile(r'"([A-Za-z]:\\[^"\\]+(\\[^"\\]+)*\\?)"')  # no escapes: a path of Windows
# A word in a table or an array that no quotes are around, and that is no key and no number.
BARE = re.compile(r"(?<=[=,\[\s])(?!(?:true|false|inf|nan)\b)[A-Za-z_][\w:./-]*(?=\s*[,\]}])")
STRINGS = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*')""")


def override(tables: dict[str, Any], text: str) -> None:
    """Set the value that `key=value` addresses, in place.

    The value is TOML, in which words need no quotes; words with commas between them are a list.
    Raises ValueError, one line, for what is neither.

    >>> tables = {"algorithm": {"use": "nsga2"}}
    >>> override(tables, "algorithm.generations=2")
    >>> override(tables, "algorithm.use=genetic_algorithm")
    >>> override(tables, "objectives=penalized_accuracy,params")
    >>> override(tables, "objectives.0.per_million_params=5")
    >>> tables["algorithm"]
    {'use': 'genetic_algorithm', 'generations': 2}
    >>> tables["objectives"]
    [{'use': 'penalized_accuracy', 'per_million_params': 5}, 'params']
    """
    *parents, last = keys_of(text)
    key, _, value = text.partition("=")
    place: dict[str, Any] | list[Any] = tables
    for number, parent in enumerate(parents):
        entry = _entry(place, parent, text)
        if isinstance(entry, str):  # a bare name is short for its table
            entry = {"use": entry}
        if not isinstance(entry, dict | list):
            above = ".".join(parents[: number + 1])
            raise ValueError(f"{text!r}: {above} = {entry!r} is not a table")
        _set(place, parent, entry, text)
        place = entry
    found = value_of(value, key)
    if key.strip() == "objectives" and not isinstance(found, list):
        found = [found]
    _set(place, last, found, text)


def keys_of(text: str) -> list[str]:
    """The keys that lead to what `key=value` sets, the outermost first.

    Raises ValueError, one line, for what is no `key=value`.

    >>> keys_of("algorithm.use=nsga2")
    ['algorithm', 'use']
    """
    key, equals, _ = text.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not equals or not all(keys):
        raise ValueError(f"{text!r}: {_no_override(text)}")
    return keys


def _entry(place: dict[str, Any] | list[Any], key: str, text: str) -> Any:
    if isinstance(place, dict):
        return place.get(key, {})
    return place[_number(place, key, text)]


def _set(place: dict[str, Any] | list[Any], key: str, value: Any, text: str) -> None:
    if isinstance(place, dict):
        place[key] = value
    else:
        place[_number(place, key, text)] = value


def _number(entries: list[Any], key: str, text: str) -> int:
    if not key.isdecimal() or int(key) >= len(entries):
        raise ValueError(
            f"{text!r}: {key!r} is none of the {len(entries)} entries of a list; they are counted "
            "from 0"
        )
    return int(key)


def _no_override(text: str) -> str:
    """What to say of an argument that is no `key=value`."""
    bare = text.lstrip("-")
    said = "an override is key=value, like algorithm.generations=2"
    if bare != text:
        return f"{said}, without dashes"
    if re.fullmatch(r"[\w:]+", text):
        return f'{said}; if the shell has split it at a comma, quote the whole: "key=a,b"'
    return said


def value_of(text: str, key: str) -> Any:
    """The value that the text of an override means.  Raises ValueError that names the key.

    >>> value_of("5", "seed"), value_of("tournament", "toolbox.select"), value_of("a, 2", "x")
    (5, 'tournament', ['a', 2])
    >>> value_of("{use=tournament, size=5}", "toolbox.select")  # a shell has taken the quotes
    {'use': 'tournament', 'size': 5}
    """
    text = text.strip()
    if path := QUOTED_PATH.fullmatch(text):
        return path[1]
    for said in (text, _quoted(text)):
        try:
            parsed: Mapping[str, Any] = tomllib.loads(f"value = {said}")
        except tomllib.TOMLDecodeError:
            continue
        if list(parsed) == ["value"]:
            return parsed["value"]
    if text[:1] in ("{", "["):
        raise ValueError(f"{key} = {text}: {_no_table(text, key)}")
    parts = text.split(",")
    if len(parts) > 1 and not re.search(r"[\"'\\/]", text):
        return [value_of(part, key) for part in parts if part.strip()]
    return text


def _quoted(text: str) -> str:
    """TOML with quotes around each word of a table or an array that has none."""
    if text[:1] not in ("{", "["):
        return text
    parts = STRINGS.split(text)
    parts[::2] = [BARE.sub(lambda word: f'"{word[0]}"', part) for part in parts[::2]]
    return "".join(parts)


def _no_table(text: str, key: str) -> str:
    """Why a table or an array cannot be read, and how to write it without one."""
    if "\\" in text:
        why = "it is not TOML, in which a backslash in \"...\" must be doubled ('...' takes it)"
    else:
        why = "it is not TOML; a shell may have taken its quotes"
    pairs = re.findall(r"([\w-]+)\s*=\s*([^,{}\[\]]+)", text)
    if text.startswith("{") and pairs:
        told = " ".join(f"{key}.{name}={_plain(value)}" for name, value in pairs)
        return f"{why}; without a table: {told}"
    return f"{why}; without brackets: {key}=A,B"


def _plain(value: str) -> str:
    return value.strip().strip("\"'")
