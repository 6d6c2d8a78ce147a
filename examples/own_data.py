"""Images of one's own: a plain function that returns them, and what is in them."""

import numpy


def stripes(images: int = 600, noise: float = 0.3, seed: int = 0):
    """Grey images of 12 x 12 pixels with stripes that lie, stand or lean."""
    generator = numpy.random.default_rng(seed)
    labels = generator.integers(3, size=images)
    down, across = numpy.mgrid[:12, :12]
    drawn = numpy.stack([down, across, down + across])[labels] // 2 % 2
    noisy = drawn * (1 - noise) + noise * generator.random(drawn.shape)
    return noisy, numpy.array(["lying", "standing", "leaning"])[labels]
