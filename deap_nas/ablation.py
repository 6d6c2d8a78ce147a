"""Single changes of a finished search's network, really trained.

They are kept in ablation.sqlite beside the search's archive and never in it, so that a search which
goes on later takes the steps that it would have taken.
"""

import logging
from contextlib import closing
from dataclasses import replace
from typing import Any

from deap_nas.finished_run import FinishedRun
from deap_nas.opening import archived, prepared
from deap_nas.readiness import make_ready
from deap_nas.refused import refusing
from toolbox.archive import Archive, Record, differences
from toolbox.assemble import assemble
from toolbox.declaration import Declaration, Stop
from toolbox.folder_lock import held
from toolbox.operator_error import OperatorError
from toolbox.problem import Problem, own
from toolbox.report.ablation import Ablation, noted, remembered, telling_changes
from toolbox.report.importance import LEAST_TAU, Foretelling, foretelling
from toolbox.report.picking import default_rule, pick
from toolbox.work import Work

FILE = "ablation.sqlite"
NOTE = "ablations"
FEWEST_FOR_A_GUESS = 5  # networks

log = logging.getLogger(__name__)


def ablations_of(finished: FinishedRun) -> list[Ablation]:
    """What is kept of the ablations of a run, the last one first; none if there were none."""
    path = finished.path / FILE
    if not path.is_file():
        return []
    archive = Archive.read(path)
    records = {record.key: record for record in archive}
    try:
        return [remembered(note, records) for note in reversed(archive.noted(NOTE, []))]
    except KeyError as error:
        raise ValueError(f"{path}: there is no {error.args[0]!r} in it, of an ablation") from error


def ablate(finished: FinishedRun, rule: str | None, count: int, screen: Any) -> Ablation:
    """Train the `count` most telling single changes of a network that a rule picks.

    rule: as for retrain; None: best for one objective, knee for several.  What was trained before,
    by the search or here, is served.  screen: shows how far it is.  Raises ValueError, one line, if
    it cannot be done.
    """
    key = f"--ablate {count}"
    chosen = pick(finished.judge, finished.archive.networks(), rule or default_rule(finished.judge))
    declaration = _alone(finished.declaration)
    problem = prepared(declaration).wanted(declaration.needs)
    if problem.inherits:
        raise ValueError(
            f"{key}: networks begin with their parents' weights here (problem.inherit), so that a "
            "changed one would measure something else"
        )
    told = _told(finished, problem, chosen, key)
    busy = "another ablation is running in this folder"
    instead = "copy the run folder to another disk"
    try:
        with (
            held(finished.path, busy, instead, ".ablation.lock"),
            archived(declaration, problem, finished.path, finished.path / FILE) as (ready, archive),
        ):
            _check_same(finished, declaration, ready)
            return _ablated(finished, declaration, ready, archive, chosen, told, count, screen)
    except OSError as error:
        raise ValueError(f"{finished.path}: it cannot be written: {error.strerror}") from error


def _alone(declaration: Declaration) -> Declaration:
    """The search's declaration for networks that are each trained to the end, on this machine."""
    toolbox = declaration.toolbox
    if toolbox["map"].use == "scoop":
        from toolbox.backends import BACKENDS
        from toolbox.signature import choose

        log.info("the search ran on workers of SCOOP; this runs in processes of this machine")
        here = choose("processes", BACKENDS, "toolbox.map", 2, {"threads", "gpus"})
        toolbox = {**toolbox, "map": here}
    return replace(declaration, stop=Stop(), halving=None, finals=None, toolbox=toolbox)


def _told(finished: FinishedRun, problem: Problem, chosen: Record, key: str) -> list[Foretelling]:
    """What the search foretells of the objectives that only a training tells, or else of all."""
    judge, records = finished.judge, finished.archive.networks()
    known = set(problem.known(list(chosen.genome)))
    columns = range(len(judge.objectives))
    trained = [
        column
        for column in columns
        if not (needs := set(judge.objectives[column].needs)) or not needs <= known
    ]
    answers = {
        judge.objectives[column].name: foretelling(
            problem.space, judge, records, column, fewest=FEWEST_FOR_A_GUESS, least_tau=-1.0
        )
        for column in trained or columns
    }
    told = [answer for answer in answers.values() if not isinstance(answer, str)]
    if not told:
        why = "; ".join(f"{name}: {answer}" for name, answer in answers.items())
        raise ValueError(f"{key}: which changes are telling cannot be foretold: {why}")
    if min(one.tau for one in told) < LEAST_TAU:
        log.warning("%s: these networks tell little of others: the changes are a guess", key)
    return told


def _check_same(finished: FinishedRun, declaration: Declaration, problem: Problem) -> None:
    identity = declaration.identity(own(problem))
    if changes := differences(finished.archive.problem, identity):
        raise ValueError(
            f"{finished.path}: its networks were not trained as they would be here "
            f"({'; '.join(changes)}), so changes cannot be held against them"
        )


def _ablated(
    finished: FinishedRun,
    declaration: Declaration,
    problem: Problem,
    archive: Archive,
    chosen: Record,
    told: list[Foretelling],
    count: int,
    screen: Any,
) -> Ablation:
    with Work(screen, "networks", 0, "ablation") as work:
        served: set[str] = set()

        def on_record(record: Record) -> None:
            work.advance(free=int(record.key in served))

        toolbox = assemble(declaration, problem, archive, on_record=on_record)
        with closing(toolbox), refusing(OperatorError):
            networks = toolbox.evaluator.networks
            changes = telling_changes(
                problem.space,
                chosen.genome,
                told,
                count,
                lambda genome: not networks.known_violation(genome),
            )
            if len(changes) < count:
                log.info("%d single changes are networks of this space", len(changes))
            genomes = [list(chosen.genome), *(change.genome for change in changes)]
            for key, _ in map(networks.identify, genomes):
                _serve(finished.archive, archive, key)
                served |= {key} if archive.get(key) else set()
            work.total = len(genomes)
            work.details = chosen.architecture
            make_ready(declaration, toolbox, finished.path)
            network, *others = toolbox.evaluator.records(toolbox.backend, genomes)
    if not finished.judge.feasible(network):
        raise ValueError(
            f"{network.architecture} has no measurement of all its epochs ({network.status}: "
            f"{network.message}), so changes cannot be held against it"
        )
    ablation = Ablation(network, list(zip(changes, others, strict=True)))
    _note(archive, ablation)
    return ablation


def _serve(known: Archive, archive: Archive, key: str) -> None:
    """Take over a record of the search."""
    record = known.get(key)
    if record is not None and archive.get(key) is None:
        archive.add(record)


def _note(archive: Archive, ablation: Ablation) -> None:
    """Remember an ablation, in place of an earlier one of the same network."""
    earlier = [note for note in archive.noted(NOTE, []) if note["network"] != ablation.network.key]
    archive.note(NOTE, [*earlier, noted(ablation)])
