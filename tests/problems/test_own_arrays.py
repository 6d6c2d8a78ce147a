"""Images that a plain function of the user's returns."""

import pickle
import re
import textwrap
from dataclasses import replace

import numpy
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from problems import PROBLEMS
from problems.datasets.dataset import DataMissing
from problems.datasets.final_splits import open_final_splits
from problems.datasets.own_arrays import OwnArrays
from problems.datasets.splits import open_splits
from tests.problems.own_data import IMAGES, LABELS
from toolbox.signature import choose, described

MODULE = "tests.problems.own_data"


def declared(function, **keys):
    dataset = {"use": f"{MODULE}:{function}", "validation": 20, **keys}
    table = {"use": "image_classification", "dataset": dataset, "device": "cpu"}
    return choose(table, PROBLEMS, "problem").build()


def prepared(function, **keys):
    return declared(function, **keys).prepared()


def returning(monkeypatch, *returned):
    """A data set whose function returns this."""
    monkeypatch.setattr(f"{MODULE}.returned", returned)
    return OwnArrays(use=f"{MODULE}:whatever", validation=10)


def read(monkeypatch, *returned, part="train"):
    return returning(monkeypatch, *returned).located().read(part)


def test_a_network_is_trained_on_what_a_function_returns():
    problem = prepared("squares", bright=200)
    assert (problem.space.image_shape, problem.space.classes) == ((1, 8, 8), 2)
    assert problem.dataset.class_names() == ["bright", "dark"]
    assert problem.budget(1) == "1 networks x 5 epochs x 80 images = 400 training images"
    splits = open_splits(problem.dataset, "cpu")
    assert (len(splits.train), len(splits.validation)) == (80, 20)
    assert splits.train.images.max() == 200
    assert "val_accuracy" in problem.evaluate([0] * len(problem.space.genes), epochs=1)


def test_a_declaration_and_an_archive_know_the_function_and_its_content():
    problem = declared("squares", bright=200, test=0.2)
    table = described(problem)["dataset"]
    assert table == {
        "use": f"{MODULE}:squares",
        "validation": 20,
        "test": 0.2,
        "seed": 0,
        "bright": 200,
    }
    assert declared("squares", **{k: v for k, v in table.items() if k != "use"}) == problem
    identity = described(problem.prepared(), identity=True)["dataset"]
    assert {**identity, "fingerprint": ""} == {**table, "fingerprint": ""}
    other = described(prepared("squares", bright=201, test=0.2), identity=True)["dataset"]
    assert identity["fingerprint"] != other["fingerprint"]
    assert len(pickle.dumps(problem.prepared())) < 5_000


def test_a_parameter_seed_is_the_seed_of_the_data_set():
    assert declared("noise").dataset.seed == 7
    assert declared("noise", seed=3).dataset.seed == 3
    first, second = prepared("noise"), prepared("noise", seed=3)
    assert first.dataset.fingerprint != second.dataset.fingerprint


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES[:, None],
        IMAGES[..., None],
        IMAGES.astype(numpy.int64),
        IMAGES.astype(numpy.float64),
        (IMAGES / 255).astype(numpy.float16),
        torch.from_numpy(IMAGES / 255),
        torch.from_numpy(IMAGES)[:, None],
        IMAGES.tolist(),
    ],
    ids=["grey", "channel", "channel last", "int", "whole", "half", "torch", "torch uint8", "list"],
)
def test_images_may_be_arrays_or_tensors_of_the_usual_shapes_and_ranges(monkeypatch, images):
    found, labels = read(monkeypatch, images, LABELS)
    assert found.dtype == numpy.uint8
    assert numpy.array_equal(found, IMAGES[:, None])
    assert labels.tolist() == LABELS


def test_channels_may_come_last(monkeypatch):
    colour = numpy.stack([IMAGES, IMAGES // 2, IMAGES // 3], axis=-1)
    found, _ = read(monkeypatch, colour, LABELS)
    assert numpy.array_equal(found, colour.transpose(0, 3, 1, 2))
    five = numpy.concatenate([colour, colour[..., :2]], axis=-1)
    assert read(monkeypatch, five, LABELS)[0].shape == (40, 5, 8, 8)


@pytest.mark.parametrize(
    "labels",
    [
        [["no", "yes"][label] for label in LABELS],
        numpy.array([["no", "yes"][label] for label in LABELS], dtype=object),
        [[-3, 12][label] for label in LABELS],
        torch.tensor(LABELS),
        numpy.array(LABELS, dtype=bool),
    ],
)
def test_labels_may_be_numbers_or_strings(monkeypatch, labels):
    assert read(monkeypatch, IMAGES, labels)[1].tolist() == LABELS


def test_test_images_may_come_along(monkeypatch, caplog):
    data = returning(monkeypatch, IMAGES, LABELS, IMAGES[:3], LABELS[:3]).located()
    assert data.official_train_images == 40
    assert data.notices() == []
    final = open_final_splits(data, "cpu")
    assert (len(final.train), len(final.test)) == (40, 3)
    with pytest.raises(ValueError, match=r"^test = 0\.2: .* returns images to be tested on"):
        replace(data, test=0.2).located()


def test_without_test_images_it_says_so_and_some_can_be_carved(monkeypatch):
    data = returning(monkeypatch, IMAGES, LABELS).located()
    (notice,) = data.notices()
    assert "cannot be retrained" in notice
    with pytest.raises(DataMissing, match=r"test = 0\.2 keeps a fifth of the images"):
        data.read("test")
    carved = replace(data, test=0.25).located()
    assert carved.notices() == []
    assert (len(carved.read("train")[0]), len(carved.read("test")[0])) == (30, 10)


def test_floats_that_lose_something_are_pointed_out(monkeypatch):
    noisy = numpy.random.default_rng(1).random(IMAGES.shape)
    data = returning(monkeypatch, noisy, LABELS, IMAGES, LABELS).located()
    assert "its floats are rounded to 255ths" in data.notices()[0]
    dim = returning(monkeypatch, IMAGES // 255, LABELS, IMAGES, LABELS).located()
    assert "the brightest pixel is 1 of 255" in dim.notices()[0]


class Rows:
    """A data set of (image, label) by number, as torch's map-style ones are."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        return self.images[number], self.labels[number]


TENSORS = TensorDataset(torch.tensor(IMAGES), torch.tensor(LABELS))
PICTURES = Rows([Image.fromarray(one) for one in IMAGES], ["ab"[label] for label in LABELS])


@pytest.mark.parametrize("dataset", [TENSORS, PICTURES, Rows(IMAGES, LABELS)])
def test_a_data_set_of_torch_is_read_row_by_row(monkeypatch, dataset):
    monkeypatch.setattr(f"{MODULE}.returned", dataset)
    images, labels = OwnArrays(use=f"{MODULE}:whatever", validation=10).located().read("train")
    assert numpy.array_equal(images, IMAGES[:, None])
    assert labels.tolist() == LABELS


@pytest.mark.parametrize(
    "returned", [(TENSORS, Rows(IMAGES[:6], LABELS[:6])), ((IMAGES, LABELS),) * 2]
)
def test_what_is_to_be_tested_on_may_be_a_second_data_set_or_pair(monkeypatch, returned):
    images, labels = read(monkeypatch, *returned, part="test")
    assert numpy.array_equal(images, IMAGES[: len(images), None])
    assert labels.tolist() == LABELS[: len(images)]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Rows([{}], [0]), "images has the shape (1,)"),
        (Rows(IMAGES, LABELS[:3]), "Rows[3] failed: IndexError: list index out of range"),
        (Rows([IMAGES[0], IMAGES[1, 1:]], [0, 1]), "number 1 has the shape (7, 8), and number 0 ("),
        ([{"image": 1}] * 3, "it returned a list of 3"),
        (Rows([], []), "it returned a Rows; (images, labels)"),
        (DataLoader(TENSORS), "it returned a DataLoader; (images, labels)"),
        ({"images": IMAGES, "labels": LABELS}, "it returned a dict; (images, labels)"),
    ],
)
def test_a_data_set_that_does_not_do_is_one_line(monkeypatch, dataset, message):
    monkeypatch.setattr(f"{MODULE}.returned", dataset)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        OwnArrays(use=f"{MODULE}:whatever", validation=10).located()
    assert "\n" not in str(caught.value)


def test_a_data_set_whose_rows_are_no_pairs_is_one_line(monkeypatch):
    monkeypatch.setattr(Rows, "__getitem__", lambda rows, number: {"image": rows.images[number]})
    monkeypatch.setattr(f"{MODULE}.returned", Rows(IMAGES, LABELS))
    with pytest.raises(ValueError, match=r"Rows\[0\] is a dict; \(image, label\) is needed"):
        OwnArrays(use=f"{MODULE}:whatever", validation=10).located()


NAN = numpy.full(IMAGES.shape, numpy.nan)
WRONG = [
    ((), "it returned a tuple of 0; (images, labels) or"),
    ((IMAGES,), "it returned a tuple of 1; (images, labels) or"),
    ((IMAGES, LABELS, IMAGES), "it returned a tuple of 3; (images, labels) or"),
    ((IMAGES, LABELS[1:]), "there are 40 images and 39 labels"),
    ((NAN, LABELS), "images: 2,560 of its values are NaN or infinite; legal: uint8"),
    ((IMAGES - 300.0, LABELS), "images holds float64 from -300 to -45; legal: uint8"),
    ((IMAGES * 1.5, LABELS), "images holds float64 from 0 to 382.5; legal: uint8"),
    ((IMAGES.astype(int) * 2, LABELS), "images holds int64 from 0 to 510; legal: uint8"),
    ((IMAGES.astype(str), LABELS), "images holds <U3; legal: uint8"),
    ((IMAGES.reshape(40, 64), LABELS), "images has the shape (40, 64); (N, H, W), (N, C, H, W)"),
    ((IMAGES.reshape(40, 4, 4, 4), LABELS), "images has the shape (40, 4, 4, 4); (N, H, W)"),
    ((IMAGES[:0], []), "images has the shape (0, 1, 8, 8): there is nothing in it"),
    (([[1], [2, 3]], LABELS), "images: it is no array"),
    ((IMAGES, [0.5] * 40), "labels holds float64; whole numbers or strings are needed"),
    ((IMAGES, numpy.eye(40)), "labels has the shape (40, 40); (N,) is needed, such as labels.argm"),
    ((IMAGES, [[0]] * 40), "labels has the shape (40, 1); (N,) is needed, such as labels[:, 0]"),
    (
        (IMAGES, [1.0] * 40),
        "labels holds float64; whole numbers or strings are needed, such as lab",
    ),
    ((IMAGES, [3] * 40), "labels: it has one class, '3'; a classifier needs two or more"),
    ((IMAGES, LABELS, IMAGES, [9] * 40), "test_labels: 9 is not among the labels"),
    ((IMAGES, LABELS, IMAGES[:, :4], LABELS), "test_images are (1, 4, 8) in channels, height"),
    ((IMAGES, LABELS, IMAGES, LABELS[1:]), "there are 40 test_images and 39 test_labels"),
    ((IMAGES - 1.0, LABELS), "leave Normalize to training.normalize = true"),
]


@pytest.mark.parametrize(("returned", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_wrong_with_it_is_one_line_before_anything_trains(monkeypatch, returned, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        returning(monkeypatch, *returned).located()
    assert str(caught.value).startswith(f"use = '{MODULE}:whatever': ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", "it failed: KeyError: 'nothing'"),
        ("not_a_pair", "it returned a ndarray; (images, labels) or"),
        ("random", "it returned other images than the last time; they must be the same"),
    ],
)
def test_a_function_that_does_not_do_is_refused_by_its_key(function, message):
    expected = f"dataset.use = '{MODULE}:{function}': {message}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        prepared(function)


@pytest.mark.parametrize(
    ("function", "keys", "message"),
    [
        ("squares", {"brigt": 3}, "brigt = 3: unknown key; legal: .* did you mean 'bright'?"),
        ("squares", {"bright": "x"}, "bright = 'x': Input should be a valid integer"),
        ("squares", {"validation": 0}, "validation = 0: Input should be greater than or equal"),
        ("squares", {"test": 2.5}, "test = 2.5: a share of the images"),
        ("needs", {}, "width = ... is missing"),
        ("takes_limit", {}, f"use = '{MODULE}:takes_limit': its parameter 'limit' is a key of"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(function, keys, message):
    with pytest.raises(ValueError, match=rf"^problem\.dataset\.{message}"):
        declared(function, **keys)


def test_how_many_to_validate_on_must_be_said():
    table = {"use": "image_classification", "dataset": f"{MODULE}:squares"}
    with pytest.raises(ValueError, match=r"^problem\.dataset\.validation = N is missing"):
        choose(table, PROBLEMS, "problem")


def test_other_images_in_a_worker_are_an_error_there(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "by_process.py").write_text(
        textwrap.dedent("""
        import numpy, os

        def images():
            return numpy.full((40, 8, 8), os.environ["BRIGHT"], numpy.uint8), [0, 1] * 20
        """)
    )
    monkeypatch.setenv("BRIGHT", "1")
    data = OwnArrays(use="by_process:images", validation=10).located()
    monkeypatch.setenv("BRIGHT", "2")
    import problems.datasets.own_arrays

    problems.datasets.own_arrays._called.cache_clear()  # as in another process
    with pytest.raises(ValueError, match="by_process:images': it returned other images"):
        data.read("train")


def test_a_class_and_a_function_that_returns_a_data_set_do_as_before():
    assert declared("Blank").dataset.validation == 20
    assert declared("blank").dataset.validation == 20
    assert described(declared("blank"))["dataset"]["use"] == f"{MODULE}:Blank"
