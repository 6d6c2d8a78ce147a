from dataclasses import replace

import pytest
import torch

from problems.datasets import Digits
from problems.datasets.splits import open_splits
from problems.spaces import ConvPoolFc, PooledCnn
from problems.supernets.shared_chain import SharedChain
from problems.supernets.training import (
    SplitBatches,
    SupernetFile,
    SupernetTraining,
    about,
    load_weights,
    recalibrate,
    train_supernet,
)
from problems.training.augmentation import Augmentation
from problems.training.loop import Diverged
from problems.training.recipe import Training
from problems.training.schedules import Cosine

SPACE = PooledCnn(depth=(2, 3), filters=(4, 8), kernels=(3,), units=(8, 16), image_shape=(1, 8, 8))
RECIPE = Training(
    epochs=3,
    batch_size=32,
    optimizer="adamw",
    learning_rate=0.01,
    schedule=Cosine(),
    augmentation=Augmentation(crop_padding=1),
    gradient_clip=1.0,
)
IMAGES = Digits(limit=90, validation=100)


def begun(recipe=RECIPE, seed=1):
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    supernet = SharedChain(training=recipe).build(SPACE).to(memory_format=torch.channels_last)
    batches = SplitBatches(open_splits(IMAGES, "cpu").train, recipe)
    return SupernetTraining(supernet, batches, recipe, seed)


def same_weights(one, other):
    weights = other.supernet.state_dict()
    return all(tensor.equal(weights[name]) for name, tensor in one.supernet.state_dict().items())


class Killed(Exception):
    pass


def kill_after(epoch):
    def on_epoch(training):
        if training.epoch == epoch:
            raise Killed

    return on_epoch


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    training = begun()
    train_supernet(training, SupernetFile(tmp_path_factory.mktemp("whole"), "one"))
    return training


@pytest.mark.parametrize("epoch", [1, 2])
def test_killed_after_any_epoch_it_ends_with_the_same_weights(uninterrupted, tmp_path, epoch):
    file = SupernetFile(tmp_path, "one")
    with pytest.raises(Killed):
        train_supernet(begun(), file, kill_after(epoch))
    assert file.checkpoint.is_file()
    assert not file.weights.exists()
    again = begun(seed=1)
    torch.manual_seed(999)  # nothing of it hangs on torch's own generator
    train_supernet(again, file)
    assert again.losses == uninterrupted.losses
    assert same_weights(again, uninterrupted)
    assert not file.checkpoint.exists()
    assert again.seconds > 0


def test_interrupted_within_an_epoch_it_goes_on_at_the_last_one(uninterrupted, tmp_path):
    file = SupernetFile(tmp_path, "one")
    training, steps = begun(), []
    loss_step = training.supernet.loss_step

    def interrupted(*arguments):
        steps.append(1)
        if len(steps) == len(training.batches) + 2:
            raise KeyboardInterrupt
        return loss_step(*arguments)

    training.supernet.loss_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        train_supernet(training, file)
    again = begun()
    file.resume(again)
    assert again.epoch == 1
    train_supernet(again, file)
    assert same_weights(again, uninterrupted)


def test_a_write_that_fails_leaves_the_checkpoint_before(uninterrupted, tmp_path, monkeypatch):
    file = SupernetFile(tmp_path, "one")
    training = begun()
    training.take_epoch()
    file.keep(training)
    training.take_epoch()

    def half(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", half)
        with pytest.raises(OSError, match="no space"):
            file.keep(training)
    again = begun()
    train_supernet(again, file)
    assert same_weights(again, uninterrupted)


@pytest.mark.parametrize("content", [b"", b"half a file", b"PK\x03\x04"])
def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path, content):
    file = SupernetFile(tmp_path, "one")
    file.checkpoint.write_bytes(content)
    with pytest.raises(ValueError, match=r"it cannot be read .*; delete it") as caught:
        file.resume(begun())
    assert "\n" not in str(caught.value)


def test_the_file_tells_of_the_supernet_and_gives_its_weights(uninterrupted, tmp_path):
    file = SupernetFile(tmp_path, {"seed": 1})
    file.keep(uninterrupted)
    told = about(file.weights)
    assert told["identity"] == {"seed": 1}
    assert told["losses"] == uninterrupted.losses
    assert told["train_seconds"] == uninterrupted.seconds
    other = begun(seed=2)
    assert not same_weights(other, uninterrupted)
    load_weights(other.supernet, file.weights)
    assert same_weights(other, uninterrupted)


def test_another_supernet_is_another_file(tmp_path):
    assert (
        SupernetFile(tmp_path, {"seed": 1}).weights != SupernetFile(tmp_path, {"seed": 2}).weights
    )


def test_what_is_no_supernet_is_refused_in_one_line(uninterrupted, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no saved supernet"):
        about(path)
    file = SupernetFile(tmp_path, "one")
    file.keep(uninterrupted)
    wider = SharedChain().build(replace(SPACE, filters=(4, 16)))
    with pytest.raises(ValueError, match="not the supernet of this problem") as caught:
        load_weights(wider, file.weights)
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_not_finite_ends_it():
    training = begun(replace(RECIPE, optimizer="sgd", learning_rate=1e30, gradient_clip=None))
    with pytest.raises(Diverged, match="supernet's training loss is nan in epoch 1"):
        training.take_epoch()


def test_another_seed_trains_other_paths_in_another_order():
    one, other = begun(seed=1), begun(seed=1)
    other.seed = 2
    one.take_epoch()
    other.take_epoch()
    assert one.losses != other.losses


def test_every_image_is_in_an_epoch_once_in_an_order_of_its_seed():
    split = open_splits(IMAGES, "cpu").train
    batches = SplitBatches(split, replace(RECIPE, augmentation=Augmentation()))
    first, again, other = (
        torch.cat([labels for _, labels in batches.epoch(seed)]) for seed in (1, 1, 2)
    )
    assert first.equal(again)
    assert not first.equal(other)
    assert first.sort().values.equal(split.labels.sort().values)
    assert len(list(batches.epoch(1))) == len(batches) == 3


def test_recalibrated_norms_have_the_mean_over_the_batches():
    space = ConvPoolFc(filters=(4,), units=(8,), image_shape=(1, 8, 8))
    supernet = SharedChain().build(space)
    network = supernet.standalone(space.encode("conv 4k3 | pool max | activation relu | fc 8"))
    images = torch.rand((40, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    recalibrate(network, [images[:10], images[10:20], images[20:30], images[30:]])
    with torch.no_grad():
        expected = network[0](images).mean(dim=(0, 2, 3))
    assert torch.allclose(network[1].running_mean, expected, atol=1e-6)
    assert not network.training
    assert not network[1].training


def test_a_network_without_batch_norm_reads_no_images_to_recalibrate():
    def images():
        raise AssertionError
        yield

    supernet = SharedChain().build(SPACE)
    network = supernet.standalone(SPACE.encode("conv 4k3max 4k3max | fc 8"))
    recalibrate(network, images())
    assert not network.training


@pytest.mark.parametrize(("key", "value"), [("early_stop", "loss"), ("keep", "best")])
def test_a_recipe_that_watches_is_refused(key, value):
    with pytest.raises(ValueError, match=f"training.{key} = '{value}'"):
        SharedChain(training=replace(RECIPE, **{key: value}))
