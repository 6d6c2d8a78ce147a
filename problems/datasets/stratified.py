"""A shuffle whose every prefix holds the classes in their proportions."""

import numpy


def stratified_order(labels: numpy.ndarray, seed: int) -> numpy.ndarray:
    """Indices of `labels` in a seeded order in which each prefix is stratified.

    The n-th image of a class with m images is placed at (n + u) / m of the way, u one uniform
    draw a class, so any prefix holds every class within one image of its share.

    >>> labels = numpy.array([0] * 30 + [1] * 60)
    >>> [int(n) for n in numpy.bincount(labels[stratified_order(labels, seed=1)[:9]])]
    [3, 6]
    """
    generator = numpy.random.Generator(numpy.random.PCG64(seed))
    place = numpy.empty(len(labels))
    for label in numpy.unique(labels):
        members = numpy.flatnonzero(labels == label)
        generator.shuffle(members)
        place[members] = (numpy.arange(len(members)) + generator.random()) / len(members)
    return numpy.argsort(place, kind="stable")
