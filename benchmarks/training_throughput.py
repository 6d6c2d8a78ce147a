"""How many images a second are trained on, by us and by the loop of every tutorial?

    python -m benchmarks.training_throughput [--images 6000] [--repeats 3] [--out FILE.md]

The same networks on the same images by the same recipe: the published genome strings on
Fashion-MNIST, and two networks of reference A on CIFAR-10.  The naive loop is a DataLoader with
ToTensor and Normalize, eager float32, in one process with all cores.  Ours is the whole evaluation
of the toolkit in as many worker processes as there are cores, a thread each, on as many seeds of
the network at once.  Both train and then score the validation images.  The two take turns; medians
are compared.
"""

import os
import time
from dataclasses import replace
from statistics import median

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.result_file import keep, machine, parser_of
from problems.datasets import Cifar10, FashionMnist
from problems.datasets.splits import open_splits
from problems.image_classification import ImageClassification
from problems.networks.chain import build
from problems.spaces import ConvPoolFc, LayerString
from problems.training import Training
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


def naive(problem: ImageClassification, architecture: str, seed: int) -> tuple[float, float]:
    """Images per second and validation accuracy of the tutorial's loop."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(seed)
    recipe = problem.training
    splits = open_splits(problem.dataset, problem.device)
    network = build(
        problem.space.chain(problem.space.encode(architecture)), problem.space.image_shape
    )
    optimizer = recipe.optimizer_for(network)
    train = DataLoader(Pictures(splits.train), batch_size=recipe.batch_size, shuffle=True)
    validation = DataLoader(Pictures(splits.validation), batch_size=1000)
    start = time.perf_counter()
    for _ in range(recipe.epochs):
        network.train()
        for images, labels in train:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        correct = sum((network(x).argmax(1) == y).sum().item() for x, y in validation)
    seconds = time.perf_counter() - start
    return recipe.epochs * len(splits.train) / seconds, correct / len(splits.validation)


class SeededEvaluation:
    """Evaluates one architecture by the seed that a job brings."""

    def __init__(self, problem: ImageClassification, architecture: str):
        self.problem = problem
        self.genome = problem.space.encode(architecture)

    def __call__(self, job: Job) -> Outcome:
        (seed,) = job.genome
        return Measure(replace(self.problem, seed=seed))(Job(job.number, self.genome))


def ours(
    backend: Processes, problem: ImageClassification, architecture: str, seed: int
) -> tuple[float, float]:
    """Images per second over all workers and mean validation accuracy."""
    jobs = [Job(number, [seed * 100 + number]) for number in range(backend.workers)]
    start = time.perf_counter()
    outcomes = list(backend(SeededEvaluation(problem, architecture), jobs))
    seconds = time.perf_counter() - start
    assert all(outcome.status == "ok" for outcome in outcomes), outcomes
    images = len(jobs) * problem.training.epochs * problem.dataset.train_images
    return images / seconds, sum(o.measurement["val_accuracy"] for o in outcomes) / len(jobs)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    arguments = parser.parse_args()
    lines = [
        "# Training throughput: the toolkit against a tutorial's loop",
        "",
        f"{machine()}; "
        f"{arguments.images} images x {arguments.epochs} epochs, median of "
        f"{arguments.repeats}, ours in {arguments.precision}.",
        "",
        "| network | naive images/s | ours | ratio (least to most) | naive val_accuracy | ours |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    backend = Processes(threads=1)
    sets = (
        (FashionMnist(limit=arguments.images, validation=1_000), LayerString(), GENOME_STRINGS),
        (Cifar10(limit=arguments.images, validation=1_000), ConvPoolFc(), CHAINS),
    )
    for dataset, space, architectures in sets:
        recipe = Training(
            epochs=arguments.epochs,
            optimizer="adam",
            learning_rate=0.001,
            precision=arguments.precision,
        )
        problem = ImageClassification(space, dataset, recipe, device="cpu").prepared()
        ours(backend, problem, architectures[0], seed=0)  # start the workers, load the images
        for architecture in architectures:
            pairs = [
                (naive(problem, architecture, seed), ours(backend, problem, architecture, seed))
                for seed in range(arguments.repeats)
            ]
            ratios = sorted(b[0] / a[0] for a, b in pairs)
            slow, fast = (median(pair[side][0] for pair in pairs) for side in (0, 1))
            scores = [median(pair[side][1] for pair in pairs) for side in (0, 1)]
            name = architecture.replace("|", "/")  # a bar would end the table's cell
            line = (
                f"| `{name}` | {slow:,.0f} | {fast:,.0f} | {median(ratios):.2f} "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {scores[0]:.3f} | {scores[1]:.3f} |"
            )
            lines.append(line)
            print(line, flush=True)
    backend.close()
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
