"""The keys of a declaration checked against the source of a class that is slow to import.

A problem of networks needs torch, which takes seconds to import, and a typo should not take them.
So the fields of its dataclass, and of those that it holds, are read off their source: the names,
the shelves, and the values of a Literal.  What the source does not say plainly is passed over; the
check against the signature (signature.py), which needs the import, follows and decides.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from toolbox.shelf import did_you_mean
from toolbox.signature import Parameter, check


@dataclass(frozen=True)
class Field:
    """A field of a dataclass, with the class that it holds or the shelf that it is taken from."""

    name: str
    declared: bool
    annotation: ast.expr
    shelf: "Mapping[str, Class | None] | None"
    nested: "Class | None"


@dataclass(frozen=True)
class Class:
    """A class as its source tells it."""

    module: "Module"
    node: ast.ClassDef

    @cached_property
    def bases(self) -> "list[Class]":
        found = (self.module.named(base) for base in self.node.bases)
        return [base for base in found if base]

    @cached_property
    def fields(self) -> dict[str, Field]:
        """By name, those of its bases first, as a dataclass has them."""
        fields: dict[str, Field] = {}
        for base in reversed(self.bases):
            fields |= base.fields
        for node in self.node.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
                if "ClassVar" in ast.dump(node.annotation):
                    fields.pop(name, None)
                else:
                    fields[name] = self._field(name, node)
        return fields

    def _field(self, name: str, node: ast.AnnAssign) -> Field:
        said = _arguments_of_field(node.value)
        table = said.get("metadata")
        metadata = dict(_items(table)) if isinstance(table, ast.Dict) else {}
        declared = all(
            not isinstance(one, ast.Constant) or one.value is not False
            for one in (said.get("init"), metadata.get("declared"))
        )
        shelf = self.module.shelf(metadata["shelf"]) if "shelf" in metadata else None
        nested = None if "shelf" in metadata else self.module.named(node.annotation)
        return Field(name, declared, node.annotation, shelf, nested)

    def read_by(self, name: str) -> set[str] | None:
        """The fields that a method or property reads; None if the class has none of this name."""
        for node in self.node.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return {
                    one.attr
                    for one in ast.walk(node)
                    if isinstance(one, ast.Attribute)
                    and isinstance(one.value, ast.Name)
                    and one.value.id == "self"
                    and one.attr in self.fields
                }
        found = (base.read_by(name) for base in self.bases)
        return next((fields for fields in found if fields is not None), None)


@dataclass(frozen=True)
class Module:
    """A module as its source tells it; its names are followed into the modules they come from."""

    name: str
    tree: ast.Module

    @cached_property
    def _imported(self) -> dict[str, tuple[str, str]]:
        return {
            alias.asname or alias.name: (node.module, alias.name)
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom) and node.module and not node.level
            for alias in node.names
        }

    def named(self, node: ast.expr) -> Class | None:
        """The class that an expression names, in this module or the one it is imported from."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            return class_of(node.value)
        if not isinstance(node, ast.Name):
            return None
        for own in self.tree.body:
            if isinstance(own, ast.ClassDef) and own.name == node.id:
                return Class(self, own)
        return class_of(":".join(self._imported[node.id])) if node.id in self._imported else None

    def shelf(self, node: ast.expr) -> dict[str, Class | None] | None:
        """The names on a shelf, a module's dict, and their classes; None if it is not plain."""
        if not isinstance(node, ast.Name):
            return None
        if node.id in self._imported:
            module, name = self._imported[node.id]
            there = module_of(module)
            return there.shelf(ast.Name(name)) if there else None
        for own in self.tree.body:
            held = _assigned(own, node.id)
            if isinstance(held, ast.Dict) and len(dict(_items(held))) == len(held.keys):
                return {key: self.named(entry) for key, entry in _items(held)}
        return None


def check_source(table: Any, shelf: Mapping[str, Any], key: str) -> Class | None:
    """The class that a table's `use` names on a shelf, if it is not imported yet.

    Raises ValueError, one line, for a key that neither it nor what it holds declares.
    """
    use = table.get("use") if isinstance(table, Mapping) else table
    entry = shelf.get(use) if isinstance(use, str) else None
    if not isinstance(entry, str) or entry.partition(":")[0] in sys.modules:
        return None
    found = class_of(entry)
    if found and isinstance(table, Mapping):
        _check(table, found, key)
    return found


def _check(table: Mapping[str, Any], cls: Class, key: str) -> None:
    if not cls.fields:
        return  # it is declared in another way
    legal = {name: Parameter(default=None) for name, one in cls.fields.items() if one.declared}
    values = {name: value for name, value in table.items() if name != "use"}
    check(values, legal, key)
    for name, value in values.items():
        _check_value(value, cls.fields[name], f"{key}.{name}")


def _check_value(value: Any, one: Field, key: str) -> None:
    if one.shelf is not None:
        use = value.get("use") if isinstance(value, Mapping) else value
        if isinstance(use, str) and ":" not in use and use not in one.shelf:
            raise ValueError(
                f"{key}.use = {use!r}: unknown; legal: {', '.join(sorted(one.shelf))} or "
                f"'module:function'{did_you_mean(use, one.shelf)}"
            )
        held = one.shelf.get(use) if isinstance(use, str) else None
        if held and isinstance(value, Mapping):
            _check(value, held, key)
    elif one.nested and isinstance(value, Mapping):
        _check(value, one.nested, key)
    elif isinstance(value, str) and (legal := _literal(one.annotation)):
        key, _, name = key.rpartition(".")
        check({name: value}, {name: Parameter(Literal[legal])}, key)


def _literal(node: ast.expr) -> tuple[str, ...]:
    """The texts of a Literal; none for any other annotation."""
    if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)):
        return ()
    if node.value.id != "Literal":
        return ()
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    constants = [part.value for part in parts if isinstance(part, ast.Constant)]
    return tuple(value for value in constants if isinstance(value, str))


@cache
def class_of(use: str) -> Class | None:
    """The class that `module:name` names; None where its source is not found."""
    name, _, attribute = use.partition(":")
    module = module_of(name)
    return module.named(ast.Name(attribute)) if module else None


@cache
def module_of(name: str) -> Module | None:
    """A module of a package, by its source alone; None where it is not found."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top)  # of a part of it this would import the package
    for place in spec.submodule_search_locations or () if spec else ():
        path = Path(place, *rest)
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return Module(name, ast.parse(file.read_text(encoding="utf-8")))
    return None


def _arguments_of_field(node: ast.expr | None) -> dict[str | None, ast.expr]:
    """The keywords of a call of `field`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "field":
        return {keyword.arg: keyword.value for keyword in node.keywords}
    return {}


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """What a statement assigns to a name, if it does."""
    targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    if not any(isinstance(one, ast.Name) and one.id == name for one in targets):
        return None
    return node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None


def _items(node: ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    """The entries of a dict whose keys are texts."""
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, value
