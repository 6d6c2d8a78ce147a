"""Networks whose weights are made of other parameters, as by a weight or a spectral norm."""

from copy import deepcopy

from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def with_made_weights(network: nn.Module) -> nn.Module:
    """A copy that has the weights as they are made now, in the place of what makes them.

    The network itself if nothing is made.  It computes the same, by fewer operators, which every
    format has.
    """
    if not any(map(is_parametrized, network.modules())):
        return network
    network = deepcopy(network)
    for module in list(filter(is_parametrized, network.modules())):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        made = {name: getattr(module, name).detach() for name in module.parametrizations}
        # As torch's `remove_parametrizations`, which would take the weights from the class that the
        # copy has in common with the network.
        module.__class__ = type(module).__bases__[0]
        del module.parametrizations
        for name, weight in made.items():
            module.register_parameter(name, nn.Parameter(weight.clone(), requires_grad=False))
    return network
