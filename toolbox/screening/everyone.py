"""No screening: what is bred is trained."""

from collections.abc import Callable
from typing import Any


def everyone(breed: Callable[[int], list[Any]], count: int) -> list[Any]:
    """`count` children, as they come.

    >>> everyone(lambda n: ["child"] * n, 2)
    ['child', 'child']
    """
    return breed(count)
