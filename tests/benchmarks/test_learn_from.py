"""The benchmark of searches that learn from others runs its parts."""

from benchmarks import learn_from
from benchmarks.learn_from import VARIANTS, digits, on_table, shuffled, table
from toolbox.sources import Source


def test_every_variant_is_searched_on_a_table(monkeypatch):
    monkeypatch.setattr(learn_from, "BUDGETS", (22,))
    monkeypatch.setattr(learn_from, "SOURCE_TRAININGS", 30)
    found = [
        {"what": "small cells", "variant": v, "seed": seed, "found": on_table("small cells", v, 7)}
        for v in VARIANTS
        for seed in (1, 2)
    ]
    assert all(row["found"]["22"] >= 0 for row in found)
    assert table(found)[2].startswith("| small cells, 2 seeds | 22 | ")
    assert len(table(found[:-1])) == 2, "one pair is no sample"


def test_shuffled_networks_keep_no_measurement_of_their_own():
    networks = [([n], str(n), {"value": float(n)}) for n in range(50)]
    dealt = shuffled(Source("source", {}, networks)).networks
    assert [one[:2] for one in dealt] == [one[:2] for one in networks]
    assert sum(genome == [found["value"]] for genome, _, found in dealt) < 10
    assert sorted(found["value"] for _, _, found in dealt) == list(range(50))


def test_labels_that_are_shuffled_teach_nothing(monkeypatch):
    monkeypatch.setattr(learn_from, "SOURCE_NETWORKS", 3)
    accuracies = [found["val_accuracy"] for _, _, found in digits("shuffled", 1).networks]
    assert max(accuracies) < 0.3
