"""A finished search as a study of Optuna, in an SQLite file that optuna-dashboard opens.

A trial is a network, in the order in which they became known.  Its params are the genes (an inert
gene is left out), its values the objectives as far as they are known: means after finals, and
estimates where a guide has them.  Optuna's `study.best_trials` is the front of the search: bounds
are constraints, and after finals a network that is not held against theirs is beyond one too.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deap_nas.finished_run import FinishedRun
from toolbox.archive import Record
from toolbox.finals import estimated_fitness
from toolbox.judge import Judge
from toolbox.lineage import Birth
from toolbox.problem import adapted
from toolbox.report.ranking import comparable
from toolbox.space import Space
from toolbox.work import Work

if TYPE_CHECKING:
    import optuna

NOT_COMPARED = 1.0  # by how much a network is beyond the constraint of the finals


def require_optuna() -> None:
    """Raise ValueError, one line, without the package optuna."""
    if find_spec("optuna") is None:
        raise ValueError(
            "--to optuna: the package optuna is not installed; pip install 'deap-nas[optuna]'"
        )


def write_studies(runs: Sequence[FinishedRun], path: Path, screen: Any) -> list[str]:
    """Write a study for each run into the file `path`, in place of it; the studies' names.

    screen: shows how far it is.  Raises ValueError, one line, if it cannot be written.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    part = path.with_name(f".{path.name}.part")
    names = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        part.touch()
        networks = [run.archive.networks() for run in runs]
        with (
            _storage_in(part) as storage,
            Work(screen, "networks", sum(map(len, networks)), "export") as work,
        ):
            for run, records in zip(runs, networks, strict=True):
                name = f"{run.declaration.name}/{run.path.absolute().name}"
                _write(
                    run,
                    records,
                    optuna.create_study(
                        storage=storage,
                        study_name=name,
                        directions=[one.direction for one in run.declaration.objectives],
                    ),
                    work,
                )
                names.append(name)
        os.replace(part, path)
    except OSError as error:
        raise ValueError(f"{path}: it cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return names


@contextmanager
def _storage_in(path: Path) -> Iterator["optuna.storages.RDBStorage"]:
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _write(run: FinishedRun, records: Sequence[Record], study: "optuna.Study", work: Work) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is called experimental
        study.set_metric_names([objective.name for objective in run.declaration.objectives])
    study.set_user_attr("declaration", run.declaration.table())
    space = adapted(run.problem).space
    births: dict[str, Birth] = {}
    for birth in run.archive.births:
        births.setdefault(birth.key, birth)
    sound = [record for record in records if run.judge.feasible(record)]
    held = {record.key for record in comparable(run.judge, sound)}
    compared = held if len(held) < len(sound) else None
    for record in sorted(records, key=lambda one: one.finished_at):
        study.add_trial(_trial(run.judge, space, record, births.get(record.key), compared))
        work.advance()


def _trial(
    judge: Judge, space: Space, record: Record, birth: Birth | None, compared: set[str] | None
) -> "optuna.trial.FrozenTrial":
    import optuna

    values = _values(judge, record)
    params, distributions = _params(space, record.genome)
    finished = datetime.fromisoformat(record.finished_at)
    seconds = record.measurement.get("train_seconds", 0.0)
    user_attrs: dict[str, Any] = {
        "architecture": record.architecture,
        "key": record.key,
        "status": record.status,
        **({"message": record.message} if record.message else {}),
        **({"generation": birth.generation} if birth else {}),
        **({"trainings": 1 + len(record.further)} if record.further else {}),
        **record.measurement,
    }
    constraints = _constraints(judge, record, compared)
    state = optuna.trial.TrialState.COMPLETE if values else optuna.trial.TrialState.FAIL
    trial = optuna.trial.create_trial(
        state=state,
        values=values,
        params=params,
        distributions=distributions,
        user_attrs=user_attrs,
        system_attrs={"constraints": constraints} if constraints else {},
    )
    # As Optuna keeps them: local time without a zone.
    trial.datetime_complete = finished.astimezone().replace(tzinfo=None)
    trial.datetime_start = trial.datetime_complete - timedelta(seconds=seconds)
    return trial


def _values(judge: Judge, record: Record) -> list[float] | None:
    """The objectives; None of a network that failed or was refused before they were known."""
    if record.failed or not judge.complete(record):
        return None
    if judge.feasible(record):
        return list(estimated_fitness(judge, record))
    return [judge.value(objective, record) for objective in judge.objectives]


def _constraints(judge: Judge, record: Record, compared: set[str] | None) -> list[float]:
    """How far a network is beyond each bound, and beyond not being compared; at most 0 is within.

    compared: the keys of those that the front is made of; None: it may be made of all.
    """
    beyond = []
    for name, limit in judge.bounds.limits.items():
        value = judge.bounds.value(name, record.measurement)
        beyond.append(0.0 if value is None else value - limit)
    if compared is not None:
        beyond.append(0.0 if record.key in compared else NOT_COMPARED)
    return beyond


def _params(
    space: Space, genome: Sequence[int]
) -> tuple[dict[str, Any], dict[str, "optuna.distributions.BaseDistribution"]]:
    """The choices of a canonical genome by gene, without the inert genes, and what else there was.

    A choice that is no plain value is told by its text.
    """
    import optuna

    canonical = list(space.canonical(list(genome)))
    params: dict[str, Any] = {}
    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for place, gene in enumerate(space.genes):
        others = (
            [*canonical[:place], choice, *canonical[place + 1 :]]
            for choice in range(len(gene.choices))
            if choice != canonical[place]
        )
        inert = len(gene.choices) > 1 and all(
            list(space.canonical(other)) == canonical for other in others
        )
        if not inert:
            choices = [_plain(choice) for choice in gene.choices]
            params[gene.name] = choices[canonical[place]]
            distributions[gene.name] = optuna.distributions.CategoricalDistribution(choices)
    return params, distributions


def _plain(choice: Any) -> bool | int | float | str | None:
    return choice if choice is None or isinstance(choice, bool | int | float | str) else str(choice)
