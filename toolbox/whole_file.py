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
    columns = list(dict.fromkeys(column for row in rows for column in row) or header)
    write_whole(path, _lines([dict(zip(columns, columns, strict=True)), *rows], columns))


class GrowingTable:
    """Rows as CSV, one more a call: the file is put in place whole, and then grows by lines.

    A line is added in one write, so that a reader sees whole lines.  The file is put in place anew
    for the first row, for one with a new column, and after a row that could not be written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._rows: list[Mapping[str, Any]] = []
        self._columns: list[str] = []  # of the file, if all rows before the next one are in it

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row.  Raises OSError if it cannot be written; it is with the next one then."""
        self._rows.append(row)
        columns, self._columns = self._columns, []
        if columns and set(row) <= set(columns):
            with self.path.open("ab", buffering=0) as file:
                file.write(_lines([row], columns).encode())
        else:
            write_table(self.path, self._rows)
            columns = list(dict.fromkeys(name for row in self._rows for name in row))
        self._columns = columns


def _lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, fieldnames=columns).writerows(rows)
    return text.getvalue()
