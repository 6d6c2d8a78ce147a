"""A device in the loop: a command or a function is given an exported network and tells numbers.

    [problem.devices]
    device_latency = { command = ["./measure.sh", "{model}"], format = "tflite" }

It may be a board on USB, a simulator or a table.  It writes one number, or a JSON object of named
numbers, as its last line.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from filelock import FileLock
from torch import nn

from problems.digest import digest
from problems.export import CannotExport, onnx_of, to_int8_onnx, to_int8_tflite

MODEL = "{model}"  # where the path of the exported network comes in a command
# How a function of somebody's own is called: in a process of its own, so that it can be stopped.
CALL = (
    "import importlib, json, pathlib, sys; module, name = sys.argv[1].split(':'); "
    "found = getattr(importlib.import_module(module), name)(pathlib.Path(sys.argv[2])); "
    "print(); print(json.dumps(dict(found) if hasattr(found, 'keys') else float(found)))"
)
SHOWN = 200  # characters of what a device says, in a message


class DeviceFailed(ValueError):
    """A device did not tell its numbers."""


@dataclass(frozen=True)
class Device:
    """What measures an exported network.

    command: its words, one of them with "{model}" in it, or function: "module:function", given the
    path.  format: what is exported.  readings: how often it is asked of each network; the median
    counts, and the largest less the smallest is NAME_spread.  timeout_seconds: for one reading.
    retries: how often a reading that failed is tried again.  direction and worst: of the number, as
    an objective; unit: for a person.  One reading at a time is taken on a machine.
    """

    command: tuple[str, ...] = ()
    function: str = ""
    format: Literal["onnx", "int8_onnx", "tflite"] = "int8_onnx"
    readings: Annotated[int, Ge(1)] = 3
    timeout_seconds: Annotated[float, Gt(0)] = 60.0
    retries: Annotated[int, Ge(0)] = 2
    direction: Literal["minimize", "maximize"] = "minimize"
    worst: float = 1e9
    unit: str = ""

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.function):
            raise ValueError("either command = [...] or function = 'module:function' is needed")
        if self.command and not any(MODEL in word for word in self.command):
            raise ValueError(
                f"command = {list(self.command)}: one of its words must hold {MODEL}, where the "
                "path of the exported network comes"
            )
        if self.function and not all(self.function.partition(":")):
            raise ValueError(f"function = {self.function!r}: 'module:function' is needed")

    def quantities(self, name: str) -> dict[str, Mapping[str, Any]]:
        """What the numbers of the device of this name mean."""
        means = {"direction": self.direction, "worst": self.worst}
        unit = {"unit": self.unit} if self.unit else {}
        return {name: {**means, **unit}, f"{name}_spread": unit}

    def numbers(self, name: str, network: nn.Module, calibration: torch.Tensor) -> dict[str, float]:
        """The device's numbers of a network.  Raises DeviceFailed, one line, if there are none."""
        network = deepcopy(network).cpu().to(memory_format=torch.contiguous_format).eval()
        try:
            content = FORMATS[self.format](network, calibration.cpu())
        except CannotExport as error:
            raise DeviceFailed(f"{name}: {error}") from error
        except ImportError as error:
            raise DeviceFailed(f"{name}: format = {self.format!r}: {error}") from error
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"network.{SUFFIXES[self.format]}"
            path.write_bytes(content)
            with self._alone():
                return self.numbers_of_file(name, path)

    def numbers_of_file(self, name: str, path: Path) -> dict[str, float]:
        """As `numbers`, of a file that is there."""
        readings = [self._reading(name, path) for _ in range(self.readings)]
        for reading in readings:
            if set(reading) != set(readings[0]):
                told = " and then ".join(", ".join(one) for one in (readings[0], reading))
                raise DeviceFailed(f"{name}: it told {told}")
        numbers: dict[str, float] = {}
        for key in readings[0]:
            told_of = [reading[key] for reading in readings]
            numbers[key] = median(told_of)
            numbers[f"{key}_spread"] = max(told_of) - min(told_of)
        return numbers

    def _alone(self) -> FileLock:
        """Held while the device is used, which several processes may want at a time."""
        which = digest([self.command, self.function])
        return FileLock(Path(tempfile.gettempdir()) / f"deap-nas-device-{which}.lock")

    def _reading(self, name: str, path: Path) -> dict[str, float]:
        for attempt in range(self.retries + 1):
            try:
                return _told(name, self._said(path))
            except DeviceFailed as error:
                if attempt == self.retries:
                    tried = f" (tried {attempt + 1} times)" if attempt else ""
                    raise DeviceFailed(f"{name}: {error}{tried}") from error
        raise AssertionError

    def _said(self, path: Path) -> str:
        words = self.command or (sys.executable, "-c", CALL, self.function, MODEL)
        command = [word.replace(MODEL, str(path)) for word in words]
        shown = self.function or self.command[0]
        modules = os.pathsep.join(filter(None, map(str, sys.path)))
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # so that what it starts ends with it
                env={**os.environ, "PYTHONPATH": modules} if self.function else None,
            )
        except OSError as error:
            raise DeviceFailed(f"{shown} cannot be run: {error.strerror}") from error
        try:
            said, complained = process.communicate(timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            raise DeviceFailed(f"{shown} told nothing within {self.timeout_seconds:g} s") from None
        except BaseException:
            _end(process)
            raise
        if process.returncode:
            why = _last_line(complained) or _last_line(said)
            raise DeviceFailed(f"{shown} ended with status {process.returncode}: {why}")
        return said


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and what it started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def _told(name: str, said: str) -> dict[str, float]:
    last = _last_line(said)
    needed = "one number, or a JSON object of numbers, is needed as the last line"
    try:
        found = json.loads(last)
    except ValueError:
        raise DeviceFailed(f"it said {last!r}; {needed}") from None
    numbers = found if isinstance(found, dict) else {name: found}
    for key, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise DeviceFailed(f"it said {last!r}; {needed}")
        if not abs(number) < float("inf"):
            raise DeviceFailed(f"it said {key} = {number}, which is not a finite number")
        if not key.isidentifier():
            raise DeviceFailed(f"it named a number {key!r}; letters, digits and _ are legal")
    if not numbers:
        raise DeviceFailed(f"it said {last!r}; {needed}")
    return {key: float(number) for key, number in numbers.items()}


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:SHOWN] if lines else ""


FORMATS: Mapping[str, Callable[[nn.Module, torch.Tensor], bytes]] = {
    "onnx": onnx_of,
    "int8_onnx": to_int8_onnx,
    "tflite": to_int8_tflite,
}
SUFFIXES = {"onnx": "onnx", "int8_onnx": "onnx", "tflite": "tflite"}
