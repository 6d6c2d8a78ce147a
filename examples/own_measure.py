"""Measures of one's own: called with what they ask for, after a network's training."""


def confident_mistakes(predictions, labels):
    """The share of images that are classified wrongly with a probability of 0.8 or more."""
    probability, said = predictions.softmax(dim=1).max(dim=1)
    return ((said != labels) & (probability >= 0.8)).double().mean()


def int8_kib(layers):
    """The size of the weights on a microcontroller, with a byte each."""
    return sum(layer["params"] for layer in layers) / 1024


# What it means, so that it can be an objective by its name alone.
int8_kib.quantities = {"int8_kib": {"unit": "KiB", "direction": "minimize", "worst": 1e6}}
