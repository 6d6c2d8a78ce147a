"""Crowding distance of rows of numbers (Deb et al., 2002)."""

import numpy


def crowding_distances(losses: numpy.ndarray) -> numpy.ndarray:
    """How much room each row (n, objectives) has around it; infinite at the ends of a column.

    >>> crowding_distances(numpy.array([[0.0, 3.0], [1.0, 1.0], [3.0, 0.0]]))
    array([inf,  2., inf])
    """
    count, columns = losses.shape
    distances = numpy.zeros(count)
    for column in range(columns):
        order = numpy.argsort(losses[:, column], kind="stable")
        values = losses[order, column]
        distances[order[[0, -1]]] = numpy.inf
        if values[-1] > values[0]:
            gaps = (values[2:] - values[:-2]) / (values[-1] - values[0])
            distances[order[1:-1]] += gaps
    return distances
