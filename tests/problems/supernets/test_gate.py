import json
import math
from dataclasses import replace

import pytest

from problems.datasets import Digits
from problems.spaces import PooledCnn
from problems.supernets import gate as gates
from problems.supernets.gate import GateClosed, KendallTau, Off, agreement, stratified
from problems.training.recipe import Training
from problems.weight_sharing import WeightSharing

PROBLEM = WeightSharing(
    space=PooledCnn(depth=(2, 3), filters=(4, 8), units=(8, 16)),
    dataset=Digits(limit=100, validation=100),
    training=Training(epochs=7),
    device="cpu",
)


def anything(genome):
    return True


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(gates, "RESAMPLES", 50)


@pytest.mark.parametrize(("order", "tau"), [(1, 1.0), (-1, -1.0)])
def test_the_same_order_agrees_wholly_and_the_reverse_disagrees(order, tau):
    found = agreement("x", [1, 2, 3, 4, 5, 6], [order * 0.1 * n for n in range(6)])
    assert (found.tau, found.low, found.high) == pytest.approx((tau, tau, tau))


def test_one_pair_of_four_in_the_wrong_order_is_a_tau_of_two_thirds():
    found = agreement("x", [1, 2, 3, 4], [1, 2, 4, 3])
    assert found.tau == pytest.approx(4 / 6)
    assert -1 <= found.low <= found.tau <= found.high <= 1
    assert found == agreement("x", [1, 2, 3, 4], [1, 2, 4, 3])


def test_a_score_that_is_the_same_for_all_has_no_order():
    assert math.isnan(agreement("x", [1, 1, 1, 1, 1], [1, 2, 3, 4, 5]).tau)


def test_the_networks_are_spread_over_macs_and_params():
    genomes = stratified(PROBLEM, 12, anything, seed=0)
    assert len({tuple(genome) for genome in genomes}) == 12
    macs = [PROBLEM.known(genome)["macs"] for genome in genomes]
    for first in range(0, 12, 4):  # three parts by macs, four networks each
        part = genomes[first : first + 4]
        params = [PROBLEM.known(genome)["params"] for genome in part]
        assert params == sorted(params)
        assert first == 0 or min(macs[first : first + 4]) >= max(macs[first - 4 : first])
    assert genomes == stratified(PROBLEM, 12, anything, seed=0)
    assert genomes != stratified(PROBLEM, 12, anything, seed=1)


def test_only_networks_within_the_bounds_are_trained():
    def small(genome):
        return PROBLEM.known(genome)["params"] < 2_000

    assert all(small(genome) for genome in stratified(PROBLEM, 6, small, seed=0))


def test_a_space_with_fewer_networks_gives_what_it_has_and_with_too_few_is_refused():
    eight = replace(
        PROBLEM,
        space=PooledCnn(depth=(2, 2), filters=(4, 8), kernels=(3,), pools=("max",),
                        fc_layers=(1, 1), units=(8, 16)),
    )  # fmt: skip
    assert len(stratified(eight, 30, anything, seed=0)) == 8
    with pytest.raises(ValueError, match="gate: 0 networks within the bounds were found in 1200"):
        stratified(eight, 30, lambda genome: False, seed=0)


def measuring(alone_accuracy, shared_loss, failing=()):
    """A `measure` that trains nothing, and what it was asked for."""
    asked = []

    def measure(problem, genomes, path):
        asked.append((path.name, type(problem).__name__, problem.training.epochs))
        found = []
        for number, genome in enumerate(genomes):
            known = problem.known(genome)
            found.append(
                known
                | {
                    "val_accuracy": alone_accuracy(number, known),
                    "val_loss": shared_loss(number, known),
                    "train_seconds": 1.5,
                }
            )
        return [None if number in failing else one for number, one in enumerate(found)]

    return measure, asked


def accuracy(number, known):
    return (7 * number % 10) / 10  # in no order of size


def test_a_score_that_ranks_passes_and_what_was_seen_is_kept(tmp_path, caplog):
    caplog.set_level("INFO")
    measure, asked = measuring(accuracy, lambda *of: 1 - accuracy(*of))
    KendallTau(networks=10, epochs=3).check(PROBLEM, tmp_path, measure, anything)
    assert asked == [
        ("gate_shared", "WeightSharing", 7),
        ("gate_alone", "ImageClassification", 3),
    ]
    told = json.loads((tmp_path / "gate.json").read_text())
    assert [one["score"] for one in told["agreements"]] == ["shared val_loss", "params", "macs"]
    assert told["agreements"][0]["tau"] == pytest.approx(1)
    assert len(told["networks"]) == 10
    assert "shared val_loss  1.000 [1.000, 1.000]" in caplog.text
    assert "trained alone in 15 s" in caplog.text


def test_a_score_that_ranks_no_better_than_counting_does_not_pass(tmp_path):
    def by_macs(number, known):
        return known["macs"] / 1e9

    measure, _ = measuring(by_macs, lambda *of: 1 - by_macs(*of))  # equal is not better
    with pytest.raises(GateClosed, match=r"macs alone with 1\.000") as closed:
        KendallTau(networks=10).check(PROBLEM, tmp_path, measure, anything)
    assert "\n" not in str(closed.value)
    assert "problem.gate=off" in str(closed.value)
    assert (tmp_path / "gate.json").is_file()


def test_a_score_without_an_order_does_not_pass(tmp_path):
    measure, _ = measuring(accuracy, lambda number, known: 2.3)
    with pytest.raises(GateClosed, match="Kendall tau nan"):
        KendallTau(networks=10).check(PROBLEM, tmp_path, measure, anything)


def test_networks_that_failed_are_left_out_while_enough_are_left(tmp_path):
    good = lambda *of: 1 - accuracy(*of)  # noqa: E731
    measure, _ = measuring(accuracy, good, failing=range(5))
    KendallTau(networks=10).check(PROBLEM, tmp_path, measure, anything)
    assert len(json.loads((tmp_path / "gate.json").read_text())["networks"]) == 5
    measure, _ = measuring(accuracy, good, failing=range(6))
    with pytest.raises(GateClosed, match="only 4 of 10 networks"):
        KendallTau(networks=10).check(PROBLEM, tmp_path, measure, anything)


def test_a_gate_that_is_off_says_so_and_trains_nothing(tmp_path, caplog):
    Off().check(PROBLEM, tmp_path, measure=None, admits=anything)
    assert "nothing shows that the shared score ranks" in caplog.text
    assert not list(tmp_path.iterdir())


def test_the_budget_tells_of_the_gate():
    assert (
        "6 paths x 30 epochs x 100 images = 18,000 training images, 30 networks x 7 epochs x 100 "
        "images = 21,000 training images for the gate, 5 networks scored on 100 images"
    ) in PROBLEM.budget(5)
    assert "no gate" in replace(PROBLEM, gate=Off()).budget(5)
