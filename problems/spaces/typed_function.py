"""The genes of a function that builds networks: its typed parameters.

    def build(image_shape, classes, width: Literal[16, 32, 64], skip: bool,
              depth: Annotated[int, Ge(1), Le(5)]) -> nn.Module: ...

An architecture reads `width=16 skip=yes depth=3`, and that of a tuple of values
`widths=2: 16 32`, its length first.
"""

import inspect
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen

from problems.imported import did_you_mean, imported
from problems.spaces.gene import Gene
from problems.spaces.ranges import check_range, is_range, values_of

GIVEN = ("image_shape", "classes")  # what every function is called with, beside its genes
LARGEST = 10_000  # choices of one gene
GENES = (
    "Literal[16, 32], bool, an Enum, Annotated[int, Ge(1), Le(5)], or "
    "Annotated[tuple[one of these, ...], MinLen(1), MaxLen(4)]"
)
WORDS = {True: "yes", False: "no", None: "none"}
log = logging.getLogger(__name__)

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s=:"]+|[=:]|\S')
PLAIN = re.compile(r"[A-Za-z_][\w.+-]*")

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Argument:
    """A parameter of the function: its genes, or the value that it always has.

    choices: of each of its values; of an Enum the names.  lengths: how many values it may have;
    empty for a single one.  fixed: whether it has no gene, and then `value`.  container: what
    several values are passed in.  members: what is passed for the names of Enums.
    """

    name: str
    choices: tuple[Value, ...] = ()
    lengths: tuple[int, ...] = ()
    fixed: bool = False
    value: Any = None
    container: type[Any] = tuple
    members: Mapping[str, Enum] = field(default_factory=dict, hash=False)

    def passed(self, value: Any) -> Any:
        """What the function is called with for a value, read from JSON or not."""
        if isinstance(value, list | tuple):
            return self.container(map(self._member, value))
        return self._member(value)

    def _member(self, value: Any) -> Any:
        return self.members.get(value, value) if isinstance(value, str) else value

    @property
    def genes(self) -> tuple[Gene, ...]:
        if self.fixed:
            return ()
        if not self.lengths:
            return (Gene(self.name, self.choices),)
        length = [Gene(f"{self.name}.length", self.lengths)] if len(self.lengths) > 1 else []
        return (
            *length,
            *(Gene(f"{self.name}.{n}", self.choices) for n in range(1, self.lengths[-1] + 1)),
        )


@dataclass(frozen=True)
class TypedFunction:
    """The networks of `function`, a `module:function` that returns a torch.nn.Module, or a class
    of such modules, `module:Class`.

    It is called with image_shape (channels, height, width), classes, and a value for each of its
    other parameters; the module takes images (N, *image_shape) as float32 in [0, 1] and returns
    logits (N, classes).  options: what narrows or fixes parameters, by their names: `width = 16`
    fixes, `width = [16, 32]` narrows, `dropout = { between = [0.0, 0.5], values = 6 }` makes a
    number a gene (problems/spaces/ranges.py), and of several values `widths = [16, 32]` fixes and
    `widths = { length = [1, 2], each = [16, 32] }` narrows.

    A genome has a gene for each parameter, and for several values one for their number and one for
    each possible value; those beyond the number are inert.  It holds names and plain data, so that
    it pickles small.
    """

    function: str
    options: tuple[tuple[str, Any], ...] = ()
    image_shape: tuple[int, int, int] = field(default=(1, 28, 28), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    @classmethod
    def takes_class(cls, found: type[Any]) -> bool:
        """Whether a class is called as a function is: one of modules of torch."""
        torch = sys.modules.get("torch")  # which whoever derives a class from it has imported
        return torch is not None and issubclass(found, torch.nn.Module)

    @classmethod
    def of(cls, use: str, function: Callable[..., Any], options: dict[str, Any]) -> Self:
        """The space of a declaration.  Raises ValueError for what is wrong with it."""
        space = cls(use, tuple((name, _frozen(value)) for name, value in options.items()))
        _ = space.genes
        return space

    def declared(self) -> dict[str, Any]:
        """The table of a declaration that makes it."""
        return {"use": self.function, **{name: _thawed(value) for name, value in self.options}}

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """The function's parameters as the options leave them."""
        found = {argument.name: argument for argument in _arguments(self.function)}
        for name, value in self.options:
            if name not in found:
                raise ValueError(
                    f"{name} = {_told(value)}: unknown key; legal: {', '.join(found)}"
                    f"{did_you_mean(name, found)}"
                )
            found[name] = _narrowed(found[name], value)
        for argument in found.values():
            if not argument.fixed and not argument.choices:
                raise ValueError(
                    f"use = {self.function!r}: its parameter {argument.name!r} is no gene; "
                    f"annotate it as {GENES}, or say {argument.name} = VALUE"
                )
        return tuple(found.values())

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        genes = tuple(gene for argument in self.arguments for gene in argument.genes)
        if not genes:
            raise ValueError(
                f"use = {self.function!r}: no parameter is left to search; annotate one as {GENES}"
            )
        return genes

    @cached_property
    def slots(self) -> tuple[slice, ...]:
        return tuple(slice(place, place + 1) for place in range(len(self.genes)))

    @cached_property
    def parts(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Genes that belong together, by kind: positions in the genome."""
        parts: dict[str, list[tuple[int, ...]]] = {"genes": []}
        for place, gene in enumerate(self.genes):
            name, dot, number = gene.name.rpartition(".")
            kind = name if dot and number != "length" else "genes"
            parts.setdefault(kind, []).append((place,))
        return {kind: tuple(places) for kind, places in parts.items() if places}

    def _indices(self, genome: list[int]) -> Iterator[tuple[Argument, list[int], int, int]]:
        """Each parameter with its genes, its number of values, and where their genes begin."""
        place = 0
        for argument in self.arguments:
            own = genome[place : place + len(argument.genes)]
            place += len(own)
            counted = len(argument.lengths) > 1 and not argument.fixed
            length = 1
            if argument.lengths and not argument.fixed:
                length = argument.lengths[own[0] if counted else 0]
            yield argument, own, length, int(counted)

    def values(self, genome: list[int]) -> dict[str, Any]:
        """What the function is called with for a genome, beside `GIVEN`."""
        values: dict[str, Any] = {}
        for argument, own, length, begin in self._indices(genome):
            chosen = [argument.choices[index] for index in own[begin : begin + length]]
            if argument.fixed:
                values[argument.name] = argument.value
            else:
                values[argument.name] = (
                    argument.container(chosen) if argument.lengths else chosen[0]
                )
        return values

    def canonical(self, genome: list[int]) -> list[int]:
        """The same network's one genome: inert genes are 0."""
        canonical: list[int] = []
        for _, own, length, begin in self._indices(genome):
            used = own[: begin + length]
            canonical += [*used, *([0] * (len(own) - len(used)))]
        return canonical

    def decode(self, genome: list[int]) -> str:
        """The values of the genes for a person; inert genes leave no trace in it."""
        parts = []
        for argument, own, length, begin in self._indices(genome):
            texts = [_text(argument.choices[index]) for index in own[begin : begin + length]]
            if argument.lengths and not argument.fixed:
                parts.append(" ".join([f"{argument.name}={length}:", *texts]))
            elif not argument.fixed:
                parts.append(f"{argument.name}={texts[0]}")
        return " ".join(parts)

    def encode(self, architecture: str) -> list[int]:
        """The canonical genome of what `decode` gave.

        Raises ValueError that names the offending part.
        """
        tokens = TOKEN.findall(architecture)
        found: dict[str, list[str]] = {}
        name = ""
        for place, token in enumerate(tokens):
            if tokens[place + 1 : place + 2] == ["="]:
                name = token
                if name in found:
                    raise ValueError(f"{architecture!r}: {name} stands there twice")
                found[name] = []
            elif token != "=":
                found.setdefault(name, []).append(token)
        genome: list[int] = []
        for argument in self.arguments:
            if not argument.fixed:
                genome += _encoded(argument, found.pop(argument.name, []), architecture)
        if found:
            legal = [argument.name for argument in self.arguments if not argument.fixed]
            raise ValueError(
                f"{next(iter(found))!r} in {architecture!r}: unknown; legal: {', '.join(legal)}"
                f"{did_you_mean(next(iter(found)), legal)}"
            )
        if reason := self.violation(genome):
            raise ValueError(f"{architecture!r}: {reason}")
        return genome

    def violation(self, genome: list[int]) -> str:
        """Nothing that can be told without building the network."""
        return ""


def call(
    function: str, values: Mapping[str, Any], image_shape: tuple[int, ...], classes: int
) -> Any:
    """What a function makes of the values of its parameters, read from JSON or not."""
    known = {argument.name: argument for argument in _arguments(function)}
    arguments = {
        name: known[name].passed(value) if name in known else value
        for name, value in values.items()
    }
    return imported(function)(image_shape=tuple(image_shape), classes=classes, **arguments)


def _arguments(use: str) -> list[Argument]:
    """The parameters of a function, as its signature has them, but for `GIVEN`."""
    function = imported(use)
    try:
        typed = function.__init__ if inspect.isclass(function) else function
        hints = get_type_hints(typed, include_extras=True)
        parameters = inspect.signature(function).parameters
    except (NameError, TypeError, ValueError) as error:
        raise ValueError(f"use = {use!r}: its signature cannot be read: {error}") from error
    for name in GIVEN:
        if name not in parameters:
            raise ValueError(
                f"use = {use!r}: it has no parameter {name!r}; a function that builds networks "
                "begins (image_shape, classes, ...)"
            )
    arguments = []
    for name, parameter in parameters.items():
        if name in GIVEN or parameter.kind in (
            inspect.Parameter.VAR_KEYWORD,
            inspect.Parameter.VAR_POSITIONAL,
        ):
            continue
        argument = _argument(name, hints.get(name, Any), use)
        if not argument.choices and parameter.default is not inspect.Parameter.empty:
            argument = replace(argument, fixed=True, value=parameter.default)
        arguments.append(argument)
    return arguments


def _argument(name: str, annotation: Any, use: str) -> Argument:
    bare, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else [annotation]
    origin, inner = get_origin(bare), get_args(bare)
    if origin not in (tuple, list):
        return Argument(name, _choices(annotation, name, use), members=_members(annotation))
    limits = list(_flat(metadata))
    fewest = next((one.min_length for one in limits if isinstance(one, MinLen)), 0)
    most = next((one.max_length for one in limits if isinstance(one, MaxLen)), None)
    if origin is tuple and inner[-1:] != (Ellipsis,):
        fewest = most = len(inner)
        if len(set(inner)) != 1:
            return Argument(name)
    choices = _choices(inner[0], name, use)
    if not choices:
        return Argument(name, container=origin)
    if most is None or fewest > most or most < 1:
        raise ValueError(
            f"use = {use!r}: its parameter {name!r} has {fewest} to {most} values; annotate it "
            f"as Annotated[..., MinLen(1), MaxLen(4)]"
        )
    lengths = tuple(range(fewest, most + 1))
    return Argument(name, choices, lengths, container=origin, members=_members(inner[0]))


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for one in metadata:
        if isinstance(one, GroupedMetadata):
            yield from _flat(list(one))
        else:
            yield one


def _choices(annotation: Any, name: str, use: str) -> tuple[Value, ...]:
    """The values that an annotation allows, in its order; none if it is no list of choices."""
    if annotation is bool:
        return (False, True)
    if annotation is type(None):
        return (None,)
    origin = get_origin(annotation)
    if origin is Literal:
        values = get_args(annotation)
        return values if all(isinstance(v, Value) for v in values) else ()
    if origin in (Union, UnionType):
        arms = [_choices(arm, name, use) for arm in get_args(annotation)]
        return tuple(value for arm in arms for value in arm) if all(arms) else ()
    if members := _members(annotation):
        return tuple(members)
    if origin is Annotated and get_args(annotation)[0] is int:
        return _whole_numbers(list(_flat(list(get_args(annotation)[1:]))), name, use)
    return ()


def _members(annotation: Any) -> dict[str, Enum]:
    """By their names, the members of the Enums that an annotation is or allows."""
    several = get_origin(annotation) in (Union, UnionType)
    arms = get_args(annotation) if several else (annotation,)
    enums = [arm for arm in arms if isinstance(arm, type) and issubclass(arm, Enum)]
    return {member.name: member for enum in enums for member in enum}


def _whole_numbers(limits: list[Any], name: str, use: str) -> tuple[int, ...]:
    lows: list[Any] = [one.ge for one in limits if isinstance(one, Ge)]
    lows += [int(str(one.gt)) + 1 for one in limits if isinstance(one, Gt)]
    highs: list[Any] = [one.le for one in limits if isinstance(one, Le)]
    highs += [int(str(one.lt)) - 1 for one in limits if isinstance(one, Lt)]
    if not lows or not highs:
        return ()
    low, high = int(max(lows)), int(min(highs))
    if not 0 <= high - low < LARGEST:
        raise ValueError(
            f"use = {use!r}: its parameter {name!r} goes from {low} to {high}; from 1 to "
            f"{LARGEST:,} choices are needed"
        )
    return tuple(range(low, high + 1))


def _narrowed(argument: Argument, value: Any) -> Argument:
    """A parameter with fewer choices, or with one value, as a declaration says."""
    name, shown = argument.name, _told(value)
    if isinstance(value, Table) and is_range(dict(value)):
        return _ranged(argument, _thawed(value))
    if not argument.choices:
        return replace(argument, fixed=True, value=_of_its_kind(argument, value, shown))
    if argument.lengths:
        return _narrowed_several(argument, value)
    if not isinstance(value, tuple):
        return replace(argument, fixed=True, value=_choice(argument.choices, value, name, shown))
    return _among(argument, value, name, shown)


def _ranged(argument: Argument, table: dict[str, Any]) -> Argument:
    """The parameter with the choices of `{ among = [...] }` or `{ between = [...] }`."""
    name, shown = argument.name, str(table)
    check_range(table, name)
    if argument.lengths:
        raise ValueError(f"{name} = {shown}: it has several values; say {{ each = [...] }}")
    whole = all(isinstance(end, int) for end in table.get("between", ()))
    values = values_of(table, whole and not isinstance(argument.value, float))
    if argument.choices:
        return _among(argument, values, name, shown)
    for number, value in enumerate(values):
        if _of_its_kind(argument, value, shown) in values[:number]:
            raise ValueError(f"{name} = {shown}: {value!r} stands there twice")
    return replace(argument, fixed=False, choices=values)


def _of_its_kind(argument: Argument, value: Any, shown: str) -> Any:
    """A value of a parameter without choices, of the type of its default if it has one."""
    kind = type(argument.value) if argument.fixed else None
    same = {float: int | float, int: int, str: str, bool: bool}
    right = isinstance(value, same[kind]) if kind in same else True
    if not right or (kind in (int, float) and isinstance(value, bool)):
        assert kind is not None
        raise ValueError(f"{argument.name} = {shown}: a {kind.__name__} is needed")
    return value


def _narrowed_several(argument: Argument, value: Any) -> Argument:
    name, shown = argument.name, _told(value)
    if isinstance(value, tuple) and not isinstance(value, Table):
        if len(value) not in argument.lengths:
            raise ValueError(
                f"{name} = {shown}: {argument.lengths[0]} to {argument.lengths[-1]} values are "
                f"needed, or {{ length = [...], each = [...] }}"
            )
        values = [_choice(argument.choices, one, name, shown) for one in value]
        return replace(argument, fixed=True, value=argument.container(values))
    table = dict(value) if isinstance(value, Table) else {"": value}
    for key in table:
        if key not in ("length", "each"):
            raise ValueError(
                f"{name} = {shown}: a list of values is needed, or "
                f"{{ length = [...], each = [...] }}"
            )
    if "length" in table:
        wanted = table["length"] if isinstance(table["length"], tuple) else (table["length"],)
        lengths = [_choice(argument.lengths, n, f"{name}.length", _told(wanted)) for n in wanted]
        argument = replace(argument, lengths=tuple(sorted(set(lengths))))
        if not argument.lengths or argument.lengths[-1] == 0:
            raise ValueError(f"{name}.length = {_told(wanted)}: at least 1 is needed")
    if "each" in table:
        each = table["each"] if isinstance(table["each"], tuple) else (table["each"],)
        argument = _among(argument, each, f"{name}.each", _told(each), several=True)
    return argument


def _among(
    argument: Argument, values: tuple[Any, ...], name: str, shown: str, several: bool = False
) -> Argument:
    """The parameter with these of its choices, in the order of its annotation."""
    wanted = [_choice(argument.choices, one, name, shown) for one in values]
    texts = [_text(one) for one in wanted]
    if not wanted or len(set(texts)) < len(texts):
        raise ValueError(f"{name} = {shown}: one or more different choices are needed")
    kept = tuple(choice for choice in argument.choices if _text(choice) in texts)
    if len(kept) == 1 and not several:
        return replace(argument, fixed=True, value=kept[0])
    return replace(argument, choices=kept)


def _choice(choices: tuple[Any, ...], value: Any, name: str, shown: str) -> Any:
    for choice in choices:
        same = isinstance(value, bool) == isinstance(choice, bool)
        if same and (choice == value or (choice is None and value == "none")):
            return choice
    texts = [_text(choice) for choice in choices]
    raise ValueError(
        f"{name} = {shown}: it is none of the choices; legal: {', '.join(texts)}"
        f"{did_you_mean(str(value), texts)}"
    )


def _encoded(argument: Argument, tokens: list[str], architecture: str) -> list[int]:
    """The genes of one parameter from the words behind its `=`."""
    length = 1
    genes: list[int] = []
    if argument.lengths:
        number, *tokens = [*tokens, ""]
        tokens = tokens[:-1]
        if not number.isdecimal() or int(number) not in argument.lengths or tokens[:1] != [":"]:
            legal = ", ".join(map(str, argument.lengths))
            raise ValueError(
                f"{argument.name}={number} in {architecture!r}: a number of values and a colon "
                f"are needed; legal: {legal}"
            )
        length, tokens = int(number), tokens[1:]
        if len(argument.lengths) > 1:
            genes.append(argument.lengths.index(length))
    if len(tokens) != length:
        raise ValueError(
            f"{architecture!r}: {argument.name} has {len(tokens)} values where {length} "
            f"{'is' if length == 1 else 'are'} needed"
        )
    texts = [_text(choice) for choice in argument.choices]
    for token in tokens:
        if token not in texts:
            raise ValueError(
                f"{argument.name}={token} in {architecture!r} is not in this space; "
                f"legal: {', '.join(texts)}"
            )
        genes.append(texts.index(token))
    return genes + [0] * (len(argument.genes) - len(genes))


def _text(value: Value) -> str:
    """A value as a word of an architecture; no two values of one parameter have the same."""
    if value is None or isinstance(value, bool):
        return WORDS[value]
    if isinstance(value, str) and (not PLAIN.fullmatch(value) or value in WORDS.values()):
        return json.dumps(value)
    return str(value)


class Table(tuple[Any, ...]):
    """A table of a declaration, hashable: its (key, value) pairs."""


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Table((name, _frozen(one)) for name, one in value.items())
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, Table):
        return {name: _thawed(one) for name, one in value}
    return [_thawed(one) for one in value] if isinstance(value, tuple) else value


def _told(value: Any) -> str:
    return repr(_thawed(_frozen(value)))
