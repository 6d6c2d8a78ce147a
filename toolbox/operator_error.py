"""The error of an operator that cannot do what the search needs of it."""

import logging
import traceback
from pathlib import Path

log = logging.getLogger(__name__)


class OperatorError(ValueError):
    """An operator broke its contract, or its options do not fit what it was given.

    The message is one line for the person who declared or wrote the operator.
    """


def failed(what: str, error: Exception) -> OperatorError:
    """The one line for an error that an operator raised, with the file and line that raised it.

    what: the operator as the declaration names it, like `toolbox.mate`.  The traceback goes to the
    log at debug level, and so into the run folder's `run.log`.
    """
    if isinstance(error, OperatorError):
        return error
    log.debug("%s failed", what, exc_info=error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    return OperatorError(f"{what}: {type(error).__name__}: {error} ({where})")
