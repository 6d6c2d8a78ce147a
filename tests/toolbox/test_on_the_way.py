"""What a guide learns from networks that a halving stopped."""

from dataclasses import replace
from statistics import fmean

import numpy
import pytest

from tests.toolbox.test_halving import (  # one is a fixture of every test
    ACCURACY,
    RUNGS,
    ZEROS,
    Curves,
    searched,
    tables,
)
from toolbox.archive import Archive
from toolbox.screening.on_the_way import OnTheWay, Step

WHOLE = 1 - 0.5**18  # of what a network of Curves is worth after all its epochs


def guided(objectives=(ACCURACY,), halving=RUNGS, **algorithm):
    asked = {"population": 27, "generations": 3, **algorithm}
    declared = tables(halving=halving, objectives=objectives, **asked)
    select = "tournament" if len(objectives) == 1 else "nsga2"
    chosen = {"select": select, "screen": "interaction_ranker"}
    return declared | {"toolbox": declared["toolbox"] | chosen}


def on_the_way(run):
    return OnTheWay(run.toolbox.evaluator.networks, (2, 6, 18))


def truth(record):
    return -sum(record.genome) / len(record.genome) * WHOLE


@pytest.mark.parametrize("objectives", [(ACCURACY,), (ACCURACY, ZEROS)], ids=["one", "two"])
def test_what_was_stopped_counts_as_what_it_would_be_worth(objectives):
    run = searched(guided(objectives, generations=0))
    records = list(run.toolbox.evaluator.networks.records.values())
    sound = [record for record in records if record.status == "ok"]
    assert {record.measurement["epochs"] for record in sound} == {2, 6, 18}
    losses = on_the_way(run).losses(records)
    found = dict(zip([record.key for record in records], losses, strict=True))
    for record in sound:  # all curves here are of one form, so that the lines are exact
        assert found[record.key][0] == pytest.approx(truth(record), abs=1e-12)
        if len(objectives) > 1:
            assert found[record.key][1] == pytest.approx(-record.measurement["zeros"])
    judge = run.toolbox.evaluator.judge
    for record in records:
        if record.status != "ok":
            assert list(found[record.key]) == list(judge.losses([record])[0])


def test_beliefs_are_of_whole_trainings_and_of_no_other():
    run = searched(guided())
    beliefs = run.archive.noted("beliefs")
    whole = {r.key: r for r in run.archive.networks() if r.measurement.get("epochs") == 18}
    assert whole.keys() == beliefs.keys()
    off = [beliefs[key][0][0] + truth(record) for key, record in whole.items()]
    assert abs(fmean(off)) < 0.1  # -.15 if what was stopped after 2 epochs were taken as it is


def test_without_halving_everything_is_believed_something_of():
    run = searched(guided(halving=None))
    assert run.archive.noted("beliefs").keys() == {record.key for record in run.archive}


@pytest.mark.parametrize("ended_after", [20, 35, 50, 65])
def test_a_search_that_is_continued_learns_what_it_learned(ended_after):
    undisturbed = searched(guided(), Archive({}))
    assert len(Curves.asked) > 65
    Curves.asked.clear()
    Curves.kept.clear()
    archive = Archive({})
    Curves.stop_before = ended_after
    with pytest.raises(KeyboardInterrupt):
        searched(guided(), archive)
    Curves.stop_before = None
    again = searched(guided(), archive)
    assert again.population == undisturbed.population
    assert archive.noted("beliefs") == undisturbed.archive.noted("beliefs")


def test_what_the_archive_has_beyond_is_not_learned_from():
    run = searched(guided(generations=0))
    networks = run.toolbox.evaluator.networks
    records = list(networks.records.values())
    before = on_the_way(run).losses(records)
    stopped = next(r for r in records if r.measurement.get("epochs") == 2)
    key = networks.archive.key(stopped.architecture)
    later = networks.key_after(6, key, stopped.genome)
    run.archive.add(
        replace(stopped, key=later, measurement=stopped.measurement | {"accuracy": 9.0})
    )
    assert (on_the_way(run).losses(records) == before).all()


def test_networks_that_were_never_compared_on_their_way_tell_no_line():
    archive = Archive({})
    searched(guided(halving=None, generations=0), archive)
    run = searched(guided(generations=0), archive)  # all of them are known in full
    records = list(run.toolbox.evaluator.networks.records.values())
    judge = run.toolbox.evaluator.judge
    assert on_the_way(run)._steps() == [None, None]
    assert (on_the_way(run).losses(records) == judge.losses(records)).all()


def test_few_pairs_tell_the_distance_and_no_slope():
    before, after = numpy.array([[1.0], [3.0]]), numpy.array([[0.5], [0.7]])
    step = Step.through(before, after)
    assert step(numpy.array([2.0]))[0] == pytest.approx(0.6)
    assert step(numpy.array([4.0]))[0] == pytest.approx(2.6)


def test_a_line_is_drawn_to_the_one_that_keeps_the_order():
    numbers = numpy.random.default_rng(0)
    before = numbers.normal(size=(6, 1))
    same_order = Step.through(before, 0.3 * before + 1)
    assert same_order.slope[0] == pytest.approx(0.3)
    unlike = numbers.normal(size=(6, 1))
    fitted = Step.through(before, unlike).slope[0]
    plain = numpy.cov(before.T, unlike.T, ddof=0)[0, 1] / before.var()
    kept = unlike.std() / before.std()
    assert fitted == pytest.approx(max((6 * plain + 4 * kept) / 10, 0))
    assert min(plain, kept) < fitted < max(plain, kept)


def test_what_does_not_change_is_left_alone():
    flat = numpy.ones((5, 1))
    assert Step.through(flat, 2 * flat)(numpy.array([3.0]))[0] == 4.0
    falling = numpy.arange(5.0)[:, None]
    assert Step.through(falling, -9 * falling).slope[0] == 0.0
