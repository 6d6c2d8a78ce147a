"""The weights that a network leaves to its children (Prellberg & Kramer, arXiv 1806.08099).

A child begins with its parent's weights in every layer that has the same place and the same shapes;
the others begin anew.  So its weights have epochs behind them that it was never trained for.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from problems.tensor_file import UNFIT, packed, tensors_of, told_of
from problems.whole_file import keep_whole

log = logging.getLogger(__name__)
NAME = "deap-nas weights 1"  # the format
FOLDER = "weights"


@dataclass(frozen=True)
class Weights:
    """A network's tensors by the names of its `state_dict`, and the epochs behind them."""

    tensors: dict[str, torch.Tensor]
    epochs: float

    def give(self, network: nn.Module) -> int:
        """Put them into each layer of another network that agrees; how many parameters it took."""
        taken = 0
        with torch.no_grad():
            for name, layer in network.named_modules():
                parameters = dict(layer.named_parameters(name, recurse=False))
                own = parameters | dict(layer.named_buffers(name, recurse=False))
                if all(n in self.tensors and self.tensors[n].shape == own[n].shape for n in own):
                    for tensor_name, tensor in own.items():
                        tensor.copy_(self.tensors[tensor_name])
                    taken += sum(parameter.numel() for parameter in parameters.values())
        return taken


def weights_of(folder: Path, key: str) -> Path:
    """Where the network of a key leaves its weights in the folder of a run."""
    return folder / FOLDER / f"{key}.safetensors"


def leave(folder: Path | None, key: str, network: nn.Module, epochs: float) -> None:
    """Keep the weights of the network of a key for its children, in the folder of a run."""
    if folder is None or not key:
        return
    content = packed(network, NAME, json.dumps({"epochs": epochs}))
    keep_whole(weights_of(folder, key), content)


def inherited(folder: Path | None, parents: Sequence[str]) -> Weights | None:
    """The weights of the first of the parents who left some; None, with a warning, if none did."""
    for key in parents if folder else ():
        assert folder is not None
        path = weights_of(folder, key)
        if not path.exists():
            continue
        try:
            epochs = json.loads(told_of(path, NAME))["epochs"]
            if type(epochs) not in (int, float) or not 0 <= epochs < float("inf"):
                raise ValueError(f"epochs = {epochs!r}")
            return Weights(tensors_of(path), epochs)
        except (OSError, SafetensorError, *UNFIT) as error:
            log.warning("%s: it cannot be read: %s", path, error)
    if parents:
        log.warning("the weights of %s are missing; a child begins anew", " and ".join(parents))
    return None
