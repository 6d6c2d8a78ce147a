"""Backends: each makes a map of (function, jobs) that yields outcomes as they become known.

backend.py tells what a map of your own needs.
"""

from collections.abc import Callable, Mapping

from toolbox.backends.backend import Backend
from toolbox.backends.processes import Processes
from toolbox.backends.ray import Ray
from toolbox.backends.scoop import Scoop
from toolbox.backends.serial import Serial

BACKENDS: Mapping[str, Callable[..., Backend]] = {
    "processes": Processes,
    "ray": Ray,
    "scoop": Scoop,
    "serial": Serial,
}
SENDING = BACKENDS.keys() - {"serial"}  # those that send a problem to other processes
