"""Images that stay on disk: the same crops for the same seed, whoever loads them."""

import re

import numpy
import pytest
import torch
from PIL import Image

from problems.datasets import ImageStream
from problems.datasets.dataset import DataMissing
from problems.datasets.final_splits import open_final_splits
from problems.datasets.image_stream import Loader
from problems.datasets.splits import Split, StreamedSplit, open_splits
from problems.image_classification import ImageClassification
from problems.retraining import official_test, retrain
from problems.spaces.choice_blocks import MobileBlocks
from problems.supernets.processes import Processes, Share
from problems.supernets.training import SplitBatches
from problems.training.augmentation import Augmentation
from problems.training.loop import logits_of
from problems.training.recipe import Training
from problems.training.steps import Steps


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bright "day" and dark "night", of two shapes, to train on and to be tested on."""
    root = tmp_path_factory.mktemp("photographs")
    generator = numpy.random.default_rng(1)
    for part, number in (("train", 20), ("val", 4)):
        for label, brightness in (("day", 200), ("night", 20)):
            path = root / part / label
            path.mkdir(parents=True)
            for image in range(number):
                shape = (18, 24, 3) if image % 2 else (30, 20, 3)
                pixels = generator.integers(0, 40, shape) + brightness
                Image.fromarray(pixels.astype(numpy.uint8)).save(path / f"{image}.png")
    return root


def made(folder, **declared):
    options = {"validation": 8, "size": 12, "resize": 16, "workers": 0} | declared
    return ImageStream(root=str(folder), **options)


def epoch_of(split, seed, batch=8):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(split), generator=generator)
    return list(split.loader().batches(list(order.split(batch)), generator))


def test_training_images_stay_on_disk_and_validation_is_carved_out_of_them(folder):
    data = made(folder).located()
    assert (data.classes, data.official_train_images, data.train_images) == (2, 40, 32)
    assert data.image_shape == (3, 12, 12)
    splits = open_splits(data, "cpu")
    assert isinstance(splits.train, StreamedSplit)
    assert isinstance(splits.validation, Split)
    assert (len(splits.train), len(splits.validation)) == (32, 8)
    assert splits.validation.labels.bincount().tolist() == [4, 4]
    images, labels = splits.train.batch(slice(0, 6))
    assert images.shape == (6, 3, 12, 12)
    assert ((images.mean(dim=(1, 2, 3)) > 0.5) == (labels == 0)).all()


def test_the_centre_of_a_resized_image_is_what_is_validated_on(folder):
    data = made(folder).located()
    pictures, _ = data.files("train")
    centre = pictures[0, None]
    assert (centre.shape, centre.dtype) == ((3, 12, 12), torch.uint8)
    image = Image.open(folder / "train" / "day" / "0.png").resize((16, 24), Image.BILINEAR)
    expected = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)[:, 6:18, 2:14]
    assert torch.equal(centre, expected)


def test_an_epoch_has_every_image_once_and_is_the_same_for_the_same_seed(folder):
    split = open_splits(made(folder).located(), "cpu").train
    first, again, other = (epoch_of(split, seed) for seed in (1, 1, 2))
    assert [len(labels) for _, labels in first] == [8, 8, 8, 8]
    assert torch.cat([labels for _, labels in first]).bincount().tolist() == [16, 16]
    for (images, labels), (same, same_labels) in zip(first, again, strict=True):
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(images, same)
        assert torch.equal(labels, same_labels)
        assert ((images.mean(dim=(1, 2, 3)) > 0.5) == (labels == 0)).all()
    assert not torch.equal(first[0][0], other[0][0])


def test_loading_leaves_torch_s_generator_alone_and_does_not_depend_on_it(folder):
    split = open_splits(made(folder).located(), "cpu").train
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = epoch_of(split, 1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(epoch_of(split, 1)[0][0], first[0][0])


def test_a_crop_depends_on_its_image_and_the_epoch_and_not_on_its_batch(folder):
    split = open_splits(made(folder).located(), "cpu").train
    order = torch.arange(len(split))
    whole, halves = (
        torch.cat(
            [
                images
                for images, _ in split.loader().batches(
                    list(order.split(size)), torch.Generator().manual_seed(3)
                )
            ]
        )
        for size in (8, 4)
    )
    assert torch.equal(whole, halves)


def test_a_flip_and_the_least_area_can_be_declared(folder):
    still = open_splits(made(folder, area=1.0, flip=False).located(), "cpu").train
    flipped = open_splits(made(folder, area=1.0).located(), "cpu").train
    pairs = list(zip(epoch_of(still, 1), epoch_of(flipped, 1), strict=True))
    same = [
        torch.equal(one, other)
        for (images, _), (others, _) in pairs
        for one, other in zip(images, others, strict=True)
    ]
    assert 0 < sum(same) < len(same)


@pytest.mark.slow
def test_workers_load_what_this_process_would_epoch_after_epoch(folder):
    pictures, _ = made(folder).located().files("train")
    here, there = Loader(pictures, 0, pinned=False), Loader(pictures, 1, pinned=False)
    for epoch in range(2):
        items = [[(3, epoch), (1, 7)], [(2, epoch)]]
        next(there.epoch(items))  # an epoch that is not read to its end does not disturb the next
        for one, other in zip(here.epoch(items), there.epoch(items), strict=True):
            assert torch.equal(one, other)


@pytest.mark.slow
def test_a_network_is_trained_and_retrained_on_streamed_images(folder):
    problem = ImageClassification(
        space=MobileBlocks(stages=(1, 1), widths=(8, 16), stem=8, last=16),
        dataset=made(folder),
        training=Training(epochs=8, batch_size=8, learning_rate=0.05, normalize=True),
        device="cpu",
    ).prepared()
    assert (problem.space.image_shape, problem.space.classes) == ((3, 12, 12), 2)
    measurement = problem.evaluate([1, 2])
    assert measurement["val_accuracy"] > 0.8
    again = problem.evaluate([1, 2])
    assert again["val_loss"] == measurement["val_loss"]
    ((_, trained),) = retrain(problem, [1, 2], [1])
    assert len(trained.curve) == 8
    test = official_test(problem)
    assert len(test) == 8
    predicted = logits_of(trained.network, test).argmax(dim=1)
    assert (predicted == test.labels).float().mean() > 0.8
    assert len(open_final_splits(problem.dataset, "cpu").train) == 40


def test_steps_take_the_images_of_their_order_with_the_recipe_s_own_changes(folder):
    split = open_splits(made(folder, area=1.0, flip=False).located(), "cpu").train
    seen = []

    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(1, 2)

        def forward(self, images):
            seen.append(images)
            return self.head(images.mean(dim=(1, 2, 3))[:, None])

    for padding in (0, 1):
        recipe = Training(batch_size=20, augmentation=Augmentation(crop_padding=padding))
        steps = Steps(Mean(), split, recipe, seed=1)
        steps.begin_epoch()
        for _ in range(steps.per_epoch):
            steps.take()
    assert [len(images) for images in seen] == [20, 12, 20, 12]
    assert all(image.all() for images in seen[:2] for image in images)
    assert not all(image.all() for images in seen[2:] for image in images)  # black at an edge


def test_processes_load_their_own_shares_of_a_batch(folder):
    split = open_splits(made(folder).located(), "cpu").train
    recipe = Training(batch_size=12, augmentation=Augmentation(crop_padding=1, flip=True))
    shares = [Share(2), *(Share(2, Processes(rank, 2)) for rank in range(2))]
    whole, *halves = (list(SplitBatches(split, recipe, share).epoch(5)) for share in shares)
    assert [len(labels) for _, labels in whole] == [12, 12, 8]
    for step, (images, labels) in enumerate(whole):
        assert torch.equal(torch.cat([half[step][0] for half in halves]), images)
        assert torch.equal(torch.cat([half[step][1] for half in halves]), labels)


def test_channel_statistics_are_those_of_the_centres(folder):
    split = open_splits(made(folder).located(), "cpu").train
    images, _ = split.batch(slice(None))
    mean, std = split.channel_statistics
    assert torch.allclose(mean, images.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(
        std, images.transpose(0, 1).flatten(1).std(dim=1, correction=0), atol=1e-5
    )


def test_what_is_wrong_is_said_in_one_line(folder, tmp_path):
    with pytest.raises(ValueError, match=r"^resize = 8: at least size = 12 is needed$"):
        made(folder, resize=8)
    with pytest.raises(DataMissing, match=r"it must hold train/<class>/<image> \("):
        made(tmp_path).located()
    for part, label in (("train", "day"), ("train", "night"), ("val", "night")):
        (tmp_path / part / label).mkdir(parents=True)
        for number in range(9):
            Image.new("RGB", (16, 16)).save(tmp_path / part / label / f"{number}.png")
    data = made(tmp_path).located()
    message = "val/ has the classes night, but trained on are day, night"
    with pytest.raises(ValueError, match=re.escape(message)):
        data.require()
    picture = tmp_path / "train" / "day" / "3.png"
    picture.write_bytes(picture.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"day/3\.png: the picture cannot be read"):
        data.read("train")
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    with pytest.raises(DataMissing, match="it must hold val/<class>/<image> to be tested on"):
        data.read("test")
