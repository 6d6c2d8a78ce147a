import logging
from types import SimpleNamespace

import pytest

from toolbox.trackers import Tracked


def test_a_tracker_that_fails_is_left_alone_and_the_search_goes_on(caplog):
    told = []

    def metrics(values, generation):
        told.append(generation)
        raise ConnectionError("gone")

    tracker = SimpleNamespace(metrics=metrics, artifacts=told.append, end=told.append)
    tracked = Tracked("mlflow", tracker, lambda: pytest.fail("there is nobody to keep it"))
    with caplog.at_level(logging.WARNING):
        tracked.generation({"generation": 0, "best_ones": 1.0})
        tracked.generation({"generation": 1, "best_ones": 1.0})
        tracked.stopped("enough")
        tracked.close()
    assert told == [0]
    assert caplog.messages == ["mlflow hears nothing more of this search: ConnectionError: gone"]


def test_a_search_that_was_interrupted_is_killed_and_has_no_report():
    ends = []
    tracker = SimpleNamespace(end=ends.append)
    Tracked("mlflow", tracker, lambda: pytest.fail("it is not finished")).close()
    assert ends == [""]
