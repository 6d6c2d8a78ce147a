"""Evolve convolutional networks by a declaration."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deap_nas.opening import OpenSearch, declared, rehearsed
from deap_nas.refused import refusing
from toolbox.event_log import EventLog, JsonLines, TensorBoard, tensorboard_writer
from toolbox.judge import Judge
from toolbox.progress import SearchProgress, log_to_console
from toolbox.quantities import quantities_with
from toolbox.report.tables import print_results

log = logging.getLogger(__name__)


def run(chosen: argparse.Namespace) -> int:
    """Check everything, then search; 0.

    Raises Refused for a user's error, and SearchStopped if the search cannot go on.
    """
    from rich.console import Console

    shown = sys.stderr if chosen.json else sys.stdout
    screen = Console(file=shown, width=None if shown.isatty() else 160)  # a file has no width
    log_to_console(screen)
    with refusing(ValueError):
        new_writer = tensorboard_writer() if chosen.tensorboard else None
        # SCOOP started this process as its leading one.
        overrides = [*chosen.overrides, *(["toolbox.map.use=scoop"] if chosen.leader else [])]
        declaration = declared(chosen.experiment, overrides)
        problem = rehearsed(declaration)
    quantities = quantities_with(problem.quantities)

    def new_events(folder: Path) -> list[EventLog]:
        events: list[EventLog] = [JsonLines(sys.stdout)] if chosen.json else []
        return events + ([TensorBoard(folder / "tensorboard", new_writer)] if new_writer else [])

    def new_follower(judge: Judge, known: Sequence[str], events: Sequence[EventLog]) -> Any:
        most = declaration.most_evaluations
        return SearchProgress(
            screen, judge, declaration.generations, most, known, events, quantities
        )

    with OpenSearch(
        declaration,
        problem,
        chosen.runs,
        new_follower,
        new_events,
        retry_failed=chosen.retry_failed,
        command=chosen.command,
    ) as opened:
        for _ in opened.generations():
            pass
        print_results(screen, opened.judge, opened.archive.networks(), quantities)
        log.info("written: %s and the rest of %s", opened.folder.results, opened.folder.path)
    return 0
