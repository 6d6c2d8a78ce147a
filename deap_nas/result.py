"""What a search found, as objects of Python."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deap_nas.finished_run import FinishedRun
from deap_nas.refused import refusing
from deap_nas.user_modules import admit
from toolbox.archive import Record
from toolbox.quantities import as_number
from toolbox.report.picking import pick
from toolbox.report.ranking import front
from toolbox.report.tables import LONGEST_FRONT
from toolbox.stopped import SearchStopped

if TYPE_CHECKING:
    from torch import nn


def open_result(path: str | Path) -> "Result":
    """What a search left in its run folder, whether it has ended or not.

    Raises ValueError, one line, if there is no run in the folder.

        result = deap_nas.open("runs/quickstart/seed-1")
    """
    with refusing(ValueError):
        admit(Path.cwd())
        return Result(FinishedRun.open(Path(path)))


@dataclass(frozen=True)
class Network:
    """One network of a result.  measurement: its numbers by name; fitness: by the objectives."""

    run: FinishedRun
    record: Record

    @property
    def architecture(self) -> str:
        """The network in words, as in the tables."""
        return self.record.architecture

    @property
    def key(self) -> str:
        """Its key in the archive, which `--pick` takes too."""
        return self.record.key

    @property
    def genome(self) -> list[int]:
        return list(self.record.genome)

    @property
    def measurement(self) -> dict[str, float]:
        return dict(self.record.measurement)

    @property
    def fitness(self) -> dict[str, float]:
        names = [objective.name for objective in self.run.declaration.objectives]
        return dict(zip(names, self.run.judge.fitness(self.record), strict=True))

    def retrain(self, *overrides: str, seeds: int = 3) -> list[dict[str, Any]]:
        """Train it for good, as the command `retrain` does; what is finished is not repeated.

        overrides: like "training.epochs=20".  The test scores of each seed: "seed", "accuracy",
        "loss" and what else its JSON file holds under "test".  Raises ValueError for a wrong
        override or a problem without networks, and SearchStopped if every training diverged.
        """
        from deap_nas.commands.retrain import run

        chosen = argparse.Namespace(
            run_folder=self.run.path,
            overrides=list(overrides),
            pick=[self.key],
            seeds=seeds,
            out=None,
            inherit=False,
            tensorboard=False,
        )
        with _logging_as_it_was(), refusing(ValueError):
            run(chosen)
        if not self._retrained():
            raise SearchStopped(f"every training of {self.architecture} diverged")
        kept = [content for _, content in self._retrained() if content["seed"] <= seeds]
        return [{"seed": content["seed"], **content["test"]} for content in kept]

    def network(self) -> "nn.Module":
        """The torch module with the weights of its last retraining (of its first seed), on the CPU.

        It takes images (N, C, H, W) in float32, scaled to [0, 1], and gives logits (N, classes).
        Raises ValueError if it has not been retrained.
        """
        from problems.networks.plan import imports_of, plan_of
        from problems.saved_network import load

        kept = self._retrained()
        if not kept:
            raise ValueError(
                f"{self.architecture} ({self.key[:8]}) has not been retrained, and a search keeps "
                "no weights; first: .retrain()"
            )
        last = max(kept, key=lambda entry: str(entry[1]["finished_at"]))
        same = [entry for entry in kept if entry[0].parent == last[0].parent]
        first, _ = min(same, key=lambda entry: int(entry[1]["seed"]))
        imports = imports_of(plan_of(self.run.problem.space, self.genome))
        network, _ = load(first, imports=imports)
        return network

    def _retrained(self) -> list[tuple[Path, Any]]:
        """Weights and JSON of each finished seed."""
        from deap_nas.commands.retrain import FOLDER
        from deap_nas.retraining.kept_seeds import finished_of_key

        return finished_of_key(self.run.path / FOLDER, self.key)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={as_number(value)}" for name, value in self.fitness.items())
        return f"<Network {self.architecture!r}: {values}>"


@dataclass(frozen=True)
class Result:
    """What a search found; read from its run folder, where `report` writes too."""

    run: FinishedRun

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.run.path

    @cached_property
    def _networks(self) -> list[Record]:
        return self.run.archive.networks()

    @property
    def front(self) -> Any:
        """The networks that no other one dominates, the best by the first objective first.

        A pandas DataFrame; without pandas a list of records, each a dict of plain data.
        """
        return _table([self._row(record) for record in front(self.run.judge, self._networks)])

    @property
    def networks(self) -> Any:
        """Every network that was evaluated, with its status; a table as `front` is."""
        return _table([self._row(record) for record in self._networks])

    @property
    def best(self) -> Network:
        """The best network by the first objective.  Raises ValueError if none is feasible."""
        return self.pick("best")

    def pick(self, rule: str) -> Network:
        """The network of a rule of the option --pick: "best", "knee", "params<=10000", a key."""
        with refusing(ValueError):
            return Network(self.run, pick(self.run.judge, self._networks, rule))

    def report(self) -> Path:
        """Write the report with its plots and tables; the path of its page."""
        from deap_nas.reporting import write_report

        with refusing(ValueError):
            return write_report([self.path])

    def _row(self, record: Record) -> dict[str, Any]:
        fitness = Network(self.run, record).fitness
        return {
            **fitness,
            "architecture": record.architecture,
            **{name: value for name, value in record.measurement.items() if name not in fitness},
            "status": record.status,
            "key": record.key,
            "genome": list(record.genome),
        }

    def __repr__(self) -> str:
        found = len(front(self.run.judge, self._networks))
        return f"<Result {str(self.path)!r}: {len(self._networks)} networks, {found} on the front>"

    def _repr_html_(self) -> str:
        """The front as a table, for a notebook."""
        records = front(self.run.judge, self._networks)
        step = max(1, -(-len(records) // LONGEST_FRONT))
        names = [objective.name for objective in self.run.declaration.objectives]
        rows = [
            [*map(as_number, self.run.judge.fitness(record)), record.architecture]
            for record in records[::step]
        ]
        shown = f", one in {step} shown" if step > 1 else ""
        return (
            f"<table><caption>{escape(self.run.declaration.name)}: {len(records)} networks on the "
            f"front{shown}</caption><thead>{_html_row('th', [*names, 'architecture'])}</thead>"
            f"<tbody>{''.join(_html_row('td', row) for row in rows)}</tbody></table>"
        )


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _table(rows: list[dict[str, Any]]) -> Any:
    if find_spec("pandas") is None:
        return rows
    import pandas

    return pandas.DataFrame(rows)


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """A command sets up the logging of its process; this is the user's."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
