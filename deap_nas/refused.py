"""The error of a person, told from those of the program."""

from collections.abc import Iterator
from contextlib import contextmanager


class Refused(ValueError):
    """What a person wrote is wrong; the message is the one line to show."""


@contextmanager
def not_ended() -> Iterator[None]:
    """Turn a `sys.exit` of what is called, such as a function of the user's, into a refusal.

    Without it the program would end in silence, and with status 0 as if all were done.
    """
    try:
        yield
    except SystemExit as error:
        raise Refused(
            f"something that was called ended the program (SystemExit: {error.code}); a function "
            "of your own must raise an error instead"
        ) from error


@contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into a refusal."""
    try:
        yield
    except kinds as error:
        raise Refused(" ".join(str(error).split())) from error
