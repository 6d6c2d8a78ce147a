"""What every benchmark prints of the machine, and where its lines go."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any


def parser_of(doc: str) -> argparse.ArgumentParser:
    """A command line with --out, described by the first line of a benchmark's docstring."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the table here")
    return parser


def machine(device: str = "cpu") -> str:
    """The date, the machine and the versions that a figure depends on."""
    gpu = ""
    if device != "cpu":
        import torch  # takes seconds, in each worker that imports a benchmark

        gpu = f" {torch.cuda.get_device_name(device)},"
    return (
        f"{date.today()},{gpu} {platform.machine()}, {os.cpu_count()} cores, "
        f"torch {version('torch')}, Python {platform.python_version()}"
    )


class Rows(list[dict[str, Any]]):
    """The rows of a file of JSON lines; one that is added is in the file too."""

    def __init__(self, path: Path):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        super().__init__(map(json.loads, text.splitlines()))
        self.path = path

    def add(self, row: dict[str, Any]) -> None:
        self.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def keep(lines: Sequence[str], out: Path | None) -> None:
    """Write the lines to `out`, if it is named."""
    if out:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
