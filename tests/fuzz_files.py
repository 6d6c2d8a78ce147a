"""Run folders with a damaged or a crafted file: each command reads them, or refuses in one line.

    python -m tests.fuzz_files CASES [FIRST_SEED]

A case is one seed.  It takes a finished run folder, of bits or of networks that were retrained,
changes one of its files (bits, blocks, length; values of other types, not finite, huge, or made of
HTML; tables, triggers and views of SQLite; names of code; a pickle that would run), and runs a
command that reads it, in this process: report, the search again, plan, retrain, export, and what
`deap_nas.open` gives.  The command must end with status 0, or with one line of error; nothing of
the file may be run, nothing of it may reach a page as HTML, and what was refused stays as it was.
Prints each case in which something else came out, and how the others ended.
"""

import contextlib
import io
import json
import logging
import os
import pickle
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from pathlib import Path
from unittest import mock

import tomlkit

import deap_nas
from run_search import main
from tests.fuzz_declarations import Hung, places

SECONDS = 300  # of one case; one that takes longer hangs
SCRIPT = "<script>crafted()</script>"
CODE = "crafted_module_of_a_test:run"  # it lies in the run folder
MODULE = """
import os
from pathlib import Path
Path(os.environ["CRAFTED_MARKER"]).touch()
run = print
"""
ODD = [
    *(None, True, -1, 0, 1, 10**30, -(2**63), 1e308, float("nan"), float("inf"), b"\xff\x00"),
    *("", "x", "nan", SCRIPT, f'"><img src=x onerror="{SCRIPT}', "../../crafted", "/dev/zero"),
    *("\x00", "\x1b[31m", "a\nb", "ä€😀\ud800", "x" * 10000, "9" * 5000, "[" * 100000),
    *(CODE, "subprocess:getoutput", "os:system", "pathlib:Path.touch"),
    *([], [[]], [1e999], ["x"], [None], {}, {"x": []}, {"use": CODE}, {"": {"": {}}}),
]
CRAFTED_SQL = (
    "DROP TABLE {table}",
    "DELETE FROM {table}",
    "ALTER TABLE {table} RENAME TO other",
    "ALTER TABLE {table} ADD COLUMN more",
    "CREATE TABLE more (a)",
    "CREATE VIEW more AS SELECT * FROM {table}",
    "CREATE TRIGGER more AFTER INSERT ON {table} BEGIN DELETE FROM meta; END",
    "CREATE INDEX more ON {table} (abs(1))",
    "ALTER TABLE {table} RENAME TO other; CREATE VIEW {table} AS SELECT * FROM other",
    "ALTER TABLE {table} RENAME TO other; CREATE VIEW {table} AS WITH RECURSIVE more(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM more) SELECT n FROM more",
    "ALTER TABLE {table} RENAME TO other; CREATE TABLE {table} AS SELECT * FROM other",
    "UPDATE {table} SET rowid = rowid + 9223372036854775000",
)
BITS = """
objectives = ["ones", "params"]
seed = 1
[problem]
use = "tests.fuzz_files:Bits"
length = 8
[toolbox]
map = "serial"
[algorithm]
use = "nsga2"
population = 6
generations = 2
[finals]
networks = 2
seeds = 1
"""
NETWORKS = """
objectives = ["val_accuracy", "params"]
seed = 1
[problem]
use = "image_classification"
dataset = { use = "digits", size = 12, limit = 60, validation = 30 }
space = { use = "layer_string", normal = [1, 1], kernels = [3] }
training = { epochs = 1, optimizer = "adam", precision = "float32" }
device = "cpu"
[toolbox]
map = "serial"
[algorithm]
use = "nsga2"
population = 4
generations = 1
"""


class Bits:
    """As many ones and as few zeros as possible; a curve of each."""

    reseeds = True

    def __init__(self, length: int):
        from problems.spaces.bit_string import BitString

        self.space = BitString(length)

    def evaluate(self, genome, seed=0):
        ones = sum(genome) + seed / 1000
        zeros = len(genome) - sum(genome)
        return {"ones": ones, "params": zeros, "epochs": 2, "learning_curve": [zeros, ones]}


class Payload:
    """What a pickle runs when it is read."""

    def __reduce__(self):
        return Path.touch, (Path(os.environ["CRAFTED_MARKER"]),)


def finished(folder):
    """Run folders that have all that a search, a retraining and an ablation leave."""
    for name, text in (("bits", BITS), ("networks", NETWORKS)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        status, told = ran(f"{folder}/{name}.toml", "--runs", f"{folder}/runs")
        assert status == 0, told
    runs = [folder / "runs" / name / "seed-1" for name in ("bits", "networks")]
    for arguments in (
        ("retrain", f"{runs[1]}", "--seeds", "1"),
        ("report", f"{runs[0]}", "--ablate", "1"),
    ):
        status, told = ran(*arguments)
        assert status == 0, told
    shutil.rmtree(runs[0] / "report")
    for run in runs:
        (run / "crafted_module_of_a_test.py").write_text(MODULE, encoding="utf-8")
    return runs


def ran(*arguments):
    """The exit status of a command in this process, and all that it printed as errors."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(list(arguments))
        except SystemExit as error:
            status = error.code
    return status, errors.getvalue()


def odd(rng):
    return rng.choice(ODD)


def changed_bytes(rng, raw, others):
    """A file's bytes with something wrong, of which its writer knew nothing."""
    kind = rng.randrange(8)
    at = rng.randrange(len(raw) or 1)
    if kind == 0:
        return raw[:at]
    if kind == 1:
        size = rng.choice([1, 16, 512, 4096])
        return raw[:at] + rng.choice([b"\0", b"\xff"]) * size + raw[at + size :]
    if kind == 2:
        return raw + rng.randbytes(rng.choice([1, 5000]))
    if kind == 3:
        return pickle.dumps(Payload())
    if kind == 4:
        return rng.choice(others).read_bytes()
    if kind == 5:
        return rng.choice([b"", b"{}", b"[]", b"null", b"1", b"[" * 100000, b"\xff\xfe"])
    flipped = bytearray(raw)
    for _ in range(rng.choice([1, 1, 10, 100])):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def change_tree(rng, tree):
    """One place of JSON data changed."""
    found = list(places(tree)) if isinstance(tree, dict | list) else []
    if not found:
        return odd(rng)
    container, key = rng.choice(found)
    kind = rng.randrange(5)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[str(odd(rng))] = container.pop(key)
    elif kind == 2 and isinstance(container, list):
        container.append(odd(rng))
    else:
        container[key] = odd(rng)
    return tree


def as_json(tree):
    return json.dumps(tree, default=str)


def change_archive(rng, path):
    """An archive in which one value, or one table, is another one."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        tables = [name for name in tables if not name.startswith("sqlite")]
        full = [t for t in tables if connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0]]
        table = rng.choice(full)
        if rng.random() < 0.3:
            connection.executescript(rng.choice(CRAFTED_SQL).format(table=table))
            connection.commit()
            return
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = connection.execute(f"SELECT rowid, * FROM {table}").fetchall()
        rowid, *values = rng.choice(rows)
        place = rng.randrange(len(columns))
        value = values[place]
        new = odd(rng)
        if isinstance(value, str) and rng.random() < 0.7:
            with contextlib.suppress(ValueError):
                new = change_tree(rng, json.loads(value))
        if isinstance(new, dict | list):
            new = as_json(new)
        elif isinstance(new, int) and abs(new) >= 2**63:
            new = str(new)
        into = "?"
        if isinstance(new, str):
            new, into = new.encode("utf-8", "surrogatepass"), "CAST(? AS TEXT)"
        with contextlib.suppress(sqlite3.IntegrityError):
            query = f"UPDATE {table} SET {columns[place]} = {into} WHERE rowid = ?"
            connection.execute(query, (new, rowid))
        connection.commit()


def change_tensors(rng, path):
    """A file of tensors whose metadata says something else, or whose tensors are others."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    ((name, text),) = metadata.items()
    kind = rng.randrange(4)
    if kind == 0:
        key = rng.choice(list(tensors))
        tensors[key] = rng.choice([tensors[key].flatten(), tensors[key].to(torch.int8)])
    elif kind == 1:
        told = json.loads(text)
        crafted = rng.choice(["subprocess:getoutput", CODE, "pathlib:Path.touch"])
        genes = {"cmd": f"touch {os.environ['CRAFTED_MARKER']}"}
        told.pop("chain")
        metadata[name] = as_json(
            told
            | rng.choice(
                [
                    {"function": crafted, "genes": genes},
                    {"space": {"use": crafted, **genes}, "genome": []},
                    {"chain": [{"layer": crafted, **genes}]},
                    {"chain": [{"layer": "Linear", "units": 10**9, "activation": "relu"}]},
                ]
            )
        )
    else:
        metadata[name] = as_json(change_tree(rng, json.loads(text)))
    path.write_bytes(save(tensors, metadata))


def change_declaration(rng, path):
    """A declaration that names code."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    text = tomlkit.dumps(tables)
    for container, key in rng.sample(found := list(places(tables)), min(3, len(found))):
        with contextlib.suppress(KeyError, IndexError, TypeError):
            container[key] = rng.choice(
                [CODE, {"use": CODE}, "subprocess:getoutput", "os:abort", {"use": "math:sqrt"}]
            )
    with contextlib.suppress(ValueError, TypeError):
        text = tomlkit.dumps(tables)
    path.write_text(text, encoding="utf-8")
    modules = path.with_name("user_modules.json")
    told = json.loads(modules.read_text()) if modules.is_file() else {"names": [], "folders": {}}
    told["names"].append(CODE)
    told["folders"]["crafted_module_of_a_test"] = str(path.parent)
    modules.write_text(as_json(told), encoding="utf-8")


def change(rng, run):
    """Change one file of a run folder; its path."""
    files = [
        file
        for file in sorted(run.rglob("*"))
        if file.is_file() and file.suffix not in (".py", ".png", ".lock") and file.stat().st_size
    ]
    kinds = sorted({file.suffix for file in files} | {".sqlite"})
    suffix = rng.choice([*kinds, ".sqlite", ".sqlite"])
    path = rng.choice([file for file in files if file.suffix == suffix])
    crafted = {
        ".sqlite": change_archive,
        ".safetensors": change_tensors,
        ".toml": change_declaration,
    }.get(path.suffix)
    if crafted and rng.random() < 0.75:
        crafted(rng, path)
    elif path.suffix == ".json" and rng.random() < 0.75:
        path.write_text(as_json(change_tree(rng, json.loads(path.read_bytes()))))
    else:
        path.write_bytes(changed_bytes(rng, path.read_bytes(), files))
    return path


def command(rng, run, path):
    """What reads the changed file: arguments, or "open"."""
    experiment = run.parents[2] / f"{run.parent.name}.toml"
    searched_again = [str(experiment), "--runs", str(run.parents[1])]
    if run.parent.name == "bits":
        if path.name == "ablation.sqlite":
            return ["report", str(run)]
        return rng.choice(
            [["report", str(run)], searched_again, searched_again, ["plan", str(run)]]
        )
    retrained = "retrained" in path.parts
    choices = [["report", str(run)], ["retrain", str(run), "--seeds", "1"], "open"]
    choices += [["export", str(run), "--format", "onnx"]] if retrained else [searched_again]
    return rng.choice(choices)


def opened(run):
    """What `deap_nas.open` gives, used; as `ran` returns it."""
    try:
        result = deap_nas.open(run)
        network = result.best
        with contextlib.suppress(ValueError):
            network.network()
        _ = network.fitness, network.measurement, result.front
    except ValueError as error:
        return 2, f"error: {error}\n"
    return 0, ""


def ended(seed, folder, runs):
    """How a case ended, or what must not happen, with `WRONG` before it."""
    rng = random.Random(seed)
    original = runs[rng.random() < 0.4]
    run = folder / "case" / "runs" / original.parent.name / "seed-1"
    shutil.copytree(original, run)
    shutil.copy(original.parents[2] / f"{original.parent.name}.toml", folder / "case")
    before_path = list(sys.path)
    changed = change(rng, run)
    before = changed.read_bytes()
    asked = command(rng, run, changed)
    where = f"{changed.relative_to(run)}, {asked if asked == 'open' else asked[0]}"
    status, told = opened(run) if asked == "open" else ran(*asked)
    sys.path[:] = before_path
    if Path(os.environ["CRAFTED_MARKER"]).exists():
        Path(os.environ["CRAFTED_MARKER"]).unlink()
        return f"WRONG {where}: code of the file was run"
    if "Traceback" in told:
        return f"WRONG {where}: a traceback: {told[-1500:]}"
    lines = [line for line in told.splitlines() if line.startswith("error: ")]
    if status not in (0, 1, 2) or (status and len(lines) != 1):
        return f"WRONG {where}: status {status}: {told[-1500:]!r}"
    if status == 2 and not told.endswith(lines[0] + "\n"):
        return f"WRONG {where}: more than one line: {told[-1500:]!r}"
    if status == 1 and asked[0] in ("report", "export", "plan"):
        return f"WRONG {where}: status 1: {told[-500:]!r}"
    if status == 2 and changed.exists() and changed.read_bytes() != before:
        return f"WRONG {where}: it was refused, and changed"
    for page in (*run.rglob("*.html"), *run.rglob("*.svg")):
        if SCRIPT in page.read_text(encoding="utf-8"):
            return f"WRONG {where}: {page.name} has its HTML"
    if left := list(run.rglob(".*.part")):
        return f"WRONG {where}: {left[0].name} was left"
    said = "open" if asked == "open" else asked[0] if "/" not in asked[0] else "search"
    return f"status {status} of {said}"


def quickly_drawn(plot):
    """A plot's figure laid out as it is drawn, and two empty pictures."""
    plot.figure.draw_without_rendering()
    return {"png": b"", "svg": b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'}


def hang(number, frame):
    raise Hung


def fuzz(seeds, wrong=print, drawn=0.2):
    """How often each end came; each wrong one is told to `wrong(seed, what)`.

    drawn: the share of the cases in which the plots of a report are really drawn.
    """
    counts = Counter()
    signal.signal(signal.SIGALRM, hang)
    with (
        tempfile.TemporaryDirectory() as temporary,
        warnings.catch_warnings(),
        mock.patch.dict(os.environ),
    ):
        warnings.simplefilter("ignore")
        folder = Path(temporary)
        os.environ |= {
            "CRAFTED_MARKER": str(folder / "marker"),
            "XDG_DATA_HOME": str(folder / "data"),
        }
        runs = finished(folder)
        for seed in seeds:
            signal.alarm(SECONDS)
            quick = mock.patch("toolbox.report.page._drawn", quickly_drawn)
            try:
                with quick if random.Random(-seed).random() >= drawn else contextlib.nullcontext():
                    end = ended(seed, folder, runs)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                end = f"WRONG {type(error).__name__}"
                wrong(seed, "".join(traceback.format_exception(error)[-4:]))
            else:
                if end.startswith("WRONG"):
                    wrong(seed, end)
            finally:
                signal.alarm(0)
            counts[end.partition(":")[0] if end.startswith("WRONG") else end] += 1
            shutil.rmtree(folder / "case", ignore_errors=True)
            for name in [name for name in sys.modules if name.startswith("crafted_module")]:
                del sys.modules[name]
    return counts


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    begun = time.process_time()
    first = int(sys.argv[2]) if sys.argv[2:] else 0
    for end, count in fuzz(range(first, first + int(sys.argv[1]))).most_common():
        print(f"{count:8,} {end}")
    print(f"{time.process_time() - begun:.0f} s of processor time")
