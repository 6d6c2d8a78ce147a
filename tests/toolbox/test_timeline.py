from datetime import UTC, datetime, timedelta

import pytest

from problems.spaces.bit_string import BitString
from tests.conftest import Run, onemax
from toolbox.archive import Archive, Record
from toolbox.judge import Judge
from toolbox.measure import Job, Measure
from toolbox.objectives import OBJECTIVES
from toolbox.report.evaluations import Evaluations
from toolbox.report.figures import opened_keys, styled
from toolbox.report.timeline import timeline, timeline_plot, timeline_table

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def at(second):
    return (BEGUN + timedelta(seconds=second)).isoformat(timespec="milliseconds")


def run_of(*stints):
    """A run of (worker, began, ended, what else a record has), begun at second 0."""
    archive = Archive({})
    archive.note("sessions", [{"began": at(0), "ended": ""}])
    for number, (worker, began, ended, *more) in enumerate(stints):
        told = {"status": "ok", **(more[0] if more else {})}
        archive.add(
            Record(
                *(str(number), [number], f"net {number}"),
                measurement={"val_accuracy": 0.5} if told["status"] == "ok" else {},
                finished_at=at(ended),
                worker=worker,
                seconds=ended - began,
                **told,
            )
        )
    return Evaluations("run", Judge([OBJECTIVES["val_accuracy"]]), archive, 4)


def test_each_worker_has_a_lane_and_what_is_between_its_stints_is_waiting():
    found = timeline(run_of(("pc 2", 0, 4), ("pc 1", 0, 10), ("pc 2", 6, 10)))
    assert found.lanes == ["worker 1", "worker 2"]
    assert {(one.lane, one.began, one.ended) for one in found.stints} == {
        (0, 0, 10),
        (1, 0, 4),
        (1, 6, 10),
    }
    assert found.busy == pytest.approx(0.9)


def test_a_worker_that_holds_several_at_once_has_several_lanes_and_one_share_of_work():
    found = timeline(run_of(("gpu 1", 0, 6), ("gpu 1", 2, 10), ("gpu 1", 7, 9)))
    assert found.lanes == ["worker 1", ""]
    assert [one.lane for one in found.stints] == [0, 1, 0]
    assert found.busy == 1


def test_workers_of_several_machines_say_which_and_stand_in_the_order_of_their_numbers():
    found = timeline(run_of(("b 10", 0, 1), ("b 9", 0, 1), ("a 1", 0, 1), ("", 0, 1)))
    assert found.lanes == [
        "a, worker 1",
        "b, worker 9",
        "b, worker 10",
        "the search's own process",
    ]


def test_very_many_workers_share_lanes_without_names():
    found = timeline(run_of(*((f"pc {n}", n // 2, n // 2 + 1) for n in range(100))))
    assert found.lanes == ["", ""]


def test_what_failed_and_what_was_begun_again_can_be_told():
    run = run_of(
        ("pc 1", 0, 1), ("pc 1", 1, 2, {"status": "crash"}), ("pc 1", 2, 3, {"attempts": 2})
    )
    found = timeline(run)
    assert [one.kind for one in found.stints] == ["measured", "failed", "again"]
    with styled():
        plot = timeline_plot(found, "timeline", "run", several=False)
    assert opened_keys(plot.figure) == {"0", "1", "2"}
    labels = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert labels == ["measured", "begun again, then measured", "failed"]
    rows = timeline_table(found, "run")
    assert [row["ended at second"] for row in rows] == [1, 2, 3]


def test_an_archive_of_before_has_no_timeline():
    assert timeline(run_of(("", 1, 1))) is None


def test_where_the_clock_was_set_back_no_time_passed():
    run = run_of(("", 0, 10), ("", 10, 20), ("", -3580, -3570), ("", -3570, -3565))
    assert [record.architecture for record in run.records] == ["net 0", "net 1", "net 2", "net 3"]
    assert run.seconds.tolist() == [10, 20, 20, 25]
    found = timeline(run)
    assert [one.ended for one in found.stints] == [10, 20, 20, 25]
    figure = timeline_plot(found, "workers", "run", several=False).figure
    assert figure.axes[0].get_xlim()[1] > 25


def test_of_one_moment_there_is_no_timeline():
    run = run_of(("", 0, 1))
    run.archive.note("sessions", [])
    assert timeline(run) is None


def test_a_search_tells_how_long_each_network_took_and_where():
    run = Run(onemax())
    found = timeline(Evaluations("run", run.toolbox.evaluator.judge, run.archive, 8))
    assert found is None or found.lanes == ["the search's own process"]  # each took no time
    outcome = Measure(Slow()).on_worker(3)(Job(0, [0, 1]))
    assert outcome.worker.endswith("4")
    assert outcome.seconds > 0


class Slow:
    space = BitString(2)

    def evaluate(self, genome):
        return {"ones": float(sum(range(10_000)))}
