"""What a retraining leaves: a folder for each network and recipe, a JSON file for each seed.

<out>/<12 letters of the network's key>-<8 of its recipe>/
    seed-1.safetensors   weights and layers, see problems.saved_network
    seed-1.json          scores, curve, and what was trained and how
"""

import hashlib
import json
from collections.abc import Sized
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from annotated_types import Ge, MinLen
from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from problems.image_classification import ImageClassification
from toolbox.archive import Record
from toolbox.signature import described
from toolbox.whole_file import write_whole

FORMAT = 1
KEY_LETTERS = 12  # of the 32 of a key, in the name of a folder

Seed = dict[str, Any]  # what seed-N.json holds


class _Told(BaseModel):
    """Some of a table of a seed's file; there may be more in it."""

    model_config = ConfigDict(extra="allow")


class _Problem(_Told):
    training: dict[str, Any]


class _Identity(_Told):
    key: str
    architecture: str
    problem: _Problem


class _Weights(_Told):
    file: str
    sha256: str


class _Test(_Told):
    """What `problems.retraining.scores_of` returns: one number a class, and a square."""

    accuracy: FiniteFloat
    loss: FiniteFloat
    precision: list[FiniteFloat]
    recall: list[FiniteFloat]
    f1: list[FiniteFloat]
    support: list[int]
    confusion: list[list[int]]
    measures: dict[str, FiniteFloat] = {}

    @model_validator(mode="after")
    def _of_the_same_classes(self) -> Self:
        scores = (self.precision, self.recall, self.f1, self.support, self.confusion)
        rows: list[Sized] = [*scores, *self.confusion]
        if len({len(row) for row in rows}) > 1 or not self.support:
            raise ValueError("scores of other numbers of classes")
        return self


class _SeedFile(_Told):
    format: Literal[1]
    seed: Annotated[int, Ge(1)]
    identity: _Identity
    torch: str
    finished_at: datetime
    weights: _Weights
    test: _Test
    train_seconds: FiniteFloat
    curve: Annotated[list[dict[str, FiniteFloat]], MinLen(1)]


@dataclass(frozen=True)
class RetrainedFolder:
    """The finished seeds of one network by one recipe.

    identity: all that their scores depend on, but for the seed, as JSON data.
    """

    path: Path
    identity: dict[str, Any]

    @classmethod
    def of(cls, out: Path, record: Record, problem: ImageClassification) -> "RetrainedFolder":
        """The folder of a record that is trained again as `problem` declares."""
        table = {"architecture": record.architecture, "problem": described(problem, identity=True)}
        identity = {"key": record.key} | table
        text = json.dumps(table, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
        name = f"{record.key[:KEY_LETTERS]}-{digest}"
        return cls(out / name, json.loads(json.dumps(identity)))

    def weights(self, seed: int) -> Path:
        return self.path / f"seed-{seed}.safetensors"

    def finished(self, seed: int) -> Seed | None:
        """What a seed left, if it is complete and its weights are what was scored."""
        found = read_seed(self.path / f"seed-{seed}.json")
        return found if found and found["identity"] == self.identity else None

    def keep(self, seed: int, weights: bytes) -> None:
        """Write the weights; the seed is finished only by `finish`."""
        write_whole(self.weights(seed), weights)

    def finish(self, seed: int, content: Seed) -> None:
        """Write what a seed left, after its weights."""
        content = {
            "format": FORMAT,
            "seed": seed,
            "identity": self.identity,
            "torch": torch.__version__,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights": {"file": self.weights(seed).name, "sha256": _sha256(self.weights(seed))},
            **content,
        }
        write_whole(self.path / f"seed-{seed}.json", json.dumps(content, indent=1))


def finished_of_key(out: Path, key: str) -> list[tuple[Path, Seed]]:
    """Every finished seed of a network in a folder of retrainings, with its weights."""
    pattern = f"{key[:KEY_LETTERS]}-*/seed-*.json"
    found = [(path, read_seed(path)) for path in sorted(out.glob(pattern))]
    return [
        (path.with_name(seed["weights"]["file"]), seed)
        for path, seed in found
        if seed and seed["identity"]["key"] == key
    ]


def finished_keys(out: Path) -> list[str]:
    """The keys of all networks with a finished seed in a folder of retrainings."""
    found = (read_seed(path) for path in sorted(out.glob("*/seed-*.json")))
    return list(dict.fromkeys(seed["identity"]["key"] for seed in found if seed))


def read_seed(path: Path) -> Seed | None:
    """A seed's JSON file, if it is one of this format and the weights beside it are its own."""
    try:
        content: Seed = json.loads(path.read_bytes())
        told = _SeedFile.model_validate(content)
        weights = path.with_name(told.weights.file)  # another folder is no name
        return content if _sha256(weights) == told.weights.sha256 else None
    except (OSError, ValueError, RecursionError):
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
