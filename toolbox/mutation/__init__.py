"""Mutation operators: one individual in, the same one changed in place, returned in a tuple."""

from toolbox.mutation.layer_from_population import layer_from_population
from toolbox.mutation.reset_gene import reset_gene
from toolbox.mutation.reset_part import reset_part
from toolbox.mutation.shift_gene import shift_gene

MUTATIONS = {
    "layer_from_population": layer_from_population,
    "reset_gene": reset_gene,
    "reset_part": reset_part,
    "shift_gene": shift_gene,
}
