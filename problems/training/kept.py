"""A training that was stopped and may go on, in a file of its run's folder."""

import io
import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from problems.tensor_file import UNFIT
from problems.whole_file import keep_whole

log = logging.getLogger(__name__)
STATES = "states"


@dataclass(frozen=True)
class KeptTraining:
    """What is kept of the training of one network: tensors and plain data, read as nothing else.

    path: None keeps nothing.  A training of which nothing is found begins at its start, so a file
    that cannot be read or written costs epochs and is only warned of.
    """

    path: Path | None

    @classmethod
    def of(cls, folder: Path | None, key: str) -> "KeptTraining":
        """That of the network of a key, in the folder of a run; of nothing without either."""
        return cls(folder / STATES / f"{key}.pt" if folder and key else None)

    def read(self, stop: int) -> dict[str, Any] | None:
        """What was kept when the training stopped after `stop` epochs or fewer."""
        if self.path is None or not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            if type(state["stop"]) is not int or type(state["measurement"]) is not dict:
                raise TypeError("it holds no training")
            return state if state["stop"] <= stop else None
        except (OSError, EOFError, pickle.UnpicklingError, *UNFIT) as error:
            self.passed_over(error)
            return None

    def passed_over(self, error: Exception) -> None:
        """Warn that what was kept is of no use."""
        said = " ".join(str(error).split())
        log.warning("%s: it cannot be read, and its training begins anew: %s", self.path, said)

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep this in place of what was kept; whole or not at all."""
        if self.path is None:
            return
        content = io.BytesIO()
        torch.save(dict(state), content)
        keep_whole(self.path, content.getvalue())

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)
