"""Published tables of trained networks: NAS-Bench-Macro's JSON, and CSV.

A table is read once per process, into plain dicts.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

from problems.spaces.gene import Gene

Genome = tuple[int, ...]
Row = Mapping[str, float | tuple[float, ...]]
Format = Literal["csv", "nas_bench_macro"]


@dataclass(frozen=True)
class Table:
    """The networks of a table by their genomes.

    rows: what was measured of each; a tuple holds the same measure of several trainings.  labels:
    of each gene, how its choices are written in an architecture, with `separator` between genes.
    digest: of the file's content.
    """

    genes: tuple[Gene, ...]
    rows: Mapping[Genome, Row]
    labels: tuple[tuple[str, ...], ...]
    separator: str
    digest: str

    def decode(self, genome: Sequence[int]) -> str:
        """The architecture of a genome, whether or not the table has it."""
        return self.separator.join(map(tuple.__getitem__, self.labels, genome))

    @cached_property
    def trainings(self) -> int:
        """How many trainings of each network it tells of: 1, or as many as its tuples hold."""
        runs = [
            len(value)
            for row in self.rows.values()
            for value in row.values()
            if type(value) is tuple
        ]
        return min(runs, default=1)

    @cached_property
    def genomes(self) -> dict[str, Genome]:
        """The genome of each architecture in the table."""
        return {self.decode(genome): genome for genome in self.rows}


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
    if table_format == "nas_bench_macro":
        return _nas_bench_macro(path, content, digest)
    return _csv(path, content, digest, genes, measures)


# The choices of each of its eight layers: 0 identity, 1 MBConv of kernel 3 and expansion 3,
# 2 MBConv of kernel 5 and expansion 6, so by size, which makes 1 a neighbour of both.
MACRO_GENES = tuple(Gene(f"layer{number}", (0, 1, 2)) for number in range(1, 9))
MACRO_RUNS = 3


def _nas_bench_macro(path: str, content: bytes, digest: str) -> Table:
    """NAS-Bench-Macro (Su et al., 2021, arXiv 2103.11922): 3^8 networks on CIFAR-10.

    val_accuracy: of each of the three runs that were published; test_accuracy: their mean.  Both
    as fractions; the table has no other split.
    """
    try:
        published = json.loads(content)
        rows: dict[Genome, Row] = {}
        for genome in product(range(3), repeat=len(MACRO_GENES)):
            entry = published["".join(map(str, genome))]
            runs = tuple(percent / 100 for percent in entry["test_acc"])
            row = {
                "val_accuracy": runs,
                "test_accuracy": entry["mean_acc"] / 100,
                "params": entry["params"],
                "flops": entry["flops"],
            }
            if len(runs) != MACRO_RUNS or not all(map(_finite, (*runs, *list(row.values())[1:]))):
                raise ValueError(f"{''.join(map(str, genome))}: {entry}")
            rows[genome] = row
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"path = {path!r}: it is not the table of NAS-Bench-Macro ({type(error).__name__}: "
            f"{str(error)[:120]})"
        ) from error
    labels = (("0", "1", "2"),) * len(MACRO_GENES)
    return Table(MACRO_GENES, rows, labels, "", digest)


def _csv(
    path: str, content: bytes, digest: str, genes: tuple[str, ...], measures: tuple[str, ...]
) -> Table:
    """Any table with a header: a network a row, its choice of each gene and what was measured.

    The choices of a gene are those that the table has, numbers by size, anything else by name.
    """
    lines = _lines(path, content, genes, measures)
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
        rows[genome] = {name: _measured(cells[name], name, where, path) for name in measures}
    return Table(made, rows, labels, ";", digest)


def _lines(
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


def _measured(text: str, name: str, where: str, path: str) -> float:
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


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
