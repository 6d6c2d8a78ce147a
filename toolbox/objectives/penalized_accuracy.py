"""Accuracy less a weighted penalty for size."""

from toolbox.objectives.objective import Measurement


def penalized_accuracy(
    measurement: Measurement,
    per_million_params: float = 0.0,
    per_million_conv_params: float = 0.0,
    per_million_fc_params: float = 0.0,
) -> float:
    """val_accuracy minus each weight times its parameters in millions.

    >>> network = {"val_accuracy": 0.7, "params": 2e6, "conv_params": 5e5, "fc_params": 1.5e6}
    >>> round(penalized_accuracy(network, per_million_params=0.01), 3)
    0.68
    >>> round(penalized_accuracy(network, per_million_conv_params=0.025,
    ...                          per_million_fc_params=0.01), 4)
    0.6725
    """
    penalty = (
        per_million_params * measurement["params"]
        + per_million_conv_params * measurement["conv_params"]
        + per_million_fc_params * measurement["fc_params"]
    )
    return measurement["val_accuracy"] - penalty / 1e6
