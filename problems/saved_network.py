"""A trained network in one file that loads without executing code (safetensors).

The weights are the file's tensors, by the names of the module's `state_dict`; its metadata tells
the layers as JSON, so that the module is built again from data alone.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from problems.networks.chain import Standardize, build
from problems.spaces.blocks import ConvNorm, InvertedResidual, Shuffle
from problems.spaces.chain import (
    Chain,
    Conv,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    Pool,
    Shape,
)
from problems.tensor_file import packed, tensors_of, told_of

NAME = "deap-nas network 1"  # the format
LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        *(Conv, Pool, GlobalAveragePool, Flatten, Linear),
        *(ConvNorm, InvertedResidual, Shuffle),
    )
}


@dataclass(frozen=True)
class Blueprint:
    """What a network is, but for its weights.

    It takes images (N, *image_shape) as float32 in [0, 1] and returns logits (N, classes).
    normalize: whether it standardizes the channels itself, before `chain`.
    """

    architecture: str
    chain: Chain
    image_shape: Shape
    classes: tuple[str, ...]
    normalize: bool

    def as_json(self) -> str:
        chain = [{"layer": type(layer).__name__, **asdict(layer)} for layer in self.chain]
        return json.dumps({**vars(self), "chain": chain})

    @classmethod
    def from_json(cls, text: str) -> "Blueprint":
        table = json.loads(text)
        chain = tuple(LAYERS[layer.pop("layer")](**layer) for layer in table.pop("chain"))
        shape, classes = tuple(table.pop("image_shape")), tuple(table.pop("classes"))
        return cls(chain=chain, image_shape=shape, classes=classes, **table)

    def untrained(self) -> nn.Sequential:
        """The module, in the memory layout in which it was trained."""
        network = build(self.chain, self.image_shape)
        if self.normalize:
            channels = self.image_shape[0]
            network.insert(0, Standardize(torch.zeros(channels), torch.ones(channels)))
        return network.to(memory_format=torch.channels_last)


def as_bytes(network: nn.Module, blueprint: Blueprint) -> bytes:
    """The file of a network; its weights and buffers are all in it."""
    return packed(network, NAME, blueprint.as_json())


def load(path: Path, device: str = "cpu") -> tuple[nn.Sequential, Blueprint]:
    """The network of a file, ready for images, and what it is.

    Raises ValueError if the file is no such network.
    """
    try:
        blueprint = Blueprint.from_json(told_of(path, NAME))
        network = blueprint.untrained()
        network.load_state_dict(tensors_of(path))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: it is no saved network ({reason})") from error
    return network.to(device).eval(), blueprint
