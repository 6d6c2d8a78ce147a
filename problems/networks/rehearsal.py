"""Looks at networks of a space before a search begins, so that an error in it is told at once."""

import json
import random
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from problems.first_line import first_line
from problems.networks.counting import counted_module, on_meta
from problems.networks.own_network import OwnNetwork
from problems.networks.plan import counted, module_of, plan_of, said_of, sources, unsaved
from problems.spaces import SPACES
from problems.spaces.layers import Shape, ShapeCollapsed
from problems.whole_file import keep_whole

NETWORKS = 8  # that are looked at
DRAWS = 200  # until so many were found
REPEAT_SECONDS = 3.0  # at most, to see whether networks draw what no seed repeats, after the first
EFFECT_SECONDS = 3.0  # at most, to see which genes change nothing
FILE = "own_sources.json"  # in the folder of a run


def rehearse(space: Any, image_shape: Shape, classes: int, fewest: int = 2) -> list[str]:
    """Count, build and describe some random networks of a space that is somebody's own.

    Returns what a person should know of them, a line each: that they return probabilities, or which
    genes change nothing.  Raises ValueError, one line, for the first that cannot be: the code that
    makes it fails, its module returns no logits (N, classes), its count is not that of its module,
    or it could not be saved; if two modules of one genome differ, share weights, or draw what no
    seed repeats; or if the first network cannot be trained by a step of `fewest` images, 1 or 2.  A
    genome that the space or its function refuses is drawn again.
    """
    if type(space) in SPACES.values():
        return []
    notices, end = [], time.perf_counter() + REPEAT_SECONDS
    generator = random.Random(0)
    looked_at: set[tuple[int, ...]] = set()
    reason = ""
    for _ in range(DRAWS):
        genome = [generator.randrange(len(gene.choices)) for gene in space.genes]
        if tuple(genome) in looked_at:
            continue
        looked_at.add(tuple(genome))
        if refusal := _look_at(space, genome, image_shape, classes):
            reason = refusal
            looked_at.discard(tuple(genome))
            continue
        first = len(looked_at) == 1
        if first:
            logits = _require_trainable(space, genome, image_shape, classes, fewest)
            if _are_probabilities(logits):
                notices.append(
                    f"space: {space.decode(genome)!r}: its module returns probabilities, as of a "
                    "softmax; the training takes them for logits, and learns badly"
                )
        if first or time.perf_counter() < end:
            _require_repeatable(space, genome, image_shape, classes)
        if len(looked_at) == NETWORKS:
            break
    if not looked_at:
        raise ValueError(
            f"space: none of {DRAWS:,} random genomes is a network; the last: {reason}"
        )
    return notices + [
        f"space: gene {name!r} changes nothing in the networks that were tried"
        for name in _without_effect(space, sorted(looked_at), image_shape, classes)
    ]


def _look_at(space: Any, genome: list[int], image_shape: Shape, classes: int) -> str:
    """Why the genome is no network of the space; empty if it is one."""
    said = "space"
    try:
        said = f"space: {space.decode(genome)!r}"
        # A space of somebody's own may do without `violation`.
        violation = getattr(space, "violation", lambda genome: "")
        own = isinstance(space, OwnNetwork)  # whose violation is the very count below
        if not own and (refusal := violation(genome)):
            return str(refusal)
        plan = plan_of(space, genome)
        known = counted(plan, image_shape, classes)
    except ShapeCollapsed as collapsed:
        return str(collapsed)
    except ValueError as error:
        if str(error).startswith("space = "):
            raise
        raise ValueError(f"{said}: {error}") from error
    except Exception as error:  # whatever somebody's own space does
        raise ValueError(f"{said}: {type(error).__name__}: {error}") from error
    if known.refusal and not known.wrong:
        return known.refusal
    if known.refusal:
        raise ValueError(f"{said}: {known.refusal}")
    network, again = (on_meta(lambda: module_of(plan, image_shape, classes)) for _ in range(2))
    if reason := _unlike(network, again):
        raise ValueError(f"{said}: {said_of(plan)} {reason}")
    known = counted_module(
        lambda: module_of(plan, image_shape, classes),
        image_shape,
        classes,
        said_of(plan),
        training=True,
    )
    if known.refusal:
        raise ValueError(f"{said}: {known.refusal}")
    arithmetic = counted(plan, image_shape, classes).totals["params"]
    if arithmetic != known.totals["params"]:
        raise ValueError(
            f"{said}: its layers count {arithmetic:,} params, and its module has "
            f"{known.totals['params']:,}; count(shape) of a layer of your own is wrong"
        )
    if reason := unsaved(plan, image_shape, classes):
        raise ValueError(f"{said}: it could not be saved after its training: {reason}")
    try:
        network.to(memory_format=torch.channels_last)
    except RuntimeError as error:
        raise ValueError(f"{said}: {first_line(error)}") from error
    return ""


def _unlike(one: nn.Module, other: nn.Module) -> str:
    """What is wrong with two modules that were made of one genome; empty if nothing is."""
    before = {id(parameter) for parameter in one.parameters()}
    for name, parameter in other.named_parameters():
        if id(parameter) in before:
            return (
                f"returns the same {name!r} at each call, so one network would go on with the "
                "weights of another; make every part anew, or return a copy.deepcopy"
            )
    shapes = [
        {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        for module in (one, other)
    ]
    if shapes[0] != shapes[1]:
        return "makes another module at each call; the genes alone must decide what it is"
    return ""


def _images(number: int, image_shape: Shape) -> torch.Tensor:
    """Random images, in the layout that a training has images and weights in."""
    images = torch.rand(number, *image_shape, generator=torch.Generator().manual_seed(0))
    return images.to(memory_format=torch.channels_last)


def _are_probabilities(logits: torch.Tensor) -> bool:
    """Whether rows (N, classes) are none of logits."""
    sums = logits.sum(dim=1)
    return bool((logits >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-4))


def _without_effect(
    space: Any, genomes: list[tuple[int, ...]], image_shape: Shape, classes: int
) -> list[str]:
    """The genes that changed the outputs of none of these networks, each with the same seed.

    At most some seconds are taken for it; of genes that were not tried then nothing is said.
    """
    images, end = _images(2, image_shape), time.perf_counter() + EFFECT_SECONDS

    @lru_cache
    def outputs(genome: tuple[int, ...]) -> torch.Tensor | None:
        try:
            return _outputs(space, list(genome), images, classes, True)[0]
        except Exception:  # refused, or told of when it is evaluated
            return None

    without: list[str] = []
    for place, gene in enumerate(space.genes):
        same: list[bool] = []
        for genome, changed in _changes(space, genomes, place):
            if time.perf_counter() > end:
                return without
            before, after = outputs(genome), outputs(changed)
            if before is not None and after is not None:
                same.append(before.shape == after.shape and torch.equal(before, after))
            if False in same:
                break
        if same and all(same):
            without.append(gene.name)
    return without


def _changes(
    space: Any, genomes: list[tuple[int, ...]], place: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each genome with each that has another choice in this place and is another network."""
    for genome in genomes:
        for choice in range(len(space.genes[place].choices)):
            changed = (*genome[:place], choice, *genome[place + 1 :])
            if space.decode(list(changed)) != space.decode(list(genome)):
                yield genome, changed


def _require_trainable(
    space: Any, genome: list[int], image_shape: Shape, classes: int, fewest: int
) -> torch.Tensor:
    """What a network returns for so many images.

    Raises ValueError, one line, if no step of them can be taken on the CPU.
    """
    images = _images(fewest, image_shape)
    labels = torch.zeros(fewest, dtype=torch.int64)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        network = module_of(plan_of(space, genome), image_shape, classes)
        network.to(memory_format=torch.channels_last).train()
        try:
            logits: torch.Tensor = network(images).float()
            nn.functional.cross_entropy(logits, labels).backward()
        except Exception as error:  # whatever somebody's own module does
            rest = ", as the last one of each epoch has" if fewest == 1 else ""
            many = f"{fewest} image{'s' if fewest > 1 else ''}{rest}"
            raise ValueError(
                f"space: {space.decode(genome)!r}: its module cannot be trained by a step of "
                f"{many}: {type(error).__name__}: {first_line(error)}"
            ) from error
    return logits.detach()


def _outputs(
    space: Any, genome: list[int], images: torch.Tensor, classes: int, *trained: bool
) -> list[torch.Tensor]:
    """What a network returns before any training, all by one seed: as it is trained or scored."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = module_of(plan_of(space, genome), tuple(images.shape[1:]), classes)
        network.to(memory_format=torch.channels_last)
        return [network.train(train)(images).float() for train in trained]


def _require_repeatable(space: Any, genome: list[int], image_shape: Shape, classes: int) -> None:
    """Raise ValueError, one line, if a network draws when it is scored, or elsewhere than in torch.

    What it draws in torch as it is trained is its own (problems/training/draws.py).
    """
    images = _images(2, image_shape)
    try:
        trained, scored, again = _outputs(space, genome, images, classes, True, False, False)
        (repeated,) = _outputs(space, genome, images, classes, True)
    except Exception:  # of few images or small ones; told of when it is evaluated
        return
    reason = ""
    if not torch.equal(trained, repeated):
        reason = (
            "returns something else for the same images, weights and seed of torch; let it draw "
            "from torch alone, neither from random nor from numpy.random"
        )
    elif not torch.equal(scored, again):
        reason = (
            "returns something else for the same images each time that it is scored; let it draw "
            "only when it is trained, such as F.dropout(x, training=self.training)"
        )
    if reason:
        raise ValueError(f"space: {space.decode(genome)!r}: its module {reason}")


def changed_sources(space: Any, folder: Path) -> list[str]:
    """The modules of somebody's own that have been changed since a run's folder was begun.

    It keeps their digests there the first time.  Only the file that a function, layer or space is
    defined in is looked at, and not what it imports.
    """
    if type(space) in SPACES.values():
        return []
    try:
        now = sources(plan_of(space, [0] * len(space.genes)))
    except (ValueError, OSError, TypeError):  # a source that cannot be read cannot be compared
        return []
    path = folder / FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        keep_whole(path, json.dumps(now).encode())
        return []
    return [module for module, digest in now.items() if before.get(module, digest) != digest]
