import itertools

import moocore
import numpy
import pytest

from tests.conftest import Run, lotz, onemax
from toolbox.archive import Archive, Record
from toolbox.judge import Judge
from toolbox.objectives import OBJECTIVES
from toolbox.quantities import QUANTITIES
from toolbox.report.all_networks import all_networks
from toolbox.report.axes import Axes
from toolbox.report.evaluations import Evaluations, hypervolume_so_far, nondominated
from toolbox.report.figures import diversity_plot, front_plot
from toolbox.report.generations import course, parent_table
from toolbox.report.origins import ancestry, ancestry_table, operator_table


def evaluations(run):
    return Evaluations("run", run.toolbox.evaluator.judge, run.archive, run.declaration.population)


def test_the_hypervolume_so_far_is_that_of_all_rows_until_each():
    losses = numpy.random.default_rng(1).random((40, 3))
    reference = numpy.array([0.9, 0.9, 0.9])
    volumes = hypervolume_so_far(losses, reference)
    whole = [moocore.hypervolume(losses[: n + 1], ref=reference) for n in range(len(losses))]
    assert volumes == pytest.approx(whole)


def test_a_network_that_failed_adds_no_volume_and_is_on_no_front():
    losses = numpy.array([[numpy.nan, numpy.nan], [1.0, 1.0]])
    assert hypervolume_so_far(losses, numpy.array([2.0, 2.0])).tolist() == [0.0, 1.0]
    assert nondominated(losses).tolist() == [1]


def test_the_time_between_two_sessions_does_not_count():
    run = Run(onemax(generations=0))
    archive = Archive({})
    for number, minute in enumerate((1, 2, 61, 62)):
        at = f"2026-01-01T0{minute // 60}:{minute % 60:02}:00.000+00:00"
        archive.add(Record(str(number), [1], str(number), "ok", {"ones": 1.0}, finished_at=at))
    judge = Judge(run.declaration.objectives)
    assert Evaluations("run", judge, archive, 8).seconds.tolist() == [0, 60, 3600, 3660]
    began = [f"2026-01-01T0{hour}:00:00.000+00:00" for hour in (0, 1)]
    archive.note("sessions", [{"began": one, "ended": ""} for one in began])
    assert Evaluations("run", judge, archive, 8).seconds.tolist() == [60, 120, 180, 240]


@pytest.mark.parametrize("tables", [onemax(), lotz(generations=6)], ids=["onemax", "lotz"])
def test_the_shares_are_those_that_the_search_counted(tables):
    run = Run(tables)
    shares = evaluations(run).shares
    assert shares["reused"] == sum(generation.reused for generation in run.generations)
    assert shares["measured"] == sum(generation.trained for generation in run.generations)
    assert shares["failed"] == shares["infeasible"] == 0


def test_the_legend_of_many_runs_stays_in_its_plot():
    runs = [evaluations(Run(lotz(generations=1))) for _ in range(5)]
    for number, run in enumerate(runs, start=1):
        object.__setattr__(run, "name", f"a search/seed-{number}")
    figure = diversity_plot(runs, [course(run) for run in runs]).figure
    figure.canvas.draw()
    (legend,) = figure.legends
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1


def test_every_individual_stands_once_in_the_table_of_operators():
    run = Run(lotz(generations=6))
    found = evaluations(run)
    front = {found.records[place].key for place in nondominated(found.losses)}
    rows = operator_table([found], front)
    assert sum(row["individuals"] for row in rows) == len(found.births)
    assert sum(row["new networks"] for row in rows) == len(found.records)
    assert sum(row["survivors"] for row in rows) == sum(birth.survived for birth in found.births)
    assert sum(row["at the top"] for row in rows) == len(front)
    assert any(row["better than their parents"] for row in rows)
    (first,) = (row for row in rows if row["made by"] == "first population")
    assert (first["individuals"], first["better than their parents"]) == (20, 0)


def test_the_winners_line_goes_from_the_first_population_to_the_winner():
    run = Run(onemax())
    found = evaluations(run)
    best = int(numpy.argmax(found.fitness[:, 0]))
    origin = ancestry(found, found.records[best].key)
    assert origin.line[0].generation == 0
    assert all(a.number in b.parents for a, b in itertools.pairwise(origin.line))
    rows = ancestry_table(found, origin)
    assert rows[0]["ones"] == found.fitness[best, 0]
    assert rows[-1]["made by"] == "first population"
    assert {birth.number for birth in origin.near} <= {birth.number for birth in origin.births}
    assert ancestry(found, "no such key") is None


def three_objectives():
    """Networks of a search of three objectives; the last one is dominated."""
    archive = Archive({})
    numbers = [(0.9, 900, 3.0), (0.8, 100, 2.0), (0.7, 200, 1.0), (0.6, 950, 3.5)]
    for number, (accuracy, params, latency) in enumerate(numbers):
        measured = {"val_accuracy": accuracy, "params": params, "latency_seconds": latency}
        at = f"2026-01-01T00:00:0{number}.000+00:00"
        archive.add(
            Record(f"{number:032x}", [number], f"net {number}", "ok", measured, finished_at=at)
        )
    names = ("val_accuracy", "params", "latency_seconds")
    return Evaluations("run", Judge([OBJECTIVES[name] for name in names]), archive, 4)


def test_each_pair_of_the_objectives_is_drawn_with_the_front_of_all_of_them():
    run = three_objectives()
    axes = Axes.of([run], QUANTITIES)
    assert [pair.name for pair in axes.pairs] == [
        "front_params",
        "front_latency_seconds",
        "front_params_latency_seconds",
    ]
    assert (axes.pairs[0].y.name, axes.pairs[0].x.name) == ("val_accuracy", "params")
    front = {run.records[place].key for place in nondominated(run.losses)}
    assert len(front) == 3
    for pair in axes.pairs:
        others, strong = front_plot([run], pair).figure.axes[0].collections[1:]
        assert {url.removeprefix("#") for url in strong.get_urls()} == front
        assert len(others.get_urls()) == 1


def test_the_plot_of_all_networks_knows_each_of_them_and_the_front():
    run = three_objectives()
    found = all_networks([run], Axes.of([run], QUANTITIES), QUANTITIES)
    assert found["front"] == [1, 1, 1, 0]
    assert found["values"]["params"] == [900, 100, 200, 950]
    assert (found["y"], found["x"], found["colour"]) == (
        "val_accuracy",
        "params",
        "latency_seconds",
    )
    assert found["left_out"] == 0


def test_the_generations_and_the_parents_are_those_of_the_births():
    run = Run(onemax())
    found = evaluations(run)
    generations = course(found)
    assert [one.generation for one in generations] == list(range(len(generations)))
    assert sum(one.individuals for one in generations) == len(found.births)
    assert sum(one.new for one in generations) == len(found.records)
    assert all(one.best[0] >= one.mean[0] >= one.worst[0] for one in generations)
    assert max(one.best[0] for one in generations) == found.fitness.max()
    parents = {birth.key: 0 for birth in found.births}
    for birth in found.births:
        for key in {found.births[number].key for number in birth.parents}:
            parents[key] += 1
    most = parent_table([found])[0]
    assert most["children"] == max(parents.values()) == parents[most["key"]]
