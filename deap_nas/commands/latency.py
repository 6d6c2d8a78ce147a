"""Fit a table of what layers take on a device, so that a search knows it without training.

EXPERIMENT.toml is a declaration whose problem has the device:

    [problem.devices]
    device_latency = { command = ["./measure.sh", "{model}"] }

Networks of its space are drawn at random and given to the device untrained, since what a layer
takes does not depend on its weights.  Each reading is kept as it is known, beside the table, so the
same command goes on where it was interrupted.  A quarter of the networks is held out, and the
table's error on them is reported.  The search then has the estimate before any training:

    [problem]
    latency_table = "device_latency.json"

and estimated_device_latency is an objective and may have a bound."""

import argparse
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deap_nas.opening import declared, prepared
from deap_nas.output import console_on
from toolbox.declaration import Declaration
from toolbox.problem import own
from toolbox.shelf import did_you_mean
from toolbox.whole_file import write_whole

if TYPE_CHECKING:
    from problems.image_classification import ImageClassification
    from problems.measures.device import Device

log = logging.getLogger(__name__)

DRAWN_AT_MOST = 100  # genomes for each network that is wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument(
        "--device", metavar="NAME", help="of problem.devices; default: the only one"
    )
    parser.add_argument("--number", metavar="NAME", help="of those that the device tells")
    parser.add_argument("--networks", type=int, default=60, metavar="N", help="default: 60")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: NUMBER.json")


def run(chosen: argparse.Namespace) -> int:
    """Read and fit; 0.  Raises ValueError for what a person wrote, or a device that is silent."""
    from problems.image_classification import ImageClassification
    from problems.int8.latency_table import FEWEST, fitted
    from toolbox.progress import log_to_console

    if chosen.networks < FEWEST:
        raise ValueError(f"--networks {chosen.networks}: at least {FEWEST} are needed")
    log_to_console(console_on())
    declaration = declared(chosen.experiment, chosen.overrides)
    problem = own(prepared(declaration))
    if not isinstance(problem, ImageClassification):
        raise ValueError(f"problem.use = {declaration.problem.use!r}: it has no devices")
    called, device = _device(problem, chosen.device)
    number = chosen.number or called
    told = [name for name in problem.measured if not name.endswith("_spread")]
    if number not in told:
        raise ValueError(
            f"--number {number}: the device {called!r} does not tell it; there are "
            f"{', '.join(told)}{did_you_mean(number, told)}"
        )
    out = chosen.out or Path(f"{number}.json")
    kept = out.with_suffix(".readings.jsonl")
    found = list(_readings(declaration, problem, device, called, chosen.networks, kept))
    about = {"direction": device.direction, "worst": device.worst, "unit": device.unit}
    table = fitted(number, [(one["work"], one["told"][number]) for one in found], **about)
    write_whole(out, table.as_json())
    log.info(
        "%s of %d networks; of %d that were held out it is wrong by %.1f %% (median) and %.1f %% "
        "(at most), rank correlation %.3f",
        *(number, table.readings, table.held_out, 100 * table.median_error),
        *(100 * table.largest_error, table.rank_correlation),
    )
    log.info("written: %s; in a declaration: problem.latency_table = %r", out, str(out))
    return 0


def _device(problem: "ImageClassification", asked: str | None) -> tuple[str, "Device"]:
    devices = problem.devices or {}
    if not devices:
        raise ValueError("problem.devices: there is none; see run_search.py latency --help")
    if asked is None and len(devices) > 1:
        raise ValueError(f"--device NAME is needed; there are {', '.join(devices)}")
    name = asked or next(iter(devices))
    if name not in devices:
        raise ValueError(
            f"--device {name}: unknown; there are {', '.join(devices)}{did_you_mean(name, devices)}"
        )
    return name, devices[name]


def _readings(
    declaration: Declaration,
    problem: "ImageClassification",
    device: "Device",
    called: str,
    networks: int,
    kept: Path,
) -> Iterator[dict[str, Any]]:
    """The work and the numbers of so many networks, as they are kept or read."""
    from problems.measures.device import DeviceFailed

    known: dict[str, dict[str, Any]] = {}
    if kept.exists():
        for line in kept.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            if one["device"] != repr(device):
                raise ValueError(
                    f"{kept}: it holds readings of another device, {one['device']}; name another "
                    "file by --out"
                )
            known[one["architecture"]] = one
        log.info("%d networks were read already: %s", len(known), kept)
    with kept.open("a", encoding="utf-8") as file:
        for place, genome in enumerate(_drawn(problem, declaration.seed, networks), start=1):
            architecture = problem.space.decode(genome)
            if architecture not in known:
                try:
                    work, told = problem.read_by(called, device, genome)
                except DeviceFailed as error:
                    log.warning("%s: %s; it is left out", architecture, error)
                    continue
                one = {"architecture": architecture, "work": work, "told": told}
                known[architecture] = {**one, "device": repr(device)}
                file.write(json.dumps(known[architecture]) + "\n")
                file.flush()
                log.info("%d of %d: %s %s", place, networks, architecture, told)
            yield known[architecture]


def _drawn(problem: "ImageClassification", seed: int, networks: int) -> Iterator[list[int]]:
    """So many different networks of the space that have an int8 counterpart."""
    draw, space = random.Random(seed), problem.space
    seen: set[str] = set()
    for _ in range(DRAWN_AT_MOST * networks):
        genome = [draw.randrange(len(gene.choices)) for gene in space.genes]
        if space.violation(genome) or not problem.work(genome):
            continue
        if (architecture := space.decode(genome)) not in seen:
            seen.add(architecture)
            yield genome
        if len(seen) == networks:
            return
