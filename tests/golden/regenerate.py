"""Write algorithms.json anew: python -m tests.golden.regenerate

The final population of each algorithm at a fixed seed.  Look at the difference before you commit
it: a change of these numbers is a change of everyone's searches.
"""

import json
from pathlib import Path

from tests.conftest import Run, lotz, onemax
from toolbox.algorithms import ALGORITHMS

FILE = Path(__file__).with_name("algorithms.json")
OPTIONS = {
    "eaMuPlusLambda": {"offspring": 6},
    "eaMuCommaLambda": {"offspring": 12},
    "islands": {"islands": 2, "migrate_every": 2},
}


def final_populations(algorithm):
    """The final populations of one algorithm on OneMax and LOTZ, as strings of bits."""
    options = {"use": algorithm, **OPTIONS.get(algorithm, {})}
    found = {"onemax": Run(onemax(**options))}
    if algorithm != "genetic_algorithm":
        found["lotz"] = Run(lotz(**options, population=10, generations=5))
    return {
        problem: ["".join(map(str, individual)) for individual in run.population]
        for problem, run in found.items()
    }


if __name__ == "__main__":
    golden = {algorithm: final_populations(algorithm) for algorithm in ALGORITHMS}
    FILE.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
