"""The searches that the plan is held against are legal, and what their data and problem are."""

import sys
from pathlib import Path

import pytest

from benchmarks.plan_error import CASES, HELD_OUT, Eigenvalues, pictures
from deap_nas.opening import declared
from tests.conftest import REPOSITORY

EVERY = (*CASES, *HELD_OUT)


def test_there_are_twice_ten_of_them_with_names_of_their_own():
    assert len(CASES) == len(HELD_OUT) == 10
    assert len({case.name for case in EVERY}) == len(EVERY)


@pytest.fixture
def modules_of_examples():
    """The modules of examples/ are imported anew: other tests have modules of the same names."""
    names = [path.stem for path in (REPOSITORY / "examples").glob("*.py")]
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    yield
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(others)


@pytest.mark.usefixtures("modules_of_examples")
@pytest.mark.parametrize("case", EVERY, ids=[case.name for case in EVERY])
def test_each_is_a_small_search(case, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / Path(case.file).parent)
    declaration = declared(REPOSITORY / case.file, case.overrides)
    assert 20 <= declaration.most_evaluations <= 120
    declaration.problem.build()


def test_the_pictures_differ_by_their_class():
    images, labels = pictures(images=300, pixels=8, channels=1)
    assert (images.shape, images.dtype) == ((300, 8, 8), "uint8")
    means = [images[labels == label].mean(axis=0) for label in range(10)]
    assert abs(means[0] - means[1]).max() > 20


def test_a_genome_of_ones_keeps_the_processor_busy():
    assert Eigenvalues(length=2, seconds=0.001).evaluate([1, 1]) == {"ones": 2.0}
