"""How many networks of a population are evaluated in an hour, by us and by the loop of a tutorial?

    python -m benchmarks.networks_per_hour [--networks 25] [--images 6000] [--out FILE.md]

The same random networks of the genome-string space on Fashion-MNIST, the whole evaluation of each:
training, scoring, counting, latency.  The naive loop trains one after another with all cores.  Ours
is swept: on the CPU over the number of workers, a thread each; on a GPU over the number of networks
in flight.  There it also says how much of the time the GPU was busy, and whether its memory grew.
"""

import os
import random
import time
from dataclasses import replace
from typing import get_args

import torch

from benchmarks.result_file import keep, machine, parser_of
from benchmarks.training_throughput import naive
from problems.datasets import FashionMnist
from problems.device import Precision
from problems.image_classification import ImageClassification
from problems.spaces import LayerString
from problems.training.recipe import Training
from toolbox.backends import Processes
from toolbox.device_use import device_use
from toolbox.initialization import uniform_random
from toolbox.measure import Job, Measure


def by_workers(problem: ImageClassification, genomes: list[list[int]], workers: int) -> float:
    """Networks per hour with so many workers, their start and first loading left out."""
    backend = Processes(threads=problem.threads, workers=workers)
    measure = Measure(problem)
    smallest = min(genomes, key=problem.cost)
    list(backend(measure, [Job(number, smallest) for number in range(workers)]))
    jobs = [Job(n, g) for n, g in enumerate(sorted(genomes, key=problem.cost, reverse=True))]
    start = time.perf_counter()
    outcomes = list(backend(measure, jobs))
    seconds = time.perf_counter() - start
    backend.close()
    assert all(outcome.status == "ok" for outcome in outcomes), outcomes
    return 3600 * len(jobs) / seconds


def by_flight(
    problem: ImageClassification, genomes: list[list[int]], most: int
) -> tuple[float, str]:
    """Networks per hour with so many in flight on the GPU, and how it was used."""
    problem = replace(problem, in_flight=most)
    problem.evaluate(min(genomes, key=problem.cost))
    genomes = sorted(genomes, key=problem.cost, reverse=True)
    with device_use(problem) as use:
        start = time.perf_counter()
        results = [result for _, result in problem.evaluate_many(genomes)]
        seconds = time.perf_counter() - start
        busy = use.summary().get("gpu_utilization_percent", float("nan"))
    assert all(isinstance(result, dict) for result in results), results
    return 3600 * len(genomes) / seconds, f"GPU {busy:.0f}% busy"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--networks", type=int, default=25)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", default="auto", choices=get_args(Precision))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--naive-networks", type=int, help="how many of them; default: all")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    recipe = Training(epochs=arguments.epochs, momentum=0.9, precision=arguments.precision)
    dataset = FashionMnist(limit=arguments.images, validation=1_000)
    problem = ImageClassification(LayerString(), dataset, recipe, arguments.device).prepared()
    random.seed(1)
    genomes = [uniform_random(problem.space) for _ in range(arguments.networks)]
    start = time.perf_counter()
    sample = genomes[: arguments.naive_networks]
    for genome in sample:
        naive(problem, problem.space.decode(genome), seed=0)
    slow = 3600 * len(sample) / (time.perf_counter() - start)
    lines = [
        "# Networks per hour: the toolkit against a tutorial's loop",
        "",
        f"{machine(problem.device)}; {len(genomes)} random genome strings ({len(sample)} by the "
        f"naive loop), {arguments.images} images x {arguments.epochs} epochs, ours in "
        f"{problem.training.precision}; one run.",
        "",
        "| what | networks per hour | ratio |",
        "|---|---|---|",
        f"| naive, all cores | {slow:,.0f} | 1 |",
    ]
    if problem.device == "cpu":
        for workers in range(1, cores + 1):
            fast = by_workers(problem, genomes, workers)
            lines.append(f"| ours, {workers} workers | {fast:,.0f} | {fast / slow:.2f} |")
    else:
        for most in (1, 2, 4, 8, 16, 24):
            fast, use = by_flight(problem, genomes, most)
            held = torch.cuda.memory_reserved(problem.device) / 2**20
            lines.append(
                f"| ours, {most} in flight; {use}, {held:,.0f} MiB held | {fast:,.0f} | "
                f"{fast / slow:.2f} |"
            )
    print("\n".join(lines))
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
