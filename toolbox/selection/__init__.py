"""Selection operators: (individuals, k) in, a list of k of them out."""

from toolbox.selection.nsga2 import nsga2
from toolbox.selection.nsga3 import nsga3
from toolbox.selection.roulette import roulette
from toolbox.selection.spea2 import spea2
from toolbox.selection.tournament import tournament
from toolbox.selection.truncation import truncation

SELECTIONS = {
    "mean_field_game": "toolbox.selection.mean_field_game:mean_field_game",  # imports scipy
    "nsga2": nsga2,
    "nsga3": nsga3,
    "roulette": roulette,
    "spea2": spea2,
    "tournament": tournament,
    "truncation": truncation,
}
