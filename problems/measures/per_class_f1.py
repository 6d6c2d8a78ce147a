"""How well each class is found: F1, the harmonic mean of precision and recall."""

from typing import Any

import torch


def per_class_f1(predictions: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """worst_class_f1: the least F1 of a class, macro_f1: the mean of all; both in [0, 1].

    predictions: (N, classes) logits; labels: (N,).  Of the classes that have an image among them;
    0 for a class that is never predicted.

    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 3.0], [5.0, 3.0]])
    >>> per_class_f1(logits, torch.tensor([0, 0, 1, 1]))["macro_f1"]  # F1 of 4/5 and 2/3
    0.7333333333333334
    """
    classes, predicted = predictions.shape[1], predictions.argmax(dim=1)
    right = torch.bincount(labels[predicted == labels], minlength=classes).double()
    there = torch.bincount(labels, minlength=classes)
    said = torch.bincount(predicted, minlength=classes)
    f1 = (2 * right / (there + said).clamp(min=1))[there > 0]
    return {"worst_class_f1": f1.min().item(), "macro_f1": f1.mean().item()}


per_class_f1.measures = ("worst_class_f1", "macro_f1")  # type: ignore[attr-defined]
_F1: dict[str, Any] = {"direction": "maximize", "worst": 0.0, "percent": True}
per_class_f1.quantities = {  # type: ignore[attr-defined]
    "worst_class_f1": {"label": "F1 of the worst class", **_F1},
    "macro_f1": {"label": "mean F1 of the classes", **_F1},
}
