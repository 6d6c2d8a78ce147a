"""What is printed for a person: its loss ends nothing, and a command in it can be typed as it is.

A search takes hours, and who reads what it says may be gone before: a pipe whose reader was
killed, a log file on a disk that is full, a service that began it without any output.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 160  # letters of a line, where there is no terminal


class LastingOutput:
    """A stream that is silent from the first write on that fails, and otherwise as it was."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except UnicodeError:
            raise
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._silence(error)
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._silence(error)

    def _silence(self, error: Exception) -> None:
        """Let all that is to come vanish, also what Python still holds and writes at its end."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        if sys.stdout is self:
            why = f"nobody can read standard output any more ({error}): going on without it"
            print(why, file=sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Meanwhile, nothing that is printed can fail: not for its reader, nor for its letters."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name) or nowhere  # a process may begin without any
            if hasattr(stream, "reconfigure") and stream.errors == "strict":
                stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, LastingOutput(stream))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def console_on(stream: TextIO | None = None) -> "Console":
    """Standard output, or another stream, as commands write to it."""
    from rich.console import Console

    wide = (stream or sys.stdout).isatty()
    return Console(file=stream, width=None if wide else WIDTH_OF_FILES)


def failing(stream: TextIO) -> TextIO:
    """The stream as it was: for a program that reads it, and whose end is to be noticed."""
    return stream.stream if isinstance(stream, LastingOutput) else stream


def as_argument(path: Path) -> str:
    """A path as one writes it in a command for this system's shell.

    >>> as_argument(Path("runs/my"))
    'runs/my'
    """
    text = str(path)
    if re.fullmatch(r"[\w./\\:+@%-]+", text, re.ASCII):
        return text
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)
