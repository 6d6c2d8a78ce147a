"""A copy of an archive that stays whole when somebody copies the folder while a search writes.

Whoever copies a file of SQLite reads its pages one after the other, and a commit between two of
them tears the copy.  So a search keeps a second file beside its archive that is only ever put in
place as a whole, and removes it when it ends.
"""

import contextlib
import logging
import os
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

EVERY_SECONDS = 5.0  # at most
SHARE = 0.02  # of the time, at most

log = logging.getLogger(__name__)


def whole_copy_of(archive: Path) -> Path:
    """Where the copy of an archive's file stands."""
    return archive.with_name(f"{archive.stem}.whole{archive.suffix}")


@dataclass
class WholeCopy:
    """The copy of one archive, which follows it at some distance.

    What goes wrong with it, such as a full disk, costs nothing but the copy.
    """

    archive: Path
    _due: float = field(default_factory=lambda: time.monotonic() + EVERY_SECONDS)

    @property
    def path(self) -> Path:
        return whole_copy_of(self.archive)

    def follow(self, connection: sqlite3.Connection) -> None:
        """Copy what is committed, if it is time to."""
        begun = time.monotonic()
        if begun < self._due:
            return
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            part.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(part)) as copy:
                copy.execute("PRAGMA synchronous = OFF")  # the archive itself is on disk
                connection.backup(copy)
            os.replace(part, self.path)
        except (sqlite3.Error, OSError) as error:
            log.debug("%s: not written: %s", self.path, error)
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        took = time.monotonic() - begun
        self._due = begun + max(EVERY_SECONDS, took / SHARE)

    def remove(self) -> None:
        """The archive is not written any more."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
