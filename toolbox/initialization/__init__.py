"""Operators that draw the genome of a new individual."""

from toolbox.initialization.seeded import seeded
from toolbox.initialization.uniform_random import uniform_random

INITIALIZATIONS = {"seeded": seeded, "uniform_random": uniform_random}
