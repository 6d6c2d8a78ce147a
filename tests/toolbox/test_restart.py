"""A search that found nothing better for long begins anew, beside the one that goes on."""

import random
from dataclasses import replace

import pytest

from tests.conftest import Run, lotz, onemax
from toolbox.archive import Archive
from toolbox.lineage import Lineage
from toolbox.screening import restart
from toolbox.screening.learner import Learner

OTHER = {"problem": {"use": "onemax", "length": 16}}


def guided(tables):
    return tables | {"toolbox": tables["toolbox"] | {"screen": "interaction_ranker"}}


def searched(monkeypatch, patience, **more):
    """A search over more generations than it needs, and how many of its births had no parents."""
    monkeypatch.setattr(restart, "PATIENCE", patience)
    run = Run(guided(onemax(population=16, generations=15) | OTHER), **more)
    births = [birth for birth in run.archive.births if birth.generation]
    return run, sum(not birth.parents for birth in births)


@pytest.mark.slow
def test_a_search_that_stagnates_is_given_strangers(monkeypatch):
    never, few = searched(monkeypatch, patience=10_000)
    again, many = searched(monkeypatch, patience=40)
    assert never.generations[-1].best == again.generations[-1].best == (16.0,)
    assert many > few + 16


@pytest.mark.slow
def test_a_search_that_begins_anew_is_repeated_exactly(monkeypatch):
    first, _ = searched(monkeypatch, patience=30)
    known = Archive(first.archive.problem)
    for record in reversed(list(first.archive)[:60]):  # finished in another order
        known.add(record)
    again, _ = searched(monkeypatch, patience=30, archive=known)
    assert again.population == first.population


def restarted(tables):
    """A Restart within a search that is over, and what was learned of that search."""
    run = Run(tables)
    networks = run.toolbox.evaluator.networks
    records = sorted(networks.records.values(), key=lambda record: record.genome)
    random.seed(3)
    learner = Learner(networks, lambda: records, networks.judge.losses)
    return restart.Restart(networks, networks.judge.losses), learner.newest(len(records))


def test_it_waits_for_a_search_that_improves(monkeypatch):
    again, fit = restarted(onemax(population=30, generations=4) | OTHER)
    monkeypatch.setattr(restart, "PATIENCE", 10_000)
    assert again.children(fit, 10) == []
    monkeypatch.setattr(restart, "PATIENCE", 1)
    assert len(again.children(fit, 10)) == 10 * restart.SHARE
    monkeypatch.setattr(restart, "PATIENCE", 10_000)
    assert len(again.children(fit, 10)) == 10 * restart.SHARE, "it goes on once it began"


def test_a_front_is_never_begun_anew(monkeypatch):
    monkeypatch.setattr(restart, "PATIENCE", 0)
    again, fit = restarted(lotz(population=20, generations=3))
    assert again.children(fit, 10) == []


def test_it_learns_from_its_own_networks_alone_and_begins_once_more(monkeypatch):
    monkeypatch.setattr(restart, "PATIENCE", 0)
    monkeypatch.setattr(restart, "SHARE", 1.0)
    again, fit = restarted(onemax(population=20, generations=2) | OTHER)
    networks = again.networks
    evaluate = Run(onemax(population=8, generations=0) | OTHER).problem.evaluate

    def trained(count):
        children = again.children(fit, count)
        for child in children:
            key, genome = networks.identify(child)
            assert key not in networks.records
            record = next(iter(networks.records.values()))
            networks.records[key] = replace(
                record, key=key, genome=genome, measurement=evaluate(genome)
            )
        return children

    trained(20)
    before = again._learner
    best = [max(map(sum, trained(4))) for _ in range(5)]
    assert again._learner is before
    assert {tuple(r.genome) for r in before.records()} == {
        tuple(networks.records[key].genome) for key in again._asked
    }
    assert best[-1] > 12, "it is guided"
    monkeypatch.setattr(restart, "PATIENCE_ANEW", 0)
    trained(4)
    assert again._learner is not before
    assert len(again._asked) == 4


def test_the_births_since_a_network_are_counted():
    lineage = Lineage()
    individuals = [type("Born", (list,), {"made_by": (), "made_of": ()})([n]) for n in range(3)]
    for individual in individuals:
        lineage.bear(individual, str(individual))
    assert [lineage.since(key) for key in ("[0]", "[2]", "[9]")] == [3, 1, 0]


@pytest.mark.parametrize("count", [0, 1])
def test_few_children_are_shared_by_chance(monkeypatch, count):
    monkeypatch.setattr(restart, "PATIENCE", 0)
    again, fit = restarted(onemax(population=30, generations=2) | OTHER)
    found = [len(again.children(fit, count)) for _ in range(40)]
    assert sum(found) == pytest.approx(40 * count * restart.SHARE, abs=12)
