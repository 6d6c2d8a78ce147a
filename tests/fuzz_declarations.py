"""Random declarations and overrides: each is searched, or refused in one line.

    python -m tests.fuzz_declarations CASES [FIRST_SEED]

A case is one seed.  It takes a declaration of `experiments/`, of `examples/` or of `CHEAP`, changes
it in up to three places (keys deleted, renamed, moved and doubled; values of other types and out of
range; parts of other declarations; overrides; broken TOML), and follows it as far as a search
goes: declared, rehearsed and, where networks cost next to nothing, searched.  Prints each case in
which something but a search or a refusal of one line came out, and how the others ended.
"""

import copy
import logging
import random
import signal
import string
import sys
import tempfile
import tomllib
import traceback
import warnings
from collections import Counter
from datetime import date
from pathlib import Path

import tomlkit

from deap_nas.opening import OpenSearch, declared, rehearsed
from deap_nas.refused import Refused
from tests.conftest import REPOSITORY, Unfollowed
from toolbox.stopped import SearchStopped

SECONDS = 300  # of one case; one that takes longer hangs
DIGITS = {"use": "digits", "limit": 100, "validation": 50}
CHEAP = [
    {
        "objectives": ["ones"],
        "seed": 1,
        "problem": {"use": "onemax", "length": 8},
        "toolbox": {
            "mate": "two_point",
            "mutate": {"use": "reset_gene", "gene_probability": 0.1},
            "select": {"use": "tournament", "size": 3},
            "map": "serial",
        },
        "algorithm": {"use": "genetic_algorithm", "population": 6, "generations": 2, "elite": 1},
        "stop": {"evaluations": 20, "target_fitness": 8, "stale_generations": 2},
    },
    {
        "objectives": ["val_accuracy", {"use": "params", "direction": "minimize"}],
        "seed": 1,
        "problem": {"use": "tabular", "format": "skip_cells"},
        "toolbox": {"map": "serial", "screen": "interaction_ranker"},
        "algorithm": {"use": "nsga2", "population": 8, "generations": 2},
        "finals": {"networks": 2, "seeds": 2},
        "bounds": {"params": 20000},
    },
]
VALUES = [
    *(-1, 0, 1, 2, 3, 7, 2**31, 2**63, 10**30, -(2**40), True, False),
    *(0.0, 0.5, 1.0, 1.5, -0.1, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", " ", "x", "0", "1", "a\nb", "\x00", "ä€😀", "x" * 5000, "../..", "/", "nul", ":", "a:b"),
    *(
        "math:sqrt",
        "math:pi",
        "no_module:f",
        "random:choice",
        "json:dumps",
        "collections:OrderedDict",
    ),
    *([], [1], [[]], [""], [1, "a"], ["params", "params"], [{}], [None]),
    *({}, {"use": ""}, {"use": 3}, {"use": "x"}, {"x": {}}, {"use": []}),
    *(
        {"between": [0.01, 1.0], "scale": "log"},
        {"between": [1, 10**12]},
        {"between": [-1e300, 1e300]},
    ),
    *({"among": [0.1, 1]}, {"among": ["x", {}]}, {"between": [-1e300, 1e300]}),
    date(2026, 1, 1),
]


def bases():
    """(name, tables) of each declaration that is changed, on data which are everywhere."""
    found = [(f"cheap {number}", tables) for number, tables in enumerate(CHEAP)]
    for path in sorted((REPOSITORY / "experiments").glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        if "dataset" in tables["problem"]:
            tables["problem"]["dataset"] = dict(DIGITS)
        found.append((path.stem, tables))
    return found


class Hung(BaseException):
    """A case took longer than SECONDS; no handler of errors must take it for one."""


def places(tree):
    """Each (container, key) in a tree of tables and lists."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(entries):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


def words(tree):
    """Each string and key in a tree: the names that a person may confuse."""
    for container, key in places(tree):
        if isinstance(container, dict):
            yield key
        if isinstance(container[key], str):
            yield container[key]


def misspelled(rng, word):
    letters = list(word) or ["a"]
    at = rng.randrange(len(letters))
    kind = rng.randrange(4)
    if kind == 0:
        letters.pop(at)
    elif kind == 1:
        letters.insert(at, rng.choice(string.ascii_letters + "_.-0ä \"'"))
    elif kind == 2:
        letters[at] = rng.choice(string.ascii_letters + "_")
    else:
        letters[at : at + 2] = reversed(letters[at : at + 2])
    return "".join(letters)


def value(rng, vocabulary):
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(vocabulary)
    if kind == 1:
        return {"use": rng.choice(vocabulary)}
    return copy.deepcopy(rng.choice(VALUES))


def change(rng, tree, others, vocabulary):
    """Change one place of a tree, in place."""
    container, key = rng.choice(list(places(tree)))
    kind = rng.randrange(9)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[misspelled(rng, key)] = container.pop(key)
    elif kind == 2 and isinstance(container, dict):
        container[rng.choice(vocabulary)] = value(rng, vocabulary)
    elif kind == 3:
        container[key] = rng.choice(
            [[container[key]], {"use": container[key]}, str(container[key])]
        )
    elif kind == 4 and isinstance(container[key], list):
        container[key] = container[key] * 2
    elif kind == 5:
        donor, name = rng.choice(list(places(rng.choice(others)[1])))
        container[key] = copy.deepcopy(donor[name])
    elif kind == 6 and isinstance(container, dict):
        donor, name = rng.choice(list(places(rng.choice(others)[1])))
        container[str(name)] = copy.deepcopy(donor[name])
    elif kind == 7 and isinstance(container[key], int | float):
        number = container[key]
        container[key] = rng.choice([-number, number + 1, number - 1, number * 2, number / 3])
    else:
        container[key] = value(rng, vocabulary)


def an_override(rng, tree, vocabulary):
    keys = []
    place = tree
    while isinstance(place, dict | list) and place and (not keys or rng.random() < 0.8):
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        keys.append(str(key) if rng.random() < 0.9 else misspelled(rng, str(key)))
        place = place[key]
    written = value(rng, vocabulary)
    text = rng.choice([str, repr])(written)
    if rng.random() < 0.3:
        text = misspelled(rng, text)
    return f"{'.'.join(keys)}{rng.choice(['='] * 9 + [' = ', '', '=='])}{text}"


def written(rng, tree):
    """The tree as the text of a file, broken by hand now and then."""
    text = tomlkit.dumps(_without_none(tree))
    if rng.random() < 0.5:
        lines = text.splitlines(keepends=True)
        at = rng.randrange(len(lines))
        kind = rng.randrange(4)
        if kind == 0:
            lines.pop(at)
        elif kind == 1:
            lines.insert(at, rng.choice(lines))
        elif kind == 2:
            lines[at] = misspelled(rng, lines[at])
        else:
            lines = lines[:at]
        text = "".join(lines)
    raw = text.encode("utf-8", errors="surrogatepass")
    if rng.random() < 0.05:
        raw = raw[: rng.randrange(len(raw) + 1)] + bytes([rng.randrange(256)]) + raw
    return raw


def _without_none(tree):
    if isinstance(tree, dict):
        return {str(key): _without_none(entry) for key, entry in tree.items()}
    if isinstance(tree, list):
        return [_without_none(entry) for entry in tree if entry is not None]
    return tree


def small(declaration):
    """Whether a search ends within a case's time."""
    cheap = declaration.problem.use in ("onemax", "lotz", "tabular")
    return cheap and declaration.population <= 50 and declaration.generations <= 5


def ended(seed, folder, others):
    """How a case ended: `searched`, `rehearsed`, `refused ...`, or what must not happen."""
    rng = random.Random(seed)
    tables = rng.choice(others[: len(CHEAP)] if rng.random() < 0.5 else others)[1]
    vocabulary = sorted({word for _, tree in others for word in words(tree)})
    tables = copy.deepcopy(tables)
    overrides = []
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
        if rng.random() < 0.3:
            overrides.append(an_override(rng, tables, vocabulary))
        elif tables:
            change(rng, tables, others, vocabulary)
    try:
        if rng.random() < 0.2:
            experiment = folder / f"{seed}.toml"
            experiment.write_bytes(written(rng, tables))
        else:
            experiment = tables
        declaration = declared(experiment, overrides)
    except ValueError as error:
        return _one_line(error, "declared")
    finally:
        (folder / f"{seed}.toml").unlink(missing_ok=True)
    try:
        problem = rehearsed(declaration)
    except ValueError as error:
        return _one_line(error, "rehearsed")
    if not small(declaration):
        return "rehearsed"
    try:
        with OpenSearch(
            declaration, problem, folder / str(seed), lambda *_: Unfollowed()
        ) as search:
            for _ in search.generations():
                pass
    except (Refused, SearchStopped) as error:
        return _one_line(error, "searched")
    return "searched"


def _one_line(error, where):
    text = str(error)
    if not text.strip() or "\n" in text:
        return f"WRONG {where}: not one line: {type(error).__name__}: {text[:300]!r}"
    return f"refused when {where}"


def hang(number, frame):
    raise Hung


def fuzz(seeds, wrong=print):
    """How often each end came; each wrong one is told to `wrong(seed, what)`."""
    others = bases()
    counts = Counter()
    for _, tables in others:  # torch, half imported when a case ends, could never be imported again
        rehearsed(declared(tables))
    signal.signal(signal.SIGALRM, hang)
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(temporary)
        for seed in seeds:
            signal.alarm(SECONDS)
            try:
                end = ended(seed, folder, others)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                end = f"WRONG {type(error).__name__}"
                wrong(seed, _traceback(error))
            else:
                if end.startswith("WRONG"):
                    wrong(seed, end)
            finally:
                signal.alarm(0)
            counts[end.split(":")[0]] += 1
            logging.disable(logging.NOTSET)
    return counts


def _traceback(error):
    return "".join(traceback.format_exception(error)[-3:])


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    first = int(sys.argv[2]) if sys.argv[2:] else 0
    for end, count in fuzz(range(first, first + int(sys.argv[1]))).most_common():
        print(f"{count:8,} {end}")
