"""A chain of layers as a torch module: the twin of `problems.spaces.chain`."""

from torch import nn

from problems.spaces.chain import Chain, Conv, GlobalAveragePool, Linear, Shape, count

ACTIVATIONS = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
}


class GlobalMean(nn.Module):
    """(N, C, H, W) to (N, C).  A plain mean: its gradient is deterministic on every device."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


def build(chain: Chain, image_shape: Shape) -> nn.Sequential:
    """The module of a chain, for images (N, *image_shape) in [0, 1]; it returns (N, classes).

    Raises ShapeCollapsed for a chain that does not fit the images.
    """
    modules: list[nn.Module] = []
    shape = image_shape
    for counted in count(chain, image_shape):
        match counted.layer:
            case Conv(filters, kernel, activation, stride, padding):
                # torch pads evenly or not at all; "same" with an even kernel needs one pixel
                # more on the right and bottom, as the published networks have it.
                before, odd = (kernel - 1) // 2, kernel % 2
                even_padding = before if padding == "same" and odd else 0
                if padding == "same" and not odd:
                    modules.append(nn.ZeroPad2d((before, before + 1, before, before + 1)))
                modules.append(nn.Conv2d(shape[0], filters, kernel, stride, even_padding))
                modules.append(ACTIVATIONS[activation]())
            case GlobalAveragePool():
                modules.append(GlobalMean())
            case Linear(units, activation):
                modules.append(nn.Linear(shape[0], units))
                modules.append(ACTIVATIONS[activation]())
        shape = counted.shape
    return nn.Sequential(*modules)


def glorot_uniform(network: nn.Module) -> None:
    """Glorot-uniform weights and zero biases, in place (Glorot & Bengio, 2010)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
