"""Selection operators: (individuals, k) in, a list of k of them out."""

from toolbox.selection.nsga2 import nsga2
from toolbox.selection.roulette import roulette
from toolbox.selection.tournament import tournament
from toolbox.selection.truncation import truncation

SELECTIONS = {
    "nsga2": nsga2,
    "roulette": roulette,
    "tournament": tournament,
    "truncation": truncation,
}
