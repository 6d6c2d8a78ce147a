"""The short form of `tests.fuzz_declarations`."""

import pytest

from tests.fuzz_declarations import fuzz


@pytest.mark.slow
def test_a_random_declaration_is_searched_or_refused_in_one_line():
    wrong = []
    ends = fuzz(range(400), lambda seed, what: wrong.append((seed, what)))
    assert not wrong
    assert ends["searched"] > 5
    assert ends["rehearsed"] > 5
    assert ends["refused when declared"] > 100
