"""The benchmark of searches that learn from others runs its parts."""

import pytest

from benchmarks import learn_from
from benchmarks.learn_from import ON_TABLES, dealt, digits, on_table, table
from toolbox.sources import Source


@pytest.mark.slow
def test_every_variant_is_searched_on_a_table(monkeypatch):
    monkeypatch.setattr(learn_from, "BUDGETS", (22,))
    monkeypatch.setattr(learn_from, "SOURCE_TRAININGS", 30)
    found = [
        {"what": "small cells", "variant": v, "seed": seed, "found": on_table("small cells", v, 7)}
        for v in ON_TABLES
        for seed in (1, 2)
    ]
    assert all(row["found"]["22"] >= 0 for row in found)
    assert table(found)[2].startswith("| small cells, 2 seeds | 22 | ")
    assert len(table(found[:-1])) == 2, "one pair is no sample"


def test_shuffled_networks_keep_no_measurement_of_their_own():
    networks = [([n], str(n), {"val_accuracy": float(n)}) for n in range(50)]
    found = dealt(Source("source", {}, networks), "shuffled").networks
    assert [one[:2] for one in found] == [one[:2] for one in networks]
    assert sum(genome == [one["val_accuracy"]] for genome, _, one in found) < 10
    assert sorted(one["val_accuracy"] for _, _, one in found) == list(range(50))


def test_the_best_of_a_reversed_source_was_the_worst():
    networks = [([n], str(n), {"val_accuracy": float(n)}) for n in (2, 0, 1)]
    found = dealt(Source("source", {}, networks), "reversed").networks
    assert {name: one["val_accuracy"] for _, name, one in found} == {"0": 2, "1": 1, "2": 0}


@pytest.mark.slow
def test_labels_that_are_shuffled_teach_nothing(monkeypatch):
    monkeypatch.setattr(learn_from, "SOURCE_NETWORKS", 3)
    accuracies = [found["val_accuracy"] for _, _, found in digits("shuffled", 1).networks]
    assert max(accuracies) < 0.3
