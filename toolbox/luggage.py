"""What an evaluation needs of the run folder, on a machine that does not see that folder.

A problem keeps files there from one evaluation to another (`Problem.kept_files`): a training that
was stopped and goes on, the weights that children begin with.  A worker knows by a mark in the
folder whether it sees it.  One that does not evaluates in a folder of its own, and what is left
there comes back with the outcome; from then on the jobs bring what they need.  So none of these
files travel where all machines share a disk.  What every evaluation reads (`Problem.shared_files`)
goes to a worker once, with the problem itself.
"""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolbox.measure import Job, Measure, Outcome
from toolbox.operator_error import OperatorError
from toolbox.problem import Problem
from toolbox.whole_file import write_whole

MARK, TRAVELS = ".mark", ".travels"  # in the run folder; the second: some worker does not see it
MIB = 2**20

log = logging.getLogger(__name__)


class Luggage:
    """A measure whose problem's files travel with its jobs and outcomes, where they have to.

    folder: the run folder, as the leading process sees it.  most_mib: files of one job, of one
    outcome, or those that all evaluations share, do not travel if they are larger together.  Then a
    training finds nothing of what was kept and begins anew; without shared files a network fails.
    """

    def __init__(self, measure: Measure, folder: Path, most_mib: float):
        self.measure = measure
        self.most_mib = most_mib
        self.folder = folder
        self._mark = secrets.token_hex()
        write_whole(folder / MARK, self._mark)
        self._travels = (folder / TRAVELS).exists()
        self._asked: dict[int, Sequence[Path]] = {}  # the files of jobs on their way, by number
        self._too_large = False
        self._shared: Mapping[str, bytes] = {}  # of a worker: contents by their place in the folder
        self._shared_bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        # What changes in the leading process is nothing to a worker, which would be told it anew.
        state = vars(self) | {"_asked": {}, "_travels": False, "_too_large": False}
        paths = self.measure.problem.shared_files()
        for path in paths:
            if not path.is_file():
                raise OperatorError(f"problem.shared_files: {path}: there is no such file")
        size = sum(path.stat().st_size for path in paths)
        if self._fits(size):
            state["_shared"] = {
                os.path.relpath(one, self.folder): one.read_bytes() for one in paths
            }
        return state | {"_shared_bytes": size}

    # Of the leading process

    def packed(self, jobs: Iterable[Job | None]) -> Iterator[Job | None]:
        """The jobs, with what they need if it has to travel."""
        for job in jobs:
            if job is not None:
                paths = self._asked[job.number] = self.measure.problem.kept_files(job.options)
                if self._travels and paths:
                    files = _contents(paths)
                    if self._fits(size := _size(files)):
                        job = replace(job, files=files)
                    else:
                        self._tell(size)
            yield job

    def unpacked(self, outcome: Outcome) -> Outcome:
        """An outcome whose files are in the run folder now, and no longer with it.

        Raises OSError if they cannot be written.
        """
        paths = self._asked.pop(outcome.number, ())
        if outcome.files or outcome.left_behind:
            if not self._travels:
                log.info(
                    "a worker does not see the run folder; what its trainings need travels with "
                    "them, up to %g MiB",
                    self.most_mib,
                )
                self._travels = True
                write_whole(self.folder / TRAVELS, "")
            if outcome.left_behind:
                self._tell(outcome.left_behind)
            for path, content in zip(paths, outcome.files, strict=False):
                if content is not None:
                    write_whole(path, content)
        return replace(outcome, files=(), left_behind=0)

    def _fits(self, size: int) -> bool:
        return size <= self.most_mib * MIB

    def _tell(self, size: int) -> None:
        if not self._too_large:
            self._too_large = True
            log.warning(
                "toolbox.map.carry_mib = %g: a worker does not see the run folder, and what a "
                "training keeps there has %.1f MiB; without it trainings begin anew",
                *(self.most_mib, size / MIB),
            )

    # Of a worker

    @property
    def at_once(self) -> int:
        return self.measure.at_once

    def on_worker(self, rank: int) -> "Luggage":
        """The same for the worker of this rank on its machine."""
        same = Luggage.__new__(Luggage)
        vars(same).update(vars(self), measure=self.measure.on_worker(rank))
        return same

    def __call__(self, job: Job) -> Outcome:
        (outcome,) = self.many([job])
        return outcome

    def many(self, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        """As `Measure.many`; in a folder of this process if the run folder is out of sight."""
        if self._sees():
            yield from self.measure.many(_without_files(jobs))
            return
        if self._shared_bytes and not self._shared:
            yield from self._without_the_shared(jobs)
            return
        own = Path(tempfile.mkdtemp(prefix="deap-nas-"))
        try:
            for place, content in self._shared.items():
                (own / place).parent.mkdir(parents=True, exist_ok=True)
                write_whole(own / place, content)
            problem = self.measure.problem.in_folder(own)
            measure = Measure(problem, self.measure.bounds, self.measure.worker)
            in_hand: dict[int, Job] = {}
            for outcome in measure.many(_laid_out(jobs, problem, in_hand)):
                job = in_hand.pop(outcome.number)
                others = [one for other in in_hand.values() for one in _files(problem, other)]
                yield self._with_what_it_left(outcome, job, problem, others)
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def _sees(self) -> bool:
        with suppress(OSError):
            return (self.folder / MARK).read_text(encoding="ascii") == self._mark
        return False

    def _without_the_shared(self, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        message = (
            f"this worker does not see the run folder, of which every evaluation reads "
            f"{self._shared_bytes / MIB:.1f} MiB; toolbox.map.carry_mib = {self.most_mib:g} lets "
            "no more travel"
        )
        for job in jobs:
            if job is not None:
                yield Outcome(job.number, "error", message=message)

    def _with_what_it_left(
        self, outcome: Outcome, job: Job, problem: Problem, others: Sequence[Path]
    ) -> Outcome:
        """others: the files of what else is in hand, which stay."""
        paths = _files(problem, job)
        brought = job.files or (None,) * len(paths)
        pairs = zip(_contents(paths), brought, strict=True)
        left = tuple([None if new == old else new for new, old in pairs])
        for path in set(paths).difference(others):
            path.unlink(missing_ok=True)
        size = _size(left)
        if not size:
            return outcome
        if not self._fits(size):
            return replace(outcome, left_behind=size)
        return replace(outcome, files=left)


def _without_files(jobs: Iterable[Job | None]) -> Iterator[Job | None]:
    for job in jobs:
        yield replace(job, files=()) if job is not None and job.files else job


def _laid_out(
    jobs: Iterable[Job | None], problem: Problem, in_hand: dict[int, Job]
) -> Iterator[Job | None]:
    """The jobs, whose files are in the problem's folder; takes note of what is in hand."""
    for job in jobs:
        if job is not None:
            in_hand[job.number] = job
            for path, content in zip(_files(problem, job), job.files, strict=False):
                if content is not None:
                    write_whole(path, content)
            job = replace(job, files=())
        yield job


def _files(problem: Problem, job: Job) -> Sequence[Path]:
    return problem.kept_files(job.options)


def _contents(paths: Sequence[Path]) -> tuple[bytes | None, ...]:
    """What is in files; None for one that is not there."""
    return tuple([path.read_bytes() if path.exists() else None for path in paths])


def _size(files: Iterable[bytes | None]) -> int:
    return sum(len(content) for content in files if content is not None)
