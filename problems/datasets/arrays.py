"""Images and labels that a user's function returned, as every data set holds them.

Each ValueError begins with what it is about, such as "images" or "test_labels".
"""

from collections.abc import Mapping
from typing import Any

import numpy

SHAPES = "(N, H, W), (N, C, H, W) or (N, H, W, C)"
VALUES = "legal: uint8, whole numbers from 0 to 255, or floats from 0 to 1"
EXACT = 0.1  # of a 255th; float16 is off by less
COLOURS = (1, 3)  # channels of a picture


def in_parts(returned: Any) -> list[tuple[Any, Any]] | None:
    """The images and labels to train on, and those to be tested on if there are any.

    returned: (images, labels), four of them in one row or as two pairs, one data set of
    (image, label) as torch's, or two.  None for anything else.
    """
    several = list(returned) if isinstance(returned, tuple | list) else []
    if _is_dataset(returned):
        return [_pair(returned, "")]
    if len(several) == 2 and all(map(_is_dataset, several)):
        return [_pair(several[0], ""), _pair(several[1], "test_")]
    if len(several) == 2 and all(isinstance(one, tuple) and len(one) == 2 for one in several):
        return [(images, labels) for images, labels in several]
    if len(several) in (2, 4):
        return [(several[at], several[at + 1]) for at in range(0, len(several), 2)]
    return None


def _is_dataset(value: Any) -> bool:
    """Whether a value has (image, label) by number, as a map-style data set of torch has."""
    if isinstance(value, tuple | list | str | Mapping) or hasattr(value, "shape"):
        return False  # or arrays, tensors, tables
    return hasattr(value, "__getitem__") and hasattr(value, "__len__") and len(value) > 0


def _pair(dataset: Any, prefix: str) -> tuple[Any, Any]:
    """Its images (N, ...) and labels (N,)."""
    images, labels = [], []
    for number in range(len(dataset)):
        try:
            found = dataset[number]
        except Exception as error:  # whatever somebody's own data set does
            said = f"{type(dataset).__name__}[{number}]"
            raise ValueError(f"{said} failed: {type(error).__name__}: {error}") from error
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise ValueError(
                f"{type(dataset).__name__}[{number}] is a {type(found).__name__}; (image, label) "
                "is needed"
            )
        image, label = found
        images.append(_array(image, f"{prefix}images"))
        labels.append(label if isinstance(label, str) else _array(label, f"{prefix}labels"))
        if images[-1].shape != images[0].shape:
            raise ValueError(
                f"{prefix}images: number {number} has the shape {images[-1].shape}, and number 0 "
                f"{images[0].shape}; all must have one"
            )
    return numpy.stack(images), numpy.array(labels)


def as_images(images: Any, called: str) -> tuple[numpy.ndarray, bool]:
    """(N, C, H, W) uint8 of numpy arrays or torch tensors of the usual shapes and ranges.

    Floats from 0 to 1 become whole 255ths; whether they had to be rounded for that.
    """
    return _as_uint8(_channels_first(_array(images, called), called), called)


def as_labels(labels: Any, called: str) -> numpy.ndarray:
    """(N,) of whole numbers or strings."""
    array = _array(labels, called)
    if array.dtype == object and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)
    if array.ndim != 1:
        cure = ""
        if array.ndim == 2:  # a column, or one-hot
            cure = (
                f", such as {called}[:, 0]"
                if array.shape[1] == 1
                else f", such as {called}.argmax(1)"
            )
        raise ValueError(f"{called} has the shape {array.shape}; (N,) is needed{cure}")
    if array.dtype.kind not in "biuUS":
        whole = array.dtype.kind == "f" and (array == numpy.rint(array)).all()
        cure = f", such as {called}.astype(int)" if whole else ""
        raise ValueError(f"{called} holds {array.dtype}; whole numbers or strings are needed{cure}")
    return array.astype(numpy.int64) if array.dtype.kind in "biu" else array.astype(str)


def _array(values: Any, called: str) -> numpy.ndarray:
    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    try:
        return numpy.asarray(values)
    except (TypeError, ValueError) as error:  # ragged, say
        raise ValueError(f"{called}: it is no array ({error})") from error


def _channels_first(images: numpy.ndarray, called: str) -> numpy.ndarray:
    """(N, C, H, W).  Of the axes after the first and the last, 1 or 3 are channels, or else the
    shorter is."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4:
        _, first, _, last = images.shape
        if first in COLOURS or (last not in COLOURS and first < last):
            return images
        if last in COLOURS or last < first:
            return images.transpose(0, 3, 1, 2)
    raise ValueError(f"{called} has the shape {images.shape}; {SHAPES} is needed")


def _as_uint8(images: numpy.ndarray, called: str) -> tuple[numpy.ndarray, bool]:
    if not images.size:
        raise ValueError(f"{called} has the shape {images.shape}: there is nothing in it")
    kind = images.dtype.kind
    if kind not in "biuf":
        raise ValueError(f"{called} holds {images.dtype}; {VALUES}")
    if kind == "f" and (lost := int((~numpy.isfinite(images)).sum())):
        raise ValueError(f"{called}: {lost:,} of its values are NaN or infinite; {VALUES}")
    least, most = images.min(), images.max()
    rounded = False
    if kind == "b" or (kind == "f" and least >= 0 and most <= 1):
        exact = images.astype(numpy.float32) * 255
        images = numpy.rint(exact)
        rounded = bool((abs(images - exact) > EXACT).any())
    elif least < 0 or most > 255 or (kind == "f" and (images != numpy.rint(images)).any()):
        cure = "; leave Normalize to training.normalize = true" if least < 0 else ""
        raise ValueError(
            f"{called} holds {images.dtype} from {least:.4g} to {most:.4g}; {VALUES}{cure}"
        )
    return numpy.array(images, dtype=numpy.uint8, order="C"), rounded  # never the user's own
