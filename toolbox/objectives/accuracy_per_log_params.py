"""Accuracy in percent per natural logarithm of the parameters, and that per training second."""

import math

from toolbox.objectives.objective import Measurement


def accuracy_per_log_params(measurement: Measurement) -> float:
    """100 x val_accuracy / ln(params).

    >>> round(accuracy_per_log_params({"val_accuracy": 0.8063, "params": 3264}), 4)
    9.9658
    """
    # A network of one parameter has ln 1 = 0; e is the fewest for which the ratio means anything.
    return 100 * measurement["val_accuracy"] / math.log(max(measurement["params"], math.e))


def accuracy_per_log_params_per_second(measurement: Measurement) -> float:
    """100 x val_accuracy / ln(params) / train_seconds.

    >>> network = {"val_accuracy": 0.8063, "params": 3264, "train_seconds": 183.51}
    >>> round(accuracy_per_log_params_per_second(network), 4)
    0.0543
    """
    return accuracy_per_log_params(measurement) / measurement["train_seconds"]
