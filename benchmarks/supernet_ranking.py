"""Does a supernet of choice blocks rank the networks of NAS-Bench-Macro as their trainings do?

    python -m benchmarks.supernet_ranking [--device cuda] [--out FILE.md]

Trains the supernet of the CIFAR-10 space on images of CIFAR-10, scores networks with its weights,
and holds the scores against the published test accuracies of networks trained alone (Su et al.,
CVPR 2021): Kendall's tau-b, with its 95% bootstrap interval over the networks, beside that of their
parameters and of their multiply-accumulates, which cost nothing.  Then a genetic algorithm searches
by the score, and its pick's regret is how far its published accuracy is below the best of all.

As it stands it is for a GPU and scores all 6,561.  On a CPU: fewer images, epochs and --networks
(drawn at random), and --divide, which makes every layer so many times narrower than the published.
"""

import argparse
import json
import logging
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy
from scipy.stats import kendalltau

from benchmarks.result_file import keep, machine, parser_of
from problems.datasets import Cifar10
from problems.datasets.splits import open_splits
from problems.spaces import MobileBlocks
from problems.supernets.choice_blocks import ChoiceBlocks
from problems.supernets.gate import agreement
from problems.training.augmentation import Augmentation
from problems.training.loop import score
from problems.training.recipe import Training
from problems.training.schedules import Cosine
from problems.weight_sharing import WeightSharing
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.search import search

TABLE = Path(__file__).parents[2] / "shared" / "tables" / "nas-bench-macro_cifar10.json"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--table", type=Path, default=TABLE, help="nas-bench-macro_cifar10.json")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=int, default=45_000, help="trained on")
    parser.add_argument("--validation", type=int, default=5_000, help="scored on")
    parser.add_argument("--recalibration", type=int, default=2_000)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--fairness", default="uniform", choices=["uniform", "strict"])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--divide", type=int, default=1, help="every width by this")
    parser.add_argument("--networks", type=int, help="default: all")
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keeps the supernet; default: a temporary one")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in ("PIL", "filelock"):
        logging.getLogger(name).setLevel(logging.WARNING)
    published = json.loads(arguments.table.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        begun = time.perf_counter()
        problem = declared(arguments).prepared().trained(folder)
        trained = time.perf_counter() - begun
        lines = ranked(problem, published, arguments, trained)
    print("\n".join(lines))
    keep(lines, arguments.out)


def declared(arguments: argparse.Namespace) -> WeightSharing:
    """The problem whose supernet is trained as the arguments say."""
    by = arguments.divide
    recipe = Training(
        epochs=arguments.epochs,
        batch_size=arguments.batch,
        learning_rate=arguments.learning_rate,
        momentum=0.9,
        weight_decay=5e-4,
        schedule=Cosine(),
        augmentation=Augmentation(crop_padding=4, flip=True),
        normalize=True,
        precision=arguments.precision,
    )
    return WeightSharing(
        space=MobileBlocks(widths=(64 // by, 128 // by, 256 // by), stem=32 // by, last=1280 // by),
        dataset=Cifar10(validation=arguments.validation, limit=arguments.images),
        training=Training(normalize=True),
        device=arguments.device,
        seed=arguments.seed,
        supernet=ChoiceBlocks(
            training=recipe,
            recalibration=arguments.recalibration,
            fairness=arguments.fairness,
        ),
    )


class Scores:
    """A problem for the toolbox: the supernet's score of a genome, each taken once."""

    def __init__(self, problem: WeightSharing):
        self.problem, self.space = problem, problem.space
        self.measured: dict[str, dict[str, float]] = {}
        self.seconds = 0.0

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        architecture = self.space.decode(genome)
        if architecture not in self.measured:
            begun = time.perf_counter()
            splits = open_splits(self.problem.dataset, self.problem.device)
            network = self.problem.inherited(genome, splits.train)
            loss, accuracy = score(network, splits.validation).tolist()
            self.measured[architecture] = {"val_loss": loss, "val_accuracy": accuracy}
            self.seconds += time.perf_counter() - begun
            if len(self.measured) % 100 == 0:
                logging.info("%d networks scored", len(self.measured))
        return self.measured[architecture]


def ranked(
    problem: WeightSharing, published: dict, arguments: argparse.Namespace, trained: float
) -> list[str]:
    """Score, search, and tell."""
    scores = Scores(problem)
    drawn = sorted(published)
    if arguments.networks:
        drawn = random.Random(arguments.seed).sample(drawn, arguments.networks)
    for architecture in drawn:
        scores.evaluate(problem.space.encode(architecture))
    true = {name: mean(row["test_acc"]) for name, row in published.items()}
    of_scores = {
        "shared val_loss": [-scores.measured[name]["val_loss"] for name in drawn],
        "shared val_accuracy": [scores.measured[name]["val_accuracy"] for name in drawn],
        "parameters": [published[name]["params"] for name in drawn],
        "multiply-accumulates": [published[name]["flops"] for name in drawn],
    }
    accuracies = [true[name] for name in drawn]
    rows = [agreement(name, values, accuracies) for name, values in of_scores.items()]
    scoring = scores.seconds / len(scores.measured)
    taus = [f"| {row.score} | {row.tau:.3f} | {row.low:.3f} to {row.high:.3f} |" for row in rows]
    everything = [
        kendalltau([published[name][key] for name in true], list(true.values())).statistic
        for key in ("params", "flops")
    ]
    pick, searched = searched_for(scores, arguments)
    best = max(true.values())
    recipe = problem.supernet.training
    chance = numpy.mean([_regret_of_best_of(searched, true, seed) for seed in range(1_000)])
    return [
        "# The ranking of a supernet of choice blocks (NAS-Bench-Macro, CIFAR-10)",
        "",
        f"{machine(problem.device)}; {recipe.precision}; seed {arguments.seed}.  "
        f"{problem.dataset.train_images:,} images x {recipe.epochs} epochs, batch "
        f"{recipe.batch_size}, {arguments.fairness} paths, widths divided by {arguments.divide}: "
        f"trained in {trained:,.0f} s.  {len(drawn):,} of {len(true):,} networks scored on "
        f"{problem.dataset.validation:,} validation images after {arguments.recalibration:,} for "
        f"the batch norms: {scoring:.2f} s each.",
        "",
        "| score | Kendall tau | 95% interval |",
        "|---|---|---|",
        *taus,
        "",
        f"Over all {len(true):,}: parameters {everything[0]:.3f}, multiply-accumulates "
        f"{everything[1]:.3f}.",
        "",
        f"A genetic algorithm by shared val_loss ({searched} networks) picks {pick}: published "
        f"accuracy {true[pick]:.2f}, regret {best - true[pick]:.2f} (best: {best:.2f}).  The "
        f"network with the most multiply-accumulates: regret {best - true['2' * 8]:.2f}.  The best "
        f"of so many trained alone, drawn at random: regret {chance:.2f} in the mean.",
    ]


def _regret_of_best_of(many: int, true: dict[str, float], seed: int) -> float:
    drawn = random.Random(seed).sample(list(true.values()), many)
    return max(true.values()) - max(drawn)


def searched_for(scores: Scores, arguments: argparse.Namespace) -> tuple[str, int]:
    """What a genetic algorithm picks by the score, and how many networks it asked for."""
    tables = {
        "objectives": ["val_loss"],
        "seed": arguments.seed,
        "problem": "scores",
        "toolbox": {"select": "tournament", "map": "serial"},
        "algorithm": {
            "use": "genetic_algorithm",
            "population": arguments.population,
            "generations": arguments.generations,
        },
    }
    declaration = declare(tables, {"scores": lambda: scores}, name="ranking")
    archive = Archive({"use": "scores"})
    toolbox = assemble(declaration, scores, archive)
    for _ in search(declaration, toolbox):
        pass
    toolbox.close()
    records: Sequence = list(archive)
    best = min(records, key=lambda record: record.measurement["val_loss"])
    return best.architecture, len(records)


if __name__ == "__main__":
    main()
