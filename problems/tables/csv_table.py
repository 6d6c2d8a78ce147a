"""Any CSV table with a header: a network a row."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from problems.spaces.gene import Gene
from problems.tables.table import Genome, Row, Table


def read_csv_table(
    path: str, content: bytes, digest: str, genes: tuple[str, ...], measures: tuple[str, ...]
) -> Table:
    """A network a row, its choice of each gene and what was measured of it.

    genes, measures: the columns.  The choices of a gene are those that the table has, numbers by
    size, anything else by name.  Raises ValueError that names the key, `path`, `genes` or
    `measures`.
    """
    lines = csv_lines(path, content, genes, measures)
    columns = {gene: _choices([cells[gene] for _, cells in lines]) for gene in genes}
    made = tuple(Gene(gene, tuple(sorted(set(columns[gene])))) for gene in genes)
    index = [{choice: at for at, choice in enumerate(gene.choices)} for gene in made]
    labels = tuple(tuple(f"{gene.name}={choice}" for choice in gene.choices) for gene in made)
    rows: dict[Genome, Row] = {}
    for row_number, (where, cells) in enumerate(lines):
        genome = tuple(at[columns[gene][row_number]] for gene, at in zip(genes, index, strict=True))
        if genome in rows:
            network = ";".join(map(tuple.__getitem__, labels, genome))
            raise ValueError(f"path = {path!r}: {where}: {network} stands in it a second time")
        rows[genome] = {name: measured(cells[name], name, where, path) for name in measures}
    return Table(made, rows, labels, ";", digest)


def csv_lines(
    path: str, content: bytes, genes: tuple[str, ...], measures: tuple[str, ...]
) -> list[tuple[str, dict[str, str]]]:
    """Where each row stands, and its cells by column.  Raises ValueError if any is missing."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        for key, wanted in (("genes", genes), ("measures", measures)):
            for number, name in enumerate(wanted):
                if header.count(name) != 1:
                    near = get_close_matches(name, header, n=1)
                    hint = f"; did you mean {near[0]!r}?" if near and near[0] != name else ""
                    raise ValueError(
                        f"{key}[{number}] = {name!r}: {header.count(name)} columns of {path!r} "
                        f"have this name; legal: {', '.join(header)}{hint}"
                    )
        lines = list(_cells(reader, header, path, genes))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"path = {path!r}: it is not CSV ({error})") from error
    if not lines:
        raise ValueError(f"path = {path!r}: it has no rows")
    return lines


def _cells(
    reader: Any, header: list[str], path: str, genes: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    for line in reader:
        where = f"line {reader.line_num}"
        if not line:
            continue
        if len(line) != len(header):
            raise ValueError(
                f"path = {path!r}: {where}: it has {len(line)} values; the header has {len(header)}"
            )
        cells = {name: cell.strip() for name, cell in zip(header, line, strict=True)}
        for gene in genes:
            # An architecture is written as gene=choice;gene=choice and must be read back.
            if not cells[gene] or ";" in cells[gene]:
                raise ValueError(
                    f"path = {path!r}: {where}: {gene} = {cells[gene]!r}: a choice is needed, "
                    "a number or a word without ';'"
                )
        yield where, cells


def _choices(texts: Sequence[str]) -> list[Any]:
    """The cells of a gene's column: all integers, or all finite floats, or text as it is."""
    for kind in (int, float):
        values = [_or_none(kind, text) for text in texts]
        if all(value is not None and math.isfinite(value) for value in values):
            return values
    return list(texts)


def measured(text: str, name: str, where: str, path: str) -> float:
    """The finite number in a cell.  Raises ValueError that says where it stands."""
    value = _or_none(int, text)
    value = _or_none(float, text) if value is None else value
    if value is None or not math.isfinite(value):
        raise ValueError(f"path = {path!r}: {where}: {name} = {text!r} is not a finite number")
    return float(value)


def _or_none(kind: Callable[[str], Any], text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        return None
