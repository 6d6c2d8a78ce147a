"""What a search tells to other programs: a JSON object a line, or scalars for TensorBoard."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, TextIO

from toolbox.archive import Record


class EventLog(Protocol):
    """Hears of each network and each generation; a row is that of generations.csv."""

    def network(self, record: Record) -> None: ...

    def generation(self, row: Mapping[str, Any]) -> None: ...

    def stopped(self, reason: str) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """One JSON object a line: {"event": "network" | "generation" | "stopped", ...}."""

    def __init__(self, file: TextIO):
        self._file = file

    def network(self, record: Record) -> None:
        names = [one.name for one in fields(record) if one.name not in ("further", "curve")]
        told = {name: getattr(record, name) for name in names}
        if record.curve:
            told["learning_curve"] = json.loads(record.curve)
        self._write("network", told)

    def generation(self, row: Mapping[str, Any]) -> None:
        self._write("generation", row)

    def stopped(self, reason: str) -> None:
        self._write("stopped", {"reason": reason})

    def _write(self, event: str, fields: Mapping[str, Any]) -> None:
        print(json.dumps({"event": event, **fields}), file=self._file, flush=True)

    def close(self) -> None:
        """The file is not ours."""


class TensorBoard:
    """The columns of generations.csv as scalars, by generation, in a folder of their own.

    The folder is begun anew, as a continued search tells every generation again.
    """

    def __init__(self, folder: Path, new_writer: Callable[[str], Any]):
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = new_writer(str(folder))

    def network(self, record: Record) -> None:
        """Generations are shown, not single networks."""

    def generation(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if name != "generation" and value is not None:
                self._writer.add_scalar(f"search/{name}", float(value), row["generation"])
        self._writer.flush()

    def stopped(self, reason: str) -> None:
        """TensorBoard shows numbers only."""

    def close(self) -> None:
        self._writer.close()


def show_curves(
    folder: Path,
    new_writer: Callable[[str], Any],
    curves: Mapping[str, Sequence[Mapping[str, float]]],
) -> None:
    """Write curves for TensorBoard, each a run of its own; the folder is begun anew.

    A curve is a row for each epoch, with its number as "epoch".
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, rows in curves.items():
        writer = new_writer(str(folder / name))
        for row in rows:
            for quantity, value in row.items():
                if quantity != "epoch":
                    writer.add_scalar(f"retraining/{quantity}", float(value), int(row["epoch"]))
        writer.close()


def tensorboard_writer() -> Callable[[str], Any]:
    """What makes a writer for a folder.  Raises ValueError without the package tensorboard."""
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise ValueError(
            "--tensorboard: the package tensorboard is not installed; "
            "pip install 'deap-nas[tensorboard]'"
        ) from error
    writer: Callable[[str], Any] = Writer
    return writer
