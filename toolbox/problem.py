"""What a problem is: each hook that a search may ask for, with its default, units and errors.

A problem turns a genome into a measurement.  Any object with `space` and `evaluate` is one; it need
not inherit from anything.  A class that does inherit from `Problem` has every default by name, and
its author has them in an editor.  `adapted` is the only reader of hooks: it checks an object once
and answers with a `Problem` on which every hook can be called.

A problem that is a frozen dataclass is declared by its fields: `problem.use = "module:Class"`, and
each further key is a field.  The metadata of a field decide what becomes of it:

shelf
    A mapping of names to classes.  The key then takes a name of the shelf, "module:Class", or a
    table with `use`, and the field holds an instance.
function
    Beside `shelf`: a class that stands for a plain function.  If `use` names a function,
    `of(use, function, options)` of that class makes the field's value; its `declared()` answers
    with the table to be written into declarations.
around
    Beside `shelf`: a class of values that stand around what was declared, their `space`.
ranges
    True: a range may stand in the field's table where a value does.  The field holds a dataclass
    whose class method `with_ranges(table, read)` makes its instances; `read` makes one of a table
    of plain values.  Its `searched` holds the ranges: objects with `name`, the dotted name of a
    field, and `declared`, a table.
declared
    False: the key cannot be written in a declaration, and is not written into one.
identity
    Whether an archive's measurements depend on the field, so that an archive of another value is
    refused.  By default what `declared` is.  False suits a folder that may move or a number that
    only changes speed; True suits a fingerprint of data, which nobody declares.  A field that is
    None is left out of an identity, so that a new field whose default is None leaves old archives
    valid.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from toolbox.hooks import Hooks, check_required, offers, point_out_near_misses
from toolbox.operator_error import OperatorError
from toolbox.space import Space, adapted_space

Measurement = dict[str, Any]  # finite numbers by name, and a learning curve if there is one
Options = Mapping[str, Any]  # what `evaluate` is given beside the genome, by name; plain data
Genomes = Iterable["list[int] | tuple[list[int], Options] | None"]
# Measures genomes of another problem with the means of the search: the problem, its genomes, and
# the beginning of the path of a file that keeps their measurements.  None is a network that failed.
MeasureOthers = Callable[[Any, Sequence[list[int]], Path], list[Measurement | None]]


class Problem:
    """The problem of a search: `space` and `evaluate` (or `evaluate_many`) are required."""

    space: Space
    """The search space; see toolbox/space.py."""

    # What is measured

    def evaluate(self, genome: list[int], **options: Any) -> Measurement:
        """The measurement of a genome: named finite numbers.  Beside them it may have
        "learning_curve", how the training went: a list of finite numbers, one an epoch, or a dict
        of several such lists, which the report draws.

        Called in a worker, in any order, and must depend on the genome and the problem alone.
        Whatever it raises is recorded as the failure of this network; a `measurement` attribute of
        the exception is kept.  options: `epochs` and `key` for a problem with `epochs`, `key` and
        `parents` for one that `inherits`, `seed` for one that `reseeds`; nothing otherwise.
        """
        raise NotImplementedError

    measures: Sequence[str] | None = None
    """The names in every measurement; None if they are not known beforehand.  They let a name that
    is not measured be refused before the first evaluation."""

    quantities: Mapping[str, Mapping[str, Any]] = {}
    """What the problem's own names mean, for labels and as objectives, by name: any of "label",
    "unit", "direction" ("maximize" or "minimize"), "worst" and "percent"; see quantities.py."""

    def known(self, genome: list[int]) -> Measurement:
        """What arithmetic tells of a genome without an evaluation, by the names of a measurement.

        Called very often, in the leading process.  Bounds and the learned guide use it.  By default
        nothing is known.
        """
        return {}

    def features(self, genome: list[int]) -> Sequence[float]:
        """What a canonical genome's network is like, beside its genes: finite numbers, always as
        many and in the same order.

        Called very often, in the leading process, by a learned guide, which ranks networks by them.
        By default those of the space.
        """
        return self.space.features(genome)

    def preview(self, genome: list[int]) -> Measurement:
        """What can be measured before a training, in the worker, such as a latency.

        Asked for if a bound names what `known` does not tell.  By default what is `known`.
        """
        return self.known(genome)

    def cost(self, genome: list[int]) -> float:
        """How long an evaluation takes, in any unit; the longest are begun first.  By default all
        take the same."""
        return 0.0

    def layers(self, genome: list[int]) -> list[dict[str, Any]]:
        """The network of a genome, layer by layer, the image first, as it is shown in a report.

        Each layer has "name" (as it is read), "kind" ("image", "conv", "pool", "linear" or
        "other"), "shape" (of its output), "params" and "macs".  By default there is no layer table.
        """
        return []

    # How it is measured

    evaluate_many: Callable[[Genomes], Iterator[tuple[int, Measurement | Exception]]] | None = None
    """Several evaluations in one process, for a problem that overlaps them.

    `evaluate_many(genomes)` yields the number of a genome and its measurement, or what it raised,
    as each becomes known.  The genomes are read when there is room.  A None among them means
    that none is ready now; one with options is (genome, options).  By default they are evaluated
    one by one.
    """

    at_once: int = 1
    """How many genomes one process should be given at a time."""

    threads: int = 1
    """The threads that one evaluation uses; as many processes are started as the cores allow."""

    gpus: int = 0
    """The GPUs of this machine that the workers share; 0 for a problem on the CPU."""

    gpu_uuid: str | None = None
    """NVIDIA's name of the GPU that the evaluations run on, to show how it is used."""

    def on_worker(self, rank: int) -> "Problem":
        """The same problem on the worker of this rank on its machine, which may use a GPU of its
        own.  By default the same."""
        return self

    # Before the first evaluation

    def prepared(self) -> "Problem":
        """The same problem with everything in place that is decided once: the device, the data.

        Called once, in the leading process, before anything is written.  Raises ValueError, one
        line that names the key, for what cannot be had.  By default the same.
        """
        return self

    def wanted(self, names: Collection[str]) -> "Problem":
        """The same problem, told which names of a measurement the objectives and bounds need.

        It may leave out others whose measuring makes all evaluations wait.  Called once, after
        `prepared`.  By default the same.
        """
        return self

    def in_folder(self, folder: Path) -> "Problem":
        """The same problem, told the run folder, where it may keep files.  By default the same."""
        return self

    def ready(
        self, folder: Path, measure: MeasureOthers, admits: Callable[[list[int]], bool]
    ) -> "Problem":
        """The same problem after work that comes before a search, such as training a supernet.

        Called once, in the leading process, after the archive is open.  folder: the run folder;
        what is finished there must not be done again.  admits: whether a genome is within the
        search's bounds.  Raises FloatingPointError, one line, if the search must not begin.  By
        default the same.
        """
        return self

    def budget(self, evaluations: int) -> str:
        """What the given number of evaluations costs, in words."""
        return f"{evaluations:,} evaluations"

    # How long it will take

    def with_trials(self, seconds: float) -> "Problem | None":
        """A problem of the same space whose evaluations are trials of this one's, of about so many
        seconds each; None, the default, if a whole evaluation is the shortest trial.

        Its measurement tells of a whole evaluation `expected_seconds` (elapsed, in a process that
        has begun), `least_seconds` (if it ends as early as it can), `epoch_seconds` (of one epoch;
        0 if there are none), `epochs` (if one was seen to stop before the last), `kept_bytes` (what
        stays of it in the run folder), and `trial_seconds` of the trial itself, without what a
        process does once.
        """
        return None

    def readying(self, seconds: float) -> "tuple[float, Sequence[tuple[Any, int]]]":
        """What `ready` will take after `in_folder`: seconds in the leading process, found by a
        trial of about so many, and how many evaluations of which problems.  By default nothing."""
        return 0.0, ()

    # Fewer epochs, and weights of parents

    epochs: int | None = None
    """The epochs of a full training; None for a problem that cannot train less.

    A problem with epochs is asked for `evaluate(genome, epochs=n, key=...)` by successive halving.
    Its measurement then has `epochs`, those the network has behind it, and `trained_epochs`, those
    that were trained for this answer: fewer if it went on with what it kept under `key`.
    """

    grow_with_epochs: Sequence[str] = ()
    """Names in a measurement that no comparison after fewer epochs may rest on."""

    def forget(self, key: str) -> None:
        """The network of this key is not trained further; by default nothing was kept of it."""

    def kept_files(self, options: Options) -> Sequence[Path]:
        """The files of the run folder (`in_folder`) that an evaluation with these options reads or
        leaves there, always in the same order; they need not exist.

        A worker that does not see the run folder has them in a folder of its own, as far as they
        are no larger together than `carry_mib` of the backend.  By default none.
        """
        return ()

    def shared_files(self) -> Sequence[Path]:
        """The files of the run folder that every evaluation reads and none changes, such as the
        weights of a supernet; they are there after `ready`.

        A worker that does not see the run folder is told a folder of its own by `in_folder`, in
        which they are at the same places.  By default none.
        """
        return ()

    inherits: bool = False
    """Whether `evaluate` is told `key` and `parents`: the keys of the networks that this one was
    made of, the first parent first."""

    # Again, with another seed

    reseeds: bool | int = False
    """Whether a network can be measured again: True for any number of times, or how many times.

    A problem that can is asked for `evaluate(genome, seed=n)` by the finals, n = 1, 2, ...: another
    full training of the same network, as independent of its others as two trainings are.  Without
    the option the answer is the one of seed 0.
    """


HOOKS = frozenset(name for name in vars(Problem) if not name.startswith("_")) | {"space"}


class _Adapted(Hooks):
    """A user's object with the defaults of `Problem` for the hooks that it does not have."""

    _contract, _hooks, _key = Problem, HOOKS, "problem"
    _arithmetic = frozenset({"known", "features", "cost", "layers"})

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        if name == "space":
            value = vars(self)["space"] = adapted_space(value)
        elif name == "known":
            value = vars(self)["known"] = _finite(value)
        elif name in ("kept_files", "shared_files"):
            value = vars(self)[name] = _paths(value, f"problem.{name}")
        return value

    def on_worker(self, rank: int) -> Problem:
        return self._same(self._found("on_worker")(rank))

    def prepared(self) -> Problem:
        return self._same(self._found("prepared")())

    def wanted(self, names: Collection[str]) -> Problem:
        return self._same(self._found("wanted")(names))

    def in_folder(self, folder: Path) -> Problem:
        return self._same(self._found("in_folder")(folder))

    def ready(self, *told: Any) -> Problem:
        return self._same(self._found("ready")(*told))

    def with_trials(self, seconds: float) -> Problem | None:
        found = self._found("with_trials")(seconds)
        return found and adapted(found)

    def _same(self, own: Any) -> Problem:
        return cast(Problem, self) if own is self else adapted(own)


def _finite(known: Callable[[list[int]], Measurement]) -> Callable[[list[int]], Measurement]:
    """What is known, which a bound and a guide may reckon with."""

    def checked(genome: list[int]) -> Measurement:
        found = known(genome)
        try:
            sound = all(map(math.isfinite, found.values()))
        except (AttributeError, TypeError):
            sound = False
        if not sound:
            raise OperatorError(
                f"problem.known: it returned {found!r}; a dict of finite numbers is needed"
            )
        return found

    return checked


def _paths(files: Callable[..., Any], said: str) -> Callable[..., list[Path]]:
    """The files that a problem names, which are read and written without it."""

    def checked(*options: Options) -> list[Path]:
        found = files(*options)
        try:
            if not isinstance(found, str):
                return [Path(one) for one in found]
        except TypeError:
            pass
        raise OperatorError(f"{said}: it returned {found!r}; a list of paths is needed")

    return checked


def adapted(problem: Any) -> Problem:
    """A problem with every hook: the object's own where it has one, the default otherwise.

    What it answers for a hook is read once.  `own(problem)` is the object itself.  Warns of a name
    that is nearly a hook's.  Raises ValueError if what is required is missing.
    """
    if isinstance(problem, Problem | _Adapted):
        return cast(Problem, problem)
    evaluating = () if offers(problem, "evaluate_many") else ("evaluate",)
    check_required(problem, ("space", *evaluating), "problem")
    point_out_near_misses(problem, HOOKS, "problem")
    return cast(Problem, _Adapted(problem))


def own(problem: Problem) -> Any:
    """The object that a user's class made, which `adapted` was given."""
    return problem.own if isinstance(problem, _Adapted) else problem
