"""A DEAP toolbox whose children always belong to the search space.

A child of `mate` or `mutate` that is not a network of the space (a broken rule, a shape that
collapses) is drawn again from the same parents: rejection, as in the reference systems.  So is one
that is known to be beyond the bounds, up to their number of redraws.  It holds for every operator,
registered by a declaration or by the user, DEAP's own included.
"""

import functools
import numbers
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from deap import base

from toolbox.evaluation import Backend, Evaluator
from toolbox.operator_error import OperatorError

DRAWS = 100  # then the parents go on unchanged


class GuardedToolbox(base.Toolbox):
    """`deap.base.Toolbox`, plus: `mate` and `mutate` stay in the space, `map` asks the archive.

    space: the search space.  population: the current one, for operators that ask for it; the search
    keeps it up to date.  redrawn: how many children of each operator were drawn again.  backend:
    what `map` uses; whoever assembled the toolbox closes it.
    """

    backend: Any

    def __init__(self, evaluator: Evaluator):
        self.evaluator = evaluator
        self.space = evaluator.space
        self.population_now: list = []
        self.redrawn: Counter[str] = Counter()
        super().__init__()

    def register(self, alias: str, function: Callable, *args: Any, **kwargs: Any) -> None:
        """Register `function` under `alias`, as DEAP does.

        "map" takes any map of (function, jobs) that yields results in any order: builtin `map`,
        a pool's `map` or `imap_unordered`, SCOOP's `futures.map`.
        """
        if alias in ("mate", "mutate"):
            function = self._guarded(alias, function)
        elif alias == "map":
            backend: Backend = functools.partial(function, *args, **kwargs)
            function, args, kwargs = self.evaluator.map, (backend,), {}
        super().register(alias, function, *args, **kwargs)

    def _guarded(self, alias: str, operator: Callable) -> Callable:
        @functools.wraps(operator)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            parents = [argument for argument in args if isinstance(argument, list)]
            before = [list(parent) for parent in parents]
            redraws = self.evaluator.bounds.redraws
            for _ in range(DRAWS):
                children = operator(*args, **kwargs)
                if not isinstance(children, tuple) or len(children) != len(parents):
                    raise OperatorError(
                        f"toolbox.{alias}: it must return a tuple of {len(parents)}, as DEAP's "
                        f"operators do; it returned {children!r}"
                    )
                if all(self._belongs(child, alias) for child in children):
                    if not redraws or not any(map(self.evaluator.known_violation, children)):
                        return children
                    redraws -= 1
                self.redrawn[alias] += 1
                for parent, genome in zip(parents, before, strict=True):
                    parent[:] = genome
            return tuple(parents)

        return guarded

    def _belongs(self, child: Sequence[int], alias: str) -> bool:
        genes = self.space.genes
        if len(child) != len(genes):
            raise OperatorError(
                f"toolbox.{alias}: it returned {len(child)} genes; this space has {len(genes)}"
            )
        for gene, index in zip(genes, child, strict=True):
            if not isinstance(index, numbers.Integral):
                raise OperatorError(
                    f"toolbox.{alias}: it returned {gene.name} = {index!r}; genes are integers"
                )
            if not 0 <= index < len(gene.choices):
                return False
        return not self.space.violation(list(child))
