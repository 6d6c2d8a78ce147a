"""Files that are there whole or not at all."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: str | bytes) -> None:
    """Put `content` in place of what is in `path`, at once, also if the power is cut meanwhile.

    Makes its folder if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())  # else a disk may keep the new name and not the content
    os.replace(temporary, path)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], header: Sequence[str] = ()) -> None:
    """Rows as CSV, with every name in any of them as a column; `header` if there are no rows."""
    columns = dict.fromkeys(column for row in rows for column in row) or header
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


class GrowingTable:
    """Rows as CSV, one more a call.  The file is put in place whole, for every row of the first
    hundred and then once it has grown by a hundredth, so that many rows do not cost the square of
    their number.

    Both methods raise OSError if it cannot be written; the next call then tries again.
    """

    def __init__(self, path: Path):
        self.path = path
        self._rows: list[Mapping[str, Any]] = []
        self._written = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) >= 1.01 * self._written:
            self.write()

    def write(self) -> None:
        """Put all rows in place now."""
        if self._written < len(self._rows):
            write_table(self.path, self._rows)
            self._written = len(self._rows)
