import gzip
import hashlib
import re
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy
import pytest
import torch
import torchvision
from sklearn.datasets import load_digits

from problems.datasets import DATASETS, Cifar10, Digits, FashionMnist, digits
from problems.datasets.dataset import ROOT_VARIABLE, DataMissing, data_root
from problems.datasets.splits import open_splits
from problems.datasets.stratified import stratified_order
from problems.image_classification import ImageClassification
from problems.spaces.conv_chain import PlainCnn
from problems.training.recipe import Training
from tests.problems import own_datasets

OF_OWN = ImageClassification(
    device="cpu",
    space=PlainCnn(depth=(1, 1), filters=(4, 8), kernels=(3,), pool_after=(1,)),
    dataset=own_datasets.Right(),
    training=Training(epochs=1, batch_size=20),
)


def identities(images):
    """Each image as a value that tells it from the others."""
    return [bytes(image.contiguous().numpy().tobytes()) for image in images]


def test_digits_are_carved_into_stratified_disjoint_splits():
    data = Digits(validation=200, limit=300)
    splits = open_splits(data, "cpu")
    assert splits.train.images.shape == (300, 1, 8, 8)
    assert splits.train.images.dtype == torch.uint8
    assert splits.validation.images.shape == (200, 1, 8, 8)
    assert splits.train.labels.bincount(minlength=10).tolist() == pytest.approx([30] * 10, abs=2)
    assert splits.validation.labels.bincount().tolist() == pytest.approx([20] * 10, abs=2)
    test_images, _ = data.read("test")
    train, validation = map(identities, (splits.train.images, splits.validation.images))
    test = identities(torch.from_numpy(test_images))
    assert not set(train) & set(validation)
    assert not (set(train) | set(validation)) & set(test)


def test_digits_test_images_do_not_depend_on_the_seed():
    first, second = Digits(seed=1).read("test"), Digits(seed=2).read("test")
    assert numpy.array_equal(first[0], second[0])


def test_a_smaller_limit_changes_neither_validation_nor_the_images_before_it():
    small = open_splits(Digits(limit=100), "cpu")
    large = open_splits(Digits(limit=400), "cpu")
    assert torch.equal(small.validation.images, large.validation.images)
    assert torch.equal(small.train.images, large.train.images[:100])


def test_another_seed_gives_another_split():
    first, second = (open_splits(Digits(seed=seed), "cpu") for seed in (0, 1))
    assert not torch.equal(first.validation.images, second.validation.images)


@pytest.mark.parametrize("file", [digits.BUNDLED, "datasets/elsewhere.csv.gz"])
def test_digits_are_those_of_scikit_learn_wherever_it_keeps_its_file(file, monkeypatch):
    monkeypatch.setattr(digits, "BUNDLED", file)
    expected = load_digits(return_X_y=True)
    for found, one in zip(digits._images_and_labels(), expected, strict=True):
        assert numpy.array_equal(found, one)
        assert found.dtype == one.dtype


def test_digits_are_resized_and_keep_their_range():
    images, labels = Digits(size=16).read("train")
    assert images.shape == (1437, 1, 16, 16)
    assert images.max() > 240
    assert labels.dtype == numpy.int64
    assert Digits(size=16).image_shape == (1, 16, 16)


def test_batches_are_floats_from_0_to_1():
    images, labels = open_splits(Digits(), "cpu").train.batch(torch.tensor([0, 5]))
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1
    assert len(labels) == 2


def test_images_are_read_once_per_process():
    assert open_splits(Digits(), "cpu") is open_splits(Digits(), "cpu")


@pytest.mark.parametrize("length", [1, 7, 40, 100])
def test_every_prefix_of_a_stratified_order_is_stratified(length):
    labels = numpy.repeat([0, 1, 2], [20, 30, 50])
    order = stratified_order(labels, seed=3)
    assert sorted(order) == list(range(100))
    found = numpy.bincount(labels[order[:length]], minlength=3)
    assert numpy.abs(found - numpy.array([0.2, 0.3, 0.5]) * length).max() <= 1


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"validation": 60_000}, "validation = 60000"),
        ({"limit": 50_001}, "limit = 50001: 50000 training images are left at most"),
    ],
)
def test_a_split_larger_than_the_data_is_refused(declared, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FashionMnist(**declared)


def test_the_environment_variable_overrides_the_root(monkeypatch, tmp_path):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert data_root(str(tmp_path)) == str(tmp_path)
    assert data_root("").endswith("deap-nas")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "other"))
    assert data_root(str(tmp_path)) == str(tmp_path / "other")
    assert FashionMnist().located().root == str(tmp_path / "other")


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_missing_data_without_a_network_is_one_line_that_says_what_to_put_where(
    name, tmp_path, monkeypatch
):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)

    def no_network(*arguments, **options):
        raise OSError("the network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(DataMissing, match=r"could not be downloaded.*; put .* there") as caught:
        DATASETS[name](root=str(tmp_path)).require()
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def idx(array):
    """An array in the IDX format of MNIST, gzipped."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.tobytes())


def test_fashion_mnist_is_downloaded_when_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    served, resources = tmp_path / "served", []
    served.mkdir()
    arrays = {
        "train-images-idx3-ubyte.gz": numpy.arange(20 * 784, dtype=numpy.uint8).reshape(20, 28, 28),
        "train-labels-idx1-ubyte.gz": numpy.arange(20, dtype=numpy.uint8) % 10,
        "t10k-images-idx3-ubyte.gz": numpy.zeros((10, 28, 28), numpy.uint8),
        "t10k-labels-idx1-ubyte.gz": numpy.arange(10, dtype=numpy.uint8),
    }
    for name, array in arrays.items():
        content = idx(array)
        (served / name).write_bytes(content)
        resources.append((name, hashlib.md5(content).hexdigest()))

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(served))

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        kind = torchvision.datasets.FashionMNIST
        monkeypatch.setattr(kind, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(kind, "resources", resources)
        data = FashionMnist(root=str(tmp_path / "root"))
        data.require()
        server.shutdown()
        thread.join()
    images, labels = data.read("train")
    assert images.shape == (20, 1, 28, 28)
    assert labels.tolist() == [*range(10), *range(10)]


def test_a_data_set_of_somebody_s_own_is_trained_on():
    problem = replace(OF_OWN, dataset=own_datasets.Right()).prepared()
    assert problem.evaluate([0] * len(problem.space.genes))["val_accuracy"] >= 0


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (own_datasets.Floats, "its images are float64 of shape (60, 1, 8, 8); uint8 (N, 1, 8, 8)"),
        (own_datasets.Flat, "its images are uint8 of shape (60, 8, 8); uint8 (N, 1, 8, 8) are"),
        (own_datasets.FromOne, "its labels are 1 to 3; int64 (N,) from 0 to 2 are needed"),
        (own_datasets.Texts, "its labels are <U21 of shape (60,) for 60 images; int64 (N,) from"),
        (own_datasets.Fewer, "it returned 50 images; official_train_images says 60"),
        (own_datasets.Fails, "failed: RuntimeError: the disk is full of eels"),
    ],
)
def test_a_data_set_that_breaks_its_word_is_told_before_a_search(dataset, message):
    said = rf"^dataset: {dataset.__name__}\.read\('train'\):? {re.escape(message)}"
    with pytest.raises(ValueError, match=said):
        replace(OF_OWN, dataset=dataset()).prepared()


def test_a_data_set_that_is_none_is_told_as_it_is_declared():
    with pytest.raises(ValueError, match=r"^dataset = object: a subclass of Dataset in problems"):
        replace(OF_OWN, dataset=object())


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_images_are_read_and_split(real_data, monkeypatch):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    fashion = open_splits(FashionMnist(root=str(real_data), limit=1_000), "cpu")
    assert fashion.train.images.shape == (1_000, 1, 28, 28)
    assert fashion.train.labels.bincount().tolist() == [100] * 10
    assert fashion.validation.images.shape == (10_000, 1, 28, 28)
    cifar = Cifar10(root=str(real_data))
    cifar.require()
    images, labels = cifar.read("train")
    assert images.shape == (50_000, 3, 32, 32)
    assert numpy.bincount(labels).tolist() == [5_000] * 10
    assert cifar.read("test")[0].shape == (10_000, 3, 32, 32)
