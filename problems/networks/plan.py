"""The plan of one network, but for its weights: what it costs, its module, and its text in a file.

There are three kinds: a chain of layers, what a function made of its arguments, and what the
`module(genome)` of somebody's own space made.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from problems.imported import imported, name_of, source_of
from problems.networks.chain import Standardize, build
from problems.networks.counting import Counted, counted_module
from problems.networks.dropout import with_own_dropout
from problems.spaces.chain import Chain, count, totals
from problems.spaces.layers import LAYERS, Layer, Shape
from problems.spaces.typed_function import TypedFunction, call
from problems.spaces.with_recipe import WithRecipe

REMEMBERED = 4096  # counts of networks, in one process


@dataclass(frozen=True)
class Called:
    """A `module:function` and the values of its parameters, beside image_shape and classes."""

    function: str
    genes: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class OfSpace:
    """A space with `module(genome)`, and a genome."""

    space: Any
    genome: tuple[int, ...]


Plan = Chain | Called | OfSpace


def plan_of(space: Any, genome: list[int]) -> Plan:
    """What a genome's network is.  Raises ValueError for a space that makes none."""
    if isinstance(space, WithRecipe):
        genome, _ = space.parted(genome)
        space = space.space
    if isinstance(space, TypedFunction):
        values = space.values(genome).items()
        return Called(
            space.function, tuple((n, tuple(v) if isinstance(v, list) else v) for n, v in values)
        )
    if callable(getattr(space, "chain", None)):
        return tuple(space.chain(genome))
    if callable(getattr(space, "module", None)):
        return OfSpace(space, tuple(genome))
    raise ValueError(
        f"space = {type(space).__name__}: it makes no networks; it needs chain(genome), a tuple of "
        "layers, or module(genome), a torch.nn.Module"
    )


def module_of(
    plan: Plan, image_shape: Shape, classes: int, standardize: Standardize | None = None
) -> nn.Module:
    """The module with its first weights, on the CPU; it standardizes its images first if asked.

    Raises ValueError if it cannot be built.
    """
    if isinstance(plan, tuple):
        chain = build(plan, image_shape)
        if standardize is not None:
            chain.insert(0, standardize)
        return chain
    made = _made(plan, image_shape, classes)
    if not isinstance(made, nn.Module):
        raise TypeError(f"it returned {made!r}; a torch.nn.Module is needed")
    network = with_own_dropout(made)
    if any(map(torch.nn.parameter.is_lazy, network.parameters())):
        with torch.no_grad():  # their sizes are those of what they are given first
            network.eval()(torch.zeros(1, *image_shape))
        network.train()
    return network if standardize is None else nn.Sequential(standardize, network)


def _made(plan: Called | OfSpace, image_shape: Shape, classes: int) -> Any:
    if isinstance(plan, Called):
        return call(plan.function, dict(plan.genes), image_shape, classes)
    return plan.space.module(list(plan.genome))


def counted(plan: Plan, image_shape: Shape, classes: int) -> Counted:
    """What the network costs, without training it; remembered."""
    try:
        return _remembered(plan, tuple(image_shape), classes)
    except TypeError as error:
        if "unhashable" not in str(error):  # a layer or space that is no frozen dataclass
            raise
        return _counted(plan, tuple(image_shape), classes)


def _counted(plan: Plan, image_shape: Shape, classes: int) -> Counted:
    if not isinstance(plan, tuple):
        return counted_module(
            lambda: module_of(plan, image_shape, classes), image_shape, classes, said_of(plan)
        )
    counts = count(plan, image_shape)
    rows = tuple(
        (layer.said, layer.drawn_as, one.shape, one.params, one.macs)
        for layer, one in zip(plan, counts, strict=True)
    )
    return Counted(totals(counts, image_shape), rows)


_remembered = lru_cache(maxsize=REMEMBERED)(_counted)


def said_of(plan: Plan) -> str:
    """What made the network, for a message."""
    match plan:
        case Called(function):
            return function
        case OfSpace(space):
            return f"{type(space).__name__}.module"
        case _:
            return "chain"


def imports_of(plan: Plan) -> set[str]:
    """The `module:name` of everything of somebody's own that the plan's network is made by."""
    match plan:
        case Called(function):
            return {function}
        case OfSpace(space):
            return {name_of(type(space))}
        case _:
            return {name_of(type(layer)) for layer in plan if type(layer) not in LAYERS.values()}


def sources(plan: Plan) -> dict[str, str]:
    """A digest of each file of somebody's own that the plan's network is made by."""
    return {name.partition(":")[0]: source_of(name) for name in sorted(imports_of(plan))}


def as_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data, without images and classes."""
    match plan:
        case Called(function, genes):
            return {"function": function, "genes": dict(genes)}
        case OfSpace(space, genome):
            told = {
                field.name: getattr(space, field.name)
                for field in fields(space)
                if field.name not in ("image_shape", "classes")
            }
            return {"space": {"use": name_of(type(space)), **told}, "genome": list(genome)}
        case _:
            return {"chain": [{"layer": _layer_name(layer), **_fields(layer)} for layer in plan]}


def from_data(
    data: Mapping[str, Any], image_shape: Shape, classes: int, imports: Collection[str]
) -> Plan:
    """The plan of `as_data`.  Raises ValueError, KeyError or TypeError if it is none.

    imports: what may be imported for it, and is called when its module is built: `module:name`.
    """
    if strange := sorted({str(name) for name in _named(data)} - set(imports)):
        raise ValueError(
            f"it is made by {strange[0]!r}, which is code that the reader has not named"
        )
    if "function" in data:
        genes = tuple((name, _tuples(value)) for name, value in data["genes"].items())
        return Called(data["function"], genes)
    if "space" in data:
        table = {name: _tuples(value) for name, value in data["space"].items()}
        cls = imported(table.pop("use"))
        return OfSpace(
            cls(**table, image_shape=tuple(image_shape), classes=classes), tuple(data["genome"])
        )
    return tuple(_layer(dict(table)) for table in data["chain"])


def _named(data: Mapping[str, Any]) -> list[Any]:
    """What data of a plan would import."""
    if "function" in data:
        return [data["function"]]
    if "space" in data:
        return [data["space"]["use"]]
    return [table["layer"] for table in data["chain"] if table["layer"] not in LAYERS]


def _fields(layer: Layer) -> dict[str, Any]:
    assert is_dataclass(layer), f"{type(layer).__name__} is no dataclass"
    return {field.name: getattr(layer, field.name) for field in fields(layer)}


def _layer_name(layer: Layer) -> str:
    name = type(layer).__name__
    return name if LAYERS.get(name) is type(layer) else name_of(type(layer))


def _layer(table: dict[str, Any]) -> Layer:
    name = table.pop("layer")
    cls = LAYERS[name] if name in LAYERS else imported(name)
    layer = cls(**{key: _tuples(value) for key, value in table.items()})
    assert isinstance(layer, Layer)
    return layer


def _tuples(value: Any) -> Any:
    """A value of JSON data with its lists as tuples, as a declaration has them."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def unsaved(plan: Plan, image_shape: Shape, classes: int) -> str:
    """Why the plan cannot be read back from its JSON data; empty if it can."""
    try:
        if isinstance(plan, OfSpace) and not is_dataclass(plan.space):
            return f"{type(plan.space).__name__} is no dataclass"
        data = json.loads(json.dumps(as_data(plan)))
        again = from_data(data, image_shape, classes, imports_of(plan))
    except (ValueError, TypeError, KeyError, AssertionError) as error:
        return " ".join(str(error).split())
    return "" if again == plan else f"{said_of(plan)} is read back as {again}"
