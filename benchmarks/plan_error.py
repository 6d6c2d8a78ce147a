"""How far is the time that `plan` tells from the time that the search then takes?

    python -m benchmarks.plan_error [--held-out] [--only NAME ...] [--out FILE.md]

Ten declarations of different spaces, algorithms and backends, made small by overrides, each planned
and then really run, one process after the other, in a temporary folder.  Both times are elapsed
ones, of the whole command.  On a machine that does something else meanwhile they mean little.
The planning was written with these ten at hand; the ten of --held-out came afterwards.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from benchmarks.result_file import keep, machine, parser_of
from problems.spaces.bit_string import BitString
from toolbox.archive import Archive

REPOSITORY = Path(__file__).parents[1]
PICTURES = "problem.dataset={use='benchmarks.plan_error:pictures', %s, validation=200, test=0.1}"


def pictures(
    images: int = 1_000, pixels: int = 20, channels: int = 3
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Random images of ten classes that can be learnt: a pattern for each, and noise."""
    draw = numpy.random.default_rng(0)
    patterns = draw.random((10, pixels, pixels, channels))
    labels = draw.integers(10, size=images)
    noisy = 0.3 * patterns[labels] + 0.7 * draw.random((images, pixels, pixels, channels))
    shown = (255 * noisy).astype(numpy.uint8)
    return (shown if channels > 1 else shown[..., 0]), labels


class Eigenvalues:
    """A problem of one's own that trains nothing: numpy is kept busy for a quarter of a second."""

    def __init__(self, length: int = 16, seconds: float = 0.25):
        self.space, self.seconds = BitString(length), seconds

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        """Twice as long for all ones as for none."""
        ends = time.process_time() + self.seconds * (1 + sum(genome) / len(genome))
        while time.process_time() < ends:
            numpy.linalg.eigvals(numpy.random.default_rng(0).random((40, 40)))
        return {"ones": float(sum(genome))}


@dataclass(frozen=True)
class Case:
    """A declaration of the repository, and what makes it small."""

    name: str
    file: str
    overrides: tuple[str, ...]


CASES = (
    Case(
        "genome strings, learned guide",
        "experiments/quickstart.toml",
        ("algorithm.generations=4",),
    ),
    Case(
        "genome strings, early stop",
        "experiments/fashion_mnist_ga.toml",
        (
            PICTURES % "images=1500, pixels=28, channels=1",
            *("problem.training.epochs=8", "algorithm.population=10", "algorithm.generations=3"),
        ),
    ),
    Case(
        "genome strings, halving",
        "experiments/cifar10_nsga2.toml",
        (
            PICTURES % "images=1200",
            *("objectives=[val_accuracy, params]", "halving.epochs=[1]", "halving.keep=0.5"),
            "problem.training.epochs=3",
            *("algorithm.population=10", "algorithm.generations=3"),
        ),
    ),
    Case(
        "convolutions with kernels to 7",
        "experiments/nas_ga_basic.toml",
        (
            PICTURES % "images=600, pixels=16",
            *("problem.training.epochs=3", "problem.training.batch_size=64"),
            *("algorithm.population=8", "algorithm.generations=3"),
        ),
    ),
    Case(
        "bounded convolutions, augmentation",
        "experiments/resource_constrained.toml",
        (
            PICTURES % "images=600, pixels=16",
            *("problem.training.epochs=3", "algorithm.population=8", "algorithm.generations=3"),
        ),
    ),
    Case(
        "pooled convolutions, finals",
        "experiments/lightweight_cifar10.toml",
        (
            PICTURES % "images=900",
            *("problem.training.epochs=2", "algorithm.population=8", "algorithm.generations=2"),
            *("finals.networks=3", "finals.seeds=2"),
        ),
    ),
    Case(
        "pooled convolutions, shared weights",
        "experiments/lightweight_shared_fashion_mnist.toml",
        (
            PICTURES % "images=900, channels=1",
            *(
                "problem.training.epochs=2",
                "problem.supernet.training.epochs=6",
                "problem.gate=off",
            ),
            *("algorithm.population=10", "algorithm.generations=3"),
        ),
    ),
    Case(
        "inverted residual blocks, inherited weights",
        "experiments/cifar10_choice_blocks.toml",
        (
            "problem={use='image_classification', inherit=true, "
            "space={use='mobile_blocks', widths=[16,24,32], stem=8, last=64}, "
            "training={epochs=2, batch_size=64, learning_rate=0.05, normalize=true}, "
            "dataset={use='benchmarks.plan_error:pictures', images=600, validation=100, test=0.1}}",
            *("algorithm.population=8", "algorithm.generations=2"),
        ),
    ),
    Case(
        "a network of one's own, islands of duplicates",
        "examples/own_network.toml",
        (
            *("problem.training.epochs=20", "algorithm.population=10", "algorithm.generations=8"),
            "problem.space.width=[8, 16]",
        ),
    ),
    Case(
        "a problem of one's own, asynchronous",
        "experiments/quickstart.toml",
        (
            "objectives=[{use='measured', name='ones', direction='maximize', worst=0.0}]",
            "problem={use='benchmarks.plan_error:Eigenvalues'}",
            "toolbox={mutate='reset_gene', select='tournament', map='processes'}",
            "algorithm={use='steady_state', population=12, generations=8}",
        ),
    ),
)

HELD_OUT = (
    Case(
        "one's own images, random search",
        "examples/own_data.toml",
        (
            *("problem.training.epochs=20", "problem.space.filters=[4, 8, 16, 32]"),
            *("algorithm.use=random_search", "algorithm.population=12", "algorithm.generations=3"),
        ),
    ),
    Case(
        "a network of one's own, regularized evolution",
        "examples/own_depthwise.toml",
        (
            *("problem.training.epochs=20", "toolbox={map='processes'}"),
            "algorithm={use='regularized_evolution', population=10, generations=4}",
        ),
    ),
    Case(
        "a layer of one's own, SPEA2",
        "examples/own_layer.toml",
        (
            *("problem.training.epochs=20", "toolbox={map='processes'}"),
            "algorithm={use='spea2', population=10, generations=3}",
        ),
    ),
    Case(
        "measures of one's own, one worker",
        "examples/own_measure.toml",
        (
            *("problem.training.epochs=10", "problem.space.filters=[4, 8, 12, 16, 24]"),
            *("algorithm.population=10", "algorithm.generations=3"),
        ),
    ),
    Case(
        "recipe and convolutions together",
        "experiments/joint_digits.toml",
        ("problem.dataset.size=16", "algorithm.population=10", "algorithm.generations=4"),
    ),
    Case(
        "genome strings, NSGA-III, three objectives",
        "experiments/fashion_mnist_nsga2.toml",
        (
            PICTURES % "images=1500, pixels=28, channels=1",
            *("objectives=[val_accuracy, params, macs]", "problem.training.epochs=4"),
            *("toolbox.select.use=nsga3", "algorithm={use='nsga3', population=10, generations=3}"),
        ),
    ),
    Case(
        "convolutions with kernels to 7, roulette, early stop",
        "experiments/nas_ga_basic_roulette.toml",
        (
            PICTURES % "images=600, pixels=16",
            *("problem.training.epochs=12", "problem.training.patience=2"),
            *("problem.training.batch_size=64", "problem.space.filters=[16, 32]"),
            *("algorithm.population=8", "algorithm.generations=3"),
        ),
    ),
    Case(
        "pooled convolutions, immigrants",
        "experiments/lightweight_fashion_mnist.toml",
        (
            PICTURES % "images=900, channels=1",
            *("problem.training.epochs=3", "algorithm.population=10", "algorithm.generations=2"),
        ),
    ),
    Case(
        "accuracy in 8 bits, flash and RAM",
        "experiments/microcontroller_fashion_mnist.toml",
        (
            PICTURES % "images=1200, channels=1",
            *("problem.training.epochs=3", "algorithm.population=8", "algorithm.generations=3"),
        ),
    ),
    Case(
        "genome strings, asynchronous",
        "experiments/quickstart.toml",
        (
            "toolbox={mutate='reset_gene', select='tournament', map='processes'}",
            *("objectives=[val_accuracy]", "problem.dataset.size=12"),
            "algorithm={use='steady_state', population=12, generations=4}",
        ),
    ),
)


def told(arguments: Sequence[str]) -> tuple[str, float]:
    """What `run_search.py` writes to stdout, and the seconds that it took."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "run_search.py", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, seconds


def row(case: Case, runs: Path) -> tuple[str, float]:
    """A line of the table, and the relative error of the time."""
    arguments = [case.file, *case.overrides, "--runs", str(runs)]
    answer, took = told(["plan", *arguments, "--json"])
    planned = json.loads(answer.splitlines()[-1])
    _, measured = told(arguments)
    error = planned["seconds"] / measured - 1
    (archive,) = runs.glob("*/seed-*/archive.sqlite")
    networks = len(Archive.read(archive).networks())
    return (
        f"| {case.name} | {planned['networks']} | {networks} | {took:.0f} "
        f"| {planned['seconds']:.1f} | {measured:.1f} | {100 * error:+.0f}% |"
    ), abs(error)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="parts of names")
    parser.add_argument("--held-out", action="store_true", help="the ten that came afterwards")
    arguments = parser.parse_args()
    lines = [
        "# The time that `plan` tells and the time that the search takes",
        "",
        f"{machine()}; seconds of whole commands.",
        "",
        "| declaration | networks: told | asked | planning | told | measured | error |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    errors = []
    for case in HELD_OUT if arguments.held_out else CASES:
        if arguments.only and not any(part in case.name for part in arguments.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            line, error = row(case, Path(folder))
        print(line, flush=True)
        lines.append(line)
        errors.append(error)
    end = ["", f"Median error: {100 * statistics.median(errors):.0f}%, of {len(errors)}."]
    print("\n".join(end))
    keep([*lines, *end], arguments.out)


if __name__ == "__main__":
    main()
