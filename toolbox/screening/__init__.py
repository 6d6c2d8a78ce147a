"""Which of the children that are bred are trained: (breed, count) in, `count` individuals out.

`breed(n)` returns n new children; a screen may call it for more than it keeps.
"""

from toolbox.screening.everyone import everyone
from toolbox.screening.interaction_ranker import InteractionRanker

SCREENS = {
    "everyone": everyone,
    "interaction_ranker": InteractionRanker,
}
