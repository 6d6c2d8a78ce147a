"""The short form of `tests.fuzz_files`."""

import pytest

from tests.fuzz_files import fuzz


@pytest.mark.slow
def test_a_damaged_or_crafted_run_folder_is_read_or_refused_in_one_line_and_runs_nothing():
    wrong = []
    ends = fuzz(range(20), lambda seed, what: wrong.append((seed, what)), drawn=0.0)
    assert not wrong
    assert sum(count for end, count in ends.items() if end.startswith("status 2")) > 2
    assert sum(count for end, count in ends.items() if end.startswith("status 0")) > 2
