"""The short form of `tests.disk_faults`, and what an archive whose commit was cut short becomes."""

import shutil
import subprocess
import sys

import pytest

from tests.disk_faults import preloaded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the library is preloaded as on Linux"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed"),
]


def test_power_cuts_full_disks_and_kills_cost_nothing_but_time():
    done = preloaded(
        ["--every", "197", "--variants", "3"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("operations") == 3
