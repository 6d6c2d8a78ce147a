"""No screening: what is bred is trained."""

from collections.abc import Callable


def everyone(breed: Callable[[int], list], count: int) -> list:
    """`count` children, as they come.

    >>> everyone(lambda n: ["child"] * n, 2)
    ['child', 'child']
    """
    return breed(count)
