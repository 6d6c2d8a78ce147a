"""What ends a search from outside."""


class SearchStopped(Exception):
    """The search cannot go on: no worker is left, or its archive cannot be written.

    What is finished is in the archive, and the same search goes on when the cause is gone.
    """
