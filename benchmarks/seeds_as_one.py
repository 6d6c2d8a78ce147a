"""How many images a second are trained on when the seeds of one network are trained as one?

    python -m benchmarks.seeds_as_one [--images 2048] [--repeats 3] [--out FILE.md]

The same seeds of the same networks by the same recipe on images of 28x28 pixels, once one after
another (`Steps`) and once as one network (`FusedSteps`), on the CPU with one thread.  The time is
the thread's own, so a neighbour on the machine counts little.  The two take turns; medians and the
range of the ratios are shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import torch
from torch import nn

from benchmarks.fused_seeds import FusedSteps
from benchmarks.result_file import keep, machine, parser_of
from problems.datasets import Digits
from problems.datasets.splits import Split
from problems.device import configure
from problems.image_classification import ImageClassification
from problems.training.loop import seeded, take_epoch
from problems.training.recipe import Training
from problems.training.steps import Steps

GENOME_STRINGS = (
    "NC 16 3 tanh;NC 6 3 swish;RC 6 3 tanh;RC 10 3 tanh;FL swish;",
    "NC 16 4 gelu;RC 10 4 relu;NC 8 4 gelu;NC 16 4 tanh;RC 4 5 tanh;FL swish;",
    "NC 32 3 relu;RC 64 3 relu;RC 64 3 relu;FL swish;",
)
SEEDS = (2, 4, 8)
WARM_UP = 256  # images


def networks(problem: ImageClassification, genome: list[int], split: Split, n: int) -> list:
    made: list[nn.Module] = []
    for seed in range(n):
        with seeded(seed, "cpu"):
            made.append(problem.untrained(genome, split))
    return made


def separate(problem: ImageClassification, genome: list[int], split: Split, n: int) -> float:
    """Images a second, one seed after another."""
    seconds = 0.0
    for seed, network in enumerate(networks(problem, genome, split, n)):
        steps = Steps(network, split, problem.training, seed)
        for _ in take_epoch(steps, 0):
            pass
        seconds += steps.seconds
    return n * len(split) / seconds


def as_one(problem: ImageClassification, genome: list[int], split: Split, n: int) -> float:
    """Images a second, all seeds as one network."""
    made = networks(problem, genome, split, n)
    steps = FusedSteps(made, split, problem.training, range(n))
    steps.take_epoch()
    return n * len(split) / steps.seconds


def rows(
    problem: ImageClassification, architecture: str, images: int, repeats: int
) -> Iterator[str]:
    genome = problem.space.encode(architecture)
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (images, 1, 28, 28), generator=draw, dtype=torch.uint8)
    split = Split(
        pixels.contiguous(memory_format=torch.channels_last),
        torch.randint(10, (images,), generator=draw),
    )
    for n in SEEDS:
        found: list[tuple[float, float]] = []
        for measure in (separate, as_one):
            measure(problem, genome, split.first(WARM_UP), n)
        for _ in range(repeats):
            found.append((separate(problem, genome, split, n), as_one(problem, genome, split, n)))
        ratios = [one / alone for alone, one in found]
        alone, one = (median(column) for column in zip(*found, strict=True))
        yield (
            f"| `{architecture}` | {problem.training.precision} | {n} | {alone:,.0f} | {one:,.0f} "
            f"| {median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    chosen = parser.parse_args(arguments)
    configure("cpu", chosen.precision, 1)
    problem = ImageClassification(
        dataset=Digits(size=28),
        training=Training(epochs=1, batch_size=128, optimizer="adam", precision=chosen.precision),
        device="cpu",
    )
    wider = replace(problem.space, filters=(2, 64, 2))  # than any network of the reference
    problem = replace(problem, space=wider)
    lines = [
        "# Seeds of one network, trained as one",
        "",
        f"{machine()}; {chosen.images} images of 28x28 an epoch, batch 128, adam, one thread, "
        f"the thread's own time, n = {chosen.repeats}.",
        "",
        "| network | precision | seeds | images a second, separate | as one | ratio | range |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for architecture in GENOME_STRINGS:
        for line in rows(problem, architecture, chosen.images, chosen.repeats):
            print(line, flush=True)
            lines.append(line)
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
