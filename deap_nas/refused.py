"""The error of a person, told from those of the program."""

from collections.abc import Iterator
from contextlib import contextmanager


class Refused(ValueError):
    """What a person wrote is wrong; the message is the one line to show."""


@contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into a refusal."""
    try:
        yield
    except kinds as error:
        raise Refused(" ".join(str(error).split())) from error
