"""How many networks of a population are evaluated in an hour, by us and by the loop of a tutorial?

    python -m benchmarks.networks_per_hour [--networks 25] [--images 6000] [--out FILE.md]

The same random networks of the genome-string space on Fashion-MNIST, the whole evaluation of each:
training, scoring, counting, latency.  The naive loop trains one after another with all cores; ours
is swept over the number of workers, a thread each.
"""

import os
import random
import time

from benchmarks.result_file import keep, machine, parser_of
from benchmarks.training_throughput import naive
from problems.datasets import FashionMnist
from problems.image_classification import ImageClassification
from problems.recipe import Training
from problems.spaces import LayerString
from toolbox.backends import Processes
from toolbox.initialization import uniform_random
from toolbox.measure import Job, Measure


def ours(problem: ImageClassification, genomes: list[list[int]], workers: int) -> float:
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


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--networks", type=int, default=25)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    recipe = Training(epochs=arguments.epochs, momentum=0.9, precision=arguments.precision)
    dataset = FashionMnist(limit=arguments.images, validation=1_000)
    problem = ImageClassification(LayerString(), dataset, recipe, device="cpu").prepared()
    random.seed(1)
    genomes = [uniform_random(problem.space) for _ in range(arguments.networks)]
    start = time.perf_counter()
    for genome in genomes:
        naive(problem, problem.space.decode(genome), seed=0)
    slow = 3600 * len(genomes) / (time.perf_counter() - start)
    lines = [
        "# Networks per hour: the toolkit against a tutorial's loop",
        "",
        f"{machine()}; {len(genomes)} random genome strings, {arguments.images} "
        f"images x {arguments.epochs} epochs, ours in {arguments.precision}; one run.",
        "",
        "| what | networks per hour | ratio |",
        "|---|---|---|",
        f"| naive, all cores | {slow:,.0f} | 1 |",
    ]
    for workers in range(1, cores + 1):
        fast = ours(problem, genomes, workers)
        lines.append(f"| ours, {workers} workers | {fast:,.0f} | {fast / slow:.2f} |")
    print("\n".join(lines))
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
