import re

import pytest
import torch
from torch import nn

from problems.datasets import Digits
from problems.datasets.splits import open_splits
from problems.networks.chain import build
from problems.spaces.layer_string import LayerString
from problems.training.augmentation import Augmentation
from problems.training.loop import (
    Diverged,
    Watch,
    latency_seconds,
    score,
    seeded,
    train,
)
from problems.training.optimizers import Adam, AdamW
from problems.training.recipe import Training
from problems.training.schedules import Cosine, Exponential

DATA = Digits(limit=200, validation=100)


def network():
    space = LayerString(image_shape=(1, 8, 8), normal=(1, 1), kernels=(3,))
    chain = space.chain(space.encode("NC 8 3 relu;RC 8 3 relu;RC 8 3 relu;FL swish;"))
    return build(chain, (1, 8, 8))


def trained(**recipe):
    with seeded(1, "cpu"):
        model = network()
    return landed(train(model, open_splits(DATA, "cpu"), Training(**recipe), seed=1))


def landed(training):
    """What a training returns when it has had all its turns."""
    while True:
        try:
            next(training)
        except StopIteration as end:
            return end.value


def without_seconds(scores):
    return {name: value for name, value in scores.items() if not name.endswith("seconds")}


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        {"optimizer": "adam", "learning_rate": 0.01},
        {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.01},
        {"optimizer": "adam", "learning_rate": 0.01, "precision": "bfloat16"},
    ],
    ids=lambda recipe: "-".join(map(str, recipe.values())),
)
def test_every_recipe_learns_and_is_the_same_twice(recipe):
    first, second = (
        trained(epochs=12, batch_size=20, **recipe),
        trained(epochs=12, batch_size=20, **recipe),
    )
    assert without_seconds(first) == without_seconds(second)
    assert first["val_accuracy"] > 0.3
    assert first["epochs"] == 12
    assert first["train_seconds"] > 0
    assert 0 <= first["train_accuracy"] <= 1


def test_weight_decay_and_momentum_reach_the_optimizer():
    optimizer = Training(momentum=0.5, weight_decay=0.1).optimizer_for(network())
    assert optimizer.param_groups[0]["momentum"] == 0.5
    assert optimizer.param_groups[0]["weight_decay"] == 0.1
    for name, kind in [("adam", Adam), ("adamw", AdamW)]:
        optimizer = Training(optimizer=name, weight_decay=0.2).optimizer_for(network())
        assert type(optimizer) is kind
        assert optimizer.param_groups[0]["weight_decay"] == 0.2


def test_momentum_without_sgd_is_refused():
    with pytest.raises(ValueError, match=re.escape("momentum = 0.9: only optimizer = 'sgd'")):
        Training(optimizer="adam", momentum=0.9)


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(Diverged, match=r"the training loss is .* in epoch 1"):
        trained(epochs=2, learning_rate=1e30)


def stops(recipe, scores):
    """When training stops, epoch by epoch, for pairs of validation loss and accuracy."""
    watch, found = Watch(recipe), []
    for loss, accuracy in scores:
        watch.see(nn.Identity(), loss, accuracy, 0.0)
        found.append(watch.should_stop)
    return found


def test_early_stop_waits_for_patience_epochs():
    recipe = Training(early_stop="loss", patience=2, min_delta=0.1)
    losses = [1.0, 0.95, 0.8, 0.75, 0.71]
    assert stops(recipe, [(loss, 0.0) for loss in losses]) == [False] * 4 + [True]


def test_early_stop_by_accuracy_wants_it_higher():
    recipe = Training(early_stop="accuracy", patience=1)
    assert stops(recipe, [(0.0, 0.5), (0.0, 0.6), (0.0, 0.6)]) == [False, False, True]


@pytest.mark.parametrize(("early_stop", "best"), [("never", 2), ("accuracy", 2), ("loss", 1)])
def test_the_best_epoch_is_kept_with_its_weights(early_stop, best):
    watch = Watch(Training(keep="best", early_stop=early_stop, patience=9))
    model = nn.Linear(1, 1)
    seen = [(0.9, 0.3), (0.5, 0.6), (0.7, 0.8), (0.8, 0.7)]
    for epoch, (loss, accuracy) in enumerate(seen):
        nn.init.constant_(model.weight, float(epoch))
        watch.see(model, loss, accuracy, accuracy)
    assert watch.keep(model)["val_accuracy"] == seen[best][1]
    assert model.weight.item() == best
    assert watch.every_epoch


def test_the_best_of_training_is_at_least_the_last():
    recipe = {"epochs": 8, "batch_size": 20, "optimizer": "adam", "learning_rate": 0.05}
    assert trained(keep="best", **recipe)["val_accuracy"] >= trained(**recipe)["val_accuracy"]


def test_a_training_that_no_longer_improves_is_ended_early():
    scores = trained(epochs=9, early_stop="accuracy", patience=1, min_delta=1.0)
    assert scores["epochs"] == 2


def test_a_recipe_with_everything_is_the_same_twice():
    recipe = {
        "epochs": 3,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "schedule": Cosine(),
        "augmentation": Augmentation(crop_padding=1, flip=True),
        "label_smoothing": 0.1,
        "gradient_clip": 1.0,
        "keep": "best",
    }
    assert without_seconds(trained(**recipe)) == without_seconds(trained(**recipe))


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": Exponential(0.5)},
        {"augmentation": Augmentation(flip=True)},
        {"augmentation": Augmentation(crop_padding=2)},
        {"label_smoothing": 0.2},
        {"gradient_clip": 0.01},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_a_recipe_changes_the_training(change):
    plain = {"epochs": 2, "optimizer": "sgd", "learning_rate": 0.1}
    assert trained(**plain, **change)["val_loss"] != trained(**plain)["val_loss"]


def test_training_leaves_the_generators_as_they_were():
    before = torch.random.get_rng_state()
    trained(epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bfloat16_trains_another_way_than_float32():
    exact, rounded = (
        trained(epochs=1, optimizer="adam", precision=p) for p in ("float32", "bfloat16")
    )
    assert exact["val_loss"] != rounded["val_loss"]
    assert exact["val_loss"] == pytest.approx(rounded["val_loss"], rel=0.05)


def test_scores_equal_those_of_a_plain_loop():
    splits = open_splits(DATA, "cpu")
    model = network()
    loss, accuracy = score(model, splits.validation).tolist()
    images, labels = splits.validation.batch(slice(None))
    with torch.no_grad():
        logits = model(images)
    assert loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == (logits.argmax(dim=1) == labels).sum().item() / len(labels)


def test_latency_is_a_positive_time_of_one_image():
    assert latency_seconds(network(), open_splits(DATA, "cpu").validation) > 0
