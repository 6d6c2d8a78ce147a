"""The error of an operator that cannot do what the search needs of it."""


class OperatorError(ValueError):
    """An operator broke its contract, or its options do not fit what it was given.

    The message is one line for the person who declared or wrote the operator.
    """
