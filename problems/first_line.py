"""What a library's error says, in one line."""


def first_line(error: BaseException) -> str:
    """The first line of its message that is not blank; empty if there is none.

    >>> first_line(ValueError("\\n  no such file\\nand more"))
    'no such file'
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
