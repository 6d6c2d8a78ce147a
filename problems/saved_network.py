"""A trained network in one file that loads without executing code of the file (safetensors).

The weights are the file's tensors, by the names of the module's `state_dict`; its metadata tells
the plan as JSON, so that the module is built again from data alone: from layers, or by a function,
layer or space of somebody's own, which is imported by its name.
"""

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from problems.networks.chain import Standardize
from problems.networks.plan import Plan, as_data, from_data, module_of, sources
from problems.spaces.chain import count, totals
from problems.spaces.layers import Shape
from problems.tensor_file import UNFIT, packed, tensors_of, told_of

NAME = "deap-nas network 1"  # the format

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Blueprint:
    """What a network is, but for its weights.

    It takes images (N, *image_shape) as float32 in [0, 1] and returns logits (N, classes).
    normalize: whether it standardizes the channels itself, before all else.  sources: digests of
    the modules of somebody's own that its plan needs, as they were when it was trained.
    """

    architecture: str
    plan: Plan
    image_shape: Shape
    classes: tuple[str, ...]
    normalize: bool
    sources: dict[str, str] = field(default_factory=dict, compare=False)

    def as_json(self) -> str:
        table = {name: value for name, value in vars(self).items() if name != "plan"}
        if not self.sources:
            del table["sources"]
        return json.dumps({**table, **as_data(self.plan)})

    @classmethod
    def from_json(cls, text: str, imports: Collection[str] = ()) -> "Blueprint":
        table = json.loads(text)
        shape, classes = tuple(table["image_shape"]), tuple(table["classes"])
        return cls(
            architecture=table["architecture"],
            plan=from_data(table, shape, len(classes), imports),
            image_shape=shape,
            classes=classes,
            normalize=table["normalize"],
            sources=table.get("sources", {}),
        )

    def untrained(self) -> nn.Module:
        """The module, in the memory layout in which it was trained."""
        channels = self.image_shape[0]
        blank = Standardize(torch.zeros(channels), torch.ones(channels))
        network = module_of(
            self.plan, self.image_shape, len(self.classes), blank if self.normalize else None
        )
        return network.to(memory_format=torch.channels_last)


def as_bytes(network: nn.Module, blueprint: Blueprint) -> bytes:
    """The file of a network; its weights and buffers are all in it."""
    return packed(network, NAME, blueprint.as_json())


def load(
    path: Path, device: str = "cpu", imports: Collection[str] = ()
) -> tuple[nn.Module, Blueprint]:
    """The network of a file, ready for images, and what it is.

    imports: the functions, layers and spaces of somebody's own, `module:name`, that may make it.
    A file that names another one is refused, because to build it would be to run whatever it says.
    Warns if a module of somebody\'s own is another one than when the network was trained.
    Raises ValueError if the file is no such network.
    """
    try:
        blueprint = Blueprint.from_json(told_of(path, NAME), imports)
        tensors = tensors_of(path)
        _check_size(blueprint, sum(tensor.numel() for tensor in tensors.values()))
        network = blueprint.untrained()
        network.load_state_dict(tensors)
    except (OSError, SafetensorError, *UNFIT) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: it is no saved network ({reason})") from error
    for module, digest in sources(blueprint.plan).items():
        if blueprint.sources.get(module, digest) != digest:
            log.warning("%s: module %r has been changed since it was trained", path, module)
    return network.to(device).eval(), blueprint


def _check_size(blueprint: Blueprint, numbers: int) -> None:
    """Raise ValueError for layers of more weights than are in the file, before they are made."""
    if isinstance(blueprint.plan, tuple):
        shape = blueprint.image_shape
        params = totals(count(blueprint.plan, shape), shape)["params"]
        if params > numbers:
            raise ValueError(
                f"its layers have {params:,} weights, and {numbers:,} numbers are in it"
            )
