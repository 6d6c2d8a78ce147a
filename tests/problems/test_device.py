import os
import subprocess
import sys

import pytest
import torch

from problems import device
from problems.device import configure, describe_device, resolve_device


@pytest.fixture
def machine(monkeypatch):
    """Make this machine look as if it had the given GPU and torch build."""

    def set_up(gpu, usable, cuda="12.8", count=1, capability=(9, 0), kernels=True):
        monkeypatch.setattr(device, "_has_nvidia_gpu", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: "A GPU")
        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda name: capability)
        compute = conv2d if kernels else without_kernels
        monkeypatch.setattr(torch.nn.functional, "conv2d", compute)

    conv2d, ones = torch.nn.functional.conv2d, torch.ones
    monkeypatch.setattr(torch, "ones", lambda *shape, device: ones(*shape))

    def without_kernels(images, kernel):
        raise RuntimeError("CUDA error: no kernel image is available for execution\nCompile with")

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


def test_a_card_without_kernels_in_this_torch_is_refused_and_the_wheel_is_named(machine):
    machine(gpu=True, usable=True, capability=(6, 0), kernels=False)
    chosen, (warning,) = resolve_device("auto")
    assert chosen == "cpu"
    assert "has no kernels for A GPU (sm_60); install a torch with cu126" in warning
    with pytest.raises(ValueError, match=r"device = 'cuda:0': torch .* has no kernels for A GPU"):
        resolve_device("cuda:0")


@pytest.mark.parametrize("declared", ["gpu", "cuda:x", "CPU", ""])
def test_an_unknown_device_is_refused(declared):
    with pytest.raises(ValueError, match="legal are auto, cpu, cuda and cuda:N"):
        resolve_device(declared)


def test_the_cpu_is_always_the_cpu(machine):
    machine(gpu=True, usable=True)
    assert resolve_device("cpu") == ("cpu", [])


def test_a_gpu_is_asked_for_deterministic_sums(monkeypatch):
    asked, current = [], []
    monkeypatch.setattr(
        torch, "use_deterministic_algorithms", lambda mode, warn_only: asked.append(mode)
    )
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(device, "spills_memory", lambda: False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    configure("cpu", "float32", threads=1)
    assert asked == []
    try:
        configure("cuda:0", "tf32", threads=1)
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32 is True
        configure("cuda:1", "float32", threads=1, deterministic=False)
        assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cudnn.allow_tf32 is False
    finally:
        torch.set_float32_matmul_precision("highest")
    assert asked == [True, False]
    assert current == ["cuda:0", "cuda:1"]  # so that nothing is made on another one
    assert torch.backends.cudnn.benchmark is False


def test_a_gpu_whose_driver_spills_memory_is_not_asked_for_all_of_it(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda name: None)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *share: asked.append(share)
    )
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda mode, warn_only: None)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr(device.platform, "release", lambda: "5.15-microsoft-standard-WSL2")
    configure("cuda:0", "float32", threads=1)
    monkeypatch.setattr(device.platform, "release", lambda: "6.1.0")
    configure("cuda:0", "float32", threads=1)
    assert asked == [(0.9, "cuda:0")]


@pytest.mark.slow
def test_what_cuda_reads_at_its_start_is_set_when_the_module_is_imported():
    code = "import os, problems.device; print(os.environ['CUBLAS_WORKSPACE_CONFIG'], "
    code += "os.environ['CUDA_DEVICE_MAX_CONNECTIONS'])"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CU")}
    for given, told in ({}, ":16:8 32"), ({"CUDA_DEVICE_MAX_CONNECTIONS": "8"}, ":16:8 8"):
        done = subprocess.run(
            [sys.executable, "-c", code], env=kept | given, capture_output=True, text=True
        )
        assert done.stdout.strip() == told


@pytest.mark.slow
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
