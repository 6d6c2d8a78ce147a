"""Images that a plain function of the user's returns: `dataset = { use = "my_data:stripes" }`."""

import hashlib
import inspect
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, cast, get_type_hints

import numpy
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from problems.datasets.arrays import as_images, as_labels, in_parts
from problems.datasets.carved_test import CarvedTest, require_classes
from problems.datasets.dataset import Dataset, Part
from problems.imported import did_you_mean, imported

log = logging.getLogger(__name__)

QUICK = 10.0  # seconds: a function that takes no longer is called twice, to see that it repeats
RETURNS = (
    "(images, labels) or (images, labels, test_images, test_labels) is needed, or one or two data "
    "sets of torch with (image, label)"
)


@dataclass(frozen=True)
class Arrays:
    """What a function returned: images (N, C, H, W) uint8 and labels (N,) int64 of each part.

    names: of the classes, in the order of their labels.  digest: of all of it.  rounded: whether
    the images were something finer than 255ths.  seconds: that the function took.
    """

    parts: Mapping[Part, tuple[numpy.ndarray, numpy.ndarray]]
    names: tuple[str, ...]
    digest: str
    rounded: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class OwnArrays(CarvedTest):
    """The images and labels that the function `use` returns, called once in each process.

    It returns (images, labels), or with (test_images, test_labels) after them those to be tested
    on, or a data set of torch for each; see `problems.datasets.arrays`.  Classes are the different
    labels, sorted.  It must return the same at each call.  options: its own parameters, as JSON
    text; a parameter `seed` is the data set's.  fingerprint: of the content that it must return, if
    given.
    """

    use: str
    options: str = "{}"
    shape: tuple[int, int, int] = (0, 0, 0)
    names: tuple[str, ...] = ()
    classes: int = field(default=0)  # type: ignore[misc]
    official_train_images: int = field(default=0)  # type: ignore[misc]
    fingerprint: str = ""

    @classmethod
    def of(cls, use: str, function: Callable[..., Any], options: dict[str, Any]) -> Dataset:
        """The data set of a function and the keys of a declaration's table.

        A function that is annotated to return a Dataset is called with them for that.
        Raises ValueError for keys that neither has.
        """
        parameters = inspect.signature(function).parameters
        hints = _hints(function)
        if inspect.isclass(made := hints.get("return")) and issubclass(made, Dataset):
            own = _checked(options, parameters, hints)
            return cast(Dataset, function(**own))
        mine = ("validation", "limit", "test", "seed", "fingerprint")
        for name in mine:
            if name in parameters and name != "seed":
                raise ValueError(
                    f"use = {use!r}: its parameter {name!r} is a key of every data set; give it "
                    "another name"
                )
        if "validation" not in options:
            raise ValueError("validation = N is missing: how many of the images are to validate on")
        seed = parameters["seed"].default if "seed" in parameters else 0
        common = {"seed": seed if isinstance(seed, int) else 0} | {
            name: options[name] for name in mine if name in options
        }
        types = get_type_hints(cls, include_extras=True)
        common = {name: _typed(name, value, types[name]) for name, value in common.items()}
        own = {name: value for name, value in options.items() if name not in mine}
        _checked(own, parameters, hints, also=mine)
        return cls(use=use, options=json.dumps(own, default=str), **common)

    def declared(self) -> dict[str, Any]:
        """The table that declares it; once it is located, with the fingerprint of its content."""
        common = {name: getattr(self, name) for name in ("validation", "limit", "test", "seed")}
        table = {"use": self.use, **common, **json.loads(self.options)}
        table |= {"fingerprint": self.fingerprint} if self.fingerprint else {}
        return {name: value for name, value in table.items() if value is not None}

    @property
    def image_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        return self.shape

    def _arrays(self) -> Arrays:
        return _called(self.use, self.options, self.seed)

    def located(self) -> "OwnArrays":
        _called.cache_clear()  # what a notebook did before may have been another function
        with _about(self.use):
            arrays = self._arrays()
            if arrays.seconds < QUICK:
                again = _call(self.use, self.options, self.seed)
                _require_same(arrays.digest, again.digest)
            _require_same(self.fingerprint or arrays.digest, arrays.digest)
        if self.test is not None and "test" in arrays.parts:
            raise ValueError(
                f"test = {self.test}: {self.use} returns images to be tested on; leave it out"
            )
        images, labels = arrays.parts["train"]
        return replace(
            self,
            shape=images.shape[1:],
            names=arrays.names,
            classes=len(arrays.names),
            official_train_images=len(self.carved(labels, "train")),
            fingerprint=arrays.digest,
        )

    def notices(self) -> list[str]:
        lines, arrays = [], self._arrays()
        images, _ = arrays.parts["train"]
        if arrays.rounded:
            lines.append(f"use = {self.use!r}: its floats are rounded to 255ths (uint8)")
        if images.max() <= 1:
            lines.append(
                f"use = {self.use!r}: the brightest pixel is {images.max()} of 255; floats from 0 "
                "to 1 would be scaled"
            )
        if self.test is None and "test" not in arrays.parts:
            lines.append(self.untested(f"use = {self.use!r}: it returns no images to be tested on"))
        return lines

    def class_names(self) -> list[str]:
        return list(self._arrays().names)

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        with _about(self.use):
            arrays = self._arrays()
            if self.fingerprint:
                _require_same(self.fingerprint, arrays.digest)
        if part == "test" and part in arrays.parts:
            return arrays.parts[part]
        images, labels = arrays.parts["train"]
        chosen = self.carved(labels, part)
        return images[chosen], labels[chosen]


def _require_same(before: str, now: str) -> None:
    if before != now:
        raise ValueError(
            "it returned other images than the last time; they must be the same at each call, so "
            "random ones need a fixed seed, and random crops and flips are training.augmentation's"
        )


class _about:
    """A context that puts the function's name in front of a ValueError's message."""

    def __init__(self, use: str):
        self.use = use

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, ValueError):
            raise ValueError(f"use = {self.use!r}: {error}") from error


@lru_cache(maxsize=2)  # one search uses one; a second one leaves room for comparing two
def _called(use: str, options: str, seed: int) -> Arrays:
    return _call(use, options, seed)


def _call(use: str, options: str, seed: int) -> Arrays:
    """What the function returns.  Raises ValueError that says what is wrong with it."""
    function = imported(use)
    hints = _hints(function)
    given = {
        name: _typed(name, value, hints.get(name, Any))
        for name, value in json.loads(options).items()
    }
    if "seed" in inspect.signature(function).parameters:
        given["seed"] = seed
    begun = time.perf_counter()
    try:
        returned = function(**given)
    except Exception as error:  # whatever a user's function does
        log.debug("%s", use, exc_info=True)
        raise ValueError(f"it failed: {type(error).__name__}: {error}") from error
    seconds = time.perf_counter() - begun
    pairs = in_parts(returned)
    if pairs is None:
        many = f" of {len(returned)}" if isinstance(returned, tuple | list) else ""
        cure = "; a DataLoader has one, its dataset" if hasattr(returned, "dataset") else ""
        raise ValueError(f"it returned a {type(returned).__name__}{many}; {RETURNS}{cure}")
    images, labels, rounded = _part(*pairs[0], "")
    names = numpy.unique(labels)
    require_classes("labels", names.tolist())
    parts: dict[Part, tuple[numpy.ndarray, numpy.ndarray]] = {
        "train": (images, _numbers(labels, names))
    }
    if len(pairs) == 2:
        tested, test_labels, _ = _part(*pairs[1], "test_")
        if tested.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"test_images are {tested.shape[1:]} in channels, height and width, and images "
                f"{images.shape[1:]}"
            )
        if unknown := set(test_labels.tolist()) - set(names.tolist()):
            raise ValueError(f"test_labels: {min(unknown, key=str)!r} is not among the labels")
        parts["test"] = (tested, _numbers(test_labels, names))
    called = tuple(str(name) for name in names)
    return Arrays(parts, called, _digest(parts, called), rounded, seconds)


def _numbers(labels: numpy.ndarray, names: numpy.ndarray) -> numpy.ndarray:
    return numpy.searchsorted(names, labels).astype(numpy.int64)


def _part(images: Any, labels: Any, prefix: str) -> tuple[numpy.ndarray, numpy.ndarray, bool]:
    pictures, rounded = as_images(images, f"{prefix}images")
    of = as_labels(labels, f"{prefix}labels")
    if len(pictures) != len(of):
        raise ValueError(
            f"there are {len(pictures):,} {prefix}images and {len(of):,} {prefix}labels"
        )
    return pictures, of, rounded


def _digest(parts: Mapping[Part, tuple[numpy.ndarray, numpy.ndarray]], names: Any) -> str:
    content = hashlib.blake2b(json.dumps(names).encode(), digest_size=8)
    for images, labels in parts.values():
        content.update(json.dumps(images.shape).encode())
        content.update(images.tobytes())
        content.update(labels.astype("<i8").tobytes())
    return content.hexdigest()


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (TypeError, NameError):  # annotations that do not resolve here
        return {}


def _checked(
    options: Mapping[str, Any],
    parameters: Mapping[str, inspect.Parameter],
    hints: Mapping[str, Any],
    also: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The options, each of the type that its parameter is annotated with.  Raises ValueError.

    also: legal keys that have been taken out of the options.
    """
    named, kinds = [], [found.kind for found in parameters.values()]
    for name, found in parameters.items():
        if found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY):
            named.append(name)
            if found.default is found.empty and name not in (*options, *also):
                raise ValueError(f"{name} = ... is missing: {name!r} has no default")
    legal = list(dict.fromkeys([*also, *named]))
    for name in options:
        if name not in legal and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise ValueError(
                f"{name} = {options[name]!r}: unknown key; legal: {', '.join(legal)}"
                f"{did_you_mean(name, legal)}"
            )
    return {name: _typed(name, value, hints.get(name, Any)) for name, value in options.items()}


def _typed(name: str, value: Any, annotation: Any) -> Any:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(
            annotation, config=ConfigDict(allow_inf_nan=False, strict=True)
        )
    except PydanticUserError:  # an annotation that is no data
        return value
    try:
        return adapter.validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        raise ValueError(f"{name} = {value!r}: {error.errors()[0]['msg']}") from None
