"""`run_search.py supernet`: by one process and by torchrun's, stopped and continued."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from problems import PROBLEMS
from tests.conftest import REPOSITORY
from toolbox.declaration import load

TORCHRUN = [
    *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
    *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"),
]
EXPERIMENT = REPOSITORY / "experiments" / "imagenet_supernet.toml"
SMALL = (
    *("problem.dataset.validation=32", "problem.dataset.limit=96", "problem.dataset.size=32"),
    *("problem.dataset.resize=36", "problem.dataset.workers=0", "problem.device=cpu"),
    *("problem.space.stages=[1,1]", "problem.space.widths=[16,24]", "problem.space.stem=8"),
    *("problem.space.last=32", "problem.gate=off", "problem.supernet.shards=2"),
    *("problem.supernet.recalibration=32", "problem.supernet.training.epochs=4"),
    *("problem.supernet.training.batch_size=16", "problem.supernet.training.learning_rate=0.05"),
    *("problem.supernet.training.precision=float32", "problem.training.precision=float32"),
    *("problem.training.epochs=1", "problem.training.batch_size=16", "toolbox.map=serial"),
    *("algorithm.population=4", "algorithm.generations=1"),
)
DIGITS = """
objectives = ["val_loss"]
[problem]
use      = "weight_sharing"
device   = "cpu"
dataset  = { use = "digits", limit = 60, validation = 50 }
space    = { use = "mobile_blocks", stages = [1], widths = [8], stem = 4, last = 8 }
supernet = { use = "choice_blocks", training = { epochs = 1, batch_size = 20 } }
gate     = "off"
[algorithm]
use = "genetic_algorithm"
population = 4
generations = 1
[toolbox]
select = "tournament"
map    = "serial"
"""


@pytest.fixture(scope="module")
def photographs(real_data, tmp_path_factory):
    """128 training and 32 test images of CIFAR-10, as files, of two of its classes."""
    root = tmp_path_factory.mktemp("photographs")
    for part, train, most in (("train", True, 64), ("val", False, 16)):
        images = torchvision.datasets.CIFAR10(real_data, train=train)
        for label in (0, 1):
            folder = root / part / images.classes[label]
            folder.mkdir(parents=True)
            chosen = [n for n, target in enumerate(images.targets) if target == label][:most]
            for number in chosen:
                images[number][0].save(folder / f"{number}.png")
    return root


def weights_in(runs):
    (path,) = Path(runs).rglob("*.safetensors")
    return load_file(path)


def children_of(process):
    """The processes that torchrun has started; each is a group of its own."""
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc")
def test_the_imagenet_experiment_runs_small_killed_and_continued(photographs, tmp_path, command):
    overrides = [*SMALL, f"problem.dataset.root={photographs}"]
    runs = ("--runs", tmp_path / "runs")
    line = [*TORCHRUN, REPOSITORY / "run_search.py", "supernet", EXPERIMENT, *overrides, *runs]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(line, env=environment, **silent)
    while not list((tmp_path / "runs").rglob("*.checkpoint")):
        assert process.poll() is None
        time.sleep(0.02)
    for child in children_of(process):
        os.kill(int(child), signal.SIGKILL)
    assert process.wait(timeout=120) != 0
    assert not list((tmp_path / "runs").rglob("*.safetensors"))

    done = subprocess.run(
        line, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "supernet: going on after epoch " in done.stdout
    alone = load(EXPERIMENT, overrides, PROBLEMS).problem.build().prepared()
    alone.trained(tmp_path / "alone")
    expected = weights_in(tmp_path / "alone")
    together = weights_in(tmp_path / "runs")
    assert together.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.allclose(together[name], weight, rtol=0, atol=1e-6), name

    status, out, err = command(EXPERIMENT, *overrides, *runs)
    assert status == 0, err
    assert "INFO supernet: epoch" not in out
    folder = tmp_path / "runs" / "imagenet_supernet" / "seed-1"
    status, out, err = command("retrain", folder, "--seeds", "1", "--inherit")
    assert status == 0, err
    assert "test accuracy" in out


def test_one_process_trains_the_supernet_that_the_search_finds(tmp_path, command):
    (tmp_path / "try.toml").write_text(DIGITS)
    arguments = [tmp_path / "try.toml", "--runs", tmp_path / "runs"]
    status, out, err = command("supernet", *arguments)
    assert status == 0, err
    assert "processes that train the supernet: 1" in out
    assert "epoch 1 of 1" in out
    for again in (["supernet", *arguments], arguments):
        status, out, err = command(*again)
        assert status == 0, err
        assert "epoch 1 of 1" not in out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["problem=onemax", "objectives=['ones']"], "problem.use = 'onemax': it has no supernet"),
        (["problem.supernet.shards=3"], "problem.supernet.shards = 3: training.batch_size = 20 is"),
        (["problem.supernet.training.learning_rate=1e38"], "supernet's training loss is "),
    ],
)
def test_what_cannot_be_trained_is_one_line(tmp_path, overrides, message, command):
    (tmp_path / "try.toml").write_text(DIGITS)
    runs = ("--runs", tmp_path / "runs")
    status, out, err = command("supernet", tmp_path / "try.toml", *overrides, *runs)
    assert message in err + out
    assert status == (1 if "loss" in message else 2)
