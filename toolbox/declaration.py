"""A declaration: TOML and overrides in, checked frozen dataclasses out."""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, MinLen

from toolbox.algorithm_facts import facts_of
from toolbox.algorithms import ALGORITHMS
from toolbox.backends import BACKENDS
from toolbox.bounds import Bounds, bytes_of
from toolbox.crossover import CROSSOVERS
from toolbox.finals import Finals
from toolbox.halving import Halving
from toolbox.initialization import INITIALIZATIONS
from toolbox.mutation import MUTATIONS
from toolbox.objectives import OBJECTIVES
from toolbox.objectives.measured import objectives_of
from toolbox.objectives.objective import Objective
from toolbox.problem import adapted
from toolbox.quantities import Direction, quantities_with
from toolbox.screening import SCREENS
from toolbox.selection import SELECTIONS
from toolbox.shelf import did_you_mean, take
from toolbox.signature import Chosen, Parameter, check, choose, described, read, signature_of
from toolbox.source_keys import check_source
from toolbox.sources import Source
from toolbox.swaps import overridden

# Each alias of the toolbox: the shelf it is taken from, how many parameters the search passes by
# position, and what it uses if the declaration does not say.
ALIASES: Mapping[str, tuple[Mapping[str, Any], int, str]] = {
    "individual": (INITIALIZATIONS, 0, "uniform_random"),
    "mate": (CROSSOVERS, 2, "uniform"),
    "mutate": (MUTATIONS, 1, "reset_gene"),
    "select": (SELECTIONS, 2, "nsga2"),
    "screen": (SCREENS, 2, "everyone"),
    "map": (BACKENDS, 2, "processes"),
}
# What may be swapped by an override of `use` alone.
SWAPPED: Mapping[str, Mapping[str, Any]] = {
    "algorithm": ALGORITHMS,
    **{f"toolbox.{alias}": shelf for alias, (shelf, _, _) in ALIASES.items()},
}
CHOOSE_NOBODY_TWICE = ("nsga2", "nsga3", "spea2")  # selections; they are for who survives
# What a function may ask for in its signature, besides what the declaration says.
GIVEN = {
    "individual": {"space", "objectives", "index"},
    "mate": {"space", "objectives", "population"},
    "mutate": {"space", "objectives", "population"},
    "select": {"space", "objectives"},
    "screen": {"space", "objectives", "evaluator", "sources"},
    "map": {"threads", "gpus"},
    "algorithm": {"space", "objectives"},
}


LARGEST_POPULATION = 1_000_000  # a larger one is a slip of the hand, and fills the memory
LARGEST_WORST = 1e300  # of a declared worst: there must be room beyond it


@dataclass(frozen=True)
class Stop:
    """When to stop before `algorithm.generations`; a rule that is not declared never stops.

    evaluations: distinct networks evaluated, exact, and the further trainings of the finals, for
    which room is kept.  The other rules end the search before its finals.  wall_seconds: of
    searching, added up over sessions (less what an interrupted one spent on an unfinished
    generation), looked at after each generation.  target_fitness: one number for each objective,
    all reached by one network.  stale_generations: without a better network, or with several
    objectives without a new one on the front.
    """

    evaluations: Annotated[int, Ge(1)] | None = None
    wall_seconds: Annotated[float, Gt(0)] | None = None
    target_fitness: float | Annotated[tuple[float, ...], MinLen(1)] | None = None
    stale_generations: Annotated[int, Ge(1)] | None = None

    def target(self) -> tuple[float, ...] | None:
        """`target_fitness` with one number for each objective."""
        given = self.target_fitness
        return (given,) if isinstance(given, int | float) else given


@dataclass(frozen=True)
class Declaration:
    """A search, checked.  `Chosen` parts know what they name and with which options.

    sources: what was found in each run folder of `learn_from`, once they were read.
    """

    name: str
    objectives: tuple[Objective, ...]
    problem: Chosen
    toolbox: Mapping[str, Chosen]
    algorithm: Chosen
    population: int
    generations: int
    bounds: Bounds = field(default_factory=Bounds)
    stop: Stop = field(default_factory=Stop)
    halving: Halving | None = None
    finals: Finals | None = None
    seed: int = 0
    objective_tables: tuple[Any, ...] = ()
    learn_from: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def most_evaluations(self) -> int:
        """How many evaluations there can be at most, those of the finals among them."""
        algorithm = self.algorithm
        children = facts_of(algorithm.target).children(self.population, algorithm.options)
        most = self.population + self.generations * children
        again = self.finals.evaluations if self.finals else 0
        return min(most, self.most_networks or most) + again

    @property
    def most_networks(self) -> int | None:
        """How many networks the search itself may evaluate: room is kept for the finals."""
        if self.stop.evaluations is None or self.finals is None:
            return self.stop.evaluations
        return self.stop.evaluations - self.finals.evaluations

    @property
    def needs(self) -> frozenset[str]:
        """The names in a measurement that the objectives and bounds rest on."""
        return frozenset(self.bounds.measured.limits).union(*(o.needs for o in self.objectives))

    def remarks(self) -> Iterator[str]:
        """What is legal and hardly meant, a line each."""
        facts, select = facts_of(self.algorithm.target), self.toolbox["select"].use
        screen = self.toolbox["screen"]
        if self.learn_from and "sources" not in screen.given:
            yield (
                f"learn_from: only the first population learns from it, because toolbox.screen = "
                f"{screen.use!r} does not; 'interaction_ranker' does"
            )
        if self.population == 1 and self.generations and self.algorithm.use != "random_search":
            yield (
                "algorithm.population = 1: there is one parent, so that selection and crossover "
                "change nothing"
            )
        if facts.parents and select in CHOOSE_NOBODY_TWICE:
            yield (
                f"toolbox.select = {select!r}: in {self.algorithm.use!r} it draws the parents, and "
                "it draws nobody twice, so that nearly everyone is one; 'tournament' draws the "
                "better ones more often"
            )
        if facts.select and select != facts.select:
            yield (
                f"toolbox.select = {select!r}: in {self.algorithm.use!r} it decides who survives, "
                f"as {facts.select!r} would; parents are not drawn by it"
            )

    def identity(self, problem: Any) -> dict[str, Any]:
        """All that a measurement of `problem`, built from this declaration, depends on.

        A problem that is no dataclass is what was declared of it.
        """
        built = problem if is_dataclass(problem) else self.problem.options
        return {"use": self.problem.use, **described(built, identity=True)}

    def table(self) -> dict[str, Any]:
        """The declaration with every default filled in, as TOML data."""
        algorithm = described(self.algorithm)
        return {
            "objectives": described(self.objective_tables),
            "seed": self.seed,
            **({"learn_from": list(self.learn_from)} if self.learn_from else {}),
            "problem": described(self.problem),
            "toolbox": {alias: described(chosen) for alias, chosen in self.toolbox.items()},
            "algorithm": {
                "use": algorithm.pop("use"),
                "population": self.population,
                "generations": self.generations,
                **algorithm,
            },
            "bounds": {"redraws": self.bounds.redraws, **self.bounds.limits},
            "stop": described(self.stop),
            **({"halving": described(self.halving)} if self.halving else {}),
            **({"finals": described(self.finals)} if self.finals else {}),
        }


def load(path: Path, overrides: Sequence[str], problems: Mapping[str, Any]) -> Declaration:
    """The declaration in a TOML file with `key=value` overrides applied.

    problems: the shelf of problems.  Raises ValueError, one line that names the key, for anything
    that is wrong.
    """
    return declare(read_tables(path, overrides), problems, name=path.stem)


def read_tables(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """What a TOML file says, with `key=value` overrides applied.  Raises ValueError as `load`."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin so
    except FileNotFoundError:
        near = [str(other) for other in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        raise ValueError(f"{path}: there is no such file{did_you_mean(str(path), near)}") from None
    except OSError as error:
        raise ValueError(f"{path}: it cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: it must be saved as UTF-8: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: it is not TOML: {error}") from error
    overridden(tables, overrides, SWAPPED)
    return tables


def declare(tables: Mapping[str, Any], problems: Mapping[str, Any], name: str) -> Declaration:
    """The declaration of a search from TOML data.  Raises ValueError as `load` does."""
    any_table = Parameter(default={})
    if isinstance(seeds := tables.get("seed"), list):
        raise ValueError(
            f"seed = {seeds}: a search has one seed; --seeds {max(1, len(seeds))} runs a search "
            "for each of so many"
        )
    found = check(
        tables,
        {
            "objectives": Parameter(list[Any]),
            "seed": Parameter(Annotated[int, Ge(0)], 0),
            "learn_from": Parameter(tuple[str, ...], ()),
            "problem": Parameter(),
            "toolbox": any_table,
            "algorithm": Parameter(),
            "bounds": any_table,
            "stop": any_table,
            "halving": any_table,
            "finals": any_table,
        },
        "",
    )
    algorithm, size = _algorithm(found["algorithm"])
    stop = read(Stop, found["stop"], "stop")
    finals = read(Finals, found["finals"], "finals") if found["finals"] else None
    if finals:
        children = facts_of(algorithm.target).children(size["population"], algorithm.options)
        bred = size["population"] + size["generations"] * children
        finals = finals.among(stop.evaluations or bred)
    if (
        finals
        and finals.networks
        and stop.evaluations
        and stop.evaluations < finals.evaluations + finals.networks
    ):
        raise ValueError(
            f"stop.evaluations = {stop.evaluations}: the finals take {finals.evaluations} of them, "
            f"so that at least {finals.evaluations + finals.networks} are needed for them and the "
            f"{finals.networks} networks that they are held among"
        )
    for number, source in enumerate(found["learn_from"]):
        if source in found["learn_from"][:number]:
            raise ValueError(f"learn_from[{number}] = {source!r}: it is named twice")
    aliases = _aliases(found["toolbox"], algorithm, len(found["objectives"]))
    _check_parents(algorithm, aliases)
    given = aliases["individual"].options.get("genomes", ())
    if len(given) > size["population"]:
        raise ValueError(
            f"toolbox.individual.genomes has {len(given)} architectures; algorithm.population = "
            f"{size['population']} has no room for them"
        )
    bounds = _bounds(found["bounds"])
    halving = read(Halving, found["halving"], "halving") if found["halving"] else None
    # At last what may have to import torch, which takes seconds: a mistake elsewhere is known now,
    # and so is most of what may be wrong with the problem and the objectives.
    source = check_source(found["problem"], problems, "problem")
    add_names = source.read_by("quantities") if source else None
    said = found["problem"] if isinstance(found["problem"], Mapping) else {}
    if add_names and not add_names & said.keys():  # it has no names of its own
        _check_names(found["objectives"], OBJECTIVES)
    problem = _problem(found["problem"], problems, found["seed"])
    objectives = _objectives(found["objectives"], problem)
    if len(objectives) > 1 and facts_of(algorithm.target).one_objective:
        raise ValueError(
            f"algorithm.use = {algorithm.use!r}: it takes one objective, not {len(objectives)}; "
            "for several use 'nsga2'"
        )
    if stop.target() and len(stop.target()) != len(objectives):
        raise ValueError(
            f"stop.target_fitness = {described(stop.target_fitness)!r}: "
            f"{len(objectives)} numbers are needed, one for each objective"
        )
    return Declaration(
        name=name,
        objectives=objectives,
        problem=problem,
        toolbox=aliases,
        algorithm=algorithm,
        bounds=replace(bounds, views=_views(objectives, bounds)),
        stop=stop,
        halving=halving,
        finals=finals,
        seed=found["seed"],
        objective_tables=tuple(found["objectives"]),
        learn_from=found["learn_from"],
        population=size["population"],
        generations=size["generations"],
    )


def _bounds(table: Any) -> Bounds:
    redraws = Parameter(Annotated[int, Ge(0)], Bounds().redraws)
    limit = Parameter(Annotated[float, Gt(0)])
    if isinstance(table, Mapping):
        table = {name: _limit(name, value) for name, value in table.items()}
    names = table if isinstance(table, Mapping) else {}
    limits = {name: limit for name in names if name != "redraws"}
    values = check(table, {"redraws": redraws, **limits}, "bounds")
    return Bounds(redraws=values.pop("redraws"), limits=values)


def _views(
    objectives: Iterable[Objective], bounds: Bounds
) -> dict[str, Callable[[Mapping[str, float]], float]]:
    """What the bounded names are that are not measured themselves: objectives."""
    computed = {one.name: one.viewed for one in objectives if one.needs != (one.name,)}
    return {name: computed[name] for name in bounds.limits if name in computed}


def _limit(name: str, value: Any) -> Any:
    """A bound with a size such as "96 KB" in bytes, where the name is one in bytes."""
    if not isinstance(value, str) or not name.endswith("_bytes"):
        return value
    try:
        return bytes_of(value)
    except ValueError as error:
        raise ValueError(f"bounds.{name} = {error}") from None


def _objectives(entries: Sequence[Any], problem: Chosen) -> tuple[Objective, ...]:
    if not entries:
        raise ValueError(f"objectives = []: at least one is needed; legal: {', '.join(OBJECTIVES)}")
    shelf = _legal_objectives(entries, problem)
    objectives = tuple(
        _objective(entry, f"objectives[{number}]", shelf) for number, entry in enumerate(entries)
    )
    names = [objective.name for objective in objectives]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"objectives = {names}: {name!r} is named twice")
    return objectives


def _check_names(entries: Sequence[Any], shelf: Mapping[str, Any]) -> None:
    """Raise ValueError for an objective that is neither on the shelf nor anybody's own."""
    for number, entry in enumerate(entries):
        use = entry.get("use") if isinstance(entry, Mapping) else entry
        if isinstance(use, str) and ":" not in use:
            take(use, shelf, f"objectives[{number}]")


def _legal_objectives(entries: Sequence[Any], problem: Chosen) -> Mapping[str, Any]:
    """The objectives of the toolbox, and those that the problem's own names are.

    The problem is only built for a name that is not the toolbox's: it may take seconds to import.
    """
    used = [entry.get("use") if isinstance(entry, Mapping) else entry for entry in entries]
    if all(not isinstance(use, str) or ":" in use or use in OBJECTIVES for use in used):
        return OBJECTIVES
    own = adapted(problem.build()).quantities
    added = (quantity for name, quantity in quantities_with(own).items() if name in own)
    return {**OBJECTIVES, **objectives_of(added)}


def _objective(entry: Any, key: str, shelf: Mapping[str, Any]) -> Objective:
    table = {"use": entry} if isinstance(entry, str) else entry
    if not isinstance(table, Mapping) or not isinstance(table.get("use"), str):
        raise ValueError(f"{key} = {entry!r}: a name or a table like {{ use = 'name' }} is needed")
    use = table["use"]
    found = take(use, shelf, key)
    known = found if isinstance(found, Objective) else None
    view = known.view if known else found
    options, any_key = signature_of(view, positional=1)
    own = {"direction": Direction, "worst": Annotated[float, Ge(-LARGEST_WORST), Le(LARGEST_WORST)]}
    parameters = dict(options) if not isinstance(view, partial) else {}
    for name, annotation in own.items():
        parameters[name] = (
            Parameter(annotation, getattr(known, name)) if known else Parameter(annotation)
        )
    if missing := [name for name in own if known is None and name not in table]:
        raise ValueError(
            f"{key}: {' and '.join(missing)} must be declared for {use!r}, like "
            "direction = 'maximize', worst = 0.0 (the value of a network that failed)"
        )
    values = check(
        {name: value for name, value in table.items() if name != "use"}, parameters, key, any_key
    )
    direction, worst = values.pop("direction"), values.pop("worst")
    if known and direction != known.direction and "worst" not in table:
        raise ValueError(
            f"{key}.worst is missing: the one of {use!r} is for {known.direction}, and a failed "
            f"network needs a value that is worst when it is {direction}d"
        )
    return Objective(
        name=values.get("name", use) if use == "measured" else use.rpartition(":")[2],
        view=partial(view, **values) if values else view,
        direction=direction,
        worst=float(worst),
        needs=known.needs if known else ((values["name"],) if use == "measured" else ()),
    )


def _problem(table: Any, problems: Mapping[str, Any], seed: int) -> Chosen:
    chosen = choose(table, problems, "problem")
    declared = isinstance(table, Mapping) and "seed" in table
    if "seed" in chosen.options and not declared:
        return replace(chosen, options={**chosen.options, "seed": seed})
    return chosen


def _check_parents(algorithm: Chosen, aliases: Mapping[str, Chosen]) -> None:
    select, screen = aliases["select"].use, aliases["screen"].use
    draws_parents = facts_of(algorithm.target).parents
    if draws_parents and select in CHOOSE_NOBODY_TWICE and screen != "everyone":
        raise ValueError(
            f"toolbox.select = {select!r}: in {algorithm.use!r} it draws the parents, and it draws "
            f"nobody twice; toolbox.screen = {screen!r} needs more parents than there are: take "
            f"{draws_parents!r}, 'roulette', 'truncation' or 'mean_field_game'"
        )


def _aliases(table: Any, algorithm: Chosen, objectives: int) -> dict[str, Chosen]:
    parameters = {alias: Parameter(default=use) for alias, (_, _, use) in ALIASES.items()}
    facts = facts_of(algorithm.target)
    if select := facts.select or (facts.parents if objectives == 1 else None):
        parameters["select"] = Parameter(default=select)
    entries = check(table, parameters, "toolbox")
    return {
        alias: choose(
            entries[alias],
            shelf,
            f"toolbox.{alias}",
            positional,
            GIVEN[alias],
        )
        for alias, (shelf, positional, _) in ALIASES.items()
    }


def _algorithm(table: Any) -> tuple[Chosen, dict[str, int]]:
    if not isinstance(table, Mapping):
        raise ValueError(
            f"algorithm = {table!r}: a table like "
            "{ use = 'nsga2', population = 20, generations = 10 } is needed"
        )
    sizes = {
        "population": Parameter(Annotated[int, Ge(1), Le(LARGEST_POPULATION)]),
        "generations": Parameter(Annotated[int, Ge(0)]),
    }
    given = GIVEN["algorithm"]
    chosen = choose(table, ALGORITHMS, "algorithm", positional=2, given=given, also=sizes)
    asked, _ = signature_of(chosen.target, positional=2)
    size = {name: chosen.options[name] for name in sizes}
    options = {k: v for k, v in chosen.options.items() if k not in sizes or k in asked}
    return replace(chosen, options=options), size
