"""In which precision the convolutions of a training step pay, on the device at hand."""

import json
import logging
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import platformdirs
import torch
from torch import nn

from problems.device import Precision, configure
from problems.whole_file import whole

SHARE_THAT_PAYS = 0.9  # of the time in float32: less must be left for another one to be worth it
ROUNDS = 7
REPLAYS = 50  # of a step on a GPU, in each round
# Instructions that multiply in bfloat16, as torch and Linux name them: of x86-64 and of ARM.
BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16", "svebf16")

log = logging.getLogger(__name__)


def resolve_precision(
    declared: Precision, device: str, threads: int, deterministic: bool = True
) -> Precision:
    """The precision that `declared` means on this device.

    "auto": the fastest one by a short calibration, if it takes less than 0.9 of the time of
    float32: bfloat16 on the CPU, if its processor has such instructions; on a GPU bfloat16 or tf32
    where its hardware has them.  The calibration is kept in the user's cache folder, so that a
    search that is continued on this machine finds the same answer.  Raises ValueError for tf32 on
    a CPU.
    """
    if declared == "auto":
        if device == "cpu":
            pays = cpu_has_bfloat16() and _cpu_share(threads) < SHARE_THAT_PAYS
            return "bfloat16" if pays else "float32"
        return _fastest_on_gpu(device, deterministic)
    if device == "cpu" and declared == "tf32":
        raise ValueError(
            "precision = 'tf32': only a GPU has it; legal on the CPU are auto, float32, bfloat16"
        )
    if device == "cpu" and declared == "bfloat16" and not cpu_has_bfloat16():
        log.warning(
            "precision = 'bfloat16': this processor has no instructions for it, so that a training "
            "may take three times as long as in float32"
        )
    return declared


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16.

    Elsewhere torch does it in float32 and converts, which a calibration with a small network hardly
    notices, and a network of 64 channels takes two to three times as long.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # an older torch has none
    if capabilities:
        has = {name for name, there in capabilities().items() if there is True}
    else:
        told = Path("/proc/cpuinfo")
        has = set(told.read_text(encoding="utf-8").split()) if told.exists() else set()
    return not has.isdisjoint(BFLOAT16_INSTRUCTIONS)


def _fastest_on_gpu(device: str, deterministic: bool) -> Precision:
    candidates: list[Precision] = ["float32"]
    if torch.cuda.get_device_capability(device) >= (8, 0):
        candidates.append("tf32")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        candidates.append("bfloat16")
    if candidates == ["float32"]:
        return "float32"
    sums = "deterministic" if deterministic else "any order"
    card = f"{torch.cuda.get_device_name(device)} {torch.cuda.get_device_capability(device)}"
    libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    shares: dict[Precision, float] = {"float32": 1.0}
    for candidate in candidates[1:]:
        key = f"{platform.node()}, {card}, torch {torch.__version__}, {libraries}, {sums}"
        shares[candidate] = _calibrated(
            f"{key}, {candidate}",
            partial(measure_gpu_share, candidate, device, deterministic),
            f"{candidate} takes %.2f of the time of float32 here",
        )
    fastest = min(shares, key=shares.__getitem__)
    return fastest if shares[fastest] < SHARE_THAT_PAYS else "float32"


def _cpu_share(threads: int) -> float:
    """The time of a training step in bfloat16 as a share of that in float32."""
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    key = f"{platform.node()}, {processor}, torch {torch.__version__}, threads {threads}"
    told = "bfloat16 takes %.2f of the time of float32 here"
    return _calibrated(key, lambda: measure_share(threads), told)


def _calibrated(key: str, measure: Callable[[], float], told: str) -> float:
    """What was measured on this machine under a key; measured now if it is not known."""
    kept = Path(platformdirs.user_cache_dir("deap-nas"), "precision.json")
    known: dict[str, float] = {}
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        known = {name: float(value) for name, value in found.items()}
        return known[key]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        share = round(measure(), 3)
    log.info(told, share)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole(kept, writer=f".{os.getpid()}") as part:
            part.write_text(json.dumps(known | {key: share}), encoding="utf-8")
    except OSError:  # it is then measured every time
        log.debug("the calibration could not be kept in %s", kept)
    return share


def measure_gpu_share(precision: Precision, device: str, deterministic: bool) -> float:
    """Least time of a step in a precision over that in float32 on a GPU, as CUDA graphs.

    As graphs, because that is how a training runs there: launched one by one, its kernels would
    take the time of the launches in any precision.
    """
    images = torch.ones(128, 1, 28, 28, device=device).to(memory_format=torch.channels_last)
    graphs: dict[Precision, torch.cuda.CUDAGraph] = {}
    stream = torch.cuda.Stream(device)
    network = _small_network().to(device)
    with torch.cuda.stream(stream):
        for candidate in ("float32", precision):
            configure(device, candidate, torch.get_num_threads(), deterministic)
            step = partial(_forward_and_backward, network, images, candidate == "bfloat16")
            step()
            graphs[candidate] = torch.cuda.CUDAGraph()
            network.zero_grad(set_to_none=True)
            graphs[candidate].capture_begin(capture_error_mode="thread_local")
            step()
            graphs[candidate].capture_end()
        least = dict.fromkeys(graphs, float("inf"))
        for _ in range(ROUNDS):
            for candidate, graph in graphs.items():
                begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                graph.replay()
                begun.record()
                for _ in range(REPLAYS):
                    graph.replay()
                ended.record()
                ended.synchronize()
                least[candidate] = min(least[candidate], begun.elapsed_time(ended))
    return least[precision] / least["float32"]


def _small_network() -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU()
    )
    return network.to(memory_format=torch.channels_last)


def _forward_and_backward(network: nn.Module, images: torch.Tensor, bfloat16: bool) -> None:
    kind = images.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=bfloat16, cache_enabled=False):
        loss = network(images).float().square().mean()
    loss.backward()


def measure_share(threads: int) -> float:
    """Least time of forward and backward in bfloat16 over that in float32, taken in turns."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    network = _small_network()
    images = torch.ones(64, 1, 28, 28).to(memory_format=torch.channels_last)
    least = {False: float("inf"), True: float("inf")}
    for _ in range(ROUNDS):
        for bfloat16 in least:
            start = time.perf_counter()
            _forward_and_backward(network, images, bfloat16)
            least[bfloat16] = min(least[bfloat16], time.perf_counter() - start)
    torch.set_num_threads(before)
    return least[True] / least[False]
