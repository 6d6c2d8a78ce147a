"""The short form of `tests.clock_jumps`."""

import shutil
import sys

import pytest

from tests.clock_jumps import jump

pytestmark = [
    pytest.mark.usefixtures("untraced"),
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the library is preloaded as on Linux"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed"),
]


def test_a_clock_that_jumps_changes_nothing_that_a_search_finds():
    found = jump("processes", 1)
    assert found.jumps > 10
    assert found.back > 0
