import re
import shutil
import sys

import numpy
import pytest
from PIL import Image

from problems.datasets import HuggingFace, ImageFolder
from problems.datasets.dataset import DataMissing
from problems.image_classification import ImageClassification
from problems.spaces.conv_chain import PlainCnn
from problems.training.recipe import Training
from toolbox.signature import described


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Colour images of two sizes: bright "day" and dark "night", for training and for testing."""
    root = tmp_path_factory.mktemp("photographs")
    generator = numpy.random.default_rng(1)
    for part, number in (("train", 20), ("test", 4)):
        for label, brightness in (("day", 200), ("night", 20)):
            path = root / part / label
            path.mkdir(parents=True)
            for image in range(number):
                side = 16 if image % 2 else 24
                pixels = generator.integers(0, 40, (side, side, 3)) + brightness
                Image.fromarray(pixels.astype(numpy.uint8)).save(path / f"{image}.png")
    return root


@pytest.fixture(autouse=True)
def _hub_is_off(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


def made(kind, folder, **declared):
    where = "root" if kind is ImageFolder else "path"
    return kind(**{where: str(folder)}, validation=10, size=12, **declared)


@pytest.mark.parametrize("kind", [ImageFolder, HuggingFace])
def test_images_are_resized_and_labelled_by_their_folder(kind, folder):
    data = made(kind, folder).located()
    assert (data.classes, data.official_train_images, data.train_images) == (2, 40, 30)
    images, labels = data.read("train")
    assert images.shape == (40, 3, 12, 12)
    assert images.dtype == numpy.uint8
    assert labels.tolist().count(0) == 20
    assert images[labels == 0].mean() > 180
    assert images[labels == 1].mean() < 80
    assert data.read("test")[0].shape == (8, 3, 12, 12)


@pytest.mark.parametrize("kind", [ImageFolder, HuggingFace])
def test_images_can_be_read_as_grey(kind, folder):
    data = made(kind, folder, channels=1).located()
    assert data.image_shape == (1, 12, 12)
    assert data.read("train")[0].shape == (40, 1, 12, 12)


@pytest.mark.parametrize("kind", [ImageFolder, HuggingFace])
def test_a_network_is_trained_on_images_of_one_s_own(kind, folder):
    problem = ImageClassification(
        space=PlainCnn(depth=(1, 1), filters=(16,), kernels=(3,), pool_after=(1,)),
        dataset=made(kind, folder),
        training=Training(epochs=4, batch_size=10, optimizer="adam", learning_rate=0.01),
        device="cpu",
    ).prepared()
    assert (problem.space.image_shape, problem.space.classes) == ((3, 12, 12), 2)
    assert problem.budget(5) == "5 networks x 4 epochs x 30 images = 600 training images"
    measurement = problem.evaluate(problem.space.encode("conv 16k3 | batch_norm on"))
    assert measurement["val_accuracy"] > 0.8


def test_a_folder_without_a_test_split_is_all_for_training(folder):
    data = ImageFolder(root=str(folder / "train"), validation=10, size=12).located()
    assert data.official_train_images == 40
    with pytest.raises(DataMissing, match="it must hold"):
        data.read("test")


def test_a_split_larger_than_the_folder_is_refused_when_it_is_read(folder):
    data = ImageFolder(root=str(folder), validation=40)
    with pytest.raises(ValueError, match="validation = 40: there are 40 images to carve it from"):
        data.located()


@pytest.mark.parametrize("kind", [ImageFolder, HuggingFace])
def test_what_is_not_there_is_one_line(kind, tmp_path):
    with pytest.raises(DataMissing, match=re.escape(str(tmp_path / "no"))) as caught:
        made(kind, tmp_path / "no").located()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [ImageFolder, HuggingFace])
def test_other_images_under_the_same_name_are_another_problem(kind, tmp_path_factory):
    root = tmp_path_factory.mktemp("growing")

    def identity():
        problem = ImageClassification(dataset=made(kind, root), device="cpu").prepared()
        return described(problem, identity=True)["dataset"]

    def add(label, number):
        (root / "train" / label).mkdir(parents=True, exist_ok=True)
        for image in range(number):
            name = root / "train" / label / f"{image}.png"
            Image.new("RGB", (16 + image, 16)).save(name)

    add("day", 12)
    add("night", 12)
    before = identity()
    assert identity() == before
    add("dawn", 3)
    assert identity() != before


def test_a_moved_folder_is_the_same_problem(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    here, there = (
        described(ImageClassification(dataset=made(ImageFolder, root)).prepared(), identity=True)
        for root in (folder, tmp_path / "moved")
    )
    assert here == there


def test_what_is_wrong_with_the_images_is_named_by_its_key(folder):
    problem = ImageClassification(dataset=ImageFolder(root=str(folder), validation=99))
    with pytest.raises(ValueError, match=r"^dataset\.validation = 99"):
        problem.prepared()
    with pytest.raises(DataMissing, match=r"^dataset\.root = "):
        ImageClassification(dataset=made(ImageFolder, folder / "no")).prepared()


@pytest.mark.parametrize("column", ["image_column", "label_column"])
def test_a_column_that_is_not_there_is_refused(folder, column):
    message = f"{column} = 'no': unknown; legal: image, label"
    with pytest.raises(ValueError, match=re.escape(message)):
        made(HuggingFace, folder, **{column: "no"}).located()


def test_labels_may_be_strings(tmp_path_factory):
    import datasets

    folder = tmp_path_factory.mktemp("pictures")
    names = ["night", "day", "night", "dawn"] * 5
    pixels = [Image.new("RGB", (9, 9), (number,) * 3) for number in range(20)]
    table = datasets.Dataset.from_dict({"picture": pixels, "when": names})
    table.cast_column("picture", datasets.Image()).to_parquet(folder / "train.parquet")
    data = HuggingFace(
        path=str(folder), image_column="picture", label_column="when", validation=4, size=9
    ).located()
    images, labels = data.read("train")
    assert data.classes == 3
    assert labels[:4].tolist() == [2, 1, 2, 0]
    assert images[7].max() == 7


def test_without_the_package_it_is_one_line(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataMissing, match=r"pip install 'deap-nas\[hugging_face\]'"):
        made(HuggingFace, folder).located()


def test_test_images_of_other_classes_or_none_are_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    assert made(ImageFolder, other).class_names() == ["day", "night"]
    (other / "test" / "day").rename(other / "test" / "noon")
    with pytest.raises(ValueError, match=re.escape("test/ has the classes night, noon, but")):
        made(ImageFolder, other).located().read("test")
    shutil.rmtree(other / "test")
    with pytest.raises(DataMissing, match="it must hold test/<class>/<image> to be tested on"):
        made(ImageFolder, other).located().read("test")
