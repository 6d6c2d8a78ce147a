"""What a search optimizes: views of a measurement, each with a direction and a finite worst."""

from toolbox.objectives.accuracy_per_log_params import (
    accuracy_per_log_params,
    accuracy_per_log_params_per_second,
)
from toolbox.objectives.measured import MEASURED, measured
from toolbox.objectives.objective import Objective
from toolbox.objectives.penalized_accuracy import penalized_accuracy

OBJECTIVES = {
    **MEASURED,
    "measured": measured,
    "accuracy_per_log_params": Objective(
        "accuracy_per_log_params",
        accuracy_per_log_params,
        "maximize",
        worst=0.0,
        needs=("val_accuracy", "params"),
    ),
    "accuracy_per_log_params_per_second": Objective(
        "accuracy_per_log_params_per_second",
        accuracy_per_log_params_per_second,
        "maximize",
        worst=0.0,
        needs=("val_accuracy", "params", "train_seconds"),
    ),
    "penalized_accuracy": Objective(
        "penalized_accuracy",
        penalized_accuracy,
        "maximize",
        worst=-10.0,
        needs=("val_accuracy", "params", "conv_params", "fc_params"),
    ),
}
