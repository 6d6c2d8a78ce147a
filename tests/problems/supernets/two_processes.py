"""What two processes of torchrun do with the trainings of test_choice_blocks.

    torchrun --nproc-per-node 2 two_processes.py FOLDER

Writes the losses and weights that the leading one has, and the names of the threads that it still
has when the processes have parted.
"""

import sys
from pathlib import Path

import torch

from problems.supernets.processes import joined
from tests.problems.supernets.test_choice_blocks import TRAININGS, outcome

if __name__ == "__main__":
    with joined("cpu") as processes:
        for name, begin in TRAININGS.items():
            training = begin(processes)
            result = outcome(training)
            if processes.leads:
                torch.save(result, Path(sys.argv[1], f"{name}.pt"))
            processes.wait()
    if processes.leads:
        threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
        Path(sys.argv[1], "threads").write_text("\n".join(threads))
