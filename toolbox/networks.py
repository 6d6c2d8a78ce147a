"""The networks of one search: which one a genome is, and what is known of it.

Batches (evaluation.py) and streams (stream.py) ask here before anything is measured, and bring here
what was.
"""

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import replace
from functools import lru_cache
from numbers import Integral
from typing import Any, Literal

from toolbox.archive import Archive, Record
from toolbox.genes import are_choices, gene_sizes
from toolbox.halving import epochs_for
from toolbox.judge import Judge
from toolbox.lineage import Lineage
from toolbox.measure import Outcome
from toolbox.operator_error import OperatorError
from toolbox.problem import Problem

AT_HAND = 20_000  # genomes whose keys, and whose architectures, are remembered
# How the record of an individual became known: measured for it, known before, or refused.
How = Literal["trained", "reused", "infeasible"]


class BudgetSpent(Exception):
    """The declared number of distinct networks has been evaluated."""


class Networks:
    """Every network that a search asked for, in front of the archive of all searches.

    limit: how many distinct networks may be asked for.  retry_failed: measure again what failed in
    an earlier run.  on_record: called with each record that the search asked for, as soon as it is
    known.

    records: what the search knows, by the network's key, in the order in which it became known.
    awaited: the keys of networks on their way in a stream.  epochs: all that were trained for
    `records`, whenever that was.  counts: how many of the individuals asked for were trained,
    reused, infeasible and failed (failed overlaps the others), since `take_counts` was last called.
    lineage: the origin of every individual asked for.
    """

    def __init__(
        self,
        problem: Problem,
        judge: Judge,
        archive: Archive,
        limit: int | None = None,
        retry_failed: bool = False,
        on_record: Callable[[Record], None] | None = None,
    ):
        self.problem = problem
        self.space = problem.space
        self.judge = judge
        self.archive = archive
        self.limit = limit
        self.retry_failed = retry_failed
        self._on_record = on_record
        self.records: dict[str, Record] = {}
        self._new: list[Record] = []
        self.awaited: Container[str] = ()
        self.epochs = 0.0
        self.counts: Counter[str] = Counter()
        self.lineage = Lineage()
        # Asked for when a child is bred, and again when it is evaluated.
        self._identity_of = lru_cache(maxsize=AT_HAND)(self._identity)
        # Asked for then, and again when there is a record of it.
        self._decode = lru_cache(maxsize=AT_HAND)(lambda genes: self.space.decode(list(genes)))

    def identify(self, genome: list[int]) -> tuple[str, list[int]]:
        """The archive's key of a genome's network, and the one genome that stands for it."""
        key, canonical = self._identity_of(tuple(genome))
        return key, list(canonical)

    def _identity(self, genes: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        genes = self._plain(genes)
        canonical = tuple(map(int, self.space.canonical(list(genes))))
        canonical = genes if canonical == genes else canonical  # there are many of them
        return self.archive.key(self._decode(canonical)), canonical

    def _plain(self, genes: tuple[int, ...]) -> tuple[int, ...]:
        """The same genes as Python's integers: numpy's are equal to these, and no JSON.

        Raises OperatorError, one line, for what no genome of the space can be.  The operators are
        looked after before; an algorithm of somebody's own may change genes too.
        """
        sizes = gene_sizes(self.space)
        if len(genes) != len(sizes):
            raise OperatorError(
                f"evaluate: {list(genes)} has {len(genes)} genes; this space has {len(sizes)}"
            )
        if set(map(type, genes)) == {int} and are_choices(genes, sizes):
            return genes  # asked for every new genome, and the loop is slow
        for gene, index, size in zip(self.space.genes, genes, sizes, strict=True):
            if not isinstance(index, Integral) or not 0 <= index < size:
                raise OperatorError(
                    f"evaluate: an individual has {gene.name} = {index!r}; legal: 0 to {size - 1}, "
                    "which choose one of its values"
                )
        return tuple(map(int, genes))

    def key_after(self, epochs: int | None, key: str, genome: list[int]) -> str:
        """The key of a network's record after a number of epochs: its own after all of them."""
        if epochs is None or epochs == self.problem.epochs:
            return key
        return self.archive.key(self.space.decode(genome), epochs=epochs)

    def key_of_seed(self, seed: int, record: Record) -> str:
        """The key of a further training of a network: that of its own record and a seed."""
        return self.archive.key(record.architecture, seed=seed)

    def arithmetic(self, genome: list[int]) -> dict[str, float]:
        """What the problem knows of a genome without an evaluation."""
        return self.problem.known(list(genome))

    def bounded(self, genome: list[int]) -> dict[str, float]:
        """What the problem knows of a genome, if there is a bound to hold it against."""
        return self.arithmetic(genome) if self.judge.bounds.limits else {}

    def known_violation(self, genome: list[int]) -> float:
        """How far a genome is beyond the bounds, as far as it is known without an evaluation."""
        return self.judge.bounds.violation(self.bounded(genome))

    @property
    def left(self) -> float:
        """How many more networks may be asked for; infinity if there is no limit."""
        return float("inf") if self.limit is None else self.limit - len(self.records)

    def settled(self, key: str) -> Record | None:
        """The archive's record of a key, if it stands.

        It does not if bounds refused the network that have been widened since, or if it failed and
        failures are to be tried again.
        """
        record = self.archive.get(key)
        if record and record.status == "ok":
            return self._completed(record)
        if record and record.failed and self.retry_failed:
            return None
        if record is None or record.status != "infeasible" or self.judge.complete(record):
            return record
        refused_by_a_rule = not record.measurement
        beyond = self.judge.bounds.violation(record.measurement)
        return record if refused_by_a_rule or beyond else None

    def _completed(self, record: Record) -> Record:
        """A record with what can be counted of its network and nobody asked for when it was made.

        So objectives and bounds on counted costs may be added to a search whose networks are known.
        """
        missing = self.judge.asked.difference(record.measurement)
        if not missing:
            return record
        known = self.arithmetic(record.genome)
        counted = {name: known[name] for name in sorted(missing) if name in known}
        return self.archive.amended(record, counted) if counted else record

    def refused(self, key: str, genome: list[int]) -> Record | None:
        """The record of a network that a rule of the space or a bound refuses, to be archived.

        None if it must be measured.
        """
        reason = self.space.violation(genome)
        known = {} if reason else self.bounded(genome)
        reason = reason or self.judge.bounds.reason(known)
        return self.record(key, genome, Outcome(0, "infeasible", known, reason)) if reason else None

    def options(self, individual: list[int], key: str) -> dict[str, Any]:
        """What `evaluate` is given of an individual beside its genome; `key` is its network's."""
        if not self.problem.inherits:
            return {}
        records = [self.archive.get(parent) for parent in self.lineage.parents(individual)]
        parents = [self.archive.key(record.architecture) for record in records if record]
        return {"key": key, "parents": list(dict.fromkeys(parents))}

    def record(self, key: str, genome: list[int], outcome: Outcome) -> Record:
        """The record of an outcome; nobody may be told of it before the archive has it.

        Whoever measured knows the bounds on measured names alone.
        """
        bounds = self.judge.bounds
        beyond = bounds.views and outcome.status == "ok" and bounds.reason(outcome.measurement)
        if beyond:
            outcome = replace(outcome, status="infeasible", message=beyond)
        return Record.of(key, genome, self._decode(tuple(genome)), outcome)

    def learn(self, record: Record, first: bool = True) -> None:
        """Take in a network's own record: from now on this search knows it.

        first: as for `epochs_for`.
        """
        self.keep(record.key, record)
        self.learn_on_the_way(record, first)

    def keep(self, key: str, record: Record) -> None:
        """From now on this is what is known of a network, even if it was stopped on its way."""
        self.records[key] = record
        self._new.append(record)

    def learn_on_the_way(self, record: Record, first: bool) -> None:
        """Take in a record that is not the network's own: of fewer epochs, or of another seed."""
        self.epochs += epochs_for(record, first)
        if self._on_record:
            self._on_record(record)

    def count(self, individual: list[int], key: str, how: How) -> None:
        """Count an individual whose network is known, and take note of its origin."""
        record = self.records[key]
        self.lineage.bear(individual, record.key)
        self.counts["evaluated"] += 1
        self.counts["failed"] += record.failed
        self.counts[how] += 1

    def take_new(self) -> list[Record]:
        """The records that became known since the last call, in their order."""
        taken, self._new = self._new, []
        return taken

    def take_counts(self) -> Counter[str]:
        """The counts since the last call."""
        taken, self.counts = self.counts, Counter()
        return taken
