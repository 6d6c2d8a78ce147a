"""What can be measured of a trained network beside its accuracy, one function a file."""

from collections.abc import Callable
from typing import Any

from problems.measures.int8_val_accuracy import int8_val_accuracy
from problems.measures.per_class_f1 import per_class_f1

MEASURES: dict[str, Callable[..., Any]] = {
    "int8_val_accuracy": int8_val_accuracy,
    "per_class_f1": per_class_f1,
}
