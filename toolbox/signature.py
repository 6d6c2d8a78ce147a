"""Check a table of a declaration against the signature of the thing it is meant for.

The signature of an operator, a backend or a problem is its documentation and its schema: the
names, types, ranges and defaults that a declaration may use are read off it.
"""

import inspect
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from toolbox.shelf import did_you_mean, take

STARTS_WITH_A_KEY = re.compile(r"\w+(\[\d+\])?(\.\w+)*( =|:)")
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One key that a table may hold.

    shelf: what it may name, for a key that names a thing.  function: the class whose
    `of(use, function, options)` makes an instance of a plain `module:function` named there and the
    table's other keys as they are written; its instances tell them by `declared()`, and its
    `takes_class(found)`, if it has one, says which classes are called as functions are.  ranges:
    whether a range may stand in the table where a value does.  A dataclass gives all three as
    metadata of its field.
    """

    annotation: Any = Any
    default: Any = REQUIRED
    shelf: Mapping[str, Any] | None = None
    function: type[Any] | None = None
    ranges: bool = False


@dataclass(frozen=True)
class Chosen:
    """A `{ use = ..., name = value }` table, checked: `build` calls what it names.

    `options` holds what was declared and every default; `given` the names that the target asks
    for and the search supplies.
    """

    key: str
    use: str
    target: Callable[..., Any]
    options: Mapping[str, Any]
    given: Collection[str] = field(default=())

    def arguments(self, available: Mapping[str, Any]) -> dict[str, Any]:
        """The target's keyword arguments: its options and what it asks for of `available`."""
        return {**self.options, **{name: available[name] for name in self.given}}

    def operator(self, available: Mapping[str, Any]) -> Callable[..., Any]:
        """The target with its options: a function, or an instance of a class that is called."""
        if inspect.isclass(self.target):
            instance: Callable[..., Any] = self.build(**available)
            return instance
        return partial(self.target, **self.arguments(available))

    def build(self, **available: Any) -> Any:
        """Call the target.  Raises ValueError that starts with the key if it refuses."""
        with prefixed(self.key):
            return self.target(**self.arguments(available))


DATA = (bool, int, float, str, list, tuple, Mapping, Chosen)


class prefixed:
    """A context that puts the key of a declaration in front of a ValueError's message."""

    def __init__(self, key: str):
        self.key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, ValueError) and not str(error).startswith(self.key):
            separator = "." if STARTS_WITH_A_KEY.match(str(error)) else ": "
            raise ValueError(f"{self.key}{separator}{error}") from error


def choose(
    value: Any,
    shelf: Mapping[str, Any],
    key: str,
    positional: int = 0,
    given: Collection[str] = (),
    also: Mapping[str, Parameter] = MappingProxyType({}),
) -> Chosen:
    """Check `value`, a name or a table with `use`, against the thing on `shelf` it names.

    positional: how many first parameters of a function the search itself passes; what it passes to
    the instances of a class is not seen here.  given: names it can supply.
    also: keys of the table that are not the thing's own; they come first in `options`.
    """
    use, target, declared = _named(value, shelf, key)
    try:
        parameters, any_key = signature_of(target, 0 if inspect.isclass(target) else positional)
    except ValueError as error:  # some of Python's own, such as `map`
        raise ValueError(
            f"{key}.use = {use!r}: its parameters cannot be read; a function of your own that "
            "calls it can be used"
        ) from error
    asked = tuple(name for name in parameters if name in given)
    for name in asked:
        del parameters[name]
    options = check(declared, {**also, **parameters}, key, any_key)
    return Chosen(key, use, target, options, asked)


def _named(value: Any, shelf: Mapping[str, Any], key: str) -> tuple[str, Any, dict[str, Any]]:
    """The name in a name or table, the thing of that name, and the table's other keys."""
    table = {"use": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        raise ValueError(f"{key} = {value!r}: a name or a table like {{ use = 'name' }} is needed")
    if not isinstance(table.get("use"), str):
        raise ValueError(f"{key}: use = 'name' is missing; legal: {', '.join(sorted(shelf))}")
    declared = {name: entry for name, entry in table.items() if name != "use"}
    return table["use"], take(table["use"], shelf, f"{key}.use"), declared


def check(
    table: Any, parameters: Mapping[str, Parameter], key: str, any_key: bool = False
) -> dict[str, Any]:
    """The values of `table` with every default filled in, each of the declared type."""
    if not isinstance(table, Mapping):
        raise ValueError(f"{key} = {table!r}: a table is needed")
    for name in table:
        if name not in parameters and not any_key:
            legal = f"legal: {', '.join(parameters)}" if parameters else "it takes no keys"
            raise ValueError(
                f"{_join(key, name)}: unknown key; {legal}{did_you_mean(name, parameters)}"
            )
    values = {}
    for name, parameter in parameters.items():
        if name in table:
            values[name] = _value(table[name], parameter, _join(key, name))
        elif parameter.default is REQUIRED:
            raise ValueError(f"{_join(key, name)} is missing")
        else:
            values[name] = parameter.default
    return values | {name: table[name] for name in table if name not in parameters}


def read(cls: type, table: Any, key: str, ranges: bool = False) -> Any:
    """An instance of the dataclass `cls` from a table.

    ranges: whether a range may stand where a value does; the class then has `with_ranges`.
    """

    def of_values(values: Any) -> Any:
        parameters, _ = signature_of(cls)
        options = check(values, parameters, key)
        with prefixed(key):
            return cls(**options)

    if not ranges:
        return of_values(table)
    made: Any = cls
    with prefixed(key):
        return made.with_ranges(table, of_values)


def signature_of(
    target: Callable[..., Any], positional: int = 0
) -> tuple[dict[str, Parameter], bool]:
    """The parameters of `target` after the first `positional`, and whether it takes any other."""
    try:
        hints = get_type_hints(target, include_extras=True)
    except (TypeError, NameError):  # a builtin, or annotations that do not resolve here
        hints = {}
    if is_dataclass(target):
        hidden = {
            f.name for f in fields(target) if not f.init or not f.metadata.get("declared", True)
        }
        metadata = {f.name: f.metadata for f in fields(target)}
        defaults = {
            f.name: f.default_factory() for f in fields(target) if callable(f.default_factory)
        }
    else:
        hidden, metadata, defaults = set(), {}, {}
        if inspect.isclass(target):
            hints = get_type_hints(target.__init__, include_extras=True)
    parameters, any_key = {}, False
    for number, (name, found) in enumerate(inspect.signature(target).parameters.items()):
        if found.kind is inspect.Parameter.VAR_KEYWORD:
            any_key = True
        elif found.kind is inspect.Parameter.VAR_POSITIONAL or number < positional:
            continue
        elif name not in hidden:
            said: Mapping[str, Any] = metadata.get(name, {})
            parameters[name] = Parameter(
                hints.get(name, Any),
                defaults.get(name, found.default),
                said.get("shelf"),
                said.get("function"),
                said.get("ranges", False),
            )
    return parameters, any_key


def _value(value: Any, parameter: Parameter, key: str) -> Any:
    if parameter.shelf is not None:
        if parameter.function is not None:
            use, target, options = _named(value, parameter.shelf, key)
            takes = getattr(parameter.function, "takes_class", lambda found: False)
            if not inspect.isclass(target) or takes(target):
                with prefixed(key):
                    return parameter.function.of(use, target, options)
        return choose(value, parameter.shelf, key).build()
    if is_dataclass(parameter.annotation):
        assert isinstance(parameter.annotation, type)
        return read(parameter.annotation, value, key, parameter.ranges)
    if (entry := _tables_of(parameter.annotation)) and isinstance(value, Mapping):
        return {name: read(entry, table, _join(key, name)) for name, table in value.items()}
    try:
        # By way of JSON, pydantic's strict mode takes a list for a tuple and 1 for 1.0, but
        # neither "1" for 1 nor true for 1, which is what a person expects of TOML.
        adapter: TypeAdapter[Any] = TypeAdapter(
            parameter.annotation, config=ConfigDict(allow_inf_nan=False, strict=True)
        )
    except PydanticUserError:  # an annotation that is no data: a user's own class
        return value
    try:
        return adapter.validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        raise ValueError(f"{key}{_refusal(error, value, parameter, adapter)}") from None


def _refusal(
    error: ValidationError, value: Any, parameter: Parameter, adapter: TypeAdapter[Any]
) -> str:
    """What is wrong with a value, and where in it: `[1] = 'x': it should be a valid integer`."""
    first = error.errors()[0]
    where = "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
    shown = first["input"] if where else value
    default = list(parameter.default) if isinstance(parameter.default, tuple) else []
    match first["type"]:
        case "missing" if isinstance(shown, list | tuple):  # an entry of a tuple
            where = where.rpartition("[")[0]
            missing = [one["loc"][-1] for one in error.errors() if one["type"] == "missing"]
            needed = 1 + max(map(int, missing))
            message = f"{needed} entries are needed, and there are {len(shown)}"
            if len(default) == needed:
                message += f"; by default they are {default}"
        case "list_type" | "tuple_type" if not isinstance(shown, Mapping):
            alone: Any = [shown]
            like = alone if where or not default or _fits(adapter, alone) else default
            message = f"a list is needed, like {json.dumps(like, default=str)}"
        case kind:
            message = re.sub("^(Input|Tuple|List|String|Value) should", "it should", first["msg"])
            message = message.replace(" after validation", "")
            if kind == "literal_error" and isinstance(shown, str):
                message += did_you_mean(shown, re.findall("'([^']*)'", first["msg"]))
    return f"{where} = {shown!r}: {message}"


def _fits(adapter: TypeAdapter[Any], value: Any) -> bool:
    """Whether a value is of the type."""
    try:
        adapter.validate_json(json.dumps(value, default=str))
    except ValidationError:
        return False
    return True


def _tables_of(annotation: Any) -> type | None:
    """The dataclass of the tables that a mapping such as Mapping[str, Device] | None holds."""
    for kind in (annotation, *get_args(annotation)):
        if get_origin(kind) is Mapping and is_dataclass(entry := get_args(kind)[1]):
            assert isinstance(entry, type)
            return entry
    return None


def described(value: Any, identity: bool = False, parameter: Parameter | None = None) -> Any:
    """A value of a declaration as plain TOML and JSON data; what is None is left out.

    identity: leave out what does not change a measurement, such as a folder.  parameter: the key
    that holds the value.
    """
    shelf = parameter.shelf if parameter else None
    if parameter and parameter.function and isinstance(value, parameter.function):
        return described(value.declared(), identity)
    if isinstance(value, Chosen):
        parameters, _ = signature_of(value.target)
        return {
            "use": value.use,
            **{
                name: described(option, identity, parameters.get(name))
                for name, option in value.options.items()
                if _is_data(option)
            },
        }
    if is_dataclass(value) and not isinstance(value, type):
        table: dict[str, Any] = {}
        if shelf is not None:
            table["use"] = _name_on(shelf, type(value))
        for f in fields(value):
            declared = f.init and f.metadata.get("declared", True)
            part_of_identity = f.metadata.get("identity", declared)
            if part_of_identity if identity else declared:
                entry = getattr(value, f.name)
                if isinstance(entry, f.metadata.get("around", ())):
                    entry = entry.space
                if entry is not None:
                    kept_as = Parameter(
                        shelf=f.metadata.get("shelf"),
                        function=f.metadata.get("function"),
                        ranges=f.metadata.get("ranges", False),
                    )
                    table[f.name] = described(entry, identity, kept_as)
        searched: Any = value
        for one in searched.searched if parameter and parameter.ranges else ():
            place, _, inner = one.name.rpartition(".")
            (table[place] if place else table)[inner] = described(one.declared, identity)
        return table
    if isinstance(value, Mapping):
        # The default of a user's own function may be anything; what is declared is plain data.
        return {k: described(v, identity) for k, v in value.items() if _is_data(v)}
    if isinstance(value, list | tuple):
        return [described(entry, identity) for entry in value]
    return value


def _is_data(value: Any) -> bool:
    return isinstance(value, DATA) or (is_dataclass(value) and not isinstance(value, type))


def _name_on(shelf: Mapping[str, Any], cls: type) -> str:
    for name, entry in shelf.items():
        if entry is cls:
            return name
    return f"{cls.__module__}:{cls.__qualname__}"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
