"""How many images a second are trained on, by us and by the loop of every tutorial?

    python -m benchmarks.training_throughput [--images 12000] [--epochs 4] [--out FILE.md]

The same networks on the same images by the same recipe: the published genome strings on
Fashion-MNIST, and two networks of reference A on CIFAR-10.  The naive loop is a DataLoader with
ToTensor and Normalize, eager float32, in one process with all cores.  Ours is the whole evaluation
of the toolkit: on the CPU in as many worker processes as there are cores, a thread each, on as many
seeds of the network at once; on a GPU with so many seeds in flight.  Both train and then score the
validation images.  The two take turns; medians are compared.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import mean, median
from typing import get_args

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.result_file import keep, machine, parser_of
from problems.datasets import Cifar10, FashionMnist
from problems.datasets.splits import open_splits
from problems.device import Precision
from problems.image_classification import ImageClassification
from problems.networks.chain import ChannelsLastFlatten, build
from problems.networks.dropout import Dropout
from problems.spaces import ConvPoolFc, LayerString
from problems.training.flight import Flight
from problems.training.recipe import Training
from toolbox.backends import Processes
from toolbox.measure import Job, Measure, Outcome

GENOME_STRINGS = (
    "NC 16 3 tanh;NC 6 3 swish;RC 6 3 tanh;RC 10 3 tanh;FL swish;",
    "NC 16 4 gelu;RC 10 4 relu;NC 8 4 gelu;NC 16 4 tanh;RC 4 5 tanh;FL swish;",
    "NC 10 4 relu;RC 14 4 tanh;RC 14 4 relu;FL tanh;",
)
CHAINS = (
    "conv 16k3 16k3 | pool max | activation leaky_relu | fc 256",
    "conv 64k5 64k7 64k3 16k5 | pool average | activation relu | fc 256",
)


class Pictures(Dataset):
    """A split as a tutorial has it: one PIL image at a time, through transforms."""

    def __init__(self, split):
        self.images = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        channels = self.images.shape[3]
        self.transform = torchvision.transforms.Compose(
            [
                torchvision.transforms.ToPILImage(),
                torchvision.transforms.ToTensor(),
                torchvision.transforms.Normalize((0.0,) * channels, (1.0,) * channels),
            ]
        )

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(self.images[index]), self.labels[index]


def tutorial(network: nn.Sequential) -> nn.Sequential:
    """The same network of the modules that a tutorial would take."""
    plain: list[nn.Module] = []
    for module in network:
        match module:
            case ChannelsLastFlatten():
                plain.append(nn.Flatten())
            case Dropout():
                plain.append(nn.Dropout(module.probability))
            case nn.ReLU():
                plain.append(nn.ReLU())
            case nn.LeakyReLU():
                plain.append(nn.LeakyReLU(module.negative_slope))
            case _:
                plain.append(module)
    return nn.Sequential(*plain)


def naive(
    problem: ImageClassification,
    architecture: str,
    seed: int,
    threads: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Images per second and validation accuracy of the tutorial's loop.

    threads: of torch; by default as many as there are cores.
    """
    torch.set_num_threads(threads or os.cpu_count() or 1)
    torch.manual_seed(seed)
    recipe = problem.training
    splits = open_splits(problem.dataset, "cpu")
    space = problem.space
    network = tutorial(build(space.chain(space.encode(architecture)), space.image_shape))
    network.to(problem.device)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            network.parameters(), recipe.learning_rate, momentum=recipe.momentum
        )
    train = DataLoader(Pictures(splits.train), batch_size=recipe.batch_size, shuffle=True)
    validation = DataLoader(Pictures(splits.validation), batch_size=1000)
    start = clock()
    for _ in range(recipe.epochs):
        network.train()
        for images, labels in train:
            optimizer.zero_grad()
            logits = network(images.to(problem.device))
            loss = nn.functional.cross_entropy(logits, labels.to(problem.device))
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        correct = sum(
            (network(images.to(problem.device)).argmax(1).cpu() == labels).sum().item()
            for images, labels in validation
        )
    seconds = clock() - start
    return recipe.epochs * len(splits.train) / seconds, correct / len(splits.validation)


class SeededEvaluation:
    """Evaluates one architecture by the seed that a job brings."""

    def __init__(self, problem: ImageClassification, architecture: str):
        self.problem = problem
        self.genome = problem.space.encode(architecture)

    def __call__(self, job: Job) -> Outcome:
        (seed,) = job.genome
        return Measure(replace(self.problem, seed=seed))(Job(job.number, self.genome))

    def in_flight(self, seeds: list[int], most: int) -> list[dict[str, float]]:
        """The measurements by all seeds, so many of them at a time in this process."""
        flight = Flight(
            lambda seed: replace(self.problem, seed=seed[0]).begin((self.genome, {})),
            self.problem.device,
            most,
        )
        results = [result for _, result in flight.results([seed] for seed in seeds)]
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results


def ours(
    backend: Processes, problem: ImageClassification, architecture: str, seed: int, company: int
) -> tuple[float, float]:
    """Images per second over all seeds and mean validation accuracy."""
    seeds = [seed * 100 + number for number in range(company)]
    evaluation = SeededEvaluation(problem, architecture)
    start = time.perf_counter()
    if problem.device == "cpu":
        outcomes = list(backend(evaluation, [Job(n, [s]) for n, s in enumerate(seeds)]))
        assert all(outcome.status == "ok" for outcome in outcomes), outcomes
        measured = [outcome.measurement for outcome in outcomes]
    else:
        measured = evaluation.in_flight(seeds, company)
    seconds = time.perf_counter() - start
    images = len(seeds) * problem.training.epochs * problem.dataset.train_images
    return images / seconds, mean(m["val_accuracy"] for m in measured)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--large-images", type=int, default=2_000, help="of the large network")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3, help="each by a seed of its own")
    parser.add_argument("--precision", default="auto", choices=get_args(Precision))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--company", type=int, help="how many of ours at once; default: the cores")
    arguments = parser.parse_args()
    recipe = Training(
        epochs=arguments.epochs,
        optimizer="adam",
        learning_rate=0.001,
        precision=arguments.precision,
    )
    fashion, cifar, few = (
        dataset(limit=images, validation=1_000)
        for dataset, images in (
            (FashionMnist, arguments.images),
            (Cifar10, arguments.images),
            (Cifar10, arguments.large_images),
        )
    )
    small, large = CHAINS
    plan = [
        *((fashion, LayerString(), architecture) for architecture in GENOME_STRINGS),
        (cifar, ConvPoolFc(), small),
        (few, ConvPoolFc(), large),
    ]
    first = ImageClassification(plan[0][1], plan[0][0], recipe, arguments.device).prepared()
    backend = Processes(threads=1, workers=arguments.company)
    company = backend.workers
    lines = [
        "# Training throughput: the toolkit against a tutorial's loop",
        "",
        f"{machine(first.device)}; {arguments.epochs} epochs, {arguments.repeats} repeats, each by "
        f"a seed of its own; {company} of ours at once, in {first.training.precision}.",
        "",
        "| network | images | naive images/s | ours | ratio (least to most) | "
        "naive val_accuracy | ours |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for dataset, space, architecture in plan:
        problem = ImageClassification(space, dataset, recipe, arguments.device).prepared()
        # Start the workers and load the images.
        ours(
            backend,
            replace(problem, training=replace(problem.training, epochs=1)),
            architecture,
            0,
            company,
        )
        pairs = [
            (
                naive(problem, architecture, seed),
                ours(backend, problem, architecture, seed, company),
            )
            for seed in range(arguments.repeats)
        ]
        ratios = sorted(b[0] / a[0] for a, b in pairs)
        slow, fast = (median(pair[side][0] for pair in pairs) for side in (0, 1))
        scores = [" ".join(f"{pair[side][1]:.3f}" for pair in pairs) for side in (0, 1)]
        name = architecture.replace("|", "/")  # a bar would end the table's cell
        line = (
            f"| `{name}` | {dataset.train_images:,} | {slow:,.0f} | {fast:,.0f} | "
            f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | "
            f"{scores[0]} | {scores[1]} |"
        )
        lines.append(line)
        print(line, flush=True)
    backend.close()
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
