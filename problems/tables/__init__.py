"""Tables of trained networks by their formats: published ones, any CSV, and one that is shipped."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from problems.tables import nas_bench_macro, skip_cells
from problems.tables.csv_table import read_csv_table
from problems.tables.table import Table

Format = Literal["csv", "nas_bench_macro", "skip_cells"]


class KnownFormat(Protocol):
    """A format that knows its own columns; a module is one."""

    MEASURES: tuple[str, ...]
    UNTRAINED: tuple[str, ...]

    def read(self, path: str, content: bytes, digest: str) -> Table: ...


KNOWN: dict[str, KnownFormat] = {"nas_bench_macro": nas_bench_macro, "skip_cells": skip_cells}
# Of the tables that are part of this package, the file.
SHIPPED = {"skip_cells": Path(__file__).parent / "skip_cells.csv.xz"}


@lru_cache(maxsize=8)
def open_table(
    path: str, table_format: Format, genes: tuple[str, ...], measures: tuple[str, ...]
) -> Table:
    """The table in a file, read at the first call.  genes, measures: columns of a CSV table.

    Raises ValueError that names the key, `path`, `genes` or `measures`, for a file that is not
    there or not such a table.
    """
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise ValueError(f"path = {path!r}: {reason}") from error
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    if table_format == "csv":
        return read_csv_table(path, content, digest, genes, measures)
    return KNOWN[table_format].read(path, content, digest)
