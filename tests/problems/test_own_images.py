import logging
import re
import shutil
import sys
from dataclasses import replace

import numpy
import pytest
from PIL import Image

from problems.datasets import HuggingFace, ImageFolder
from problems.datasets.dataset import DataMissing
from problems.datasets.final_splits import open_final_splits
from problems.datasets.splits import open_splits
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


def test_a_split_that_is_not_there_is_refused_by_its_key(folder):
    message = f"train_split = 'training': it is not in {str(folder)!r}; legal: train, test"
    with pytest.raises(DataMissing, match=re.escape(message)):
        made(HuggingFace, folder, train_split="training").located()


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


def test_a_hub_that_is_not_reached_is_one_line_and_the_library_says_nothing(monkeypatch, capfd):
    import datasets

    def unreachable(*arguments, **options):
        for name in ("huggingface_hub.utils._http", "huggingface_hub"):
            logging.getLogger(name).warning("Retrying in 1s [Retry 1/5].")
        raise ConnectionError("Couldn't reach 'nobody/nothing' on the Hub\nand more")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    logger = logging.getLogger("huggingface_hub")
    heard = []
    handler = logging.Handler()
    handler.emit = heard.append
    logger.addHandler(handler)
    before = logger.level
    try:
        with pytest.raises(
            DataMissing, match=r"^path = 'nobody/nothing': .*\(Couldn't reach [^\n]*\)$"
        ):
            HuggingFace(path="nobody/nothing", validation=4).located()
    finally:
        logger.removeHandler(handler)
    assert not heard
    assert capfd.readouterr().err == ""
    assert (logger.level, logger.disabled) == (before, False)


def test_test_images_of_other_classes_or_none_are_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    assert made(ImageFolder, other).class_names() == ["day", "night"]
    (other / "test" / "day").rename(other / "test" / "noon")
    with pytest.raises(ValueError, match=re.escape("test/ has the classes night, noon, but")):
        ImageClassification(dataset=made(ImageFolder, other), device="cpu").prepared()
    shutil.rmtree(other / "test")
    with pytest.raises(DataMissing, match="it must hold test/<class>/<image> to be tested on"):
        made(ImageFolder, other).located().read("test")


@pytest.mark.parametrize("kind", [ImageFolder, HuggingFace])
@pytest.mark.parametrize(("test", "tested"), [(0.25, 10), (6, 6)])
def test_a_test_part_is_carved_that_no_search_sees(kind, folder, test, tested, caplog):
    flat = {"root": str(folder / "train")} if kind is ImageFolder else {"path": str(folder)}
    if kind is HuggingFace:
        flat["test_split"] = "none"
    first, second = (
        kind(**flat, validation=10, size=12, test=test, seed=seed).located() for seed in (0, 1)
    )
    ImageClassification(dataset=first, device="cpu").prepared()
    assert "cannot be retrained" not in caplog.text
    assert first.official_train_images == 40 - tested
    images, labels = first.read("test")
    assert abs(labels.tolist().count(0) - tested / 2) <= 1
    assert numpy.array_equal(images, second.read("test")[0])
    searched = open_splits(first, "cpu")
    seen = {
        image.contiguous().numpy().tobytes()
        for split in (searched.train, searched.validation)
        for image in split.images
    }
    assert len(seen) == 40 - tested
    assert not seen & {image.tobytes() for image in images}
    assert len(open_final_splits(first, "cpu").test) == tested


@pytest.mark.parametrize("kind", [ImageFolder, HuggingFace])
def test_without_test_images_a_search_says_so_at_its_start(kind, folder, caplog):
    flat = (
        ImageFolder(root=str(folder / "train"), validation=10, size=12)
        if kind is ImageFolder
        else made(HuggingFace, folder, test_split="none")
    )
    ImageClassification(dataset=flat, device="cpu").prepared()
    (line,) = [r.message for r in caplog.records if "cannot be retrained" in r.message]
    assert "test = 0.2 keeps a fifth" in line


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (1.5, "test = 1.5: a share of the images, more than 0 and less than 1"),
        (0, "test = 0: a share"),
        (1, "test = 1: of 40 images in 2 classes, the smallest of 20, it leaves 1 classes"),
        (40, "test = 40: of 40 images in 2 classes"),
        (0.9, "validation = 10: there are 4 images to carve it from"),
    ],
)
def test_a_test_part_that_cannot_be_is_refused(folder, test, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        ImageFolder(root=str(folder / "train"), validation=10, size=12, test=test).located()


def test_a_test_part_beside_a_test_folder_is_refused(folder):
    with pytest.raises(ValueError, match=r"^test = 0\.2: .*test is there to be tested on"):
        made(ImageFolder, folder, test=0.2).located()
    assert "test" not in described(made(ImageFolder, folder), identity=True)


@pytest.mark.parametrize("part", ["train", "test"])
def test_pictures_that_cannot_be_read_are_named_before_a_search(folder, tmp_path, part):
    broken = shutil.copytree(folder, tmp_path / "broken")
    whole = (broken / part / "day" / "1.png").read_bytes()
    (broken / part / "day" / "1.png").write_bytes(whole[:200])
    (broken / part / "night" / "0.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"^dataset\.root = .*: 2 of 48 pictures cannot") as caught:
        ImageClassification(dataset=made(ImageFolder, broken), device="cpu").prepared()
    told = str(caught.value)
    assert f"{part}/day/1.png (image file is truncated" in told
    assert f"{part}/night/0.png (cannot identify image file)" in told
    assert "\n" not in told


def test_pictures_of_a_table_that_cannot_be_read_are_named(tmp_path_factory):
    import datasets

    folder = tmp_path_factory.mktemp("table")

    good, bad = Image.new("RGB", (9, 9)), {"bytes": b"no picture", "path": None}
    pictures = [good, good, bad, good] * 3
    table = datasets.Dataset.from_dict(
        {"image": pictures, "label": [0, 1] * 6},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")}),
    )
    table.to_parquet(folder / "train.parquet")
    with pytest.raises(ValueError, match=r"3 of 12 pictures cannot be read: train: row 2 \("):
        HuggingFace(path=str(folder), validation=4, size=9).located().require()


def test_pictures_that_could_be_read_are_not_read_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("problems.datasets.readable.REMEMBERED", 1)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    images = shutil.copytree(folder, tmp_path / "images")
    data = made(ImageFolder, images).located()
    data.require()
    with monkeypatch.context() as context:
        context.setattr("problems.datasets.readable._reason", lambda picture: "read again")
        data.require()
        (images / "train" / "day" / "1.png").write_text("changed")
        with pytest.raises(ValueError, match="48 of 48 pictures"):
            data.require()


def test_one_class_is_refused(folder, tmp_path):
    one = shutil.copytree(folder, tmp_path / "one")
    for part in ("train", "test"):
        shutil.rmtree(one / part / "night")
    with pytest.raises(ValueError, match=r"it has one class, 'day'; a classifier needs two"):
        made(ImageFolder, one).located()


def test_a_test_folder_is_no_class(folder, tmp_path):
    flat = shutil.copytree(folder / "train", tmp_path / "flat")
    shutil.copytree(folder / "test", flat / "test")
    with pytest.raises(ValueError, match="it has test/ and no train/ beside it"):
        ImageFolder(root=str(flat), validation=10, size=12).located()


def test_a_batch_or_a_validation_part_out_of_proportion_is_pointed_out(folder, caplog):
    data = ImageFolder(root=str(folder), validation=1, size=12)
    ImageClassification(
        dataset=data, training=Training(batch_size=100_000), device="cpu"
    ).prepared()
    assert "training.batch_size = 100000: there are 39 images to train on" in caplog.text
    assert "dataset.validation = 1: that is less than one image of each of the 2" in caplog.text


def test_hidden_files_and_folders_are_no_pictures(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "photographs")
    checkpoints = tmp_path / "photographs" / "train" / ".ipynb_checkpoints"
    shutil.copytree(tmp_path / "photographs" / "train" / "day", checkpoints)
    (tmp_path / "photographs" / "train" / "day" / "._0.png").write_bytes(b"of a Mac")
    data = made(ImageFolder, tmp_path / "photographs").located()
    data.require()
    assert data == replace(made(ImageFolder, folder).located(), root=data.root)


def test_a_link_to_nothing_is_named_among_the_unreadable(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "photographs")
    (tmp_path / "photographs" / "train" / "day" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(ValueError, match=r"1 of 49 pictures cannot be read: train/day/gone\.png"):
        made(ImageFolder, tmp_path / "photographs").located().require()


def test_a_link_back_is_told_and_not_read_again_and_again(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "photographs")
    train = tmp_path / "photographs" / "train"
    (train / "day" / "more").symlink_to(train / "night")
    with pytest.raises(
        ValueError, match=r"(night and .*more|more and .*night) are one folder, by a link"
    ):
        made(ImageFolder, tmp_path / "photographs").located()


def test_a_picture_of_more_than_8_bits_is_told_before_pillow_cuts_it_off(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "photographs")
    deep = Image.fromarray(numpy.full((12, 12), 40_000, dtype=numpy.uint16))
    deep.save(tmp_path / "photographs" / "train" / "day" / "deep.png")
    with pytest.raises(
        ValueError, match=r"deep\.png \(its pixels are 'I;16' of Pillow, and 8 bits"
    ):
        made(ImageFolder, tmp_path / "photographs").located().require()


def test_files_that_are_no_pictures_by_their_name_are_pointed_out(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "photographs")
    (tmp_path / "photographs" / "train" / "day" / "moving.gif").write_bytes(b"GIF89a")
    (line,) = made(ImageFolder, tmp_path / "photographs").located().notices()
    assert line.endswith("left out, as no picture by its name: 1 .gif")
