"""flash_bytes and ram_bytes, held against .tflite files and the interpreter for microcontrollers.

    python -m benchmarks.int8_costs [--networks 20] [--spaces plain_cnn mobile_blocks layer_string]
        [--folder DIR] [--out FILE.md]

Needs pip install 'deap-nas[tflite]'.  Random networks of each space are converted, and the
arithmetic is compared with the size of the file and with the arena that tflite-micro reports on
this machine.  With ethos-u-vela installed each file is compiled for an Ethos-U55 of 128
multiply-accumulates too, and its cycles are ranked beside the multiply-accumulates.  --folder keeps
the files.
"""

import csv
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from scipy.stats import spearmanr

from benchmarks.result_file import keep, machine, parser_of
from problems.int8.cost import costs_of
from problems.int8.program import Program, program_of
from problems.int8.tflite import micro_arena, to_tflite
from problems.networks.chain import Standardize
from problems.networks.plan import module_of, plan_of
from problems.spaces import SPACES

# tflite-micro has no GELU.
OPTIONS = {"layer_string": {"activations": ("relu", "swish", "tanh", "sigmoid")}}
SHAPES = {"layer_string": (1, 28, 28)}


def programs(name: str, networks: int) -> Iterator[Program]:
    """The programs of so many random networks of a space, with their first weights."""
    shape = SHAPES.get(name, (3, 32, 32))
    space = SPACES[name](image_shape=shape, classes=10, **OPTIONS.get(name, {}))  # type: ignore[operator]
    draw, made = random.Random(5), 0
    while made < networks:
        genome = [draw.randrange(len(gene.choices)) for gene in space.genes]
        if space.violation(genome):
            continue
        torch.manual_seed(made)
        channels = shape[0]
        first = Standardize(torch.full((channels,), 0.4), torch.full((channels,), 0.25))
        yield program_of(module_of(plan_of(space, genome), shape, 10, first), shape)
        made += 1


def cycles_of(file: Path) -> float | None:
    """What Vela says of a file: cycles on an Ethos-U55; None if it cannot compile it."""
    command = [Path(sys.executable).with_name("vela"), file]
    command += ["--accelerator-config", "ethos-u55-128", "--output-dir", file.parent]
    done = subprocess.run(command, capture_output=True, check=False)
    (summary,) = [*file.parent.glob(f"{file.stem}_summary_*.csv"), None][:1]
    if done.returncode or summary is None:
        return None
    with summary.open(encoding="utf-8") as lines:
        (row,) = csv.DictReader(lines)
    return float(row["cycles_total"])


def line(name: str, networks: int, folder: Path) -> str:
    """A line of the table: the largest errors in percent, and the rank correlation of cycles."""
    flash, ram, pairs, refused = [], [], [], 0
    for number, program in enumerate(programs(name, networks)):
        content = to_tflite(program, torch.rand(8, *program.image_shape))
        told = costs_of(program)
        flash.append(abs(told["flash_bytes"] / len(content) - 1))
        try:
            ram.append(abs(told["ram_bytes"] / micro_arena(content) - 1))
        except ValueError as error:
            print(f"{name} {number}: {error}", file=sys.stderr)
            refused += 1
        file = folder / f"{name}_{number}.tflite"
        file.write_bytes(content)
        if find_spec("ethosu") and (cycles := cycles_of(file)):
            pairs.append((told["int8_macs"], cycles))
        print(f"{name}: {number + 1} of {networks}", file=sys.stderr, flush=True)
    rank = f"{spearmanr(*zip(*pairs, strict=True)).statistic:.3f}" if len(pairs) > 2 else "-"
    return (
        f"| {name} | {len(flash)} | {100 * max(flash):.2f} % | {100 * max(ram):.2f} % | {refused} "
        f"| {rank} ({len(pairs)}) |"
    )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument(
        "--spaces", nargs="+", default=["plain_cnn", "mobile_blocks", "layer_string"]
    )
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    lines = [
        machine(),
        "",
        "| space | networks | flash: largest error | RAM: largest error | not run "
        "| cycles and MACs: rank correlation (networks) |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        lines += [line(name, chosen.networks, folder) for name in chosen.spaces]
    print("\n".join(lines))
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
