import pytest
import torch

from problems.datasets.splits import Split
from problems.training.augmentation import Augmentation


def applied(images, seed=0, **declared):
    generator = torch.Generator().manual_seed(seed)
    augmentation = Augmentation(**declared)
    return augmentation.apply(images, augmentation.draw(len(images), generator))


IMAGES = torch.arange(1, 1 + 50 * 2 * 4 * 5, dtype=torch.int16).view(50, 2, 4, 5)


def test_every_crop_is_a_window_of_the_padded_image():
    padded = torch.nn.functional.pad(IMAGES, (2,) * 4)
    offsets = set()
    for image, whole in zip(applied(IMAGES, crop_padding=2), padded, strict=True):
        (found,) = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(image, whole[:, y : y + 4, x : x + 5])
        ]
        offsets.add(found)
    assert len(offsets) > 15  # of 25: each image has an offset of its own


def test_an_image_is_mirrored_or_not():
    mirrored = [
        torch.equal(image, original.flip(2))
        for image, original in zip(applied(IMAGES, flip=True), IMAGES, strict=True)
    ]
    kept = [
        torch.equal(image, original)
        for image, original in zip(applied(IMAGES, flip=True), IMAGES, strict=True)
    ]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 10 < sum(mirrored) < 40


def test_crops_and_flips_go_together_and_keep_type_and_shape():
    changed = applied(IMAGES.to(torch.uint8), crop_padding=1, flip=True)
    assert changed.dtype == torch.uint8
    assert changed.shape == IMAGES.shape
    assert torch.equal(changed, applied(IMAGES.to(torch.uint8), crop_padding=1, flip=True))
    assert not torch.equal(changed, applied(IMAGES.to(torch.uint8), 1, crop_padding=1, flip=True))


def test_nothing_declared_is_nothing_done():
    assert not Augmentation()
    assert Augmentation(flip=True)
    assert torch.equal(applied(IMAGES), IMAGES)


def test_channel_statistics_are_those_of_all_pixels():
    images = torch.randint(0, 256, (40, 3, 6, 6), generator=torch.Generator().manual_seed(1))
    split = Split(images.to(torch.uint8), torch.zeros(40))
    mean, std = split.channel_statistics
    for channel in range(3):
        pixels = images[:, channel].double() / 255
        assert mean[channel].item() == pytest.approx(pixels.mean().item(), rel=1e-6)
        assert std[channel].item() == pytest.approx(pixels.std(correction=0).item(), rel=1e-6)
