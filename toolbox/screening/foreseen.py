"""What a learned guide foresaw of networks, held against what they turned out to be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy

from toolbox.networks import Networks


@dataclass(frozen=True)
class Prediction:
    """What a network that was sent to its training was believed to be.

    losses: (objectives,).  guided: it was chosen for them.
    """

    losses: numpy.ndarray
    guided: bool


def unknown_objectives(networks: Networks) -> list[int]:
    """The places of the objectives that are not known without training."""
    some = next(iter(networks.records.values())).genome
    known = set(networks.arithmetic(some))
    return [
        column
        for column, objective in enumerate(networks.judge.objectives)
        if not (objective.needs and known.issuperset(objective.needs))
    ]


def worst_tau(
    fits: Iterable[Mapping[str, Prediction]], networks: Networks, columns: Sequence[int]
) -> float | None:
    """Kendall's tau between predictions and results, of the objective that is predicted worst;
    None if there is no pair to tell.

    fits: of each, the predictions by the network's key.  columns: the objectives looked at.
    """
    judge = networks.judge
    agreeing = numpy.zeros(len(judge.objectives))
    pairs = numpy.zeros(len(judge.objectives))
    for foreseen in fits:
        keys = [key for key in foreseen if key in networks.records]
        if len(keys) < 2:
            continue
        believed = numpy.array([foreseen[key].losses for key in keys])
        found = judge.losses([networks.records[key] for key in keys])
        guided = numpy.array([foreseen[key].guided for key in keys])
        first, second = numpy.triu_indices(len(keys), k=1)
        # Among those that it chose the differences are small, and chance decides.
        told = ~(guided[first] & guided[second])
        first, second = first[told], second[told]
        agreement = numpy.sign(believed[first] - believed[second]) * numpy.sign(
            found[first] - found[second]
        )
        agreeing += agreement.sum(axis=0)
        pairs += (agreement != 0).sum(axis=0)
    return min((agreeing[c] / pairs[c] for c in columns if pairs[c]), default=None)
