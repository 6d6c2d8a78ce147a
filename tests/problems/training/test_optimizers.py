"""The optimizers are torch's, number by number."""

import pytest
import torch
from torch import nn

from problems.training import optimizers

CASES = [
    ("SGD", {"momentum": 0.9, "weight_decay": 0.01, "fused": True}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.01, "foreach": True}),
    ("Adam", {"weight_decay": 0.01, "fused": True}),
    ("AdamW", {"weight_decay": 0.01, "foreach": True}),
]


def trained(optimizer_class, options, steps, state=None):
    """A small network after some steps, and the optimizer; it goes on from a state if there is one:
    that of the weights and of the optimizer."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    images = torch.randn(8, 4)
    optimizer = optimizer_class(network.parameters(), lr=0.1, **options)
    if state:
        network.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
    for _ in range(steps):
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
    return network, optimizer


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_training_is_the_one_of_torch_and_goes_on_as_it(name, options):
    ours, optimizer = trained(getattr(optimizers, name), options, steps=3)
    begun = ours.state_dict(), optimizer.state_dict()
    ours, _ = trained(getattr(optimizers, name), options, steps=2, state=begun)
    torchs, _ = trained(getattr(torch.optim, name), options, steps=5)
    for own, one in zip(ours.parameters(), torchs.parameters(), strict=True):
        assert torch.equal(own, one)


def test_a_step_is_no_part_of_a_gradient_and_hooks_are_called():
    network, optimizer = trained(optimizers.SGD, {}, steps=1)
    called = []
    optimizer.register_step_post_hook(lambda *_: called.append(True))
    optimizer.step()
    assert called == [True]
    assert all(one.is_leaf for one in network.parameters())


def test_a_second_group_of_weights_has_its_own_rate():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = optimizers.SGD(network[0].parameters(), lr=0.1)
    optimizer.add_param_group({"params": network[1].parameters(), "lr": 0.5})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
