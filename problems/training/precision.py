"""In which precision the convolutions of a training step pay, on the device at hand."""

import json
import logging
import os
import platform
import time
from pathlib import Path
from typing import Literal

import platformdirs
import torch
from torch import nn

from problems.whole_file import whole

Precision = Literal["auto", "float32", "tf32", "bfloat16"]

PAYS = 0.9  # of the time in float32: less than that must be left for bfloat16 to be worth it
ROUNDS = 7

log = logging.getLogger(__name__)


def resolve_precision(declared: Precision, device: str, threads: int) -> Precision:
    """The precision that `declared` means on this device.

    "auto": on a GPU bfloat16 where its hardware has it, else tf32 or float32.  On the CPU bfloat16
    if a short calibration shows that it takes less than 0.9 of the time, which needs a processor
    with such instructions.  The calibration is kept in the user's cache folder, so that a search
    that is continued on this machine finds the same answer.  Raises ValueError for tf32 on a CPU.
    """
    if device == "cpu":
        if declared == "tf32":
            raise ValueError(
                "precision = 'tf32': only a GPU has it; legal on the CPU are "
                "auto, float32, bfloat16"
            )
        if declared == "auto":
            return "bfloat16" if _cpu_share(threads) < PAYS else "float32"
    elif declared == "auto":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "tf32" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return declared


def _cpu_share(threads: int) -> float:
    """The time of a training step in bfloat16 as a share of that in float32."""
    kept = Path(platformdirs.user_cache_dir("deap-nas"), "precision.json")
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    key = f"{platform.node()}, {processor}, torch {torch.__version__}, threads {threads}"
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        return float(known[key])
    except (OSError, ValueError, KeyError, TypeError):
        share = round(measure_share(threads), 3)
    log.info("bfloat16 takes %.2f of the time of float32 here", share)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole(kept, writer=f".{os.getpid()}") as part:
            part.write_text(json.dumps({key: share}), encoding="utf-8")
    except OSError:  # it is then measured every time
        log.debug("the calibration could not be kept in %s", kept)
    return share


def measure_share(threads: int) -> float:
    """Least time of forward and backward in bfloat16 over that in float32, taken in turns."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU()
    ).to(memory_format=torch.channels_last)
    images = torch.ones(64, 1, 28, 28).to(memory_format=torch.channels_last)
    least = {False: float("inf"), True: float("inf")}
    for _ in range(ROUNDS):
        for bfloat16 in least:
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = network(images).float().square().mean()
            loss.backward()
            least[bfloat16] = min(least[bfloat16], time.perf_counter() - start)
    torch.set_num_threads(before)
    return least[True] / least[False]
