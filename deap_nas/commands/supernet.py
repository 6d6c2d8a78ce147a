"""Train the supernet of a declaration, on one device or on several, and nothing else.

  python run_search.py supernet EXPERIMENT.toml
  torchrun --nproc-per-node 2 run_search.py supernet EXPERIMENT.toml

The search of the same declaration, seed and --runs then finds it in its run folder and begins with
the gate.  (It would train it itself, but on one device.)  Killed and started again, with as many
processes or another number of them, it goes on after the last epoch that was finished.

Several processes need problem.supernet.shards to be a multiple of their number, and device =
"auto", "cuda" (each process has the GPU of its number on the machine; NCCL) or "cpu" (gloo).
Processes on several machines need a run folder that all of them see."""

import argparse
import logging
from contextlib import nullcontext
from pathlib import Path

from deap_nas.opening import declared
from deap_nas.output import console_on
from toolbox.run_folder import RunFolder
from toolbox.signature import prefixed

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR")


def run(chosen: argparse.Namespace) -> int:
    """Train it, or go on; 0, or 1 if it diverged.  Raises ValueError."""
    from problems.device import resolve_device
    from problems.supernets.processes import Share, joined
    from problems.training.loop import Diverged
    from problems.weight_sharing import WeightSharing
    from toolbox.progress import log_to_console
    from toolbox.work import told_work

    declaration = declared(chosen.experiment, chosen.overrides)
    problem = declaration.problem.build()
    if not isinstance(problem, WeightSharing):
        raise ValueError(
            f"problem.use = {declaration.problem.use!r}: it has no supernet; weight_sharing is "
            "needed"
        )

    with prefixed("problem"):
        device, _ = resolve_device(problem.device)
        with joined(device) as processes:
            screen = console_on()
            if processes.leads:
                log_to_console(screen)
            Share(problem.supernet.shards, processes)  # refuses what they cannot share
            log.info("processes that train the supernet: %d", processes.world)
            folder = RunFolder(chosen.runs, declaration)
            with folder if processes.leads else nullcontext():
                if not processes.leads:
                    processes.wait()  # what has to be fetched is fetched once
                prepared = problem.prepared()
                if processes.leads:
                    processes.wait()
                try:
                    with told_work(screen) if processes.leads else nullcontext():
                        prepared.trained(folder.path, processes)
                except Diverged as error:
                    log.error("%s", error)
                    return 1
    return 0
