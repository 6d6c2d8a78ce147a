"""Evolve convolutional networks: a search by a declaration, and what it found.

    import deap_nas

    search = deap_nas.Search("experiments/quickstart.toml", "algorithm.generations=2")
    result = search.run()
    result.front            # a pandas DataFrame, or a list of records without pandas
    result.best.retrain(seeds=2)
    network = result.best.network()     # a torch module with its weights
    result.report()         # the path of a page

`deap_nas.open("runs/quickstart/seed-1")` gives the same result of a search that was run before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deap_nas.python_search import Search as Search
    from deap_nas.result import Network as Network
    from deap_nas.result import Result as Result
    from deap_nas.result import open_result as open
    from toolbox.search import Generation as Generation
    from toolbox.stopped import SearchStopped as SearchStopped

__all__ = ["Generation", "Network", "Result", "Search", "SearchStopped", "open"]

_PLACES = {
    "Generation": ("toolbox.search", "Generation"),
    "Network": ("deap_nas.result", "Network"),
    "Result": ("deap_nas.result", "Result"),
    "Search": ("deap_nas.python_search", "Search"),
    "SearchStopped": ("toolbox.stopped", "SearchStopped"),
    "open": ("deap_nas.result", "open_result"),
}


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: `run_search.py --help` must not wait for numpy.
    if name not in _PLACES:
        raise AttributeError(f"module 'deap_nas' has no attribute {name!r}")
    import importlib

    from deap_nas.user_modules import refuse_others

    refuse_others()
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
