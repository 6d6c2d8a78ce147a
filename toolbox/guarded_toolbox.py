"""A DEAP toolbox whose children always belong to the search space.

A child of `mate` or `mutate` that is not a network of the space (a broken rule, a shape that
collapses) is drawn again from the same parents: rejection, as in the reference systems.  So is one
that is known to be beyond the bounds, up to their number of redraws.  And each child knows its
origin.  Both hold for every operator, registered by a declaration or by the user, DEAP's own
included.
"""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from deap import base

from toolbox.archive import Record
from toolbox.backends.backend import Map
from toolbox.belief import Belief
from toolbox.evaluation import Evaluator
from toolbox.individual import clone
from toolbox.lineage import note_origin, origin
from toolbox.operator_contracts import (
    belongs,
    check_individuals,
    checked_choice,
    checked_clone,
    checked_drawing,
    checked_evolution,
    checked_population,
    checked_values,
)
from toolbox.operator_error import OperatorError, failed
from toolbox.screening.foretelling import Foretelling
from toolbox.stream import Stream

MOST_CHILDREN_DRAWN = 100  # then the parents go on unchanged


class GuardedToolbox(base.Toolbox):  # type: ignore[misc, unused-ignore]  # DEAP has no types
    """`deap.base.Toolbox`, plus: `mate` and `mutate` stay in the space, `map` asks the archive.

    backend: what `map` begins with; `close` closes it.

    space: the search space.  generation: the number of the one that is evolved, and population_now:
    the last one's individuals, for operators that ask for `population`; see `begin` and `end`.
    beliefs: what the screen believes of the networks, by their keys.  sources: what is learned from
    of other searches.  has_screened: the algorithm asked `screen` for children.  redrawn: how many
    children of each operator were drawn again.
    """

    beliefs: Callable[[], dict[str, Belief]]
    _map: Map
    _stream: Stream | None = None

    def __init__(self, evaluator: Evaluator, backend: Any = map):
        self.evaluator = evaluator
        self.backend = backend
        self.space = evaluator.networks.space
        self.population_now: list[Any] = []
        self.generation = 0
        self.sources: list[Foretelling] = []
        self.has_screened = False
        self.redrawn: Counter[str] = Counter()
        super().__init__()
        self.register("clone", clone)
        self.register("evaluate", evaluator.evaluate)
        self.register("map", backend)

    def begin(self, generation: int) -> None:
        """The generation of this number is made from now on."""
        self.generation = generation

    def end(self, population: list[Any]) -> None:
        """The generation is made, and this is its population."""
        self.population_now[:] = population

    def register(self, alias: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Register `function` under `alias`, as DEAP does.

        "map" takes any map of (function, jobs) that yields results in any order: builtin `map`,
        a pool's `map` or `imap_unordered`, SCOOP's `futures.map`.
        """
        objectives = self.evaluator.judge.objectives
        if alias in ("mate", "mutate"):
            function = self._guarded(alias, function)
        elif alias == "select":
            function = checked_choice(alias, function)
        elif alias == "screen":
            self.beliefs = getattr(function, "beliefs", dict)
            function = self._noting_screening(checked_choice(alias, function))
        elif alias == "evolve":
            function = checked_evolution(function)
        elif alias == "evaluate" and function != self.evaluator.evaluate:
            function = checked_values(function, objectives)
        elif alias == "individual":
            function = checked_drawing(function, self.space, objectives)
        elif alias == "population":
            function = checked_population(function, self.space, objectives)
        elif alias == "clone" and function is not clone:
            function = checked_clone(function)
        elif alias == "map":
            self._map = functools.partial(function, *args, **kwargs) if args or kwargs else function
            self._stream = None
            function, args, kwargs = self.evaluator.map, (self._map,), {}
        super().register(alias, function, *args, **kwargs)

    @property
    def carrier(self) -> Map:
        """What carries evaluations now: the backend, or what was registered as `map` since."""
        return self._map

    @property
    def is_served_by_archive(self) -> bool:
        """Whether `evaluate` asks the archive, decorated or not; else it is the user's own."""
        return self.evaluator.is_asked_by(self.evaluate)

    def stream(self, in_flight: int | None = None) -> Stream:
        """The evaluations on their way behind `map`, one stream for the whole search.

        in_flight: how many at once; by itself as many as there is room for.
        """
        if self._stream is None:
            self._stream = Stream.begin(self, self._map, in_flight)
        return self._stream

    def again(self, asked: Sequence[tuple[Record, int]]) -> list[Record]:
        """The record of a further training of each network, as `Evaluator.again` tells.

        What is still on its way in a stream ends first, and is in the archive then.
        """
        if self._stream is not None:
            self._stream.drain()
            self._stream = None
        return self.evaluator.again(self._map, asked)

    def close(self) -> None:
        """Close the backend, if it is one to close."""
        if self._stream is not None:
            self._stream.close()
        getattr(self.backend, "close", lambda: None)()

    def _noting_screening(self, screen: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(screen)
        def noting(*args: Any, **kwargs: Any) -> Any:
            self.has_screened = True
            return screen(*args, **kwargs)

        return noting

    def _guarded(self, alias: str, operator: Callable[..., Any]) -> Callable[..., Any]:
        label = f"{alias}:{_name(operator, alias)}"

        @functools.wraps(operator)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            parents = [argument for argument in args if isinstance(argument, list)]
            before = [list(parent) for parent in parents]
            origins = [origin(parent) for parent in parents]
            children = drawn(parents, before, args, kwargs)
            note_origin(label, children, before, origins)
            return children

        def drawn(
            parents: list[Any], before: list[list[int]], args: Any, kwargs: dict[str, Any]
        ) -> tuple[Any, ...]:
            bounds, networks = self.evaluator.judge.bounds, self.evaluator.networks
            redraws = bounds.redraws if bounds.limits else 0
            for _ in range(MOST_CHILDREN_DRAWN):
                try:
                    children = operator(*args, **kwargs)
                except Exception as error:
                    raise failed(f"toolbox.{alias}", error) from error
                if isinstance(children, list) and not hasattr(children, "fitness"):
                    children = tuple(children)  # as the decorators of deap.gp return them
                if not isinstance(children, tuple) or len(children) != len(parents):
                    raise OperatorError(
                        f"toolbox.{alias}: it must return a tuple of {len(parents)}, as DEAP's "
                        f"operators do; it returned {children!r}"
                    )
                if all(belongs(child, self.space, alias) for child in children):
                    check_individuals(children, alias)
                    if not redraws or not any(map(networks.known_violation, children)):
                        return children
                    redraws -= 1
                self.redrawn[alias] += 1
                for parent, genome in zip(parents, before, strict=True):
                    parent[:] = genome
            return tuple(parents)

        return guarded


def _name(operator: Callable[..., Any], alias: str) -> str:
    operator = inspect.unwrap(operator)
    while isinstance(operator, functools.partial):
        operator = inspect.unwrap(operator.func)
    return getattr(operator, "__name__", alias)
