"""Successive halving over epochs (Jamieson & Talwalkar, 2016), for one objective or several.

New networks are trained a little, the best go on, and again, until the last few are trained in
full.  Who is the best is told as NSGA-II tells it: by non-dominated front, and within a front by
crowding distance.  A network that is stopped keeps what was measured of it until then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt, MinLen
from deap import tools

from toolbox.archive import Record
from toolbox.individual import Individual
from toolbox.objectives.objective import Objective
from toolbox.problem import Problem


@dataclass(frozen=True)
class Halving:
    """Compare a generation's new networks after each number of `epochs`; the share `keep` goes on.

    epochs: ascending; a network that goes on each time is trained in full in the end.  keep: of
    the networks that came this far, rounded to the nearest number, and one at least.
    """

    epochs: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)]
    keep: Annotated[float, Gt(0), Lt(1)] = 0.33

    def __post_init__(self) -> None:
        if list(self.epochs) != sorted(set(self.epochs)):
            raise ValueError(f"epochs = {list(self.epochs)}: each must be more than the one before")

    def check(self, problem: Problem, objectives: Sequence[Objective]) -> None:
        """Raise ValueError if the problem cannot be asked for these epochs, or if an objective
        would favour the networks that were stopped."""
        if problem.epochs is None:
            raise ValueError("this problem has no epochs, so that it cannot be trained for fewer")
        if self.epochs[-1] >= problem.epochs:
            raise ValueError(
                f"epochs = {list(self.epochs)}: they must be fewer than the {problem.epochs} of a "
                "full training, which come after them by themselves"
            )
        for number, objective in enumerate(objectives):
            for name in objective.needs:
                if name in problem.grow_with_epochs:
                    raise ValueError(
                        f"networks would win by being stopped, because objectives[{number}] = "
                        f"{objective.name!r} rests on {name!r}, which grows with the epochs"
                    )

    def rungs(self, problem: Problem) -> tuple[int, ...]:
        """After how many epochs networks are compared, and those of a full training."""
        assert problem.epochs is not None, "check comes first"
        return (*self.epochs, problem.epochs)

    def places(self, networks: int) -> int:
        """How many of the given number of networks go on.

        >>> [Halving(epochs=(1,), keep=0.33).places(n) for n in (1, 2, 9, 20)]
        [1, 1, 3, 7]
        """
        return max(1, int(self.keep * networks + 0.5))

    def promoted(
        self, values: Mapping[str, tuple[float, ...]], networks: int, weights: Sequence[float]
    ) -> list[str]:
        """The keys of the networks that go on, of the given number that came this far.

        values: the objectives by the key of each network that was measured and is within the
        bounds; one that is not never goes on.

        >>> values = {"a": (0.9, 900.0), "b": (0.8, 800.0), "c": (0.7, 990.0), "d": (0.6, 600.0)}
        >>> Halving(epochs=(1,), keep=0.5).promoted(values, 4, weights=(1.0, -1.0))
        ['a', 'd']
        """
        candidates = []
        for key in values:
            candidates.append(Individual([], weights))
            candidates[-1].fitness.values = values[key]
        keys = {id(one): key for one, key in zip(candidates, values, strict=True)}
        chosen = tools.selNSGA2(candidates, min(self.places(networks), len(candidates)))
        return [keys[id(one)] for one in chosen]

    def said(self, networks: int, problem: Problem) -> str:
        """What becomes of the given number of new networks, as a sentence."""
        parts, left = [], networks
        for epochs in self.epochs:
            left = self.places(left)
            parts.append(f"{left} go on after {epochs}")
        return f"of {networks} new networks {', '.join(parts)} of {problem.epochs} epochs"


def epochs_for(record: Record, first: bool) -> float:
    """The epochs that were trained for a record.

    first: nothing was trained for its network before, so that all its epochs count, those that a
    parent or an earlier run trained too.
    """
    behind = record.measurement.get("epochs", 0)
    return behind if first else record.measurement.get("trained_epochs", behind)
