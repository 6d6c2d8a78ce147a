"""When a watched page's plots may be drawn, and whether a core is idle."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deap_nas import idle_cores, painter
from deap_nas.idle_cores import IdleCores
from deap_nas.painter import Painter


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_the_first_drawing_waits_until_a_search_is_not_slowed_by_it(monkeypatch):
    monkeypatch.setattr(painter, "SHARE", 0.01)
    first = painter.FIRST_SECONDS / 0.01
    one = Painter()
    assert not one.is_free(first - 1, idle=False)
    assert one.is_free(first, idle=False)
    assert one.is_free(0.0, idle=True)
    assert one.is_free(None, idle=False)


def test_between_drawings_it_rests_for_as_long_as_its_share_asks(monkeypatch):
    clock = Clock(monkeypatch)
    monkeypatch.setattr(painter, "SHARE", 0.01)
    one = Painter()
    one._took, one._finished_at = 0.5, clock.now
    clock.now += 49.0
    assert not one.is_free(1e6, idle=False)
    assert one.is_free(1e6, idle=True)
    clock.now += 1.0
    assert one.is_free(1e6, idle=False)
    one._took = 0.0  # however quick it was
    one._finished_at = clock.now - 0.5
    assert not one.is_free(1e6, idle=True)


def test_what_cannot_be_drawn_is_said_and_its_process_goes_on(tmp_path):
    one = Painter()
    assert one.finished() is None
    for _ in range(2):
        assert one.is_free(None, idle=False)
        one.paint([tmp_path / "nothing"], tmp_path / "out")
        assert not one.is_free(None, idle=False)
        while (said := one.finished()) is None:
            time.sleep(0.05)
        assert said.startswith("The plots cannot be drawn: ")
    one._process.kill()
    one._process.join()
    assert not one.is_free(None, idle=True)
    one.close()


def test_a_process_that_ended_while_it_drew_is_said(tmp_path):
    one = Painter()
    one.paint([tmp_path], tmp_path / "out")
    one._process.kill()
    one._process.join()
    assert one.finished() == "The process that draws the plots has ended."
    one.close()


def test_cores_are_idle_by_what_was_counted_since_the_question_before(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    stat = tmp_path / "stat"
    monkeypatch.setattr(idle_cores, "STAT", stat)
    ticks = os.sysconf("SC_CLK_TCK")

    def counted(seconds):
        stat.write_text(f"cpu  7 8 9 {int(seconds * ticks)} 1 0 0 0 0 0\ncpu0 1 1 1 1\n")

    found = IdleCores()
    counted(50.0)
    assert not found.any()  # nothing before it
    clock.now += 2.0
    counted(52.0)
    assert found.any()
    clock.now += 0.5  # too short a time to tell
    counted(52.0)
    assert found.any()
    clock.now += 1.5
    assert not found.any()
    clock.now += 60.0  # what was a minute ago is no news
    counted(112.0)
    assert not found.any()
    stat.write_text("")
    clock.now += 2.0
    assert not found.any()


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this system does not group by sessions"
)
def test_the_session_that_draws_gives_way_to_all_others():
    asked = (
        "import os; from deap_nas import painter; os.setsid(); painter._step_back(19); "
        "print(open('/proc/self/autogroup').read(), os.getpriority(os.PRIO_PROCESS, 0)); "
        "__import__('time').sleep(0.3); painter._rank_session(0); "
        "print(open('/proc/self/autogroup').read())"
    )
    lines = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    ).stdout.split()
    numbers = [lines[place + 1] for place, word in enumerate(lines) if word == "nice"]
    assert numbers == ["19", "0"]
