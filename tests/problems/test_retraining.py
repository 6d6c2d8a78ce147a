from dataclasses import replace

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from problems.datasets import Digits
from problems.image_classification import ImageClassification
from problems.retraining import (
    official_test,
    retrain,
    scores_of,
    unwatched,
)
from problems.saved_network import as_bytes, load
from problems.training.loop import Diverged, logits_of
from problems.training.recipe import Training

PROBLEM = ImageClassification(
    dataset=Digits(size=12, limit=200, validation=100),
    training=Training(epochs=2, batch_size=20, optimizer="adam", learning_rate=0.01),
    device="cpu",
)
GENOME = PROBLEM.space.encode("NC 8 3 relu;RC 8 3 relu;RC 8 3 relu;FL swish;")


def weights(network):
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def test_a_seed_is_the_same_twice_and_another_one_is_another_training():
    first, second, other = (
        weights(trained.network)
        for seeds in ([1, 2], [1])
        for _, trained in retrain(PROBLEM, GENOME, seeds)
    )
    assert torch.equal(first, other)  # the second command's only seed is the first one's first
    assert not torch.equal(first, second)


def test_the_declared_epochs_are_trained_and_followed():
    followed = []
    ((seed, trained),) = retrain(PROBLEM, GENOME, [4], lambda *at: followed.append(at))
    assert seed == trained.seed == 4
    assert followed == [(4, 1), (4, 2)]
    assert [row["epoch"] for row in trained.curve] == [1, 2]
    assert trained.curve[1]["train_loss"] < trained.curve[0]["train_loss"]
    assert all(0 <= row["train_accuracy"] <= 1 for row in trained.curve)
    assert trained.train_seconds > 0


def test_nothing_is_watched_in_a_retraining():
    recipe = Training(epochs=9, early_stop="loss", keep="best", learning_rate=0.3)
    assert unwatched(recipe, 4) == Training(epochs=4, learning_rate=0.3)


def test_a_training_that_diverges_is_that_seeds_result():
    wild = replace(PROBLEM, training=replace(PROBLEM.training, learning_rate=1e30))
    ((seed, result),) = retrain(wild, GENOME, [1])
    assert seed == 1
    assert isinstance(result, Diverged)


def test_the_statistics_of_the_images_travel_with_the_network():
    normalized = replace(PROBLEM, training=replace(PROBLEM.training, normalize=True))
    ((_, trained),) = retrain(normalized, GENOME, [1])
    assert trained.network[0].mean.item() > 0.1
    assert normalized.blueprint(GENOME).normalize
    assert PROBLEM.blueprint(GENOME).classes == tuple("0123456789")


def test_test_scores_are_those_of_scikit_learn():
    ((_, trained),) = retrain(PROBLEM, GENOME, [1])
    test = official_test(PROBLEM)
    logits = logits_of(trained.network, test)
    assert logits.shape == (360, 10)
    scores = scores_of(logits, test.labels)
    predicted = logits.argmax(dim=1)
    assert scores["accuracy"] == accuracy_score(test.labels, predicted)
    assert sum(scores["f1"]) / 10 == pytest.approx(
        f1_score(test.labels, predicted, average="macro", zero_division=0)
    )
    assert sum(scores["support"]) == 360
    assert [sum(row) for row in scores["confusion"]] == scores["support"]
    assert scores["loss"] > 0


def test_a_class_that_is_never_predicted_scores_zero():
    labels = torch.tensor([0, 1, 1])
    scores = scores_of(torch.tensor([[1.0, 0.0, 0.0]] * 3), labels)
    assert scores["precision"] == [pytest.approx(1 / 3), 0, 0]
    assert scores["recall"] == [1, 0, 0]
    assert scores["support"] == [1, 2, 0]
    assert scores["confusion"] == [[1, 0, 0], [2, 0, 0], [0, 0, 0]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_seeds_are_trained_on_a_gpu_and_score_the_same_when_loaded(tmp_path):
    on_gpu = replace(PROBLEM, device="cuda")
    test = official_test(on_gpu)
    for seed, trained in retrain(on_gpu, GENOME, [1, 2]):
        assert not isinstance(trained, Exception), trained
        path = tmp_path / f"{seed}.safetensors"
        path.write_bytes(as_bytes(trained.network, on_gpu.blueprint(GENOME)))
        loaded, _ = load(path, "cuda")
        assert torch.equal(logits_of(loaded, test), logits_of(trained.network, test))
        assert trained.train_seconds > 0
