"""NAS-Bench-Macro: the published table of a chain of eight choice blocks."""

import json
from itertools import product

from problems.spaces.gene import Gene
from problems.tables.table import Genome, Row, Table, finite

MEASURES: tuple[str, ...] = ("val_accuracy", "test_accuracy", "params", "flops")
UNTRAINED: tuple[str, ...] = ("params", "flops")

# The choices of each of its eight layers: 0 identity, 1 MBConv of kernel 3 and expansion 3,
# 2 MBConv of kernel 5 and expansion 6, so by size, which makes 1 a neighbour of both.
GENES = tuple(Gene(f"layer{number}", (0, 1, 2)) for number in range(1, 9))
RUNS = 3


def read(path: str, content: bytes, digest: str) -> Table:
    """NAS-Bench-Macro (Su et al., 2021, arXiv 2103.11922): 3^8 networks on CIFAR-10.

    val_accuracy: of each of the three runs that were published; test_accuracy: their mean.  Both
    as fractions; the table has no other split.
    """
    try:
        published = json.loads(content)
        rows: dict[Genome, Row] = {}
        for genome in product(range(3), repeat=len(GENES)):
            entry = published["".join(map(str, genome))]
            runs = tuple(percent / 100 for percent in entry["test_acc"])
            row = {
                "val_accuracy": runs,
                "test_accuracy": entry["mean_acc"] / 100,
                "params": entry["params"],
                "flops": entry["flops"],
            }
            if len(runs) != RUNS or not all(map(finite, (*runs, *list(row.values())[1:]))):
                raise ValueError(f"{''.join(map(str, genome))}: {entry}")
            rows[genome] = row
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"path = {path!r}: it is not the table of NAS-Bench-Macro ({type(error).__name__}: "
            f"{str(error)[:120]})"
        ) from error
    labels = (("0", "1", "2"),) * len(GENES)
    return Table(GENES, rows, labels, "", digest)
