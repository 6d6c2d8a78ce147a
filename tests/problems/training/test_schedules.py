"""Each schedule is held to torch's own scheduler of the same name."""

import pytest
import torch

from problems.training.schedules import SCHEDULES, Constant, Cosine, Exponential, OneCycle, Step

EPOCHS, BATCHES = 5, 7


def torch_factors(make, per_batch):
    """The learning rates, from 1.0, that a scheduler of torch's sets before each batch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(EPOCHS):
        for batch in range(BATCHES):
            factors.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if per_batch or batch == BATCHES - 1:
                scheduler.step() if len(factors) < EPOCHS * BATCHES else None
    return factors


schedulers = torch.optim.lr_scheduler
STEPS = EPOCHS * BATCHES


@pytest.mark.parametrize(
    ("schedule", "make", "per_batch"),
    [
        (Constant(), lambda o: schedulers.ConstantLR(o, factor=1.0), True),
        (Step(every=2, factor_per_step=0.1), lambda o: schedulers.StepLR(o, 2, 0.1), False),
        (Exponential(0.9), lambda o: schedulers.ExponentialLR(o, 0.9), False),
        (Cosine(), lambda o: schedulers.CosineAnnealingLR(o, STEPS), True),
        (OneCycle(), lambda o: schedulers.OneCycleLR(o, 1.0, STEPS, cycle_momentum=False), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_schedule_equals_torch_s(schedule, make, per_batch):
    ours = [schedule.factor(step, BATCHES, EPOCHS) for step in range(STEPS)]
    assert ours == pytest.approx(torch_factors(make, per_batch), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_of_a_single_batch_is_defined(schedule):
    assert 0 <= schedule().factor(0, 1, 1) <= 1
