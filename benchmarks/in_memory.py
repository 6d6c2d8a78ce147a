"""A whole declared search in this process, with its archive in memory."""

from contextlib import closing
from typing import Any

from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import Declaration
from toolbox.guarded_toolbox import GuardedToolbox
from toolbox.problem import own
from toolbox.report.picking import pick
from toolbox.report.ranking import front
from toolbox.search import search


def search_in_memory(declaration: Declaration, problem: Any = None) -> GuardedToolbox:
    """The toolbox of a search that is over; it knows the archive and the last population.

    problem: that of the declaration, if it is made already.
    """
    problem = declaration.problem.build() if problem is None else problem
    toolbox = assemble(declaration, problem, Archive(declaration.identity(own(problem))))
    with closing(toolbox):
        for _ in search(declaration, toolbox):
            pass
    return toolbox


def returned(toolbox: GuardedToolbox) -> list[str]:
    """The architectures that a search returns: of its best network, or of its front."""
    judge, found = toolbox.evaluator.judge, toolbox.evaluator.networks.archive.networks()
    kept = front(judge, found) if len(judge.objectives) > 1 else [pick(judge, found, "best")]
    return [one.architecture for one in kept]
