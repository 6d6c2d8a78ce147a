"""A published table of trained networks as a problem: every answer is known, nothing is trained."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from problems.seeds import seed_of
from problems.spaces.gene import Gene
from problems.tables import KNOWN, SHIPPED, Format, open_table
from problems.tables.table import Table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableFile:
    """Where a table is and how it is to be read; the table itself is read when it is asked for."""

    path: str
    format: Format
    genes: tuple[str, ...]
    measures: tuple[str, ...]

    def table(self) -> Table:
        """The table, read once per process.  Raises ValueError as `open_table` does."""
        return open_table(self.path, self.format, self.genes, self.measures)


@dataclass(frozen=True)
class TabularSpace:
    """The networks of a table, of all combinations of its genes' choices; what is missing breaks a
    rule of the space."""

    file: TableFile

    @property
    def genes(self) -> tuple[Gene, ...]:
        return self.file.table().genes

    @property
    def slots(self) -> tuple[slice, ...]:
        return tuple(slice(gene, gene + 1) for gene in range(len(self.genes)))

    @property
    def parts(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        return {"genes": tuple((gene,) for gene in range(len(self.genes)))}

    def decode(self, genome: list[int]) -> str:
        """As in the table: '02012100' of NAS-Bench-Macro, 'kernel=3;width=16' of a CSV table,
        'none 3x3 identity 1x1 none 3x3' of the small cells."""
        return self.file.table().decode(genome)

    def encode(self, architecture: str) -> list[int]:
        """The genome of an architecture.  Raises ValueError if the table does not have it."""
        genome = self.file.table().genomes.get(architecture)
        if genome is None:
            raise ValueError(f"{architecture!r} is not in the table {self.file.path}")
        return list(genome)

    def canonical(self, genome: list[int]) -> list[int]:
        """The genome that stands for all that make the same network."""
        return list(self.file.table().canonical(genome))

    def violation(self, genome: list[int]) -> str:
        return "" if tuple(genome) in self.file.table().rows else "it is not in the table"


@dataclass(frozen=True)
class Tabular:
    """Look the network of a genome up in a table.

    format: "csv", any table with a header, whose columns `genes` are choices and `measures` finite
    numbers; "nas_bench_macro", the JSON file of that table; or "skip_cells", the table of small
    cells that is shipped and needs no path.  The last two know their own columns.
    untrained: the measures that are known without training; bounds look at them first.  A measure
    of several trainings answers with one of them, drawn by (seed, architecture), as a training of
    one's own would: val_accuracy of `nas_bench_macro` and of `skip_cells` has three.  Their
    test_accuracy is a mean, of the same three numbers in the first and of three trainings'
    accuracies on test images in the other.

    Only the path is held, so it pickles small; a table is read once per process.  In an archive the
    table is told by its content.
    """

    path: str = field(default="", metadata={"identity": False})
    format: Format = "csv"
    genes: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    untrained: tuple[str, ...] = field(default=(), metadata={"identity": False})
    seed: int = 0
    fingerprint: str = field(default="", metadata={"declared": False, "identity": True})

    def __post_init__(self) -> None:
        if not self.path:
            if self.format not in SHIPPED:
                raise ValueError(
                    f"path = '': format = {self.format!r} needs the path of its file; without a "
                    f"path: {', '.join(SHIPPED)}"
                )
            object.__setattr__(self, "path", str(SHIPPED[self.format]))
        if self.format in KNOWN:
            own = KNOWN[self.format]
            for key, known in (
                ("genes", ()),
                ("measures", own.MEASURES),
                ("untrained", own.UNTRAINED),
            ):
                declared = getattr(self, key)
                if declared not in ((), known):
                    raise ValueError(
                        f"{key} = {list(declared)}: format = {self.format!r} has its own; "
                        "leave it out"
                    )
                object.__setattr__(self, key, known)
            return
        for key in ("genes", "measures"):
            if not getattr(self, key):
                raise ValueError(f"{key} = []: at least one column of the table is needed")
        columns = (*self.genes, *self.measures)
        for name in columns:
            if columns.count(name) > 1:
                raise ValueError(f"measures = {list(self.measures)}: {name!r} is named twice")
        for number, name in enumerate(self.untrained):
            if name not in self.measures:
                legal = ", ".join(self.measures)
                raise ValueError(f"untrained[{number}] = {name!r}: unknown; legal: {legal}")

    @property
    def file(self) -> TableFile:
        return TableFile(self.path, self.format, self.genes, self.measures)

    @property
    def space(self) -> TabularSpace:
        return TabularSpace(self.file)

    def prepared(self) -> "Tabular":
        """The same problem with its table read, and known by its content.

        Raises ValueError for a file that is not such a table.
        """
        located = replace(self, path=str(Path(self.path).expanduser().absolute()))
        table = located.file.table()
        log.info(
            "table: %s networks, %d genes, %s", f"{table.networks:,}", len(table.genes), self.path
        )
        return replace(located, fingerprint=table.digest)

    def known(self, genome: list[int]) -> dict[str, float]:
        """What is known of a network without training it; nothing if it is not in the table."""
        row = self.file.table().rows.get(tuple(genome), {})
        return {name: self._one(row[name], genome) for name in self.untrained if name in row}

    @property
    def reseeds(self) -> int:
        """How many further trainings of a network the table has; 0 if it tells of one."""
        return self.file.table().trainings - 1

    def evaluate(self, genome: list[int], seed: int = 0) -> dict[str, float]:
        """The measurement of a genome's network.

        seed: 1, 2, ... answer with the other trainings that the table has of it, each once.  Raises
        ValueError if the table does not have it, or has changed since it was prepared.
        """
        table = self.file.table()
        if self.fingerprint not in ("", table.digest):
            raise ValueError(f"{self.path} has changed since the search began")
        if tuple(genome) not in table.rows:
            raise ValueError(f"{table.decode(genome)} is not in the table")
        row = table.rows[tuple(genome)]
        return {name: self._one(row[name], genome, seed) for name in self.measures}

    def _one(self, value: float | tuple[float, ...], genome: list[int], seed: int = 0) -> float:
        if not isinstance(value, tuple):
            return value
        network = self.space.decode(self.space.canonical(genome))
        first = seed_of(f"{self.seed} {network}")
        return value[(first + seed) % len(value)]
