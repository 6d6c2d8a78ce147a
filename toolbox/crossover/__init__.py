"""Crossover operators: two parents in, the same two changed in place and returned."""

from toolbox.crossover.one_point import one_point
from toolbox.crossover.swap_parts import swap_parts
from toolbox.crossover.two_point import two_point
from toolbox.crossover.uniform import uniform

CROSSOVERS = {
    "one_point": one_point,
    "swap_parts": swap_parts,
    "two_point": two_point,
    "uniform": uniform,
}
