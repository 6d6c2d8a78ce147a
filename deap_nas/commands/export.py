"""Export a retrained network for other programs, and check that it computes the same there; or
export the record of a search.

--format FORMAT, of a network: onnx writes network.onnx and needs pip install 'deap-nas[export]';
torch writes network.pt2 (torch.export).  --format onnx --int8 writes network.int8.onnx, in 8 bits
by onnxruntime's static quantization; --format tflite writes network.int8.tflite for
microcontrollers and needs pip install 'deap-nas[tflite]' (docs/devices.md).  All but tflite take
any number of images at a time: (N, C, H, W), float32, scaled to [0, 1].

Each file is read again and run on validation images of the search (never the test images); the
largest difference in a logit is reported, and one that is too large is refused.  The latency of one
image on this CPU is reported too: the median of warmed-up passes, in the search's number of
threads.  use_onnx.py or use_torch.py shows in ten lines how to classify image files with it.

A file in 8 bits computes something else, if only a little: it is run on the official test images,
and its test accuracy is reported beside that of the network.

Written to DIR: the file, the ten lines, and onnx.json, torch.json, int8_onnx.json or tflite.json,
which says what was exported and seen.

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
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deap_nas.commands.retrain import FOLDER, Pick, overridden, picked, require_networks
from deap_nas.finished_run import FinishedRun, run_folders
from deap_nas.output import as_argument, console_on
from deap_nas.seeds_together import open_together
from toolbox.signature import prefixed
from toolbox.whole_file import write_whole

if TYPE_CHECKING:
    from torch import nn

    from problems.image_classification import ImageClassification
    from problems.saved_network import Blueprint

log = logging.getLogger(__name__)

FILES = {
    "onnx": "network.onnx",
    "torch": "network.pt2",
    "int8_onnx": "network.int8.onnx",
    "tflite": "network.int8.tflite",
}
FORMATS = ("onnx", "torch", "tflite")

USE_ONNX = '''\
"""Classify image files: python use_onnx.py IMAGE [IMAGE ...]"""
import sys
from pathlib import Path
import numpy, onnxruntime
from PIL import Image
CLASSES = {classes}
session = onnxruntime.InferenceSession(Path(__file__).with_name("{file}"))
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
USE_TFLITE = '''\
"""Classify image files: python use_tflite.py IMAGE [IMAGE ...]"""
import sys
from pathlib import Path
import numpy
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
CLASSES = {classes}
network = Interpreter(str(Path(__file__).with_name("{file}")))
network.allocate_tensors()
takes, gives = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]
for path in sys.argv[1:]:
{read}
    image = numpy.int8(numpy.int16(picture).reshape(1, {height}, {width}, {channels}) - 128)
    network.set_tensor(takes, image)
    network.invoke()
    print(path, CLASSES[network.get_tensor(gives).argmax()], sep="\t")
'''
SNIPPETS = {"onnx": USE_ONNX, "torch": USE_TORCH, "int8_onnx": USE_ONNX, "tflite": USE_TFLITE}
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
    kind.add_argument("--format", choices=FORMATS, help="of a network")
    kind.add_argument("--to", choices=["optuna"], help="the record of a search")
    parser.add_argument("--int8", action="store_true", help="in 8 bits; tflite is in any case")
    parser.add_argument("--pick", metavar="RULE", help="default: as for retrain")
    parser.add_argument(
        "--retrained", type=Path, metavar="DIR", help="default: RUN_FOLDER/retrained"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: RUN_FOLDER/exported/KEY, or RUN_FOLDER"
    )


def run(chosen: argparse.Namespace) -> int:
    """Export what was picked, or a search; 0.  Raises ValueError if it was not retrained."""
    from toolbox.progress import log_to_console

    screen = console_on()
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
    kind = _kind(chosen.format, chosen.int8)
    _require_packages(kind)

    from problems.datasets.image_stream import ImageStream
    from problems.networks.plan import imports_of, plan_of
    from problems.saved_network import load

    problem, _ = overridden(finished, ["device=cpu", "training.precision=float32"])
    imports = imports_of(plan_of(problem.space, one.record.genome))
    network, blueprint = load(weights, imports=imports)
    with prefixed(f"--format {chosen.format}: {one.name}"):
        content, seen = _exported(kind, network, problem)

    out = chosen.out or chosen.run_folder / "exported" / weights.parent.name
    path = out / FILES[kind]
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
        "bytes": len(content),
        **seen,
    }
    used_by = out / f"use_{kind}.py"
    try:
        write_whole(path, content)
        resize = problem.dataset.resize if isinstance(problem.dataset, ImageStream) else None
        write_whole(used_by, snippet(kind, blueprint, resize))
        write_whole(out / f"{kind}.json", json.dumps(about, indent=1))
    except OSError as error:
        raise ValueError(f"{out}: it cannot be written: {error.strerror}") from error
    log.info("exported: %s, %s", one.name, one.record.architecture)
    log.info(
        "weights: %s, test accuracy %.4f: the first of %d seeds, as to choose one by its test "
        "accuracy would make that a lie",
        *(weights, seed["test"]["accuracy"], seeds),
    )
    _tell(seen, problem.threads)
    log.info("written: %s (%s bytes) and %s", path, f"{len(content):,}", used_by)
    return 0


def _export_record(chosen: argparse.Namespace, screen: Any) -> int:
    """Write the record of the search, or of those in the folder of several seeds."""
    from deap_nas.optuna_study import require_optuna, write_studies

    for name in ("pick", "retrained"):
        if getattr(chosen, name) is not None:
            raise ValueError(f"--{name}: it is for --format; --to {chosen.to} takes all networks")
    if chosen.int8:
        raise ValueError(f"--int8: it is for --format; --to {chosen.to} exports no network")
    require_optuna()
    runs = [FinishedRun.open(path) for path in run_folders([chosen.run_folder])]
    path = (chosen.out or chosen.run_folder) / "optuna.sqlite"
    names = write_studies(runs, path, screen)
    log.info(
        "written: %s with %s; now: optuna-dashboard sqlite:///%s", path, ", ".join(names), path
    )
    return 0


def _kind(format: str, int8: bool) -> str:
    if format == "torch" and int8:
        raise ValueError("--int8: --format torch has none; onnx and tflite have")
    return "int8_onnx" if format == "onnx" and int8 else format


def _exported(
    kind: str, network: "nn.Module", problem: "ImageClassification"
) -> tuple[bytes, dict[str, Any]]:
    """The content of a file, and what was seen of it."""
    from problems import export
    from problems.datasets.splits import open_splits
    from problems.int8.tflite import micro_arena, tflite_runner
    from problems.measures.measure import CALIBRATION_IMAGES
    from problems.retraining import official_test

    splits, threads = open_splits(problem.dataset, "cpu"), problem.threads
    if kind in ("onnx", "torch"):
        to_format = {"onnx": export.to_onnx, "torch": export.to_torch}[kind]
        exported = to_format(network, splits.validation, threads)
        seen = {name: value for name, value in asdict(exported).items() if name != "content"}
        return exported.content, seen
    calibration = splits.train.first(CALIBRATION_IMAGES).batch(slice(None))[0]
    test = official_test(problem)
    if kind == "int8_onnx":
        content = export.to_int8_onnx(network, calibration)
        run = export.onnx_runner(content, threads)
        return content, asdict(export.seen_in_8_bits(run, "onnxruntime", network, test, threads))
    content = export.to_int8_tflite(network, calibration)
    run = tflite_runner(content, threads)
    seen = asdict(export.seen_in_8_bits(run, "litert", network, test, threads))
    if find_spec("tflite_micro"):
        try:
            seen["arena_bytes"] = micro_arena(content)
        except ValueError as error:
            log.warning("%s", error)
    return content, seen


def _tell(seen: dict[str, Any], threads: int) -> None:
    if "difference" in seen:
        log.info(
            "checked on %d validation images, in batches of %s: a logit differs by %.2g at most",
            *(seen["images"], ", ".join(map(str, seen["batches"])), seen["difference"]),
        )
    else:
        log.info(
            "run on the %s official test images: test accuracy %.4f in 8 bits, %.4f in float32 "
            "(%+.2f points), the same answer for %.2f %%",
            *(f"{seen['images']:,}", seen["test_accuracy"], seen["float32_test_accuracy"]),
            *(100 * (seen["test_accuracy"] - seen["float32_test_accuracy"]), 100 * seen["same"]),
        )
    if "arena_bytes" in seen:
        log.info("arena by tflite-micro on this machine: %s bytes", f"{seen['arena_bytes']:,}")
    for name, seconds in seen["latencies"].items():
        log.info("one image by %s: %.3f ms on this CPU, threads = %d", name, 1e3 * seconds, threads)


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
    raise ValueError(f"{wanted}; first: run_search.py retrain {as_argument(finished.path)}{asked}")


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
    from problems.export import ONNX_PACKAGES
    from problems.int8.tflite import PACKAGES as TFLITE_PACKAGES

    needed, format, extra = {
        "torch": ((), "torch", ""),
        "tflite": (TFLITE_PACKAGES, "tflite", "tflite"),
    }.get(kind, (ONNX_PACKAGES, "onnx", "export"))
    if missing := [package for package in needed if find_spec(package) is None]:
        raise ValueError(
            f"--format {format}: {', '.join(missing)} must be installed: "
            f"pip install 'deap-nas[{extra}]'"
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
        file=FILES[kind],
        read=how.format(grey=grey, height=height, width=width, resize=resize),
        channels=channels,
        height=height,
        width=width,
    )
