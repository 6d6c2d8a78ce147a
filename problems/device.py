"""Which device trains the networks, and what to tell the person about it."""

import ctypes
import os
import platform
import shutil
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from problems.first_line import first_line

Precision = Literal["auto", "float32", "tf32", "bfloat16"]

NEWEST_CUDA_OF = {5: "cu126", 6: "cu126", 7: "cu126"}  # wheels that have kernels for older cards
LARGEST_SHARE_OF_MEMORY = 0.9  # of a GPU whose driver spills the rest into the system's
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


# Both are read once, when a process first uses its GPU.  cuBLAS is deterministic with either of two
# sizes of workspace, one for each stream and thread: this is the small one, 128 KiB instead of 32
# MiB.  A GPU runs 8 streams beside each other by itself; 32 is the most.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")


def resolve_device(declared: str) -> tuple[str, list[str]]:
    """The device that `declared` means here, and warnings for the person.

    "cpu", "cuda:N", or "cuda": of several GPUs each worker its own.  "auto" takes CUDA where it
    works, else the CPU, and warns if there is an NVIDIA GPU that this torch cannot use.  Raises
    ValueError for a CUDA device that is not there, or that this torch has no kernels for.
    """
    if declared == "cpu":
        return "cpu", []
    with warnings.catch_warnings():  # torch warns of an old driver; `_why_no_cuda` says it better
        warnings.simplefilter("ignore")
        usable = torch.cuda.is_available()
        count = torch.cuda.device_count() if usable else 0
    if declared == "auto":
        if usable:
            why = _why_no_kernels("cuda:0")
            return ("cpu", [why]) if why else ("cuda", [])
        return "cpu", [_why_no_cuda()] if _has_nvidia_gpu() else []
    kind, _, number = declared.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise ValueError(f"device = {declared!r}: legal are auto, cpu, cuda and cuda:N")
    if not usable:
        raise ValueError(f"device = {declared!r}: {_why_no_cuda()}")
    if number and int(number) >= count:
        raise ValueError(f"device = {declared!r}: there are {count} GPUs")
    if why := _why_no_kernels(f"cuda:{number or 0}"):
        raise ValueError(f"device = {declared!r}: {why}")
    return declared, []


def describe_device(device: str) -> str:
    """The device and what it is, for a person."""
    if device == "cpu":
        return f"cpu ({os.cpu_count()} cores)"
    return f"{device} ({torch.cuda.get_device_name(device)})"


def configure(device: str, precision: Precision, threads: int, deterministic: bool = True) -> None:
    """Ask torch for the same sums on every run of this process, and for speed where it is free.

    It warns, and goes on, where a GPU has no such algorithm: better a network whose last digit
    varies than a search in which none can be trained.
    """
    torch.set_num_threads(threads)
    if device == "cpu":
        _keep_freed_memory()
        return
    if ":" in device:  # else a stream that is left would make a context on the first GPU
        torch.cuda.set_device(device)
    if spills_memory():
        torch.cuda.set_per_process_memory_fraction(LARGEST_SHARE_OF_MEMORY, device)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # Else a kernel would fill every new tensor.  (A property that mypy does not see.)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def spills_memory() -> bool:
    """Whether the driver moves a GPU's memory into the system's when it runs out, on Windows.

    Nothing fails then, and everything takes ten times as long; so less than all of it is asked for.
    """
    return sys.platform == "win32" or "microsoft" in platform.release().lower()


@cache
def _keep_freed_memory() -> None:
    """Let glibc keep what is freed, instead of giving it back and asking for it at every step.

    The activations of one step are a few megabytes each: enough for malloc to return them to the
    system, whose page faults then took up to a third of a step.  Elsewhere there is no mallopt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def _has_nvidia_gpu() -> bool:
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32/nvcuda.dll").exists()
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _why_no_cuda() -> str:
    if not _has_nvidia_gpu():
        return "no NVIDIA GPU was found"
    if torch.version.cuda is None:
        return (
            f"an NVIDIA GPU is present, but torch {torch.__version__} is a build without CUDA; "
            "install one with CUDA from pytorch.org"
        )
    return (
        f"an NVIDIA GPU is present, but torch {torch.__version__} (CUDA {torch.version.cuda}) "
        "cannot use it; update its driver"
    )


def _why_no_kernels(device: str) -> str:
    """Why this torch cannot compute on a GPU that the driver shows; empty if it can."""
    try:
        images = torch.ones(1, 1, 8, 8, device=device)
        kernel = torch.ones(1, 1, 3, 3, device=device)
        torch.nn.functional.conv2d(images, kernel).sum().item()
    except RuntimeError as error:
        reason = first_line(error)
        if "no kernel image" not in reason:
            return f"a convolution fails on {torch.cuda.get_device_name(device)}: {reason}"
        major, minor = torch.cuda.get_device_capability(device)
        wheel = NEWEST_CUDA_OF.get(major, "cu128 or newer")
        return (
            f"torch {torch.__version__} (CUDA {torch.version.cuda}) has no kernels for "
            f"{torch.cuda.get_device_name(device)} (sm_{major}{minor}); install a torch with "
            f"{wheel} from download.pytorch.org/whl"
        )
    return ""
