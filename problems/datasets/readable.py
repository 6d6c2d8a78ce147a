"""Whether pictures can be read at all, asked before a search begins."""

import io
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import platformdirs
from PIL import Image

from problems.digest import digest

log = logging.getLogger(__name__)

NAMED = 3  # pictures that cannot be read
REMEMBERED = 1_000  # pictures, from which on it is worth while to remember that they can be read
AT_ONCE = 1_000

EIGHT_BITS = {
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
}
Picture = tuple[str, str | bytes]  # what it is called, and its path or its content


def require_readable(key: str, pictures: Iterable[Picture], many: int, known_as: Any) -> None:
    """Decode `many` pictures; raises ValueError that begins with the key and names the unreadable.

    known_as: plain data that changes when the pictures do, or None.  Many pictures that could be
    read are remembered by it in the user's cache folder, and not read again.
    """
    remembered = None
    if known_as is not None and many >= REMEMBERED:
        remembered = Path(platformdirs.user_cache_dir("deap-nas")) / "readable" / digest(known_as)
        if remembered.exists():
            return
        log.info("reading %s pictures once, to see that each of them can be read", f"{many:,}")
    source, unreadable = iter(pictures), []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        while some := list(islice(source, AT_ONCE)):
            reasons = threads.map(_reason, [content for _, content in some])
            unreadable += [(name, why) for (name, _), why in zip(some, reasons, strict=True) if why]
    if unreadable:
        raise ValueError(f"{key}: {_told(unreadable, many)}")
    if remembered:
        try:
            remembered.parent.mkdir(parents=True, exist_ok=True)
            remembered.touch()
        except OSError as error:
            log.debug("%s: they are read again the next time: %s", remembered, error)


def _reason(picture: str | bytes) -> str:
    """Why a picture cannot be read; nothing if it can."""
    try:
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            image.draft("RGB", (1, 1))  # a JPEG is read whole, and computed small: twice as fast
            image.load()
            if image.mode not in EIGHT_BITS:  # Pillow would cut off what is above 255
                return (
                    f"its pixels are {image.mode!r} of Pillow, and 8 bits for a channel are needed"
                )
    except Exception as error:  # a broken file has Pillow's plugins raise almost anything
        told = getattr(error, "strerror", None) or str(error)
        return told.partition(" '")[0].partition(" <")[0] or type(error).__name__
    return ""


def _told(unreadable: Sequence[tuple[str, str]], many: int) -> str:
    named = ", ".join(f"{name} ({reason})" for name, reason in unreadable[:NAMED])
    more = f" and {len(unreadable) - NAMED:,} more" if len(unreadable) > NAMED else ""
    return (
        f"{len(unreadable):,} of {many:,} pictures cannot be read: {named}{more}; replace or "
        "remove them"
    )
