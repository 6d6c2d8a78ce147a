"""Measures as users write them, for tests."""

import sys

import numpy
import torch

given = {}


def everything(network, images, labels, predictions, genome, layers, device):
    given.update(locals())
    return {"of_everything": 1}


def share(predictions, labels):
    return (predictions.argmax(dim=1) == labels).double().mean()


def random_number():
    return torch.rand(())


def size(layers, scale=2):
    return scale * sum(layer["params"] for layer in layers)


def misspelt(netwrk):
    return 1.0


def fails(labels):
    return 1 / 0


def text(labels):
    return "good"


def nothing(labels):
    return {}


def no_name(labels):
    return {"two words": 1}


def taken(labels):
    return {"params": 3.0}


def never(labels):
    return float("nan")


def promised(labels):
    return {"other": 1.0}


promised.measures = ("promised",)


def never_on_a_trained(network, predictions):
    network.times = getattr(network, "times", 0)
    raise RuntimeError("the board does not answer")


never_on_a_trained.measures = ("board_seconds",)
never_on_a_trained.quantities = {"board_seconds": {"unit": "s", "direction": "minimize"}}


def changes_the_network(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return 1.0


def of_a_file(path):
    """How many steps an ONNX file has."""
    import onnx

    return len(onnx.load(path).graph.node)


def of_numpy(labels):
    return {"scalar": numpy.float32(0.25), "array": numpy.array(0.5), "one": numpy.array([0.75])}


def spoils(labels, images, predictions):
    labels.zero_()
    torch.set_grad_enabled(False)
    return 1.0


def leaves(network):
    sys.exit()


def listed(network):
    return 1.0


listed.quantities = ["listed"]
