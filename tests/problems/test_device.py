import subprocess
import sys

import pytest
import torch

from problems import device
from problems.device import configure, describe_device, resolve_device


@pytest.fixture
def machine(monkeypatch):
    """Make this machine look as if it had the given GPU and torch build."""

    def set_up(gpu, usable, cuda="12.8", count=1):
        monkeypatch.setattr(device, "_has_nvidia_gpu", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: "A GPU")
        monkeypatch.setattr(torch.version, "cuda", cuda)

    return set_up


def test_auto_takes_cuda_where_it_is(machine):
    machine(gpu=True, usable=True)
    assert resolve_device("auto") == ("cuda", [])
    assert describe_device("cuda:0") == "cuda:0 (A GPU)"


def test_auto_takes_the_cpu_where_there_is_no_gpu_and_says_nothing(machine):
    machine(gpu=False, usable=False)
    assert resolve_device("auto") == ("cpu", [])
    assert describe_device("cpu").startswith("cpu (")


@pytest.mark.parametrize(
    ("cuda", "reason"), [(None, "is a build without CUDA"), ("12.8", "update its driver")]
)
def test_auto_warns_of_a_gpu_that_this_torch_cannot_use(machine, cuda, reason):
    machine(gpu=True, usable=False, cuda=cuda)
    chosen, warnings = resolve_device("auto")
    assert chosen == "cpu"
    assert len(warnings) == 1
    assert "an NVIDIA GPU is present" in warnings[0]
    assert reason in warnings[0]


def test_a_declared_gpu_must_be_there(machine):
    machine(gpu=False, usable=False)
    with pytest.raises(ValueError, match="device = 'cuda': no NVIDIA GPU was found"):
        resolve_device("cuda")
    machine(gpu=True, usable=True, count=2)
    assert resolve_device("cuda:1") == ("cuda:1", [])
    assert resolve_device("cuda") == ("cuda", [])
    with pytest.raises(ValueError, match="device = 'cuda:2': there are 2 GPUs"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("declared", ["gpu", "cuda:x", "CPU", ""])
def test_an_unknown_device_is_refused(declared):
    with pytest.raises(ValueError, match="legal are auto, cpu, cuda and cuda:N"):
        resolve_device(declared)


def test_the_cpu_is_always_the_cpu(machine):
    machine(gpu=True, usable=True)
    assert resolve_device("cpu") == ("cpu", [])


def test_a_gpu_is_asked_for_deterministic_sums(monkeypatch):
    asked = []
    monkeypatch.setattr(
        torch, "use_deterministic_algorithms", lambda mode, warn_only: asked.append(mode)
    )
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    configure("cpu", "float32", threads=1)
    assert asked == []
    try:
        configure("cuda:0", "tf32", threads=1)
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32 is True
        configure("cuda:0", "float32", threads=1)
        assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cudnn.allow_tf32 is False
    finally:
        torch.set_float32_matmul_precision("highest")
    assert asked == [True, True]
    assert torch.backends.cudnn.benchmark is False


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_the_memory_of_a_step_is_kept_for_the_next():
    code = """
import resource, torch
from problems.device import configure
configure("cpu", "float32", threads=1)
faults = []
for _ in range(30):  # by itself glibc gives the memory back each time
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    activations = torch.ones(10 << 20)
    del activations
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(max(faults[20:]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_000  # of 10,240 pages


def test_a_gpu_shows_by_its_driver(monkeypatch, tmp_path):
    monkeypatch.setattr(device.shutil, "which", lambda name: None)
    monkeypatch.setattr(device.sys, "platform", "win32")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert not device._has_nvidia_gpu()
    (tmp_path / "System32").mkdir()
    (tmp_path / "System32" / "nvcuda.dll").touch()
    assert device._has_nvidia_gpu()
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(device.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert device._has_nvidia_gpu()
