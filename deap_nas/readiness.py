"""What a problem does before its first evaluation, with the means of the search.

A problem whose score must be made first, such as one with a supernet, has `ready(folder, measure,
admits)`; see `problems.weight_sharing`.
"""

import hashlib
import itertools
import json
import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from toolbox.archive import Archive, Record
from toolbox.declaration import Declaration
from toolbox.evaluation import Evaluator
from toolbox.guarded_toolbox import GuardedToolbox
from toolbox.judge import Judge
from toolbox.networks import Networks
from toolbox.problem import adapted
from toolbox.signature import described
from toolbox.stopped import SearchStopped

log = logging.getLogger(__name__)


class NotReady(SearchStopped):
    """The search must not begin, though nothing is wrong with its declaration."""


def make_ready(declaration: Declaration, toolbox: GuardedToolbox, folder: Path) -> None:
    """Have the problem of an assembled toolbox made ready, if it asks for that.

    Its files are kept in `folder`; what is finished there is not done again.  Other problems that
    it measures on the way are evaluated by the search's own backend, each in an archive of its own.
    Raises NotReady with one line.
    """
    networks = toolbox.evaluator.networks

    def measure(
        other: Any, genomes: Sequence[list[int]], path: Path
    ) -> list[dict[str, float] | None]:
        identity = described(other, identity=True)
        text = json.dumps(identity, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
        kept = path.with_name(f"{path.name}-{digest}.sqlite")
        with closing(Archive(identity, kept)) as archive:
            known = itertools.count(1)

            def on_record(record: Record) -> None:
                log.debug("%s: %s", path.name, record.status, extra=work(next(known)))

            def work(done: int) -> dict[str, Any]:
                return {"work": (path.name.replace("_", ", "), "networks", done, len(genomes))}

            log.debug("%s: %d networks", path.name, len(genomes), extra=work(0))
            judge = Judge(declaration.objectives)
            others = Networks(adapted(other), judge, archive, on_record=on_record)
            evaluator = Evaluator(others)
            records = evaluator.records(toolbox.backend, genomes)
        return [record.measurement if record.status == "ok" else None for record in records]

    def admits(genome: list[int]) -> bool:
        return not networks.known_violation(genome)

    try:
        ready = networks.problem.ready(folder, measure, admits)
        toolbox.evaluator.use(ready)
    except FloatingPointError as error:
        raise NotReady(error) from error
