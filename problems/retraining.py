"""A network trained once more, on all training images, and scored on the official test split.

There are no validation images then, so nothing is watched: a training runs for the number of
epochs that is declared, and its last weights are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import nn

from problems.datasets.final_splits import open_final_splits
from problems.datasets.splits import Split
from problems.device import configure
from problems.image_classification import ImageClassification
from problems.networks.plan import imports_of
from problems.seeds import seed_of
from problems.training.flight import Flight, Turns
from problems.training.loop import seeded, take_epoch
from problems.training.recipe import Training
from problems.training.steps import Steps

WATCHING = ("early_stop", "patience", "min_delta", "keep")  # what needs validation images


def unwatched(training: Training, epochs: int) -> Training:
    """The recipe for so many epochs, with no validation images: the last weights are kept."""
    return replace(training, epochs=epochs, early_stop="never", keep="last")


@dataclass(eq=False)
class Retrained:
    """A network after its training.

    curve: for each epoch the loss and accuracy on the training images, as they were trained on.
    train_seconds: as in `problems.training.loop.train`.
    """

    seed: int
    network: nn.Module
    curve: list[dict[str, float]] = field(default_factory=list)
    train_seconds: float = 0.0


def retrain(
    problem: ImageClassification,
    genome: list[int],
    seeds: Sequence[int],
    on_epoch: Callable[[int, int], None] = lambda seed, epoch: None,
) -> Iterator[tuple[int, Retrained | Exception]]:
    """Each seed and its network, or what its training raised, as it is known.

    Trains by `problem.training`, which must not watch anything, on the training and validation
    images together.  One at a time on the CPU, several in turns on a GPU.  A seed here stands for
    another training than the search's, so that the luck of the search's is not kept.
    on_epoch: called with the seed and the number of its epoch that has ended, from 1.
    """
    recipe = problem.training
    assert recipe.early_stop == "never"
    assert recipe.keep == "last"
    known: dict[int, Retrained] = {}

    def begin(numbers: list[int]) -> Turns:
        (seed,) = numbers
        configure(problem.device, recipe.precision, problem.threads, problem.deterministic is None)
        open_final_splits(problem.dataset, problem.device)  # its memory is no network's
        return trained(seed)

    def trained(seed: int) -> Turns:
        drawn = seed_of(f"retraining {problem.seed} {seed} {problem.space.decode(genome)}")
        images = open_final_splits(problem.dataset, problem.device).train
        with seeded(drawn, problem.device):
            network = problem.untrained(genome, images)
        steps = Steps(network, images, recipe, drawn, problem.gpu)
        known[seed] = retrained = Retrained(seed, network)
        for epoch in range(recipe.epochs):
            yield from take_epoch(steps, epoch)
            retrained.curve.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": steps.loss.item() / steps.per_epoch,
                    "train_accuracy": steps.correct.item() / len(images),
                }
            )
            on_epoch(seed, epoch + 1)
        retrained.train_seconds = steps.seconds
        return {}

    flight = Flight(begin, problem.device, problem.in_flight)
    for number, result in flight.results([[seed] for seed in seeds]):
        seed = seeds[number]
        retrained = known.pop(seed, None)
        if isinstance(result, Exception):
            yield seed, result
        else:
            assert retrained is not None
            yield seed, retrained


def check_can_be_kept(problem: ImageClassification, genome: list[int]) -> None:
    """Raise ValueError, one line, if the genome's network could not be kept in a file.

    Asked before it is trained: its blueprint must make the very module that is trained.
    """
    blueprint = problem.blueprint(genome)
    again = type(blueprint).from_json(blueprint.as_json(), imports_of(blueprint.plan))
    images = open_final_splits(problem.dataset, problem.device).train
    with seeded(0, problem.device):
        trained = problem.untrained(genome, images).state_dict()
        built = again.untrained().state_dict()
    for name in [*trained, *built]:
        shapes = [tuple(state[name].shape) if name in state else None for state in (trained, built)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{blueprint.architecture}: the network cannot be kept in a file: its {name!r} has "
                f"the shape {shapes[0]} where it is trained and {shapes[1]} where it is read back; "
                f"{type(problem).__name__}.blueprint(genome) must tell what its untrained(genome) "
                "makes"
            )


def official_test(problem: ImageClassification) -> Split:
    """The official test images, on the problem's device."""
    return open_final_splits(problem.dataset, problem.device).test


def scores_of(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Scores of logits (N, classes) against labels (N,), as plain data.

    accuracy, loss (mean cross-entropy, nats); precision, recall, f1 and support: one number a
    class, 0 where nothing was predicted; confusion: rows are the true class, columns the predicted
    one (scikit-learn).
    """
    classes = numpy.arange(logits.shape[1])
    loss = nn.functional.cross_entropy(logits.double(), labels).item()
    true, predicted = labels.cpu().numpy(), logits.argmax(dim=1).cpu().numpy()
    precision, recall, f1, support = precision_recall_fscore_support(
        true, predicted, labels=classes, zero_division=0
    )
    return {
        "accuracy": float((true == predicted).mean()),
        "loss": loss,
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "confusion": confusion_matrix(true, predicted, labels=classes).tolist(),
    }
