"""The objectives that are a name of the measurement as it is."""

from functools import partial

from toolbox.objectives.objective import Direction, Measurement, Objective


def measured(measurement: Measurement, name: str) -> float:
    """The measurement's number of this name.

    >>> measured({"ones": 3.0}, name="ones")
    3.0
    """
    return measurement[name]


def as_measured(name: str, direction: Direction, worst: float) -> Objective:
    """An objective that reads one name of the measurement."""
    return Objective(name, partial(measured, name=name), direction, worst, needs=(name,))


# `test_accuracy` of a published table is not among them, so that no search optimizes by accident
# what its result is judged by.  Benchmarks read it off the records; who means to, declares
# { use = "measured", name = "test_accuracy", ... }.
MEASURED = {
    objective.name: objective
    for objective in (
        as_measured("val_accuracy", "maximize", 0.0),
        as_measured("val_loss", "minimize", 1e6),
        as_measured("train_accuracy", "maximize", 0.0),
        as_measured("params", "minimize", 1e12),
        as_measured("conv_params", "minimize", 1e12),
        as_measured("fc_params", "minimize", 1e12),
        as_measured("macs", "minimize", 1e15),
        as_measured("flops", "minimize", 1e15),
        as_measured("layers", "minimize", 1e6),
        as_measured("memory_bytes", "minimize", 1e15),
        as_measured("epochs", "minimize", 1e6),
        as_measured("train_seconds", "minimize", 1e9),
        as_measured("latency_seconds", "minimize", 1e9),
        as_measured("peak_memory_bytes", "minimize", 1e15),
        as_measured("ones", "maximize", -1.0),
        as_measured("leading_ones", "maximize", -1.0),
        as_measured("trailing_zeros", "maximize", -1.0),
    )
}
