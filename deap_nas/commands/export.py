"""Export a retrained network for other programs, and check that it computes the same there; or
export the record of a search.

--format FORMAT, of a network: onnx writes network.onnx and needs pip install 'deap-nas[export]';
torch writes network.pt2 (torch.export).  Both take any number of images at a time: (N, C, H, W),
float32, scaled to [0, 1].

Each file is read again and run on validation images of the search (never the test images); the
largest difference in a logit is reported, and one that is too large is refused.  The latency of one
image on this CPU is reported too: the median of warmed-up passes, in the search's number of
threads.  use_onnx.py or use_torch.py shows in ten lines how to classify image files with it.

Written to DIR: network.onnx or network.pt2, the ten lines, and onnx.json or torch.json, which says
what was exported and seen.

--pick RULE: as for retrain; a network must have been retrained before, and without a rule the only
one that has been is taken.  Of several recipes the one
that was finished last is taken, and of its seeds the first: to choose by test accuracy would make
that accuracy a lie.

--to optuna: the record of a search, or of those of several seeds in their folder, as studies of
Optuna in DIR/optuna.sqlite (default: RUN_FOLDER), which optuna-dashboard opens.  A trial is a
network: genes, objectives, bounds as constraints, and what else was measured.  It needs
pip install 'deap-nas[optuna]'."""

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deap_nas.commands.retrain import FOLDER, Pick, overridden, picked, require_networks
from deap_nas.finished_run import FinishedRun, run_folders
from deap_nas.seeds_together import open_together
from toolbox.whole_file import write_whole

if TYPE_CHECKING:
    from problems.saved_network import Blueprint

log = logging.getLogger(__name__)

SUFFIXES = {"onnx": "onnx", "torch": "pt2"}

USE_ONNX = '''\
"""Classify image files: python use_onnx.py IMAGE [IMAGE ...]"""
import sys
from pathlib import Path
import numpy, onnxruntime
from PIL import Image
CLASSES = {classes}
session = onnxruntime.InferenceSession(Path(__file__).with_name("network.onnx"))
for path in sys.argv[1:]:
{read}
    image = numpy.float32(picture).reshape({height}, {width}, {channels}).transpose(2, 0, 1) / 255
    print(path, CLASSES[session.run(None, {{"images": image[None]}})[0].argmax()], sep="\\t")
'''
USE_TORCH = '''\
"""Classify image files: python use_torch.py IMAGE [IMAGE ...]"""
import sys
from pathlib import Path
import numpy, torch
from PIL import Image
CLASSES = {classes}
network = torch.export.load(Path(__file__).with_name("network.pt2")).module()
for path in sys.argv[1:]:
{read}
    image = numpy.float32(picture).reshape({height}, {width}, {channels}).transpose(2, 0, 1) / 255
    print(path, CLASSES[network(torch.tensor(image[None])).argmax()], sep="\\t")
'''
SNIPPETS = {"onnx": USE_ONNX, "torch": USE_TORCH}
# As the images were read that the network was trained on: problems.datasets.own_images, and
# image_stream for those that were scored.
SQUEEZED = """\
    picture = Image.open(path).convert("RGB"){grey}.resize(({width}, {height}), 2)  # bilinear"""
CENTRE = """\
    picture = Image.open(path).convert("RGB")
    sides = [int({resize} * side / min(picture.size)) for side in picture.size]
    left, top = (round((side - {width}) / 2) for side in sides)
    picture = picture.resize(sides, Image.Resampling.BILINEAR)
    picture = picture.crop((left, top, left + {width}, top + {height}))"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--format", choices=list(SUFFIXES), help="of a network")
    kind.add_argument("--to", choices=["optuna"], help="the record of a search")
    parser.add_argument("--pick", metavar="RULE", help="default: as for retrain")
    parser.add_argument(
        "--retrained", type=Path, metavar="DIR", help="default: RUN_FOLDER/retrained"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: RUN_FOLDER/exported/KEY, or RUN_FOLDER"
    )


def run(chosen: argparse.Namespace) -> int:
    """Export what was picked, or a search; 0.  Raises ValueError if it was not retrained."""
    from rich.console import Console

    from toolbox.progress import log_to_console

    screen = Console(width=None if sys.stdout.isatty() else 160)
    log_to_console(screen)
    if chosen.to:
        return _export_record(chosen, screen)
    for name in ("onnx_ir", "onnxscript"):  # they tell of every pass over the graph
        logging.getLogger(name).setLevel(logging.WARNING)
    finished = open_together(chosen.run_folder)
    require_networks(finished)
    folder = chosen.retrained or chosen.run_folder / FOLDER
    one = _pick(finished, folder, chosen.pick)
    weights, seed, seeds = _retrained(folder, one.record.key)
    _require_packages(chosen.format)

    from problems.datasets.image_stream import ImageStream
    from problems.datasets.splits import open_splits
    from problems.export import to_onnx, to_torch
    from problems.saved_network import load

    problem, _ = overridden(finished, ["device=cpu", "training.precision=float32"])
    network, blueprint = load(weights)
    images = open_splits(problem.dataset, "cpu").validation
    to_format = {"onnx": to_onnx, "torch": to_torch}[chosen.format]
    exported = to_format(network, images, problem.threads)

    out = chosen.out or chosen.run_folder / "exported" / weights.parent.name
    path = out / f"network.{SUFFIXES[chosen.format]}"
    seen = {name: value for name, value in asdict(exported).items() if name != "content"}
    about = {
        "pick": one.name,
        "key": one.record.key,
        "architecture": one.record.architecture,
        "recipe": seed["identity"]["problem"]["training"],
        "weights": str(weights),
        "seed": seed["seed"],
        "test_accuracy": seed["test"]["accuracy"],
        "torch": seed["torch"],
        "threads": problem.threads,
        "bytes": len(exported.content),
        **seen,
    }
    used_by = out / f"use_{chosen.format}.py"
    try:
        write_whole(path, exported.content)
        resize = problem.dataset.resize if isinstance(problem.dataset, ImageStream) else None
        write_whole(used_by, snippet(chosen.format, blueprint, resize))
        write_whole(out / f"{chosen.format}.json", json.dumps(about, indent=1))
    except OSError as error:
        raise ValueError(f"{out}: it cannot be written: {error.strerror}") from error
    log.info("exported: %s, %s", one.name, one.record.architecture)
    log.info(
        "weights: %s, test accuracy %.4f: the first of %d seeds, as to choose one by its test "
        "accuracy would make that a lie",
        *(weights, about["test_accuracy"], seeds),
    )
    log.info(
        "checked on %d validation images, in batches of %s: a logit differs by %.2g at most",
        exported.images,
        ", ".join(map(str, exported.batches)),
        exported.difference,
    )
    for name, seconds in exported.latencies.items():
        log.info(
            "one image by %s: %.3f ms on this CPU, threads = %d",
            name,
            1e3 * seconds,
            problem.threads,
        )
    log.info("written: %s (%s bytes) and %s", path, f"{len(exported.content):,}", used_by)
    return 0


def _export_record(chosen: argparse.Namespace, screen: Any) -> int:
    """Write the record of the search, or of those in the folder of several seeds."""
    from deap_nas.optuna_study import require_optuna, write_studies

    for name in ("pick", "retrained"):
        if getattr(chosen, name) is not None:
            raise ValueError(f"--{name}: it is for --format; --to {chosen.to} takes all networks")
    require_optuna()
    runs = [FinishedRun.open(path) for path in run_folders([chosen.run_folder])]
    path = (chosen.out or chosen.run_folder) / "optuna.sqlite"
    names = write_studies(runs, path, screen)
    log.info(
        "written: %s with %s; now: optuna-dashboard sqlite:///%s", path, ", ".join(names), path
    )
    return 0


def _pick(finished: FinishedRun, folder: Path, rule: str | None) -> Pick:
    """The network to export, which has been retrained: what a rule names, or else the default.

    Without a rule the only one that has been retrained is taken, whatever picked it.
    """
    from deap_nas.retraining.kept_seeds import finished_keys

    (one,) = picked(finished, [rule] if rule else None)
    there = [key for key in finished_keys(folder) if finished.archive.get(key)]
    if one.record.key in there:
        return one
    if rule is None and len(there) == 1:
        log.info("%s has not been retrained; exported is the network that has", one.name)
        (only,) = picked(finished, there)
        return only
    wanted = f"{folder}: {one.name} ({one.record.key[:8]}) has not been retrained"
    if there:
        legal = ", ".join(f"--pick {key[:8]}" for key in there)
        raise ValueError(f"{wanted}; retrained have been: {legal}")
    asked = f" --pick {rule!r}" if rule else ""
    raise ValueError(f"{wanted}; first: run_search.py retrain {finished.path}{asked}")


def _retrained(folder: Path, key: str) -> tuple[Path, Any, int]:
    """The weights to export, what their seed left, and of how many seeds it is the first.

    Of several recipes the last is taken.
    """
    from deap_nas.retraining.kept_seeds import finished_of_key

    found = finished_of_key(folder, key)
    last = max(found, key=lambda entry: entry[1]["finished_at"])
    same = [entry for entry in found if entry[0].parent == last[0].parent]
    recipes = len({path.parent for path, _ in found})
    if recipes > 1:
        log.info("of %d retrainings with other recipes, the last: %s", recipes, last[0].parent)
    return *min(same, key=lambda entry: entry[1]["seed"]), len(same)


def _require_packages(kind: str) -> None:
    from importlib.util import find_spec

    from problems.export import ONNX_PACKAGES

    missing = [package for package in ONNX_PACKAGES if find_spec(package) is None]
    if kind == "onnx" and missing:
        raise ValueError(
            f"--format onnx: {', '.join(missing)} must be installed: pip install 'deap-nas[export]'"
        )


def snippet(kind: str, blueprint: "Blueprint", resize: int | None = None) -> str:
    """The source of use_onnx.py or use_torch.py.

    resize: of the shorter side before the centre is cropped; None: both sides become the network's.
    """
    channels, height, width = blueprint.image_shape
    grey = '.convert("L")' if channels == 1 else ""
    how = SQUEEZED if resize is None else CENTRE
    return SNIPPETS[kind].format(
        classes=list(blueprint.classes),
        read=how.format(grey=grey, height=height, width=width, resize=resize),
        channels=channels,
        height=height,
        width=width,
    )
