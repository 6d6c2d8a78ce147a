"""The table of small cells that this project made: see docs/skip_cells.md."""

import lzma

from problems.spaces.gene import Gene
from problems.tables.csv_table import csv_lines, measured
from problems.tables.table import Genome, Row, Table

MEASURES: tuple[str, ...] = ("val_accuracy", "test_accuracy", "train_seconds", "params", "macs")
UNTRAINED: tuple[str, ...] = ("params", "macs")
OPERATIONS = ("none", "identity", "1x1", "3x3")
GENES = tuple(Gene(f"edge{edge}", OPERATIONS) for edge in ("01", "02", "12", "03", "13", "23"))
RUNS = 3


def read(path: str, content: bytes, digest: str) -> Table:
    """The cells of a graph of four nodes, whose six edges have one of four operations each.

    content: CSV, compressed with xz, a genome a row.  val_accuracy: of each of its network's three
    trainings; test_accuracy and train_seconds: their means.  `network` names the genome that stands
    for all that compute the same.  Raises ValueError that names `path` if it is no such table.
    """
    names = tuple(gene.name for gene in GENES)
    runs = [[f"{split}_accuracy_{run}" for run in range(1, RUNS + 1)] for split in ("val", "test")]
    measures = (*runs[0], *runs[1], "train_seconds", *UNTRAINED)
    rows: dict[Genome, Row] = {}
    same_as: dict[Genome, Genome] = {}
    try:
        lines = csv_lines(path, lzma.decompress(content), (*names, "network"), measures)
        for where, cells in lines:
            genome = tuple(_operation(cells[name], name, where) for name in names)
            found = {name: measured(cells[name], name, where, path) for name in measures}
            rows[genome] = {
                "val_accuracy": tuple(found[name] for name in runs[0]),
                "test_accuracy": sum(found[name] for name in runs[1]) / RUNS,
                **{name: found[name] for name in ("train_seconds", *UNTRAINED)},
            }
            same_as[genome] = tuple(map(int, cells["network"]))
        if len(rows) < len(lines):
            raise ValueError("a genome stands in it twice")
        if missing := set(same_as.values()) - set(rows):
            raise ValueError(f"its network {''.join(map(str, min(missing)))} is no row of it")
    except (ValueError, lzma.LZMAError) as error:
        if str(error).startswith("path = "):
            raise
        raise ValueError(f"path = {path!r}: it is not a table of small cells ({error})") from error
    return Table(GENES, rows, (OPERATIONS,) * len(GENES), " ", digest, same_as)


def _operation(text: str, name: str, where: str) -> int:
    if text not in OPERATIONS:
        raise ValueError(f"{where}: {name} = {text!r}: legal: {', '.join(OPERATIONS)}")
    return OPERATIONS.index(text)
