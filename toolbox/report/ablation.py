"""What single changes of one network do: which are worth a training, and how they are shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from rich import table

from toolbox.archive import Record
from toolbox.finals import deviation_within
from toolbox.judge import Judge
from toolbox.quantities import Quantity, meant
from toolbox.report.importance import Foretelling
from toolbox.report.page import Section, Table
from toolbox.space import Space


@dataclass(frozen=True)
class Change:
    """Another choice of one gene of a network; genome: with it."""

    gene: str
    before: str
    after: str
    genome: list[int]


@dataclass(frozen=True)
class Ablation:
    """A network and what was measured of it with single changes, the most telling first."""

    network: Record
    changes: Sequence[tuple[Change, Record]]


def telling_changes(
    space: Space,
    genome: Sequence[int],
    told: Sequence[Foretelling],
    count: int,
    admits: Callable[[list[int]], bool],
) -> list[Change]:
    """The single changes that are foretold to move a network most, one for each gene first.

    told: of each objective that counts; a change moves the network by the largest of its moves.
    admits: whether a genome may be evaluated.  Changes of inert genes, which change nothing, and
    those that lead out of the space are left out.
    """
    here = list(space.canonical(list(genome)))
    met = {space.decode(here)}
    found: list[Change] = []
    numbers: list[int] = []  # of the gene, for each
    for place, gene in enumerate(space.genes):
        for choice in range(len(gene.choices)):
            changed = [*here[:place], choice, *here[place + 1 :]]
            if choice == here[place] or space.violation(changed) or not admits(changed):
                continue
            architecture = space.decode(list(space.canonical(changed)))
            if architecture not in met:
                met.add(architecture)
                before, after = str(gene.choices[here[place]]), str(gene.choices[choice])
                found.append(Change(gene.name, before, after, changed))
                numbers.append(place)
    if not found:
        return []
    genomes = [here, *(change.genome for change in found)]
    places = numpy.array([one.places(genomes) for one in told])
    moves = numpy.abs(places[:, 1:] - places[:, :1]).max(axis=0)
    order = numpy.argsort(-moves, kind="stable").tolist()
    times = dict.fromkeys(numbers, 0)
    turns = {}
    for one in order:
        turns[one] = times[numbers[one]]
        times[numbers[one]] += 1
    return [found[one] for one in sorted(order, key=turns.__getitem__)[:count]]


def noise_of_a_change(judge: Judge, records: Sequence[Record]) -> tuple[float, ...] | None:
    """The standard deviation of each objective's difference between two single trainings of one
    network; None if no network was trained again."""
    deviation = deviation_within(judge, records)
    return None if deviation is None else tuple(float(one * 2**0.5) for one in deviation)


def ablation_rows(
    judge: Judge, ablation: Ablation, noise: Sequence[float] | None
) -> list[dict[str, Any]]:
    """A row for the network itself and for each change: its objectives and how they moved."""
    names = [objective.name for objective in judge.objectives]
    own = judge.fitness(ablation.network)
    rows: list[dict[str, Any]] = [
        {"gene": "(as it is)", "from": "", "to": ""}
        | dict(zip(names, own, strict=True))
        | {"status": "ok", "architecture": ablation.network.architecture}
    ]
    for change, record in ablation.changes:
        row: dict[str, Any] = {"gene": change.gene, "from": change.before, "to": change.after}
        values = judge.fitness(record) if judge.feasible(record) else (None,) * len(names)
        for name, now, before in zip(names, values, own, strict=True):
            row |= {name: now, f"change of {name}": None if now is None else now - before}
        status = "infeasible" if record.status == "ok" and values[0] is None else record.status
        rows.append(row | {"status": status, "architecture": record.architecture})
    if noise:
        rows.append(
            {"gene": "(noise of a change)", "from": "", "to": ""}
            | {f"change of {name}": one for name, one in zip(names, noise, strict=True)}
        )
    return rows


def ablation_table(
    judge: Judge,
    ablation: Ablation,
    records: Sequence[Record],
    quantities: Mapping[str, Quantity],
) -> table.Table:
    """The rows of an ablation for a terminal.  records: of the search, for the noise."""
    title = f"Single changes of {ablation.network.architecture}"
    shown = table.Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("gene", "from", "to"):
        shown.add_column(name)
    names = [objective.name for objective in judge.objectives]
    for name in names:
        shown.add_column(meant(name, quantities).heading, justify="right", no_wrap=True)
        shown.add_column("change", justify="right", no_wrap=True)
    shown.add_column("status")
    for row in ablation_rows(judge, ablation, noise_of_a_change(judge, records)):
        numbers = []
        for name in names:
            value, change = row.get(name), row.get(f"change of {name}")
            quantity = meant(name, quantities)
            sign = "+" if change is not None and change > 0 and "status" in row else ""
            numbers.append("" if value is None else quantity.number(value))
            numbers.append("" if change is None else sign + quantity.number(change))
        shown.add_row(row["gene"], row["from"], row["to"], *numbers, row.get("status", ""))
    return shown


def ablation_sections(
    judge: Judge, ablations: Sequence[Ablation], records: Sequence[Record], run: str
) -> list[Section]:
    """A table of each ablation; none if there were none.  records: of the search, for the noise."""
    if not ablations:
        return []
    noise = noise_of_a_change(judge, records)
    said = (
        "Noise: the standard deviation of a difference between two trainings of one network, from "
        "those that were trained again with other seeds."
        if noise
        else "How much two trainings of one network differ is not known here, as none was trained "
        "again; [finals] in a declaration tells it."
    )
    tables = [
        Table(
            f"ablation_{run.replace('/', '_')}_{number}",
            f"{one.network.architecture}",
            ablation_rows(judge, one, noise),
            "Each row is a network with one gene changed, trained as in the search, once.  " + said,
        )
        for number, one in enumerate(ablations, start=1)
    ]
    return [Section(f"What single changes do ({run})", tables=tables)]


def noted(ablation: Ablation) -> dict[str, Any]:
    """An ablation as plain data, to be noted in an archive that holds its records."""
    changes = [
        {"gene": change.gene, "before": change.before, "after": change.after}
        | {"genome": change.genome, "key": record.key}
        for change, record in ablation.changes
    ]
    return {"network": ablation.network.key, "changes": changes}


def remembered(note: Mapping[str, Any], records: Mapping[str, Record]) -> Ablation:
    """The ablation of `noted`; records: by key."""
    return Ablation(
        records[note["network"]],
        [
            (
                Change(one["gene"], one["before"], one["after"], one["genome"]),
                records[one["key"]],
            )
            for one in note["changes"]
        ],
    )
