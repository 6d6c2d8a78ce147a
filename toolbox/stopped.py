"""What ends a search before its end."""


class SearchStopped(Exception):
    """The search cannot go on: no worker is left, or its archive cannot be written.

    What is finished is in the archive, and the same search goes on when the cause is gone.
    """


class NothingMeasured(SearchStopped):
    """The search found nothing: every network failed or was refused.

    The message is one line with the commonest reason.
    """
