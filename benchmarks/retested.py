"""How a network that a search returned does on the test images."""

from dataclasses import replace
from statistics import fmean

from problems.image_classification import ImageClassification
from problems.retraining import official_test, retrain, unwatched
from problems.training.loop import logits_of


def on_test_images(problem: ImageClassification, genome: list[int], trainings: int) -> float:
    """The mean over trainings with fresh seeds on the training and validation images together, for
    all epochs of the problem's recipe."""
    problem = replace(problem, training=unwatched(problem.training, problem.training.epochs))
    test, accuracies = official_test(problem), []
    for _, trained in retrain(problem, genome, range(1, trainings + 1)):
        if isinstance(trained, Exception):
            raise trained
        right = logits_of(trained.network, test).argmax(dim=1) == test.labels
        accuracies.append(right.double().mean().item())
    return fmean(accuracies)
