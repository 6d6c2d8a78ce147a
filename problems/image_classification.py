"""Genome -> convolutional network -> trained on images -> measurement."""

import hashlib
import logging
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property

import torch

from problems.datasets import DATASETS, Digits
from problems.datasets.dataset import DataMissing, Dataset
from problems.datasets.splits import Splits, open_splits
from problems.device import describe_device, make_deterministic, resolve_device
from problems.networks.chain import Standardize, build
from problems.spaces import SPACES
from problems.spaces.chain import count, totals
from problems.spaces.layer_string import LayerString
from problems.training import Training, latency_seconds, seeded, train

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageClassification:
    """Train the network of a genome on a data set of images, and measure it.

    It holds declarations and never tensors, so it pickles small; images are loaded once per
    process.  `threads`: torch threads per evaluation; it changes the order of floating-point
    sums, so it belongs to what is measured.  `seed` is the run's unless declared.
    """

    space: LayerString = field(default_factory=LayerString, metadata={"shelf": SPACES})
    dataset: Dataset = field(default_factory=Digits, metadata={"shelf": DATASETS})
    training: Training = field(default_factory=Training)
    device: str = "auto"
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads = {self.threads}: at least 1 is needed")
        if self.dataset.classes:  # a folder of images tells only when it is read
            if not is_dataclass(self.space):
                raise ValueError(
                    f"space = {type(self.space).__name__}: a dataclass with image_shape and "
                    "classes is needed"
                )
            shaped = replace(
                self.space, image_shape=self.dataset.image_shape, classes=self.dataset.classes
            )
            object.__setattr__(self, "space", shaped)

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The names in a measurement."""
        memory = () if self.device == "cpu" else ("peak_memory_bytes",)
        return (
            *("val_accuracy", "val_loss", "train_accuracy"),
            *("params", "conv_params", "fc_params", "macs", "layers", "memory_bytes"),
            *("epochs", "train_seconds", "latency_seconds"),
            *memory,
        )

    def prepared(self) -> "ImageClassification":
        """The same problem with its device and folders spelled out and its data in place.

        Called once, before the first evaluation, by the process that leads the search.  Raises
        ValueError if the device or the data cannot be had.
        """
        device, warnings = resolve_device(self.device)
        for warning in warnings:
            log.warning("%s", warning)
        log.info("device: %s", describe_device(device))
        try:
            dataset = self.dataset.located()
            dataset.require()
        except ValueError as error:
            separator = "." if " = " in str(error).partition(":")[0] else ": "
            kind = DataMissing if isinstance(error, DataMissing) else ValueError
            raise kind(f"dataset{separator}{error}") from error
        return replace(self, device=device, dataset=dataset)

    @cached_property
    def gpu_uuid(self) -> str | None:
        """NVIDIA's name of the GPU that the networks are trained on; None for the CPU."""
        if self.device == "cpu":
            return None
        return f"GPU-{torch.cuda.get_device_properties(self.device).uuid}"

    def budget(self, networks: int) -> str:
        """What at most `networks` evaluations train on."""
        epochs, images = self.training.epochs, self.dataset.train_images
        return (
            f"{networks:,} networks x {epochs} epochs x {images:,} images "
            f"= {networks * epochs * images:,} training images"
        )

    def cost(self, genome: list[int]) -> float:
        """How long the genome's evaluation takes, in proportion: multiply-accumulates of it all."""
        return self.known(genome)["macs"] * self.training.epochs * self.dataset.train_images

    def known(self, genome: list[int]) -> dict[str, float]:
        """What arithmetic tells of the genome's network, by the names of a measurement."""
        shape = self.space.image_shape
        return dict(totals(count(self.space.chain(genome), shape), shape))

    def preview(self, genome: list[int]) -> dict[str, float]:
        """What building the genome's network tells before it is trained: `known` and latency."""
        network, splits = self._built(genome)
        return self.known(genome) | {"latency_seconds": latency_seconds(network, splits.validation)}

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        """The measurement of the genome's network, trained from scratch.

        Seeded by (seed, architecture) alone, so that it is the same in any process and order.
        Raises Diverged for a loss that is not finite, ShapeCollapsed for a network that does not
        fit the images.
        """
        if on_gpu := self.device != "cpu":
            torch.cuda.reset_peak_memory_stats(self.device)
        seed = self._seed(genome)
        with seeded(seed, self.device):
            network, splits = self._built(genome)
            measurement = train(network, splits, self.training, seed)
        measurement |= self.known(genome)
        measurement["latency_seconds"] = latency_seconds(network, splits.validation)
        if on_gpu:
            measurement["peak_memory_bytes"] = torch.cuda.max_memory_allocated(self.device)
        return measurement

    def _built(self, genome: list[int]) -> tuple[torch.nn.Module, Splits]:
        """The genome's network, not trained, and its images, both on the device."""
        torch.set_num_threads(self.threads)
        make_deterministic(self.device)
        splits = open_splits(self.dataset, self.device)
        network = build(self.space.chain(genome), self.space.image_shape)
        if self.training.normalize:
            network.insert(0, Standardize(*splits.train.channel_statistics))
        # The layout that oneDNN and cuDNN compute fastest in, for these small networks too.
        network.to(memory_format=torch.channels_last)
        return network.to(self.device), splits

    def _seed(self, genome: list[int]) -> int:
        text = f"{self.seed} {self.space.decode(genome)}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
