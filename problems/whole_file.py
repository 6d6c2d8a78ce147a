"""Files that are there whole or not at all, as the toolbox writes them, for whoever may not know
it."""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


def keep_whole(path: Path, content: bytes) -> None:
    """Put `content` in place of what is in `path`, at once; make the folder that it is in.

    For what a search can do without: if it cannot be written, there is a warning and nothing else.
    Several processes may write at once; the folder around must be there, and is not made on a
    machine that does not share it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        log.warning("%s: it cannot be written, and is not kept: %s", path, error)
        temporary.unlink(missing_ok=True)
