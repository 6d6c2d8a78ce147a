"""A problem turns a genome into a measurement.  Nothing here knows about DEAP or the toolbox.

A problem is any object with `.space` and `.evaluate(genome) -> measurement`, a dict of named
finite numbers.  `PROBLEMS` is the table of the ones that a declaration can name; the classes are
imported on first use, because torch takes seconds and most of them do without it.
"""

PROBLEMS = {
    "image_classification": "problems.image_classification:ImageClassification",
    "lotz": "problems.bit_counting:LeadingOnesTrailingZeros",
    "onemax": "problems.bit_counting:OneMax",
    "tabular": "problems.tabular:Tabular",
    "weight_sharing": "problems.weight_sharing:WeightSharing",
}
