"""A folder that one process at a time works in."""

import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout


def held(
    folder: Path, busy: str, instead: str, name: str = ".lock"
) -> AbstractContextManager[object]:
    """Hold a folder that exists until the end of the context.

    busy: what is said if another process holds it.  instead: what a person can do on a disk without
    locks.  name: of the file that is locked.  Raises ValueError, one line, and OSError if nothing
    can be written there.
    """
    _check_locks(folder, instead)
    try:
        return FileLock(folder / name).acquire(timeout=0)
    except Timeout:
        raise ValueError(f"{folder}: {busy}") from None


def _check_locks(folder: Path, instead: str) -> None:
    """Raise ValueError if a file in a folder cannot be locked.

    Without locks nothing keeps two searches from one archive, and SQLite opens none.
    """
    if sys.platform == "win32":
        return
    import fcntl

    with tempfile.TemporaryFile(dir=folder) as file:
        for lock in (fcntl.flock, fcntl.lockf):  # what FileLock takes, and what SQLite takes
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(
                    f"{folder}: files on this disk cannot be locked ({error.strerror}), and "
                    f"nothing would keep two searches from one archive; {instead}"
                ) from None
