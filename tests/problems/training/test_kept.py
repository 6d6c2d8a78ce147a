"""A training that stops and goes on takes the steps of one that never stopped."""

from dataclasses import replace

import pytest

from problems.datasets import Digits
from problems.image_classification import ImageClassification
from problems.spaces import PlainCnn
from problems.spaces.layer_string import LayerString
from problems.training.augmentation import Augmentation
from problems.training.kept import KeptTraining
from problems.training.loop import Diverged
from problems.training.recipe import Training
from problems.training.schedules import Cosine, OneCycle

PROBLEM = ImageClassification(
    space=LayerString(normal=(1, 1), kernels=(3,)),
    dataset=Digits(size=12, limit=120, validation=80),
    device="cpu",
)
GENOME = PROBLEM.space.encode("RC 8 3 relu;NC 4 3 tanh;RC 8 3 gelu;FL swish;")

RECIPES = {
    "sgd": {"momentum": 0.9, "learning_rate": 0.1, "schedule": Cosine()},
    "adam": {"optimizer": "adam", "schedule": OneCycle(), "gradient_clip": 1.0},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.01, "precision": "bfloat16"},
    "augmented": {"augmentation": Augmentation(crop_padding=1, flip=True), "optimizer": "adam"},
    "best": {"keep": "best", "learning_rate": 1.0},
    "stopped": {"early_stop": "accuracy", "patience": 1, "min_delta": 0.5},
}


def without_seconds(measurement):
    return {
        name: value
        for name, value in measurement.items()
        if not name.endswith("seconds") and name != "trained_epochs"
    }


def training(**recipe):
    return Training(**{"epochs": 5, "batch_size": 50, "learning_rate": 0.01} | recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_that_went_on_is_the_one_that_never_stopped(recipe, tmp_path):
    problem = replace(PROBLEM, training=training(**RECIPES[recipe])).in_folder(tmp_path)
    whole = problem.evaluate(GENOME)
    parts = [problem.evaluate(GENOME, epochs=epochs, key="k") for epochs in (1, 3, 5)]
    assert without_seconds(parts[-1]) == without_seconds(whole)
    assert sum(part["trained_epochs"] for part in parts) == whole["epochs"]
    assert parts[0] != parts[1]
    assert parts[0]["train_seconds"] < parts[1]["train_seconds"]
    alone = problem.evaluate(GENOME, epochs=3)
    assert without_seconds(alone) == without_seconds(parts[1])
    assert alone["trained_epochs"] == alone["epochs"]


def test_masks_of_dropout_go_on_too(tmp_path):
    space = PlainCnn(fc_layers=(1, 1))
    problem = replace(PROBLEM, space=space, training=training(optimizer="adam")).in_folder(tmp_path)
    genome = [0] * len(problem.space.genes)
    chain = problem.space.chain(genome)
    assert any(getattr(layer, "dropout", 0) for layer in chain)
    problem.evaluate(genome, epochs=2, key="k")
    parts = problem.evaluate(genome, epochs=5, key="k")
    assert without_seconds(parts) == without_seconds(problem.evaluate(genome))


def test_an_evaluation_that_was_lost_on_its_way_is_answered_from_what_is_kept(tmp_path):
    problem = replace(PROBLEM, training=training()).in_folder(tmp_path)
    problem.evaluate(GENOME, epochs=2, key="k")
    answer = problem.evaluate(GENOME, epochs=4, key="k")
    assert problem.evaluate(GENOME, epochs=4, key="k") == answer  # seconds and all
    assert problem.evaluate(GENOME, epochs=3, key="k")["trained_epochs"] == 3  # it cannot go back


def test_what_is_forgotten_begins_anew(tmp_path):
    problem = replace(PROBLEM, training=training()).in_folder(tmp_path)
    problem.evaluate(GENOME, epochs=2, key="k")
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["k.pt"]
    problem.forget("k")
    problem.forget("k")
    assert not list((tmp_path / "states").iterdir())
    assert problem.evaluate(GENOME, epochs=4, key="k")["trained_epochs"] == 4


def test_without_a_folder_nothing_is_kept_and_everything_works():
    problem = replace(PROBLEM, training=training())
    problem.evaluate(GENOME, epochs=1, key="k")
    assert problem.evaluate(GENOME, epochs=2, key="k")["trained_epochs"] == 2
    problem.forget("k")


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04broken"])
def test_a_file_that_cannot_be_read_is_warned_of_and_its_training_begins_anew(
    content, tmp_path, caplog
):
    problem = replace(PROBLEM, training=training()).in_folder(tmp_path)
    problem.evaluate(GENOME, epochs=1, key="k")
    (tmp_path / "states" / "k.pt").write_bytes(content)
    assert problem.evaluate(GENOME, epochs=2, key="k")["trained_epochs"] == 2
    assert "it cannot be read, and its training begins anew" in caplog.text


def test_a_file_that_cannot_be_written_is_warned_of(tmp_path, caplog):
    KeptTraining.of(tmp_path / "gone", "k").write({"stop": 1})
    assert "it cannot be written, and is not kept" in caplog.text
    (tmp_path / "states" / "k.pt" / "taken").mkdir(parents=True)
    KeptTraining.of(tmp_path, "k").write({"stop": 1})
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["k.pt"]


def test_a_training_that_diverges_tells_the_epochs_that_it_took(tmp_path):
    wild = training(learning_rate=1e30)
    problem = replace(PROBLEM, training=wild).in_folder(tmp_path)
    with pytest.raises(Diverged) as caught:
        problem.evaluate(GENOME, epochs=4, key="k")
    told = dict(caught.value.measurement)
    assert not any(told.pop("learning_curve").values())  # it did not get to the end of an epoch
    assert told == {"epochs": 1, "trained_epochs": 1}
