"""Backends: each makes a map of (function, jobs) that yields outcomes as they become known."""

from toolbox.backends.processes import Processes
from toolbox.backends.ray import Ray
from toolbox.backends.scoop import Scoop
from toolbox.backends.serial import Serial

BACKENDS = {"processes": Processes, "ray": Ray, "scoop": Scoop, "serial": Serial}
