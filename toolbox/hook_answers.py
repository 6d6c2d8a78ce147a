"""Whether the hooks of a problem and its space answer as their contracts say, before a search."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from toolbox.networks import Networks
from toolbox.operator_error import OperatorError

TRIED = 2  # genomes whose every gene is changed once
LAYER = {"name", "kind", "shape", "params", "macs"}
NEEDED = {"name", "shape"}
MOST_CHOICES = 10_000  # of a gene; each is a column to a guide and to a report


def check_genes(space: Any) -> None:
    """Raise OperatorError, one line, for a space whose genes cannot be drawn."""
    if not len(space.genes):
        raise OperatorError("problem.space: it has no genes, so there is nothing to search")
    names: list[str] = []
    for place, gene in enumerate(space.genes):
        for name in ("name", "choices"):
            if not hasattr(gene, name):
                raise OperatorError(
                    f"problem.space: genes[{place}] is {gene!r}, which has no {name!r}; an object "
                    "with a name and its choices is needed"
                )
        said, choices = f"problem.space: its gene {gene.name!r}", gene.choices
        if gene.name in names:
            raise OperatorError(
                f"{said} has the name of genes[{names.index(gene.name)}]; each needs its own"
            )
        names.append(gene.name)
        # The order of a set is another one in each process.
        if isinstance(choices, Mapping) or not hasattr(choices, "__getitem__"):
            kind = type(choices).__name__
            raise OperatorError(f"{said} has a {kind} of choices; a list or a tuple is needed")
        if not len(choices):
            raise OperatorError(f"{said} has no choices")
        if len(choices) > MOST_CHOICES:
            raise OperatorError(
                f"{said} has {len(choices):,} choices; at most {MOST_CHOICES:,} are legal"
            )


def check_answers(networks: Networks, genomes: Sequence[list[int]]) -> None:
    """Raise OperatorError, one line, for a hook that answers some genomes of the space wrongly."""
    for genome in genomes[:TRIED]:
        _check_network(networks.space, list(genome))
        _check_changes(networks, list(genome))
    cost = networks.problem.cost(list(genomes[0]))
    if not isinstance(cost, Real) or not math.isfinite(cost):
        raise OperatorError(f"problem.cost: it returned {cost!r}; a finite number is needed")
    for layer in networks.problem.layers(list(genomes[0])):
        if not isinstance(layer, Mapping) or not NEEDED <= set(layer) <= LAYER:
            raise OperatorError(
                f"problem.layers: a layer of it is {layer!r}; a dict with "
                f"{', '.join(sorted(LAYER))} is needed"
            )


def _check_network(space: Any, genome: list[int]) -> None:
    text, canonical = space.decode(list(genome)), space.canonical(list(genome))
    if not isinstance(text, str):
        raise OperatorError(f"problem.space.decode: it returned {text!r}; a text is needed")
    if not isinstance(canonical, Sequence) or len(canonical) != len(genome):
        raise OperatorError(
            f"problem.space.canonical: it returned {canonical!r} for {genome}; the "
            f"{len(genome)} genes that stand for the same network are needed"
        )


def _check_changes(networks: Networks, genome: list[int]) -> None:
    """Two genomes of one key would share one measurement, so nothing may tell them apart."""
    key, _ = networks.identify(genome)
    for place, gene in enumerate(networks.space.genes):
        choice = (genome[place] + 1) % len(gene.choices)
        changed = [*genome[:place], choice, *genome[place + 1 :]]
        if networks.space.violation(list(changed)) or networks.identify(changed)[0] != key:
            continue
        before, after = networks.arithmetic(genome), networks.arithmetic(changed)
        for name in before:
            if before[name] != after.get(name):
                raise OperatorError(
                    f"problem.space: gene {gene.name!r} changes {name} from {before[name]:,g} to "
                    f"{after.get(name, float('nan')):,g}, but both genomes are the network "
                    f"{networks.space.decode(genome)!r} by decode and canonical, which must tell "
                    "networks apart"
                )
