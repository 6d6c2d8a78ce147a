"""How far a work is, on a real pseudo-terminal and off it."""

import io
import logging
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from tests.conftest import REPOSITORY
from toolbox.progress import log_to_console
from toolbox.work import Heartbeat, Work, told_work

SEARCH = """
objectives = ["leading_ones", "trailing_zeros"]
problem = { use = "lotz", length = 24 }
toolbox = { map = "serial" }
[algorithm]
use = "nsga2"
population = 20
generations = 4
"""
WORK = """
import sys, time
from rich.console import Console
from toolbox.work import Work, told_work
import logging
logging.getLogger().setLevel(logging.DEBUG)
screen = Console()
def told(done):
    logging.debug("", extra={"work": ("gate, alone", "networks", done, 30)})
if sys.argv[1] == "told":
    with told_work(screen):
        for done in range(31):
            told(done)
            time.sleep(0.02)
else:
    with Work(screen, "epochs", 12_000, "a title that is far too long for a line " * 4) as work:
        for _ in range(30):
            work.details = "RC 16 3 relu;" * 20
            work.advance(200)
            time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def on_a_terminal(arguments, columns, cwd=REPOSITORY):
    """The lines that a program writes to a terminal of so many columns, redrawn ones too."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pty")
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    env |= {"TERM": "xterm-256color", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, env=env, stdout=follower, stderr=follower
    )
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux says so that the other end is closed
            break
        if not part:
            break
        written += part
    os.close(leader)
    assert process.wait() == 0, written.decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.decode())
    return re.split(r"[\r\n]+", plain)


def bars_among(lines):
    return [line for line in lines if "━" in line or "╸" in line]


@pytest.mark.parametrize("columns", [80, 100])
def test_a_search_has_a_bar_the_share_and_the_time_left_on_a_usual_terminal(tmp_path, columns):
    (tmp_path / "bits.toml").write_text(SEARCH)
    program = str(REPOSITORY / "run_search.py")
    lines = on_a_terminal([program, "bits.toml"], columns, cwd=tmp_path)
    bars = bars_among(lines)
    assert bars
    for line in bars:
        assert len(line.rstrip()) <= columns
        assert re.search(r"generation \d+/4 .*/100 networks \(\d+%\), [-\d]:.* left", line), line
    assert any(re.match(r"best leading_ones \d+; best trailing_zeros \d+; ", x) for x in lines)


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("told", r"gate, alone +[━╸╺ ]+ \d+/30 networks \(\d+%\), [-\d]:\S+ left"),
        ("long", r"a title.*… +[━╸╺ ]+ [\d,]+/12,000 epochs \(\d+%\), [-\d]:\S+ left"),
    ],
)
def test_every_work_fits_a_usual_terminal(tmp_path, kind, seen, columns):
    (tmp_path / "work.py").write_text(WORK)
    lines = on_a_terminal(["work.py", kind], columns, cwd=tmp_path)
    assert bars_among(lines)
    assert max(len(line.rstrip()) for line in lines) <= columns
    for line in bars_among(lines):
        assert re.fullmatch(seen, line.rstrip()), line


class Lines(io.StringIO):
    """A file that lets a test wait for a line."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def write(self, text):
        super().write(text)
        self.written.set()
        return len(text)


def test_elsewhere_a_line_comes_when_none_has_come_for_a_while():
    lines = Lines()
    heartbeat = Heartbeat(seconds=0.01)
    handler = logging.StreamHandler(lines)
    handler.addFilter(heartbeat)
    root = logging.getLogger()
    root.handlers[:], root.level = [handler], logging.INFO
    with heartbeat:
        assert lines.written.wait(60)
        assert lines.getvalue().startswith("still running, after 0:00:")
        with Work(Console(file=io.StringIO()), "networks", 4, "seed 1") as work:
            work.advance(2)
            lines.written.clear()
            while "seed 1: 2/4 networks (50%), 0:00:00 left" not in lines.getvalue():
                assert lines.written.wait(60)
                lines.written.clear()


def test_a_console_s_lines_are_those_that_a_heartbeat_waits_for(monkeypatch):
    from toolbox import progress

    heartbeat = Heartbeat(seconds=3600)
    monkeypatch.setattr(progress, "heartbeat", heartbeat)
    log_to_console(Console(file=io.StringIO()))
    before = heartbeat._spoke
    logging.getLogger("toolbox").info("a line")
    assert heartbeat._spoke > before


def test_what_was_free_does_not_shorten_the_time_left():
    work = Work(Console(file=io.StringIO()), "networks", 10)
    with work:
        work.reach(5, free=5)
        assert work.seconds_left is None
        assert "5/10 networks (50%), -:--:-- left" in str(work)
        work.reach(10, free=5)
        assert work.seconds_left == 0


def test_a_work_within_a_work_has_the_terminal_to_itself():
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Work(screen, "networks", 10, "outer") as outer:
        with Work(screen, "epochs", 3, "inner") as inner:
            assert inner._live.is_started
            assert not outer._live.is_started
        assert outer._live.is_started


def test_work_that_is_told_of_ends_with_its_context():
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    logging.getLogger().setLevel(logging.DEBUG)
    with told_work(screen):
        logging.debug("", extra={"work": ("supernet", "epochs", 1, 3)})
    assert "1/3 epochs (33%)" in screen.file.getvalue()
    with Work(screen, "networks", 1) as work:
        assert work._live.is_started


def test_the_time_left_is_as_expected_and_corrected_by_how_long_it_took(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("toolbox.work.time.monotonic", lambda: now[0])
    work = Work(Console(file=io.StringIO()), "networks", 12)
    work.expect([(0, 0.0), (4, 0.0), (5, 40.0), (6, 100.0), (8, 200.0)])
    assert work.seconds_left == 200
    work.reach(4, free=4)  # of the archive
    assert work.seconds_left == 200
    now[0] += 80
    work.reach(5, free=4)  # twice as long as it should have taken: (80 + 10) / (40 + 10)
    assert work.seconds_left == pytest.approx(160 * 1.8)
    now[0] += 8
    assert work.seconds_left == pytest.approx(160 * 1.8 - 8)
    work.reach(9, free=4)  # more than were expected
    assert work.seconds_left == 0


def test_a_work_of_unknown_size_tells_how_long_it_takes(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    work = Work(Console(file=io.StringIO()), "plots", 0, "reading 72 networks")
    now[0] += 31.0
    assert str(work) == "reading 72 networks: for 0:00:31 now"
    work.total = 4
    assert str(work) == "reading 72 networks: 0/4 plots (0%), -:--:-- left"
