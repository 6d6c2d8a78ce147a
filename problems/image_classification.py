"""Genome -> convolutional network -> trained on images -> measurement."""

import logging
import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge

from problems.datasets import DATASETS
from problems.datasets.dataset import DataMissing, Dataset
from problems.datasets.digits import Digits
from problems.datasets.own_arrays import OwnArrays
from problems.datasets.splits import (
    Split,
    Splits,
    StreamedSplit,
    open_splits,
    read_as_promised,
)
from problems.device import configure, describe_device, resolve_device
from problems.int8.cost import INT8_COSTS, CountedInt8, int8_counted
from problems.int8.latency_table import read_table
from problems.int8.work import Work
from problems.measures.device import Device
from problems.measures.measure import (
    MeasureFailed,
    Trained,
    declared_names,
    measure_of,
    measured_by,
    quantities_of,
    returned_names,
    told_by,
)
from problems.networks.chain import Standardize, glorot_uniform
from problems.networks.counting import Counted
from problems.networks.own_network import OwnNetwork
from problems.networks.plan import Plan, counted, module_of, plan_of, sources, unsaved
from problems.networks.rehearsal import changed_sources, rehearse
from problems.saved_network import Blueprint
from problems.seeds import seed_of
from problems.spaces import SPACES
from problems.spaces.chain import features
from problems.spaces.layer_string import LayerString
from problems.spaces.with_recipe import WithRecipe, architectures_of, parted
from problems.tensor_file import UNFIT
from problems.training.flight import MOST_IN_FLIGHT_ON_A_GPU, Flight, Measurement, Turns
from problems.training.gpu_use import GpuUse
from problems.training.inherited import inherited, leave, weights_of
from problems.training.kept import KeptTraining
from problems.training.loop import (
    SCORING_BATCH,
    Run,
    latency_seconds,
    score,
    seeded,
    synchronize,
    take_epoch,
)
from problems.training.precision import resolve_precision
from problems.training.recipe import Training

REHEARSALS = 100  # networks drawn until one can be built
TRIED_STEPS = 3  # of a trial at least, after the first one
_TRIED_ON: set[str] = set()  # the devices on which this process has tried a network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageClassification:
    """Train the network of a genome on a data set of images, and measure it.

    It holds declarations and never tensors, so it pickles small; images are loaded once per
    process.  `threads`: torch threads per evaluation; it changes the order of floating-point
    sums, so it belongs to what is measured.  `seed` is the run's unless declared.  `in_flight`: how
    many networks are trained in turns on one device; by itself 1 on the CPU, and on a GPU as many
    as its memory holds.  `inherit`: a child begins with the weights of a parent in every layer that
    agrees, so that what is measured of it depends on its parent too.  `folder`: where a search
    keeps trainings that go on, and weights for children; a worker that cannot reach it begins anew.
    `trial_seconds`: an evaluation is a trial of about so many seconds, see `with_trials`.
    `int8`: whether what a network costs in 8 bits is counted; a search that needs it says so.
    `measure`: functions that measure a trained network, by name or module:function, see
    `problems.measures.measure`; `devices`: what measures the exported network, by the name of its
    number, see `problems.measures.device`; `measured`: the names that they return, known once it is
    prepared.  `latency_table`: a file that `run_search.py latency` wrote.
    On a GPU only: `deterministic` = false allows kernels that may be faster and whose sums may vary
    in their last digits.  `time_alone`: whether each network has the device to itself until its
    times are taken; if false, train_seconds and latency_seconds are not measured.  By itself a
    search on a GPU does so if an objective or a bound needs a time.  `gpu`: see `GpuUse`.

    If `training` has ranges, the genomes of `space` tell the recipe too (problems/spaces/
    with_recipe.py), and `of_one` gives the problem of one network, whose recipe is its own.
    """

    space: Any = field(
        default_factory=LayerString,
        metadata={"shelf": SPACES, "function": OwnNetwork, "around": WithRecipe},
    )
    dataset: Dataset = field(
        default_factory=Digits, metadata={"shelf": DATASETS, "function": OwnArrays}
    )
    training: Training = field(default_factory=Training, metadata={"ranges": True})
    device: str = "auto"
    threads: int = 1
    seed: int = 0
    in_flight: Annotated[int, Ge(1)] | None = field(default=None, metadata={"identity": False})
    inherit: bool | None = None  # not False, which would be another name for the same problem
    measure: tuple[str, ...] | None = None
    devices: Mapping[str, Device] | None = None
    latency_table: str | None = None
    measured: tuple[str, ...] = field(default=(), metadata={"declared": False})
    deterministic: bool | None = None  # not True, likewise
    time_alone: bool | None = None
    gpu: GpuUse = field(default_factory=GpuUse, metadata={"identity": False})
    int8: bool = field(default=False, metadata={"declared": False})
    folder: Path | None = field(default=None, metadata={"declared": False})
    trial_seconds: float | None = field(default=None, metadata={"declared": False})

    grow_with_epochs: ClassVar = ("epochs", "train_seconds")

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads = {self.threads}: at least 1 is needed")
        object.__setattr__(self, "inherit", self.inherit or None)
        object.__setattr__(self, "measure", self.measure or None)
        object.__setattr__(self, "devices", self.devices or None)
        if self.latency_table:
            try:
                read_table(self.latency_table)
            except ValueError as error:
                raise ValueError(f"latency_table = {error}") from error
        for name in self.devices or ():
            if not name.isidentifier():
                raise ValueError(f"devices.{name}: letters, digits and _ are legal in a name")
        for number, use in enumerate(self.measure or ()):
            try:
                measure_of(use)
            except ValueError as error:
                raise ValueError(f"measure[{number}] = {error}") from error
        object.__setattr__(
            self, "deterministic", None if self.deterministic else self.deterministic
        )
        space = architectures_of(self.space)
        if not isinstance(self.dataset, Dataset):
            raise ValueError(
                f"dataset = {type(self.dataset).__name__}: a subclass of Dataset in "
                "problems.datasets.dataset is needed, or a function that returns images and labels"
            )
        if self.dataset.classes:  # a folder of images tells only when it is read
            names = {f.name for f in fields(space)} if is_dataclass(space) else set()
            if not names >= {"image_shape", "classes"}:
                raise ValueError(
                    f"space = {type(space).__name__}: a dataclass with image_shape and "
                    "classes is needed"
                )
            space = replace(
                space, image_shape=self.dataset.image_shape, classes=self.dataset.classes
            )
        searched = self.training.searched
        if self.inherit and any(key.name == "normalize" for key in searched):
            raise ValueError(
                "training.normalize: it cannot be searched with inherit = true, because it moves "
                "the layers whose weights are inherited"
            )
        object.__setattr__(self, "space", WithRecipe(space, searched) if searched else space)

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The names in a measurement."""
        memory = () if self.device == "cpu" else ("peak_memory_bytes",)
        return (
            *("val_accuracy", "val_loss", "train_accuracy"),
            *("params", "conv_params", "fc_params", "macs", "layers", "memory_bytes"),
            *(sorted(INT8_COSTS) if self.int8 else ()),
            *((read_table(self.latency_table).estimate,) if self.latency_table else ()),
            "epochs",
            *(("train_seconds", "latency_seconds") if self.timed else ()),
            *memory,
            *(("inherited_epochs", "inherited_params") if self.inherits else ()),
            *(key.name for key in self.training.searched if key.is_number),
            *(self.measured or (n for use in self.measure or () for n in declared_names(use))),
        )

    @property
    def quantities(self) -> dict[str, Mapping[str, Any]]:
        """What the names mean that `measure` adds to a measurement."""
        table = read_table(self.latency_table).quantities if self.latency_table else {}
        of_devices = [device.quantities(name) for name, device in (self.devices or {}).items()]
        return {
            **quantities_of(self.measure or ()),
            **table,
            **{name: means for one in of_devices for name, means in one.items()},
        }

    def prepared(self) -> "ImageClassification":
        """The same problem with device, precision and folders spelled out and its data in place.

        Called once, before the first evaluation, by the process that leads the search.  Raises
        ValueError if the device, its precision or the data cannot be had.
        """
        device, warnings = resolve_device(self.device)
        for warning in warnings:
            log.warning("%s", warning)
        try:
            precision = resolve_precision(
                self.training.precision, device, self.threads, self.deterministic is None
            )
        except ValueError as error:
            raise ValueError(f"training.{error}") from error
        log.info("device: %s, %s", describe_device(device), precision)
        try:
            dataset = self.dataset.located()
            dataset.require()
            if type(dataset) not in (*DATASETS.values(), OwnArrays):
                read_as_promised(dataset, "train")
        except ValueError as error:
            separator = "." if " = " in str(error).partition(":")[0] else ": "
            kind = DataMissing if isinstance(error, DataMissing) else ValueError
            raise kind(f"dataset{separator}{error}") from error
        training = replace(self.training, precision=precision)
        prepared = replace(self, device=device, dataset=dataset, training=training)
        notices = prepared._notices()
        if not prepared.makes_own_networks:
            space, classes = architectures_of(prepared.space), prepared.dataset.classes
            notices += rehearse(space, space.image_shape, classes, prepared._fewest_of_a_step())
        for line in notices:
            log.warning("%s", line)
        return replace(prepared, measured=prepared._rehearsed())

    def _rehearsed(self) -> tuple[str, ...]:
        """The names that `measure` returns; one that does not say them measures some network.

        Raises ValueError if one fails, or returns a name that is taken.
        """
        names: dict[str, str] = dict.fromkeys(
            replace(self, measured=(), measure=None).measures, "the problem"
        )
        untrained: Trained | None = None
        found: list[str] = []

        def claim(key: str, owner: str, verb: str, told: Iterable[str]) -> None:
            for name in told:
                if name in names:
                    raise ValueError(f"{key}: it {verb} {name!r}, as {names[name]} does already")
                names[name] = owner
                found.append(name)

        for number, use in enumerate(self.measure or ()):
            key = f"measure[{number}] = {use!r}"
            returned = declared_names(use)
            if not returned:
                try:
                    untrained = untrained or self._any_untrained()
                    returned = returned_names(use, untrained)
                except MeasureFailed as error:
                    raise ValueError(f"{key}: of an untrained network, {error}") from error
            claim(key, f"measure {use!r}", "returns", returned)
        for called, device in (self.devices or {}).items():
            key = f"devices.{called}"
            try:
                untrained = untrained or self._any_untrained()
                told = told_by(called, device, untrained)
            except MeasureFailed as error:
                raise ValueError(f"{key}: of an untrained network, {error}") from error
            claim(key, f"device {called!r}", "tells", told)
        return tuple(found)

    def _any_untrained(self) -> Trained:
        """Some network of the space as it is before its training, on the CPU."""
        here, draw = replace(self, device="cpu"), random.Random(self.seed)
        split = open_splits(self.dataset, "cpu").validation
        for _ in range(REHEARSALS):
            genome = [draw.randrange(len(gene.choices)) for gene in self.space.genes]
            with suppress(ValueError, RuntimeError), seeded(self.seed, "cpu"):
                one, own = here.of_one(genome)
                network, _ = one._built(own)
                network(split.batch(slice(0, 1))[0])
                return one._trained(network, own, split)
        raise ValueError(f"measure: none of {REHEARSALS} networks of the space could be built")

    def numbers_of(
        self, network: torch.nn.Module, genome: list[int], split: Split
    ) -> dict[str, float]:
        """What `measure` returns of a trained network and a split.  Raises MeasureFailed."""
        trained = self._trained(network, genome, split)
        numbers = measured_by(self.measure or (), trained, self._seed(genome))
        for name, device in (self.devices or {}).items():
            numbers |= told_by(name, device, trained)
        if self.measured and (odd := set(numbers).symmetric_difference(self.measured)):
            raise MeasureFailed(
                f"measures: {', '.join(sorted(odd))} was told either of this network or of the one "
                "that was tried before the search; the same names are needed for each"
            )
        return numbers

    def _trained(self, network: torch.nn.Module, genome: list[int], split: Split) -> Trained:
        def first_of_train(images: int) -> Split:
            train = open_splits(self.dataset, str(split.labels.device)).train
            return train.first(images)

        return Trained(network, split, list(genome), self.layers, first_of_train)

    @property
    def makes_own_networks(self) -> bool:
        """Whether a subclass makes and counts the networks by itself, of any space."""
        cls, base = type(self), ImageClassification
        return cls.known is not base.known and cls.untrained is not base.untrained

    def _notices(self) -> list[str]:
        """What a person should know before a search begins, a line each."""
        dataset, size = self.dataset, max(self.training.values_of("batch_size"))
        lines = [f"dataset.{line}" for line in dataset.notices()]
        lines += [f"training.{line}" for line in self.training.notices(dataset.image_shape)]
        if size > dataset.train_images:
            lines.append(
                f"training.batch_size = {size}: there are {dataset.train_images:,} images to train "
                "on, so each epoch is one step"
            )
        if dataset.validation < dataset.classes:
            lines.append(
                f"dataset.validation = {dataset.validation}: that is less than one image of each "
                f"of the {dataset.classes} classes"
            )
        return lines

    def _fewest_of_a_step(self) -> int:
        """How many images the smallest step of a training has, as far as it is 1 or more."""
        images = self.dataset.train_images
        return 1 if any(images % size == 1 for size in self.training.values_of("batch_size")) else 2

    def in_folder(self, folder: Path) -> "ImageClassification":
        """The same problem, which may keep in the folder of its run what it needs later.

        Warns if a module of somebody's own that makes the networks has been changed since the
        folder was begun: what is in its archive was measured of other networks.
        """
        for module in changed_sources(architectures_of(self.space), folder):
            log.warning(
                "module %r, which makes the networks, has been changed since %s was begun; what "
                "is in its archive was measured before",
                *(module, folder),
            )
        return replace(self, folder=folder.absolute())

    @property
    def timed(self) -> bool:
        """Whether a measurement has times."""
        return self.time_alone is not False

    def wanted(self, names: Collection[str]) -> "ImageClassification":
        """The same problem, of whose measures a search needs those of these names.

        On a GPU it takes no times that nobody needs, because each network would have to have the
        device to itself for them.
        """
        # Whoever asks for what there is not is told of these too.
        counted = not self.makes_own_networks and not set(self.measures).issuperset(names)
        problem = replace(self, int8=True) if counted else self
        if self.device == "cpu" or self.time_alone is not None:
            return problem
        needs_time = any(name in ("train_seconds", "latency_seconds") for name in names)
        return problem if needs_time else replace(problem, time_alone=False)

    @property
    def inherits(self) -> bool:
        """Whether `evaluate` is to hear of the parents of each network."""
        return bool(self.inherit)

    @property
    def reseeds(self) -> bool:
        """Whether a network can be trained again with another seed: not if it has parents."""
        return not self.inherits

    @property
    def epochs(self) -> int | None:
        """Of a full training; None where a network is not trained."""
        return self.training.epochs

    @property
    def gpus(self) -> int:
        """How many GPUs of this machine the workers share; 0 on the CPU."""
        if self.device == "cuda":
            return torch.cuda.device_count()
        return int(self.device != "cpu")

    @property
    def at_once(self) -> int:
        """How many networks one process should be given at a time."""
        return self.in_flight or (MOST_IN_FLIGHT_ON_A_GPU if self.device != "cpu" else 1)

    def on_worker(self, rank: int) -> "ImageClassification":
        """The same problem on the GPU of the worker of this rank on its machine."""
        if self.device == "cuda":
            return replace(self, device=f"cuda:{rank % torch.cuda.device_count()}")
        return self

    @cached_property
    def gpu_uuid(self) -> str | None:
        """NVIDIA's name of the GPU that the networks are trained on; None for the CPU."""
        if self.device == "cpu":
            return None
        uuid = getattr(torch.cuda.get_device_properties(self.device), "uuid", None)
        return f"GPU-{uuid}" if uuid else None

    def budget(self, networks: int) -> str:
        """What at most `networks` evaluations train on."""
        epochs, images = self.training.epochs, self.dataset.train_images
        return (
            f"{networks:,} networks x {epochs} epochs x {images:,} images "
            f"= {networks * epochs * images:,} training images"
        )

    def with_trials(self, seconds: float) -> "ImageClassification":
        """The same problem, whose evaluations tell after a few steps how long a whole one takes."""
        return replace(self, trial_seconds=seconds)

    def cost(self, genome: list[int]) -> float:
        """How long the genome's evaluation takes, in proportion: multiply-accumulates of it all."""
        macs = self.known(genome).get("macs", 0)
        return macs * self.training.epochs * self.dataset.train_images

    def known(self, genome: list[int]) -> dict[str, float]:
        """What is known of the genome's network without training, by the names of a measurement.

        Nothing of a network that cannot be built; its evaluation will tell why.
        """
        costs: dict[str, float] = dict(self._counted(genome).totals)
        if costs and self.int8:
            costs |= self._in_8_bits(genome).costs
        if costs and self.latency_table and (work := self.work(genome)):
            table = read_table(self.latency_table)
            costs[table.estimate] = table.of(work)
        return costs

    def work(self, genome: list[int]) -> Work:
        """What the genome's network does that a latency table may price.

        Nothing of a network that has no int8 counterpart.
        """
        return self._in_8_bits(genome).work

    def _in_8_bits(self, genome: list[int]) -> CountedInt8:
        one, own = self.of_one(genome)
        space, normalize = one.space, one.training.normalize
        return int8_counted(one.plan(own), space.image_shape, space.classes, normalize)

    def read_by(
        self, name: str, device: Device, genome: list[int]
    ) -> tuple[Work, dict[str, float]]:
        """The work of the genome's untrained network, and what a device of this name tells of it.

        Raises DeviceFailed, one line, if it tells nothing.
        """
        one, own = self.of_one(genome)
        network, splits = one._drawn(own, one._seed(own))
        calibration = one._trained(network, own, splits.validation).calibration
        return one.work(own), device.numbers(name, network, calibration)

    def features(self, genome: list[int]) -> tuple[float, ...]:
        """What the network's counted layers are together like, and what the space offers beside."""
        offered = getattr(self.space, "features", None)
        beside = map(float, offered(genome)) if offered else ()
        return (*features(row[2:] for row in self._counted(genome).rows), *beside)

    def layers(self, genome: list[int]) -> list[dict[str, Any]]:
        """The genome's network layer by layer for a person, the image first.

        A layer has a name, a kind ("image", "conv", "pool", "linear" or "other"), the shape of its
        output, params and macs.  None if the shape of the images is not known.
        """
        if not self.dataset.classes or self.makes_own_networks:
            return []
        keys = ("name", "kind", "shape", "params", "macs")
        rows = [("image", "image", tuple(self.space.image_shape), 0, 0)]
        rows += self._counted(genome).rows
        return [dict(zip(keys, row, strict=True)) for row in rows]

    def plan(self, genome: list[int]) -> Plan:
        """What the genome's network is, but for its weights."""
        return plan_of(self.space, genome)

    def of_one(self, genome: list[int]) -> tuple["ImageClassification", list[int]]:
        """The problem whose recipe is that of one network, and the network's genome in it.

        The same where no recipe is searched.
        """
        if not self.training.searched:
            return self, genome
        own, recipe = parted(self.space, genome)
        return self.with_recipe(recipe), own

    def with_recipe(self, recipe: Mapping[str, Any]) -> "ImageClassification":
        """The problem of the networks alone, all trained by one recipe.

        recipe: the values of searched keys by their dotted names.  Raises ValueError if one has no
        value.
        """
        training = self.training.fixed(recipe)
        for key in training.searched:
            raise ValueError(
                f"training.{key.name} = {dict(key.declared)}: one value is needed for one network"
            )
        return replace(self, space=architectures_of(self.space), training=training)

    def _counted(self, genome: list[int]) -> Counted:
        return counted(self.plan(genome), self.space.image_shape, self.space.classes)

    def blueprint(self, genome: list[int]) -> Blueprint:
        """What the genome's network is, for a file of it.

        Raises ValueError for a network that could not be read back from the file.
        """
        one, _ = self.of_one(genome)
        plan, shape = self.plan(genome), self.space.image_shape
        classes = tuple(self.dataset.class_names())
        if reason := unsaved(plan, shape, len(classes)):
            raise ValueError(f"the network cannot be saved: {reason}")
        return Blueprint(
            architecture=self.space.decode(genome),
            plan=plan,
            image_shape=shape,
            classes=classes,
            normalize=one.training.normalize,
            sources=sources(plan),
        )

    def preview(self, genome: list[int]) -> dict[str, float]:
        """What building the genome's network tells before it is trained: `known` and latency."""
        one, own = self.of_one(genome)
        network, splits = one._built(own)
        return self.known(genome) | self._latency(network, splits)

    def _latency(self, network: torch.nn.Module, splits: Splits) -> dict[str, float]:
        if not self.timed:
            return {}
        return {"latency_seconds": latency_seconds(network, splits.validation)}

    def evaluate(
        self,
        genome: list[int],
        epochs: int | None = None,
        key: str = "",
        parents: Sequence[str] = (),
        seed: int = 0,
    ) -> Measurement:
        """The measurement of the genome's network, trained from scratch, with its learning curve.

        epochs: train only so many, in what is otherwise the same training; its measurement tells
        the `trained_epochs` of this call too.  key: the name under which a training that was
        stopped is kept in `folder`, and found when more epochs of it are asked for.  parents: the
        keys under which the networks were evaluated that this one was made of; if they are to
        `inherit`, it begins with what it can take of the first of them that is found in `folder`.
        seed: 1, 2, ... are other trainings of the same network on the same images: other first
        weights, order and augmentation.

        Seeded by (problem's seed, architecture, seed) alone, so that it is the same in any process,
        order and company.  Raises Diverged for a loss that is not finite, ShapeCollapsed for a
        network that does not fit the images.
        """
        told = {"epochs": epochs, "key": key, "parents": parents, "seed": seed}
        asked = {name: value for name, value in told.items() if value}
        ((_, result),) = self.evaluate_many([(genome, asked) if asked else genome])
        if isinstance(result, Exception):
            raise result
        return result

    def evaluate_many(
        self, genomes: Iterable[list[int] | tuple[list[int], Mapping[str, Any]] | None]
    ) -> Iterator[tuple[int, Measurement | Exception]]:
        """The number of each genome and its measurement, or what it raised, as it is known.

        Several are in flight at once on a GPU.  `genomes` is read as there is room; it may give
        None if none is ready while others are in flight, and (genome, options) for what `evaluate`
        takes beside the genome.
        """
        jobs = (job if job is None or isinstance(job, tuple) else (job, {}) for job in genomes)
        return Flight(self.begin, self.device, self.in_flight, self.timed).results(jobs)

    def begin(self, job: tuple[list[int], Mapping[str, Any]]) -> Turns:
        """The turns of one evaluation; what all evaluations share is made before it returns."""
        genome, options = job
        one, own = self.of_one(genome)
        if one is not self:
            return self._with_its_recipe(one, one.begin((own, options)))
        if self.device != "cpu":
            self._configure()
            splits = open_splits(self.dataset, self.device)
            if self.training.normalize:
                _ = splits.train.channel_statistics
        return self._evaluation(job) if self.trial_seconds is None else self._trial(job)

    def _with_its_recipe(self, one: "ImageClassification", turns: Turns) -> Turns:
        """The turns of a network, whose measurement tells its recipe's searched numbers too."""
        measurement = yield from turns
        numbers = [key.name for key in self.training.searched if key.is_number]
        recipe: Any = one.training
        return measurement | {name: reduce(getattr, name.split("."), recipe) for name in numbers}

    def _configure(self) -> None:
        deterministic = self.deterministic is None
        configure(self.device, self.training.precision, self.threads, deterministic)

    def _evaluation(self, job: tuple[list[int], Mapping[str, Any]]) -> Turns:
        genome, options = job
        epochs, key = options.get("epochs"), options.get("key", "")
        stop = epochs or self.training.epochs
        kept = KeptTraining.of(self.folder, key)
        state = kept.read(stop)
        if state and state["stop"] == stop:  # it was known, and lost on its way to the archive
            if self.device == "cpu":
                return dict(state["measurement"])
            state = None  # the peak of its memory is not in it
        seed = self._seed(genome, options.get("seed", 0))
        network, splits = self._drawn(genome, seed)
        latency = self._latency(network, splits)
        run = Run(network, splits, self.training, seed, self.gpu, self.timed)
        if state:
            try:
                run.restore(state)
                behind = dict(state["behind"])
            except UNFIT as error:
                kept.passed_over(error)
                state = None
                network, splits = self._drawn(genome, seed)
                run = Run(network, splits, self.training, seed, self.gpu, self.timed)
        if not state:
            behind = self._inherited(network, options.get("parents", ()))
        begun = run.epochs
        yield from run.until(stop)
        state = run.state() if epochs else {}
        scores = run.scores() | ({"trained_epochs": run.epochs - begun} if epochs else {})
        measurement: Measurement = {**scores, **self.known(genome), **latency, **behind}
        measurement["learning_curve"] = run.curve
        if self.inherit:
            leave(self.folder, key, network, behind["inherited_epochs"] + run.epochs)
        if self.measure or self.devices:
            yield False  # neither time nor memory of what follows is the training's
            try:
                measurement |= self.numbers_of(network, genome, splits.validation)
            except MeasureFailed as error:
                error.measurement = {
                    name: measurement[name]
                    for name in ("epochs", "trained_epochs")
                    if name in measurement
                }
                raise
        if epochs:
            kept.write(state | {"stop": stop, "measurement": measurement, "behind": behind})
        return measurement

    def _trial(self, job: tuple[list[int], Mapping[str, Any]]) -> Turns:
        """The steps of an evaluation until `trial_seconds` have passed, and what a whole one takes.

        All times are elapsed ones, in whatever company the evaluation has.  The first step is
        counted once, because it sets up what the others find.  Where a training may stop early, one
        is run in what is left of the time, to see when.
        """
        genome, _ = job
        recipe, seed, clock = self.training, self._seed(genome), time.perf_counter
        seconds = self.trial_seconds or 0.0
        self._configure()
        open_splits(self.dataset, self.device)  # loading the images is no network's time
        if self.device not in _TRIED_ON:  # nor is what torch sets up and imports for the first one
            _TRIED_ON.add(self.device)
            yield from self.with_trials(0.0)._trial(job)
        began = begun = clock()
        network, splits = self._drawn(genome, seed)
        self._latency(network, splits)
        run = Run(network, splits, recipe, seed, self.gpu, self.timed)
        steps, fixed, first = run.steps, clock() - begun, 0
        begun = clock()
        for alone in take_epoch(steps, 0):
            if steps.taken and not alone and not first:
                first, setting_up, begun = steps.taken, clock() - begun, clock()
            elif first and steps.taken >= first + TRIED_STEPS and clock() - begun > seconds:
                break
            yield alone
        synchronize(steps.device)
        if steps.taken > first > 0:
            step = (clock() - begun) / (steps.taken - first)
            fixed += max(0.0, setting_up - first * step)
        else:
            step = (clock() - begun if not first else setting_up) / steps.taken
        begun = clock()
        some = splits.validation.first(min(SCORING_BATCH, len(splits.validation)))
        score(network, some).tolist()
        scoring = (clock() - begun) * len(splits.validation) / len(some)
        begun = clock()
        self.numbers_of(network, genome, splits.validation)
        fixed += clock() - begun
        epoch = steps.per_epoch * step + (scoring if run.watch.every_epoch else 0.0)
        fixed += 0.0 if run.watch.every_epoch else scoring
        least, stopped = recipe.epochs, {}
        if recipe.early_stop != "never":
            least = min(1 + recipe.patience, recipe.epochs)
            another, _ = self._drawn(genome, seed)
            whole = Run(another, splits, recipe, seed, self.gpu, self.timed)
            turns = whole.until(recipe.epochs)
            while clock() - began < seconds:
                if (turn := next(turns, None)) is None:
                    stopped["epochs"] = float(whole.epochs)
                    break
                yield turn
        params = sum(weight.numel() for weight in network.parameters())
        return {
            "expected_seconds": fixed + recipe.epochs * epoch,
            "least_seconds": fixed + least * epoch,
            "epoch_seconds": epoch,
            **stopped,
            "kept_bytes": 4.0 * params if self.inherit else 0.0,
            "trial_seconds": clock() - began,
        }

    def _inherited(self, network: torch.nn.Module, parents: Sequence[str]) -> dict[str, float]:
        """Give a network what it inherits, and tell what that is; nothing if nobody inherits.

        inherited_epochs: that its parent's weights had behind them, if any of them were taken;
        inherited_params: how many of its own were taken.
        """
        if not self.inherit:
            return {}
        weights = inherited(self.folder, parents)
        taken = weights.give(network) if weights else 0
        epochs = weights.epochs if weights and taken else 0
        return {"inherited_epochs": epochs, "inherited_params": taken}

    def forget(self, key: str) -> None:
        """Keep no training to go on with: the network of this key is not trained further."""
        KeptTraining.of(self.folder, key).remove()

    def kept_files(self, options: Mapping[str, Any]) -> list[Path]:
        """The training that may go on, and the weights of the network and of its parents."""
        if self.folder is None:
            return []
        key = options.get("key", "")
        kept = KeptTraining.of(self.folder, key).path if options.get("epochs") else None
        left = [key, *options.get("parents", ())] if self.inherit and key else []
        return [*([kept] if kept else []), *(weights_of(self.folder, one) for one in left)]

    def _drawn(self, genome: list[int], seed: int) -> tuple[torch.nn.Module, Splits]:
        """`_built`, with the weights of a seed."""
        with seeded(seed, self.device):
            return self._built(genome)

    def _built(self, genome: list[int]) -> tuple[torch.nn.Module, Splits]:
        """The genome's network, not trained, and its images, both on the device."""
        self._configure()
        splits = open_splits(self.dataset, self.device)
        return self.untrained(genome, splits.train), splits

    def untrained(self, genome: list[int], images: Split | StreamedSplit) -> torch.nn.Module:
        """The genome's network with its first weights, for training on `images`; on the device."""
        first = Standardize(*images.channel_statistics) if self.training.normalize else None
        shape, classes = self.space.image_shape, self.space.classes
        network = module_of(self.plan(genome), shape, classes, first)
        if self.training.initialization == "glorot":
            glorot_uniform(network)
        # The layout that oneDNN and cuDNN compute fastest in, for these small networks too.
        network.to(memory_format=torch.channels_last)
        return network.to(self.device)

    def _seed(self, genome: list[int], seed: int = 0) -> int:
        again = f" {seed}" if seed else ""
        return seed_of(f"{self.seed} {self.space.decode(genome)}{again}")
