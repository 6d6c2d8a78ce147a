"""Tensors in a safetensors file, and one text of its metadata that tells what they are.

One text, because safetensors shuffles several.  Nothing in such a file is executed.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

# What the content of a file that was damaged, or is somebody else's, may lead to in its reader.
UNFIT = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError),
    *(ArithmeticError, RuntimeError),
)


def packed(network: nn.Module, name: str, told: str) -> bytes:
    """The file of a network's weights and buffers, with a text under the name of its format.

    Weights that several modules share are written once for each.
    """
    tensors: dict[str, torch.Tensor] = {}
    written: set[int] = set()
    for key, value in network.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        tensors[key] = tensor.clone() if place in written else tensor
        written.add(place)
    return save(tensors, {name: told})


def told_of(path: Path, name: str) -> str:
    """The text of a file of the format `name`.

    Raises ValueError for another one, OSError or SafetensorError if it cannot be read.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if name not in metadata:
        raise ValueError(f"its metadata has no {name!r}")
    return str(metadata[name])


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by their names, on the CPU.  Raises OSError or SafetensorError."""
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
