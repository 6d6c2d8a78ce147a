import json
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import run_search
from tests.test_run_search import ONEMAX
from toolbox.event_log import tensorboard_writer

pytestmark = pytest.mark.slow  # searches in processes of their own


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "onemax.toml").write_text(ONEMAX)
    return tmp_path


def test_json_lines_tell_of_every_network_and_generation_and_nothing_else(folder):
    done = run_search("onemax.toml", "--json", cwd=folder)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    networks = [event for event in events if event["event"] == "network"]
    generations = [event for event in events if event["event"] == "generation"]
    assert [event["generation"] for event in generations] == list(range(6))
    assert len(networks) == sum(event["trained"] for event in generations)
    assert {"key", "architecture", "status", "measurement"} <= set(networks[0])
    assert events[-1] == {"event": "stopped", "reason": "5 generations were evolved"}
    assert "generation 5/5" in done.stderr


def test_tensorboard_gets_each_column_once_a_generation_also_when_continued(folder):
    for _ in range(2):
        done = run_search("onemax.toml", "--tensorboard", cwd=folder)
        assert done.returncode == 0, done.stderr
    scalars = EventAccumulator(str(folder / "runs" / "onemax" / "seed-1" / "tensorboard"))
    scalars.Reload()
    assert "search/best_ones" in scalars.Tags()["tensors"]
    assert [event.step for event in scalars.Tensors("search/best_ones")] == list(range(6))


def test_without_the_package_tensorboard_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(ValueError, match=r"pip install 'deap-nas\[tensorboard\]'"):
        tensorboard_writer()
