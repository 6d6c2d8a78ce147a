import ast
import subprocess
import sys

import numpy
import pytest
import torch

from problems.datasets import Digits, FashionMnist
from problems.datasets.final_splits import open_final_splits
from problems.datasets.splits import open_splits
from problems.image_classification import ImageClassification
from problems.training.recipe import Training
from tests.conftest import REPOSITORY

DATA = Digits(limit=200, validation=100)


def rows(images):
    return sorted(image.numpy().tobytes() for image in images)


def test_a_final_training_has_the_training_and_validation_images_of_the_search():
    splits, final = open_splits(DATA, "cpu"), open_final_splits(DATA, "cpu")
    searched = torch.cat([splits.validation.images, splits.train.images])
    assert torch.equal(final.train.images, searched)
    assert torch.equal(
        final.train.labels, torch.cat([splits.validation.labels, splits.train.labels])
    )


def test_the_test_split_is_the_official_one_and_shares_no_image_with_training():
    whole = Digits()
    final = open_final_splits(whole, "cpu")
    images, labels = whole.read("test")
    assert numpy.array_equal(final.test.images.numpy(), images)
    assert numpy.array_equal(final.test.labels.numpy(), labels)
    assert len(final.train) + len(final.test) == 1797


@pytest.mark.slow  # the images are unpacked first
@pytest.mark.real_data
def test_fashion_mnist_has_its_official_numbers_and_names(real_data):
    data = FashionMnist(root=str(real_data))
    final = open_final_splits(data, "cpu")
    assert (len(final.train), len(final.test)) == (60_000, 10_000)
    assert data.class_names()[:2] == ["T-shirt/top", "Trouser"]


READING = ("read", "read_as_promised")


def test_only_one_module_reads_the_test_split():
    """Whoever reads it names it: `read("test")` and its checked form stand nowhere else."""
    readers = set()
    for wing in ("problems", "toolbox", "deap_nas", "."):
        pattern = "*.py" if wing == "." else "**/*.py"
        for file in (REPOSITORY / wing).glob(pattern):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and getattr(node.func, "attr", getattr(node.func, "id", "")) in READING
                    and any(isinstance(a, ast.Constant) and a.value == "test" for a in node.args)
                ):
                    readers.add(file.name)
    assert readers == {"final_splits.py"}


SEARCH = """
import sys
import run_search
assert run_search.main([sys.argv[1], "algorithm.generations=1", "toolbox.map=serial"]) == 0
print([name for name in sys.modules if name.endswith(("final_splits", "retraining"))])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_a_search_does_not_even_import_what_reads_the_test_split(tmp_path):
    quickstart = REPOSITORY / "experiments" / "quickstart.toml"
    text = quickstart.read_text().replace("population = 12", "population = 2")
    assert "population = 2\n" in text
    (tmp_path / "small.toml").write_text(text.replace("epochs = 8", "epochs = 1"))
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, "small.toml"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_evaluation_of_a_search_reads_the_training_images_alone(monkeypatch):
    read, parts = Digits.read, []

    def noted(self, part):
        parts.append(part)
        return read(self, part)

    monkeypatch.setattr(Digits, "read", noted)
    open_splits.cache_clear()
    problem = ImageClassification(dataset=DATA, training=Training(epochs=1), device="cpu")
    genome = problem.space.encode("NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;")
    problem.evaluate(genome)
    assert parts == ["train"]
