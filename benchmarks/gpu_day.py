"""What is there to know of a GPU that this toolkit has not run on before?

    python -m benchmarks.gpu_day [PART ...] [--out gpu_day] [--toy] [--device auto]

One part after another, each in a process of its own with a time limit.  A part prints one line
and writes OUT/PART.json as soon as it is done; a part whose file is there is not run again, so the
whole may be run in pieces.  docs/gpu.md tells what each number means.  --toy: little images and few
networks, to see on any machine that the parts run.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any
from unittest import mock

import torch

from benchmarks.result_file import machine
from benchmarks.training_throughput import naive
from problems.datasets import Digits, FashionMnist
from problems.datasets.splits import open_splits
from problems.device import resolve_device
from problems.image_classification import ImageClassification
from problems.retraining import retrain
from problems.spaces import SPACES, LayerString, PlainCnn
from problems.supernets.gate import KendallTau
from problems.supernets.shared_chain import SharedChain
from problems.training.flight import Flight
from problems.training.gpu_use import GpuUse
from problems.training.loop import latency_seconds, seeded
from problems.training.recipe import Training
from problems.training.steps import EAGER_STEPS, Steps
from problems.weight_sharing import WeightSharing
from toolbox.backends import Processes
from toolbox.device_use import device_use
from toolbox.initialization import uniform_random
from toolbox.measure import Job, Measure

SECONDS_A_PART = 570
SEED_001 = "NC 16 3 tanh;NC 6 3 swish;RC 6 3 tanh;RC 10 3 tanh;FL swish;"
TOY_ARCHITECTURE = "NC 4 3 tanh;RC 4 3 tanh;RC 4 3 tanh;FL swish;"
Result = dict[str, Any]


@dataclass(frozen=True)
class Day:
    """The device that is looked at, and at which size."""

    device: str
    toy: bool

    def problem(self, **recipe: Any) -> ImageClassification:
        """Genome strings on Fashion-MNIST, or of the toy size."""
        dataset = Digits(size=12, limit=170, validation=32) if self.toy else FashionMnist()
        usual = {"epochs": 2 if self.toy else 5, "batch_size": 32 if self.toy else 128}
        space = LayerString(normal=(1, 1), kernels=(3,)) if self.toy else LayerString()
        training = Training(**{"learning_rate": 0.01, "momentum": 0.9, **usual, **recipe})
        device = "cuda:0" if self.device == "cuda" else self.device
        return ImageClassification(space, dataset, training, device).prepared()

    def genomes(self, problem: ImageClassification, networks: int) -> list[list[int]]:
        random.seed(1)
        return [uniform_random(problem.space) for _ in range(2 if self.toy else networks)]

    def genome(self, problem: ImageClassification) -> list[int]:
        return problem.space.encode(TOY_ARCHITECTURE if self.toy else SEED_001)

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    def allocated(self) -> int:
        """Bytes of the GPU's memory that tensors hold; 0 on the CPU."""
        return torch.cuda.memory_allocated(self.device) if self.on_gpu else 0

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def measured(results: Iterator[tuple[int, Any]]) -> list[dict[str, float]]:
    """The measurements in the order of their genomes.  Raises the first exception among them."""
    found = dict(results)
    for result in found.values():
        if isinstance(result, Exception):
            raise result
    return [found[number] for number in sorted(found)]


def about_machine(day: Day) -> Result:
    """Versions, what the card is, and how fast it copies within its memory."""
    size = 1 << (20 if day.toy else 28)
    source = torch.ones(size, dtype=torch.uint8, device=day.device)
    target = torch.empty_like(source)
    target.copy_(source)
    day.wait()
    start = time.perf_counter()
    for _ in range(20):
        target.copy_(source)
    day.wait()
    rate = 2 * 20 * size / (time.perf_counter() - start) / 1e9
    card: Result = {}
    if day.on_gpu:
        about = torch.cuda.get_device_properties(day.device)
        card = {
            "capability": f"{about.major}.{about.minor}",
            "memory_bytes": about.total_memory,
            "kernels_for": torch.cuda.get_arch_list(),
            "cudnn": torch.backends.cudnn.version(),
        }
    return {"machine": machine(day.device), "copied_gb_per_second": round(rate, 1), **card}


def gpu_tests(day: Day) -> Result:
    """The tests that need a GPU, with warnings shown and not raised."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-W", "default", "-q", "-n", "0"]
    where = "tests/problems/training/test_flight.py" if day.toy else "tests"
    done = subprocess.run([*command, where], capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    return {"exit_status": done.returncode, "told": lines[-1], "output": done.stdout[-5000:]}


def captures(day: Day) -> Result:
    """In how many of the spaces x optimizers x precisions the steps become a graph."""
    names = ("layer_string", "plain_cnn") if day.toy else (n for n in SPACES if n != "bit_string")
    precisions = ("float32", "bfloat16") if day.toy else ("float32", "tf32", "bfloat16")
    failed, count = [], 0
    for name, optimizer, precision in product(names, ("sgd", "adam", "adamw"), precisions):
        momentum = 0.9 if optimizer == "sgd" else 0.0
        recipe = {"optimizer": optimizer, "precision": precision, "momentum": momentum}
        problem = replace(day.problem(epochs=1, **recipe), space=SPACES[name]())
        problem = replace(problem, dataset=Digits(size=32, limit=600, validation=100))
        if day.toy:
            problem = replace(problem, dataset=Digits(size=16, limit=170, validation=32))
        graphs, _ = with_steps(problem, lambda steps: steps.has_graphs)
        failed += [] if graphs == [True] else [f"{name} {optimizer} {precision}"]
        count += 1
    return {"with_trials": count, "captured": count - len(failed), "not_captured": failed}


def with_steps(problem: ImageClassification, look: Callable[[Steps], Any]) -> tuple[list[Any], Any]:
    """What `look` sees of the steps of a random network after its training, and its measurement."""
    made, begin = [], Steps.__init__

    def noted(steps: Steps, *arguments: Any, **options: Any) -> None:
        begin(steps, *arguments, **options)
        made.append(steps)

    random.seed(2)
    with mock.patch.object(Steps, "__init__", noted):
        measurement = problem.evaluate(uniform_random(problem.space))
    return [look(steps) for steps in made], measurement


def agreement(day: Day) -> Result:
    """How far the validation losses of networks lie from the CPU's."""
    problem = day.problem(epochs=1, precision="float32")
    genomes = day.genomes(problem, 10)
    here = measured(problem.evaluate_many(genomes))
    cpu = measured(replace(problem, device="cpu").evaluate_many(genomes))
    differences = [abs(a["val_loss"] - b["val_loss"]) for a, b in zip(here, cpu, strict=True)]
    return {"networks": len(genomes), "largest_difference_of_val_loss": max(differences)}


def step_seconds(day: Day) -> Result:
    """Microseconds a training step, of one network alone and of 16 in flight."""
    problem = replace(day.problem(), time_alone=False)
    genome = day.genome(problem)
    steps = problem.training.epochs * -(
        -problem.dataset.train_images // problem.training.batch_size
    )
    found: Result = {}
    problem.evaluate(genome)
    for most in (1, 2 if day.toy else 16):
        start = time.perf_counter()
        measured(replace(problem, in_flight=most).evaluate_many([genome] * most))
        seconds = time.perf_counter() - start
        found[f"microseconds_at_{most}"] = round(1e6 * seconds / most / steps, 1)
    return found


def take_off(day: Day) -> Result:
    """Milliseconds of what each network costs before it flies in company."""
    problem = replace(day.problem(), gpu=GpuUse(steps_per_graph=8))
    genome = day.genome(problem)
    problem.evaluate(genome)
    parts: dict[str, list[float]] = {"build": [], "latency": [], "eager_steps": [], "capture": []}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        day.wait()
        start = time.perf_counter()
        yield
        day.wait()
        parts[name].append(1000 * (time.perf_counter() - start))

    stream = torch.cuda.stream(torch.cuda.Stream(problem.device)) if day.on_gpu else None
    for _ in range(1 if day.toy else 10):
        with timed("build"), seeded(1, problem.device):
            network, splits = problem._built(genome)
        with timed("latency"):
            latency_seconds(network, splits.validation)
        if stream:
            stream.__enter__()
        steps = Steps(network, splits.train, problem.training, 1, problem.gpu)
        steps.begin_epoch()
        with timed("eager_steps"):
            for _ in range(EAGER_STEPS - 1):
                steps.take()
        with timed("capture"):  # with the last eager step
            steps.take()
        if stream:
            stream.__exit__(None, None, None)
    return {f"{name}_milliseconds": round(median(took), 2) for name, took in parts.items()}


def flights(
    day: Day,
    most: int,
    precision: str = "auto",
    deterministic: bool = True,
    steps: int = 8,
    time_alone: bool = False,
) -> Result:
    """Networks an hour with so many in flight."""
    gpu = GpuUse(steps_per_graph=steps)
    problem = replace(
        day.problem(precision=precision),
        in_flight=most,
        deterministic=deterministic,
        time_alone=time_alone,
        gpu=gpu,
    )
    genomes = sorted(day.genomes(problem, 64), key=problem.cost, reverse=True)
    problem.evaluate(genomes[-1])
    with device_use(problem) as use:
        start = time.perf_counter()
        found = measured(problem.evaluate_many(genomes))
        seconds = time.perf_counter() - start
        used = use.summary()
    return {
        "networks_per_hour": round(3600 * len(genomes) / seconds),
        "val_accuracy": round(mean(m["val_accuracy"] for m in found), 4),
        "precision": problem.training.precision,
        **used,
    }


def naive_loop(day: Day) -> Result:
    """Networks an hour by a tutorial's loop, on the same device."""
    problem = day.problem(precision="float32")
    genomes = day.genomes(problem, 64)[: 1 if day.toy else 3]
    start = time.perf_counter()
    scores = [naive(problem, problem.space.decode(genome), 0)[1] for genome in genomes]
    hourly = 3600 * len(genomes) / (time.perf_counter() - start)
    return {"networks_per_hour": round(hourly), "val_accuracy": round(mean(scores), 4)}


def memory(day: Day) -> Result:
    """Whether networks leave memory behind, and whether their peak is the same twice."""
    problem = day.problem(epochs=1)
    genome = day.genome(problem)
    peaks = {problem.evaluate(genome).get("peak_memory_bytes", 0) for _ in range(3)}
    before = day.allocated()
    found = measured(problem.evaluate_many([genome] * (2 if day.toy else 100)))
    peaks |= {m.get("peak_memory_bytes", 0) for m in found}
    left = day.allocated() - before
    return {"bytes_left": left, "peaks": sorted(peaks), "networks": len(found)}


def out_of_memory(day: Day) -> Result:
    """Whether all networks are measured when one of them runs out of memory in company."""
    problem = replace(day.problem(epochs=1), in_flight=2 if day.toy else 8, time_alone=False)
    genome, step, failures = day.genome(problem), Steps._step, iter([False, True])

    def short(steps: Steps, size: int) -> None:
        if steps.taken == 2 and next(failures, False):
            if day.on_gpu:
                torch.empty(1 << 50, dtype=torch.uint8, device=problem.device)
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        step(steps, size)

    with mock.patch.object(Steps, "_step", short):
        flight = Flight(problem.begin, problem.device, problem.in_flight, timed=False)
        count = len(measured(flight.results([(genome, {})] * (3 if day.toy else 16))))
    return {"measured": count, "most_in_flight_after_it": flight.most}


def diverging(day: Day) -> Result:
    """What diverging networks leave in memory."""
    problem = day.problem(epochs=1, learning_rate=1e30)
    genome = day.genome(problem)
    dict(problem.evaluate_many([genome]))
    before = day.allocated()
    results = dict(problem.evaluate_many([genome] * (2 if day.toy else 100)))
    diverged = sum(isinstance(result, FloatingPointError) for result in results.values())
    return {"diverged": diverged, "networks": len(results), "bytes_left": day.allocated() - before}


def workers(day: Day) -> Result:
    """Networks an hour by one and by two worker processes on the same GPU."""
    problem = replace(day.problem(), time_alone=False)
    genomes = sorted(day.genomes(problem, 64), key=problem.cost, reverse=True)
    found: Result = {}
    for number in (1, 2):
        backend = Processes(threads=1, workers=number)
        list(backend(Measure(problem), [Job(n, genomes[-1]) for n in range(number)]))
        start = time.perf_counter()
        outcomes = list(backend(Measure(problem), [Job(n, g) for n, g in enumerate(genomes)]))
        hourly = 3600 * len(genomes) / (time.perf_counter() - start)
        backend.close()
        assert all(outcome.status == "ok" for outcome in outcomes), outcomes
        found[f"networks_per_hour_by_{number}"] = round(hourly)
    return found


class OnceKilled:
    """A problem whose process ends at its first evaluation; a file tells that this was done."""

    def __init__(self, problem: ImageClassification, told: Path):
        self.problem, self.told, self.space = problem, told, problem.space

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        if not self.told.exists():
            self.told.touch()
            os._exit(9)
        return self.problem.evaluate(genome)


def recovery(day: Day) -> Result:
    """Whether a training goes on where it stopped, and an evaluation whose process was killed."""
    problem = day.problem()
    genome, epochs = day.genome(problem), problem.training.epochs
    whole = problem.evaluate(genome)
    with tempfile.TemporaryDirectory() as folder:
        kept = problem.in_folder(Path(folder))
        kept.evaluate(genome, epochs=1, key="one")
        later = kept.evaluate(genome, epochs=epochs, key="one")
        backend = Processes(threads=1, workers=1)
        once = OnceKilled(problem, Path(folder, "killed"))
        (outcome,) = backend(Measure(once), [Job(0, genome)])
        backend.close()
    difference = abs(later["val_loss"] - whole["val_loss"])
    return {
        "difference_of_val_loss_after_a_stop": difference,
        "status_after_a_kill": outcome.status,
        "attempts": outcome.attempts,
    }


def supernet(day: Day) -> Result:
    """Seconds of an epoch of a supernet, and of the score of a network with its weights."""
    recipe = Training(epochs=1 if day.toy else 5, batch_size=32 if day.toy else 128, momentum=0.9)
    usual = day.problem()
    space = PlainCnn(filters=(4,), depth=(1, 2), pool_after=(1,)) if day.toy else PlainCnn()
    problem = WeightSharing(
        space=space,
        dataset=usual.dataset,
        training=Training(),
        device=usual.device,
        supernet=SharedChain(training=recipe, recalibration=64 if day.toy else 2_000),
        gate=KendallTau(),
    ).prepared()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ready = problem.trained(Path(folder))
        trained = time.perf_counter() - start
        genomes = day.genomes(ready, 200)
        start = time.perf_counter()
        measured(ready.evaluate_many(genomes))
        scored = time.perf_counter() - start
    return {
        "seconds_an_epoch": round(trained / recipe.epochs, 3),
        "milliseconds_a_score": round(1000 * scored / len(genomes), 2),
    }


def seeds(day: Day) -> Result:
    """Images a second over the seeds of one retraining."""
    problem = day.problem()
    numbers = range(2 if day.toy else 16)
    open_splits(problem.dataset, problem.device)
    start = time.perf_counter()
    for _, trained in retrain(problem, day.genome(problem), list(numbers)):
        if isinstance(trained, Exception):
            raise trained
    seconds = time.perf_counter() - start
    dataset = problem.dataset
    images = (dataset.train_images + dataset.validation) * problem.training.epochs * len(numbers)
    return {"seeds": len(numbers), "images_per_second": round(images / seconds)}


Part = tuple[Callable[..., Result], dict[str, Any], dict[str, str]]


def plan(toy: bool) -> dict[str, Part]:
    """The parts by name: what is run, with which options, in which environment."""
    parts: dict[str, Part] = {
        function.__name__: (function, {}, {})
        for function in (
            *(about_machine, gpu_tests, captures, agreement, step_seconds, take_off, naive_loop),
            *(memory, out_of_memory, diverging, workers, recovery, supernet, seeds),
        )
    }
    swept = (1, 2) if toy else (1, 2, 4, 8, 16, 24)
    sweep: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        (f"in_flight_{most}", {"most": most}, {}) for most in swept
    ]
    if not toy:
        sweep += [(f"precision_{p}", {"precision": p}, {}) for p in ("float32", "tf32", "bfloat16")]
        sweep += [(f"steps_per_graph_{k}", {"steps": k}, {}) for k in (0, 1, 4, 16)]
        sweep += [("not_deterministic", {"deterministic": False}, {})]
        sweep += [("timed_alone", {"time_alone": True}, {})]
        sweep += [("connections_8", {}, {"CUDA_DEVICE_MAX_CONNECTIONS": "8"})]
        sweep += [("large_workspaces", {}, {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"})]
    for name, options, environment in sweep:
        parts[f"flights_{name}"] = flights, {"most": 16, **options}, environment
    return parts


def run_part(name: str, out: Path, arguments: list[str], environment: dict[str, str]) -> bool:
    """Run a part in a process of its own; whether it was done in time."""
    command = [sys.executable, "-m", "benchmarks.gpu_day", name, "--here", *arguments]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_A_PART,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{name}: not finished after {SECONDS_A_PART} s", flush=True)
        return False
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it told nothing"]
        print(f"{name}: failed: {lines[-1]}", flush=True)
        return False
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["seconds"] = round(time.perf_counter() - start, 1)
    (out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    told = ", ".join(f"{key} {value}" for key, value in result.items() if key != "output")
    print(f"{name}: {told}", flush=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="by default all of them, in order")
    parser.add_argument("--out", type=Path, default=Path("gpu_day"), help="the folder of results")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--toy", action="store_true", help="few small networks, on any machine")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    parts = plan(arguments.toy)
    chosen = arguments.parts or list(parts)
    for name in chosen:
        if name not in parts:
            parser.error(f"PART = {name!r}: legal are {', '.join(parts)}")
    if arguments.here:
        (name,) = chosen
        device, warnings = resolve_device(arguments.device)
        for warning in warnings:
            print(warning, file=sys.stderr)
        function, options, _ = parts[name]
        result = function(Day(device, arguments.toy), **options)
        print(json.dumps(result))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    passed_on = ["--device", arguments.device, *(["--toy"] if arguments.toy else [])]
    failed = 0
    for name in chosen:
        if (arguments.out / f"{name}.json").exists():
            print(f"{name}: known", flush=True)
            continue
        failed += not run_part(name, arguments.out, passed_on, parts[name][2])
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
