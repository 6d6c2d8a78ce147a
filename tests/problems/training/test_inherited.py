"""A child begins with its parent's weights where they agree, and the search stays repeatable."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from problems.datasets import Digits
from problems.image_classification import ImageClassification
from problems.spaces.layer_string import LayerString
from problems.training.inherited import Weights, inherited, leave
from problems.training.recipe import Training
from tests.conftest import Run
from toolbox.archive import Archive
from toolbox.signature import described

PROBLEM = ImageClassification(
    space=LayerString(normal=(1, 1), kernels=(3,)),
    dataset=Digits(size=12, limit=300, validation=200),
    training=Training(epochs=8, batch_size=32, optimizer="adam", learning_rate=0.003),
    device="cpu",
    inherit=True,
)
PARENT = PROBLEM.space.encode("RC 8 3 relu;NC 8 3 relu;RC 8 3 relu;FL swish;")
CHILD = PROBLEM.space.encode("RC 8 3 relu;NC 8 3 relu;RC 8 3 gelu;FL swish;")  # all shapes agree
WIDER = PROBLEM.space.encode("RC 8 3 relu;NC 8 3 relu;RC 14 3 relu;FL swish;")


def without_seconds(measurement):
    return {name: value for name, value in measurement.items() if not name.endswith("seconds")}


def network(*layers):
    torch.manual_seed(1)
    return nn.Sequential(*layers)


def test_layers_that_agree_are_taken_whole_and_the_others_begin_anew():
    parent = network(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3), nn.Linear(8, 2))
    for tensor in parent.state_dict().values():
        tensor.add_(1)
    child = network(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 5), nn.Linear(8, 2))
    before = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    taken = Weights(parent.state_dict(), 8).give(child)
    assert taken == 4 * 9 + 4 + 2 * 4 + 8 * 2 + 2
    for name, tensor in child.state_dict().items():
        # the bias of layer 2 has the parent's shape, but belongs to other weights
        came_from = before if name.startswith("2.") else parent.state_dict()
        assert tensor.equal(came_from[name]), name


def test_a_layer_of_another_kind_in_the_same_place_begins_anew():
    assert Weights(network(nn.Conv2d(1, 4, 3)).state_dict(), 8).give(network(nn.Linear(3, 3))) == 0
    assert Weights({}, 8).give(network(nn.ReLU())) == 0


def test_a_child_is_better_after_its_first_epoch_and_tells_what_it_inherited(tmp_path):
    problem = PROBLEM.in_folder(tmp_path)
    parent = problem.evaluate(PARENT, key="parent")
    assert (parent["inherited_epochs"], parent["inherited_params"]) == (0, 0)
    one = replace(problem, training=replace(problem.training, epochs=1))
    alone = one.evaluate(CHILD, key="alone")
    child = one.evaluate(CHILD, key="child", parents=["parent"])
    assert child["val_accuracy"] > alone["val_accuracy"] + 0.3
    assert (child["inherited_epochs"], child["epochs"]) == (8, 1)
    assert child["inherited_params"] == child["params"]
    wider = one.evaluate(WIDER, key="wider", parents=["child"])
    assert wider["inherited_epochs"] == 9
    assert wider["inherited_params"] == (9 * 8 + 8) + (9 * 8 * 8 + 8) + (64 * 10 + 10)
    again = one.evaluate(CHILD, key="child", parents=["parent"])
    assert without_seconds(again) == without_seconds(child)


def test_the_weights_of_the_epoch_that_is_kept_are_left(tmp_path):
    problem = PROBLEM.in_folder(tmp_path)
    problem.evaluate(PARENT, key="parent")
    tensors = load_file(tmp_path / "weights" / "parent.safetensors")
    assert sum(tensor.numel() for tensor in tensors.values()) == problem.known(PARENT)["params"]


def test_the_first_parent_that_left_weights_is_taken(tmp_path):
    leave(tmp_path, "second", network(nn.Linear(3, 3)), epochs=5)
    found = inherited(tmp_path, ["first", "second"])
    assert found.epochs == 5
    leave(None, "third", network(), epochs=1)
    leave(tmp_path, "", network(), epochs=1)
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["second.safetensors"]


@pytest.mark.parametrize("lost", ["deleted", "broken", "another file", "no folder"])
def test_a_child_whose_parents_weights_are_lost_begins_anew_with_a_warning(lost, tmp_path, caplog):
    problem = replace(PROBLEM, training=replace(PROBLEM.training, epochs=1)).in_folder(tmp_path)
    problem.evaluate(PARENT, key="parent")
    alone = problem.evaluate(CHILD, key="child")
    assert not caplog.text
    path = tmp_path / "weights" / "parent.safetensors"
    if lost == "deleted":
        path.unlink()
    elif lost == "broken":
        path.write_bytes(path.read_bytes()[:100])
    elif lost == "another file":
        from safetensors.torch import save_file

        save_file({"0.weight": torch.zeros(1)}, path)
    else:
        problem = replace(problem, folder=None)
    child = problem.evaluate(CHILD, key="child", parents=["parent"])
    assert "the weights of parent are missing; a child begins anew" in caplog.text
    assert child["inherited_epochs"] == 0
    assert without_seconds(child) == without_seconds(alone)


def test_it_belongs_to_the_problem_only_if_it_is_declared():
    plain = replace(PROBLEM, inherit=None)
    assert replace(PROBLEM, inherit=False) == plain
    assert "inherit" not in described(plain, identity=True)
    assert described(PROBLEM, identity=True)["inherit"] is True
    assert "inherited_epochs" in PROBLEM.measures
    assert "inherited_epochs" not in plain.measures
    assert "inherited_epochs" not in plain.evaluate(PARENT)


def test_a_halved_training_tells_what_it_inherited_at_its_start(tmp_path):
    problem = replace(PROBLEM, training=replace(PROBLEM.training, epochs=4)).in_folder(tmp_path)
    problem.evaluate(PARENT, key="parent")
    whole = problem.evaluate(WIDER, key="whole", parents=["parent"])
    for epochs in (1, 2, 4):
        part = problem.evaluate(WIDER, key="part", parents=["parent"], epochs=epochs)
        assert part["inherited_epochs"] == 4
        assert inherited(tmp_path, ["part"]).epochs == 4 + epochs
    assert part.pop("trained_epochs") == 2
    assert without_seconds(part) == without_seconds(whole)


def searched(folder, archive=None, use="nsga2", halving=None):
    small = replace(
        PROBLEM,
        dataset=Digits(size=12, limit=100, validation=80),
        training=replace(PROBLEM.training, epochs=2),
    )
    tables = {
        "objectives": ["val_accuracy", "params"],
        "seed": 4,
        "problem": "digits",
        "toolbox": {"map": "serial"},
        "algorithm": {"use": use, "population": 4, "generations": 2},
    } | ({"halving": halving} if halving else {})
    return Run(tables, archive=archive, problems={"digits": lambda: small.in_folder(folder)})


@pytest.mark.parametrize(
    ("use", "halving"),
    [("nsga2", None), ("steady_state", None), ("nsga2", {"epochs": [1], "keep": 0.5})],
)
def test_a_search_passes_weights_on_and_goes_on_exactly(use, halving, tmp_path, monkeypatch):
    whole = searched(tmp_path / "whole", use=use, halving=halving, archive=made(tmp_path / "whole"))
    births = whole.archive.births
    networks = {record.architecture: record for record in whole.archive.networks()}
    first: dict = {}
    for birth in births:
        first.setdefault(whole.archive.get(birth.key).architecture, birth)
    heirs = [n for n, birth in first.items() if birth.parents]
    assert len(heirs) > 2
    for architecture, birth in first.items():
        epochs = networks[architecture].measurement["inherited_epochs"]
        assert bool(epochs) == bool(birth.parents)
        if birth.parents:
            parent = whole.archive.get(births[birth.parents[0]].key)
            behind = networks[parent.architecture].measurement
            assert epochs == behind["inherited_epochs"] + behind["epochs"]

    begun = iter(range(100))
    evaluation = ImageClassification._evaluation

    def stopping(self, job):
        if next(begun) == 7:
            raise KeyboardInterrupt
        return evaluation(self, job)

    archive = made(tmp_path / "again")
    with monkeypatch.context() as patched:
        patched.setattr(ImageClassification, "_evaluation", stopping)
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "again", archive, use, halving)
    assert len(archive) == 7
    again = searched(tmp_path / "again", archive, use, halving)
    assert again.population == whole.population
    assert {r.key: without_seconds(r.measurement) for r in archive} == {
        r.key: without_seconds(r.measurement) for r in whole.archive
    }
    shutil.rmtree(tmp_path / "again" / "weights")  # a replay is served, and needs none
    assert searched(tmp_path / "again", archive, use, halving).population == whole.population


def made(folder):
    folder.mkdir()
    return Archive({})
