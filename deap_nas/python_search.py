"""A search as an object of Python, by the very path of the command line."""

import functools
import logging
import multiprocessing
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deap_nas.following import follower, logging_of_ours
from deap_nas.learning import taught
from deap_nas.opening import OpenSearch, declared, rehearsed
from deap_nas.plain_tables import check_reachable
from deap_nas.refused import refusing
from deap_nas.result import Result, open_result
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.event_log import EventLog
from toolbox.guarded_toolbox import GuardedToolbox
from toolbox.judge import Judge
from toolbox.quantities import quantities_with
from toolbox.search import Generation
from toolbox.shelf import did_you_mean
from toolbox.stopped import SearchStopped

log = logging.getLogger(__name__)

# What a search looks up in its toolbox; DEAP takes any other name too, for helpers.
ENTRIES = (
    *("individual", "population", "clone", "map", "evaluate"),
    *("mate", "mutate", "select", "screen", "evolve", "canonical"),
)
UNNOTED = ("map", "screen", "evaluate", "evolve")  # of these, whether they are called
# The search that is going on in each run folder, in this process.
_RUNNING: dict[Path, "weakref.ref[Any]"] = {}


class Search:
    """A declared search.  It is checked here; nothing is written before it is run.

    experiment: a TOML file, or its tables as a mapping, in which a function or class of a module
    may stand where a file has its name.  overrides: "key=value", as on the command line.  runs: the
    folder that the run folder <runs>/<name>/seed-<seed> lies in; the name is the file's, or `name`
    for a mapping.  retry_failed: evaluate again what failed in an earlier run.  progress: show how
    far it is.  Raises ValueError, one line, for anything that is wrong.

        search = deap_nas.Search("x.toml", "algorithm.generations=2")
        search.toolbox.register("mutate", my_mutation, indpb=0.1)   # as in DEAP
        for generation in search:
            print(generation)
        search.result.front

    To run it again is to go on with it: what was evaluated is served from the run folder's archive.
    A loop may be left at any time; its child processes end and the folder is unlocked.  A script
    begins its search under `if __name__ == "__main__":`, because child processes import it.
    """

    def __init__(
        self,
        experiment: str | Path | Mapping[str, Any],
        *overrides: str,
        runs: str | Path = "runs",
        name: str = "search",
        retry_failed: bool = False,
        progress: bool = True,
    ):
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise RuntimeError(
                "a child process has imported the script that searches; put the search under "
                "if __name__ == '__main__':"
            )
        if not isinstance(experiment, Mapping):
            experiment = Path(experiment)
        self._progress = progress
        self._runs = Path(runs).absolute()  # a notebook may go elsewhere
        with logging_of_ours(progress), refusing(ValueError):
            self.declaration = declared(experiment, overrides, name)
            check_reachable(self.declaration)
            self.declaration = taught(self.declaration, self.path / "archive.sqlite")
            self.problem = rehearsed(self.declaration)
        self._retry_failed = retry_failed
        self._command = f"deap_nas.Search({experiment if isinstance(experiment, Path) else name!r})"
        self._registered: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = []
        self._replaying = False
        self._uncalled: set[str] = set()  # of the names that were registered
        self._toolbox: GuardedToolbox | None = None

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._runs / self.declaration.name / f"seed-{self.declaration.seed}"

    @property
    def toolbox(self) -> GuardedToolbox:
        """The DEAP toolbox; what is registered here holds for every later run of this object."""
        if self._toolbox is None:
            self._take(assemble(self.declaration, self.problem, Archive({})))
        assert self._toolbox
        return self._toolbox

    @property
    def result(self) -> Result:
        """What has been found so far.  Raises ValueError before the first evaluation."""
        return open_result(self.path)

    def run(self) -> Result:
        """Search to the end; what was found.

        Raises SearchStopped if the search cannot go on (the archive keeps what is finished), and
        ValueError for an operator that breaks its contract.
        """
        for _ in self:
            pass
        return self.result

    def __iter__(self) -> Iterator[Generation]:
        """Each generation when it is done."""
        path = self.path.resolve()
        earlier = _RUNNING.pop(path, lambda: None)()
        if earlier is not None and not earlier.gi_running:
            earlier.close()  # a loop that was left, and that a traceback still holds
        generations = self._generations()
        _RUNNING[path] = weakref.ref(generations)
        return generations

    def _generations(self) -> Iterator[Generation]:
        with (
            logging_of_ours(self._progress),
            OpenSearch(
                self.declaration,
                self.problem,
                self._runs,
                self._follower,
                retry_failed=self._retry_failed,
                command=self._command,
            ) as opened,
        ):
            self._take(opened.toolbox)
            for generation in opened.generations():
                if generation.number == 1:
                    self._warn_of_uncalled()
                yield generation

    def _follower(self, judge: Judge, known: Sequence[str], events: Sequence[EventLog]) -> Any:
        most, generations = self.declaration.most_evaluations, self.declaration.generations
        quantities = quantities_with(self.problem.quantities)
        return follower(judge, generations, most, known, events, quantities, self._progress)

    def _take(self, toolbox: GuardedToolbox) -> None:
        """Use a toolbox from now on, with all that was registered in earlier ones."""
        self._toolbox = toolbox
        for call in self._registered:
            self._apply(*call)
        for method in ("register", "unregister", "decorate"):
            setattr(toolbox, method, partial(self._register, method))

    def _register(self, method: str, /, alias: str, *args: Any, **kwargs: Any) -> None:
        if self._replaying:  # DEAP's decorate calls register
            self._apply(method, alias, args, kwargs)
            return
        self._uncalled.discard(alias)
        if method == "register" and args:
            args = (self._noting_calls(alias, args[0]), *args[1:])
        self._apply(method, alias, args, kwargs)
        self._registered.append((method, alias, args, kwargs))
        assert self._toolbox
        own = alias == "evaluate" and method != "unregister"
        if own and not self._toolbox.is_served_by_archive:
            log.warning(
                "toolbox.evaluate: a function of your own, so the run folder keeps nothing of "
                "what it finds, unless it calls the evaluate that was there; what a problem of "
                "your own measures is kept (docs/writing_your_own.md)"
            )

    def _noting_calls(self, alias: str, function: Any) -> Any:
        """The same function, which notes when it is called.

        Not of backends and screens, which have methods that are called too; DEAP refuses what is
        no function, and keeps what a class has.
        """
        if alias in UNNOTED or not callable(function) or isinstance(function, type):
            return function
        self._uncalled.add(alias)

        @functools.wraps(function)
        def noting(*args: Any, **kwargs: Any) -> Any:
            self._uncalled.discard(alias)
            return function(*args, **kwargs)

        return noting

    def _warn_of_uncalled(self) -> None:
        for alias in sorted(self._uncalled):
            hint = "" if alias in ENTRIES else did_you_mean(alias, ENTRIES)
            log.warning(
                "toolbox.%s: it was registered, and this search (algorithm %r) does not call it%s",
                *(alias, self.declaration.algorithm.use, hint),
            )

    def _apply(
        self, method: str, alias: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        before, self._replaying = self._replaying, True
        try:
            getattr(GuardedToolbox, method)(self._toolbox, alias, *args, **kwargs)
        finally:
            self._replaying = before

    def __repr__(self) -> str:
        one = self.declaration
        objectives = ", ".join(objective.name for objective in one.objectives)
        return (
            f"<Search {one.name!r}: {one.algorithm.use} for {objectives}, at most "
            f"{one.most_evaluations:,} networks, in {str(self.path)!r}>"
        )


__all__ = ["Search", "SearchStopped"]
