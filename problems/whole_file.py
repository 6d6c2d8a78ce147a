"""Files that are there whole or not at all, as the toolbox writes them, for whoever may not know
it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def whole(path: Path, writer: str = "") -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when all of it is written.

    writer: tells apart those who may write at once.  A kill leaves what was written so far, and the
    next one of the same writer begins it anew.
    """
    part = path.with_name(f".{path.name}{writer}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def keep_whole(path: Path, content: bytes) -> None:
    """Put `content` in place of what is in `path`, at once; make the folder that it is in.

    For what a search can do without: if it cannot be written, there is a warning and nothing else.
    Several processes may write at once; the folder around must be there, and is not made on a
    machine that does not share it.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        with whole(path, writer=f".{os.getpid()}") as part:
            part.write_bytes(content)
    except OSError as error:
        log.warning("%s: it cannot be written, and is not kept: %s", path, error)
