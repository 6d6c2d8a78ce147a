"""A benchmark is run rarely; what it imports must still be there."""

import importlib

import pytest

from tests.conftest import REPOSITORY

FILES = sorted((REPOSITORY / "benchmarks").glob("**/[!_]*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_finds_what_it_imports(file):
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    assert importlib.import_module(".".join(parts))
