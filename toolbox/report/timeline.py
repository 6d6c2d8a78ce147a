"""Who trained what, and when: the evaluations of a run by worker, with what each waited."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from toolbox.archive import Record
from toolbox.report.evaluations import Evaluations
from toolbox.report.figures import COLOURS, Plot

MOST_OPEN = 1200  # evaluations of a drawing that can be opened; more are drawn as one picture
MOST_LANES = 40  # beside each other; with more workers than that, a lane is whoever is free
SLACK = 0.05  # seconds that two stints of one worker may overlap, by the way of an outcome
OWN_PROCESS = "the search's own process"
KINDS = {"measured": COLOURS[0], "again": COLOURS[4], "failed": COLOURS[1]}
MEANT = {"measured": "measured", "again": "begun again, then measured", "failed": "failed"}


@dataclass(frozen=True)
class Stint:
    """One evaluation: lane, and seconds of searching from its beginning to its end.

    kind: "failed", "again" (a first attempt was lost with its process), or "measured".
    """

    record: Record
    worker: str
    lane: int
    began: float
    ended: float

    @property
    def kind(self) -> str:
        return (
            "failed" if self.record.failed else "again" if self.record.attempts > 1 else "measured"
        )


@dataclass(frozen=True)
class Timeline:
    """The stints of a run.

    lanes: whose each is; a worker that holds several networks at once has more of them, without a
    name, and of very many workers none has one.  busy: the share of the time that they worked.
    """

    stints: Sequence[Stint]
    lanes: Sequence[str]
    busy: float


def timeline(run: Evaluations) -> Timeline | None:
    """That of every evaluation whose time was kept, of fewer epochs and other seeds too.

    None if none was kept, as by an earlier version, or if all is one moment.
    """
    known = [record for record in run.archive if record.seconds]  # in the archive's order
    if not known:
        return None
    ends = run.searching(known)
    if not ends.max():  # it is not known when the search began, and one evaluation was timed
        return None
    # An evaluation cannot have begun before the search did, whatever the clocks say.
    begins = numpy.maximum(0.0, ends - [record.seconds for record in known])
    workers = {record.worker for record in known}
    one_machine = len({worker.rpartition(" ")[0] for worker in workers}) == 1
    pooled = len(workers) > MOST_LANES
    ends_of: dict[str, list[float]] = defaultdict(list)  # of the last stint in each slot of a pool
    placed = []
    for place in numpy.argsort(begins, kind="stable").tolist():
        worker = _said(known[place].worker, one_machine)
        pool = ends_of["" if pooled else worker]
        slot = next((n for n, end in enumerate(pool) if end <= begins[place] + SLACK), len(pool))
        pool[slot : slot + 1] = [float(ends[place])]
        placed.append((place, worker, slot))
    lanes: list[str] = []
    first = {}
    for pool_name in sorted(ends_of, key=_in_order):
        first[pool_name] = len(lanes)
        lanes += [pool_name, *[""] * (len(ends_of[pool_name]) - 1)]
    stints = [
        Stint(
            known[place],
            worker,
            first["" if pooled else worker] + slot,
            float(begins[place]),
            float(ends[place]),
        )
        for place, worker, slot in placed
    ]
    return Timeline(stints, lanes, _busy(stints))


def _said(worker: str, one_machine: bool) -> str:
    machine, _, number = worker.rpartition(" ")
    if not worker:
        return OWN_PROCESS
    return f"worker {number}" if one_machine else f"{machine}, worker {number}"


def _in_order(name: str) -> tuple[str, int]:
    head, _, number = name.rpartition(" ")
    return (head, int(number)) if number.isdecimal() else (name, 0)


def _busy(stints: Sequence[Stint]) -> float:
    """Of the time from the first beginning to the last end, with as many workers as there were."""
    by_worker: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for stint in stints:
        by_worker[stint.worker].append((stint.began, stint.ended))
    worked = 0.0
    for spans in by_worker.values():
        until = 0.0
        for began, ended in sorted(spans):
            worked += max(0.0, ended - max(began, until))
            until = max(until, ended)
    whole = max(s.ended for s in stints) - min(s.began for s in stints)
    return min(1.0, worked / (whole * len(by_worker))) if whole else 1.0


def timeline_plot(found: Timeline, name: str, run: str, several: bool) -> Plot:
    """A bar for each evaluation, in the lane of its worker."""
    height = min(9.0, 1.5 + 0.34 * len(found.lanes))
    figure = Figure(figsize=(9.6, height), layout="constrained")
    subplot = figure.subplots()
    longest = max(stint.ended for stint in found.stints)
    unit, size = next(
        ((unit, size) for unit, size in (("hours", 3600), ("minutes", 60)) if longest > 2 * size),
        ("seconds", 1),
    )
    closed = len(found.stints) > MOST_OPEN
    for kind, fill in KINDS.items():
        of_it = [stint for stint in found.stints if stint.kind == kind]
        if not of_it:
            continue
        boxes = [
            [
                (stint.began / size, stint.lane - 0.38),
                (stint.began / size, stint.lane + 0.38),
                (stint.ended / size, stint.lane + 0.38),
                (stint.ended / size, stint.lane - 0.38),
            ]
            for stint in of_it
        ]
        bars = PolyCollection(
            boxes, facecolor=fill, edgecolor="white", linewidth=0.6, rasterized=closed, alpha=0.8
        )
        if closed:
            bars.set_linewidth(0.2)
        else:
            bars.set_urls([f"#{stint.record.key}" for stint in of_it])
        subplot.add_collection(bars)
    subplot.set_xlim(0, longest / size * 1.01)
    subplot.set_ylim(len(found.lanes) - 0.4, -0.6)
    named = [place for place, lane in enumerate(found.lanes) if lane]
    subplot.set_yticks(named, [found.lanes[place] for place in named])
    if not named:
        subplot.set_ylabel(f"{len(found.lanes)} at once at most")
    subplot.set_xlabel(f"{unit} of searching")
    subplot.grid(axis="y", visible=False)
    kinds = [kind for kind in KINDS if any(stint.kind == kind for stint in found.stints)]
    handles = [
        Line2D([], [], marker="s", lw=0, ms=9, color=KINDS[kind], label=MEANT[kind])
        for kind in kinds
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    caption = (
        f"The workers were busy {100 * found.busy:.0f} % of the time.  What is empty is waiting, "
        "for the slowest of a generation or for the search itself."
    )
    title = f"The workers of {run}" if several else "Who trained what, and when"
    return Plot(name, title, figure, caption)


def timeline_table(found: Timeline, run: str) -> list[dict[str, Any]]:
    """A row for each evaluation, in the order in which they began."""
    return [
        {
            "run": run,
            "worker": stint.worker,
            "began at second": round(stint.began, 3),
            "ended at second": round(stint.ended, 3),
            "status": stint.record.status,
            "attempts": stint.record.attempts,
            "epochs": stint.record.measurement.get("epochs"),
            "architecture": stint.record.architecture,
            "key": stint.record.key,
        }
        for stint in found.stints
    ]
