"""Whether a core of this machine has nothing to do."""

import os
import time
from pathlib import Path

CORES = os.cpu_count() or 1
STAT = Path("/proc/stat")
IDLE = 0.8  # of a core that has nothing to do: what watches takes a little of it
AT_LEAST, AT_MOST = 1.0, 15.0  # seconds between two readings that tell what is now


class IdleCores:
    """Asked again and again, tells whether there is an idle core, by what Linux counts."""

    def __init__(self) -> None:
        self._at, self._counted = -AT_MOST, 0.0
        self._idle = False

    def any(self) -> bool:
        """Over the time since it was asked before; False if that cannot be told."""
        at = time.monotonic()
        passed = at - self._at
        if passed < AT_LEAST:
            return self._idle
        counted = idle_seconds()
        if counted is None:
            return False
        self._idle = passed <= AT_MOST and counted - self._counted >= IDLE * passed
        self._at, self._counted = at, counted
        return self._idle


def idle_seconds() -> float | None:
    """Of all cores together, since the machine was begun; None where that is not told."""
    try:
        first = STAT.read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(first[4]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
