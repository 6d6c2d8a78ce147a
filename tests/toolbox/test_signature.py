"""How a field of a declaration takes a plain function in place of a class."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from toolbox.signature import choose, described


@dataclass(frozen=True)
class Square:
    """A class on the shelf."""

    side: int = 1


@dataclass(frozen=True)
class OwnShape:
    """What a plain function becomes."""

    use: str
    options: dict[str, Any]

    @classmethod
    def of(cls, use: str, function: Callable[..., Any], options: dict[str, Any]) -> "OwnShape":
        assert function is circle
        if options.get("radius", 1) < 0:
            raise ValueError(f"radius = {options['radius']}: at least 0 is needed")
        return cls(use, options)

    def declared(self) -> dict[str, Any]:
        return {"use": self.use, **self.options}


SHAPES = {"square": Square}


@dataclass(frozen=True)
class Drawing:
    shape: Any = field(default_factory=Square, metadata={"shelf": SHAPES, "function": OwnShape})


def circle(radius: int = 1) -> str:
    return f"circle {radius}"


CIRCLE = f"{__name__}:circle"


def chosen(shape: Any) -> Any:
    return choose({"use": "drawing", "shape": shape}, {"drawing": Drawing}, "problem")


def test_a_field_takes_a_plain_function_and_its_options_as_they_are_written():
    own = chosen({"use": CIRCLE, "radius": 3}).build().shape
    assert own == OwnShape(CIRCLE, {"radius": 3})


def test_a_name_alone_is_a_plain_function_without_options():
    assert chosen(CIRCLE).build().shape == OwnShape(CIRCLE, {})


def test_a_class_is_still_a_class_there():
    assert chosen({"use": "square", "side": 2}).build().shape == Square(2)
    assert chosen({"use": f"{__name__}:Square", "side": 2}).build().shape == Square(2)


@pytest.mark.parametrize("identity", [False, True])
def test_what_is_described_of_a_plain_function_declares_it_again(identity):
    shape = {"use": CIRCLE, "radius": 3}
    declared = chosen(shape)
    assert described(declared.build(), identity)["shape"] == shape
    table = described(declared, identity)
    assert table == {"use": "drawing", "shape": shape}
    assert chosen(table["shape"]).build() == declared.build()


def test_what_a_plain_function_refuses_is_told_with_its_key():
    with pytest.raises(ValueError, match=r"^problem\.shape\.radius = -1: at least 0 is needed$"):
        chosen({"use": CIRCLE, "radius": -1})


@dataclass(frozen=True)
class Frame:
    size: tuple[int, int] = (3, 4)
    colours: tuple[int, ...] = (1,)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": [3]}, "size = [3]: 2 entries are needed, and there are 1; by default they are"),
        ({"size": [3, 4, 5]}, "size = [3, 4, 5]: it should have at most 2 items, not 3"),
        ({"size": 3}, "size = 3: a list is needed, like [3, 4]"),
        ({"colours": 3}, "colours = 3: a list is needed, like [3]"),
    ],
)
def test_a_list_of_a_wrong_length_is_told_how_many_are_needed(wrong, said):
    with pytest.raises(ValueError, match=re.escape(f"frame.{said}")):
        choose({"use": "frame", **wrong}, {"frame": Frame}, "frame")
