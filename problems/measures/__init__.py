"""What can be measured of a trained network beside its accuracy, one function a file."""

from problems.measures.per_class_f1 import per_class_f1

MEASURES = {"per_class_f1": per_class_f1}
