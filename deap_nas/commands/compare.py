"""Compare variants of a search at one budget of networks, with random search as the baseline.

  compare EXPERIMENT.toml --vary toolbox.mutate=reset_gene,shift_gene --seeds 10

Each variant and random search are run with the same seeds and the same number of distinct
networks.  The searches of one seed share an archive, so a network is trained once.  Finals are left
out: what searches evaluate is compared by single trainings.
"""

import argparse
import io
import itertools
import logging
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy
from rich.console import Console
from rich.table import Table

from deap_nas.learning import all_taught, keep
from deap_nas.opening import archived, declared, prepared, prepared_silently
from deap_nas.output import console_on
from deap_nas.readiness import NotReady, make_ready
from toolbox.archive import Archive, Record
from toolbox.assemble import assemble, rehearse
from toolbox.declaration import Declaration
from toolbox.folder_lock import held
from toolbox.judge import Judge
from toolbox.progress import log_to_console
from toolbox.quantities import as_number
from toolbox.report.comparison import (
    FEWEST_PAIRS,
    Course,
    Difference,
    differences,
    grid,
    quality,
)
from toolbox.search import search
from toolbox.stopped import NothingMeasured
from toolbox.whole_file import write_table, write_whole
from toolbox.work import Work, told_work

BASELINE = "random search"
FEWEST_GENERATIONS = 5  # the first one, which nothing has bred, among them

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="KEY=A,B",
        help="what the variants differ in; given twice, every combination is a variant",
    )
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument(
        "--budget", type=int, metavar="N", help="distinct networks; default: the declaration's most"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: runs/<experiment>/comparison"
    )


def run(chosen: argparse.Namespace) -> int:
    """Run every search, or go on with them, then write and print the comparison.

    0, or 1 if the problem's score was not shown to be worth a search.
    """
    if chosen.seeds < 1:
        raise ValueError(f"--seeds {chosen.seeds}: at least 1 is needed")
    screen = console_on()
    log_to_console(screen)
    variants = variants_of(chosen.vary)
    declaration = declared(chosen.experiment, chosen.overrides)
    budget = declaration.most_evaluations if chosen.budget is None else chosen.budget
    if budget < declaration.population:
        raise ValueError(
            f"--budget {budget}: less than the population of {declaration.population}, so that "
            "nothing would evolve"
        )
    unmeasured = prepared(declaration)  # so that missing data shows before anything else
    if unmeasured.inherits:
        raise ValueError(
            "problem.inherit = true: the searches of one seed share their networks, and these "
            "depend on the search that bred them; compare without it"
        )
    out = chosen.out or Path("runs") / declaration.name / "comparison"
    seeds = range(1, chosen.seeds + 1)
    searches = all_taught(
        (
            _declaration(chosen, [*more, f"seed={seed}"], declaration.population, budget),
            out / f"seed-{seed}.sqlite",
        )
        for more in variants.values()
        for seed in seeds
    )
    plan = {
        name: searches[place * len(seeds) : (place + 1) * len(seeds)]
        for place, name in enumerate(variants)
    }
    needs = {need for declarations in plan.values() for need in declarations[0].needs}
    problem = unmeasured.wanted(needs)
    identities = {
        name: declarations[0].identity(declarations[0].problem.build())
        for name, declarations in plan.items()
    }
    for name, declarations in plan.items():
        if identities[name] != identities[BASELINE]:
            raise ValueError(
                f"--vary: {name!r} changes the problem, and networks that are trained otherwise "
                "cannot be compared"
            )
        rehearse(declarations[0], problem)
    for line in too_small(chosen.seeds, budget, declaration.population):
        log.warning("%s", line)
    out.mkdir(parents=True, exist_ok=True)
    busy = "another comparison is running in this folder"
    with held(out, busy, "choose a folder on another disk with --out"):
        try:
            reached, distinct = _run_all(plan, needs, out, budget, screen)
        except (NotReady, NothingMeasured) as error:
            log.error("%s", error)
            return 1
        _write(reached, distinct, budget, declaration, out, screen)
    return 0


def variants_of(varied: Sequence[str]) -> dict[str, list[str]]:
    """The overrides of each variant, by its name; the baseline among them.

    >>> variants_of(["toolbox.mutate=a,{use='b', p=[1,2]}"])["{use='b', p=[1,2]}"]
    ["toolbox.mutate={use='b', p=[1,2]}"]
    """
    choices = []
    for text in varied:
        key, equals, values = text.partition("=")
        parts = split_outside_brackets(values)
        if key.strip().split(".")[0] == "finals":
            raise ValueError(
                f"--vary {text!r}: searches are compared by single trainings, so finals would only "
                "take a part of the budget; they are left out"
            )
        if not equals or not key.strip() or len(parts) < 1 or not all(parts):
            raise ValueError(f"--vary {text!r}: it is KEY=A,B, like toolbox.mutate=a,b")
        choices.append([(part, f"{key}={part}") for part in parts])
    variants = {
        " ".join(name for name, _ in combination): [override for _, override in combination]
        for combination in itertools.product(*choices)
    }
    return {**variants, BASELINE: []}


def too_small(seeds: int, budget: int, population: int) -> list[str]:
    """What a comparison of this size cannot show, a line each; none if it is large enough.

    >>> too_small(seeds=10, budget=240, population=12)
    []
    """
    said = []
    if seeds < FEWEST_PAIRS:
        said.append(
            f"--seeds {seeds}: no difference can be told from chance; for a p below 0.05 at least "
            f"{FEWEST_PAIRS} seeds are needed"
        )
    if budget < FEWEST_GENERATIONS * population:
        said.append(
            f"--budget {budget}: {(budget - population) / population:.3g} generations after the "
            f"first population of {population}, which is drawn at random whatever is compared; "
            f"evolution shows from about {FEWEST_GENERATIONS * population} networks on"
        )
    return said


def split_outside_brackets(text: str) -> list[str]:
    """The parts between commas that are in no bracket and no quotes.

    >>> split_outside_brackets("a, {b=1, c=[2,3]},'x,y'")
    ['a', '{b=1, c=[2,3]}', "'x,y'"]
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "{[(":
            depth += 1
        elif character in "}])":
            depth -= 1
        elif character == "," and not depth:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts]


def _declaration(
    chosen: argparse.Namespace, more: Sequence[str], population: int, budget: int
) -> Declaration:
    """A variant's declaration, which stops at the budget and at nothing else."""
    generations = 20 * budget // population + 20  # as many as there are duplicates to be served
    size = f"population={population}, generations={generations}"
    base = [*chosen.overrides, "finals={}", f"stop={{evaluations={budget}}}"]
    if len(more) == 1:  # the seed alone: the baseline
        more = [f"algorithm={{use='random_search', {size}}}", "toolbox.screen=everyone", *more]
        more += ["learn_from=[]"]
    else:
        more = [*more, f"algorithm.generations={generations}"]
    return declared(chosen.experiment, [*base, *more])


def _run_all(
    plan: dict[str, list[Declaration]],
    needs: Collection[str],
    out: Path,
    budget: int,
    screen: Console,
) -> tuple[dict[str, list[list[float]]], dict[str, list[float]]]:
    """What each variant reached at each point of the budget, and the share of different networks
    in its final population, seed by seed."""
    reached: dict[str, list[list[float]]] = {name: [] for name in plan}
    distinct: dict[str, list[float]] = {name: [] for name in plan}
    searches = len(plan) * len(plan[BASELINE])
    with Work(screen, "networks", searches * budget) as work:
        for number, baseline in enumerate(plan[BASELINE]):
            seed = baseline.seed
            folder = out / f"seed-{seed}"
            folder.mkdir(exist_ok=True)
            courses = {}
            problem = prepared_silently(baseline).wanted(needs)
            with archived(baseline, problem, folder, out / f"seed-{seed}.sqlite") as found:
                problem = _ready(baseline, *found, folder, screen)
                for name, declarations in plan.items():
                    work.title = f"seed {seed}/{len(plan[BASELINE])}"
                    work.details = name
                    begun = work.done
                    course = _course(declarations[number], problem, found[1], work)
                    courses[name] = course
                    rest = begun + budget - work.done  # of a search that ended before its budget
                    work.advance(rest, free=rest)
                    log.info(
                        "seed %d, %s: %d networks, %d of them trained now%s",
                        *(seed, name, len(course.records), course.trained),
                        f"; {course.epochs:,.0f} epochs in all" if course.epochs else "",
                    )
                judge = Judge(baseline.objectives, baseline.bounds)
                for name, values in quality(judge, courses, budget).items():
                    reached[name].append(values)
                    distinct[name].append(courses[name].distinct)
    return reached, distinct


def _ready(
    declaration: Declaration, problem: Any, archive: Archive, folder: Path, screen: Console
) -> Any:
    """The problem of all searches of a seed, made ready once for them."""
    with closing(assemble(declaration, problem, archive)) as toolbox, told_work(screen):
        make_ready(declaration, toolbox, folder)
        return toolbox.evaluator.problem


def _course(declaration: Declaration, problem: Any, archive: Archive, work: Work) -> Course:
    before = {record.key for record in archive}
    seen: set[str] = set()

    def on_record(record: Record) -> None:
        if record.architecture not in seen:
            seen.add(record.architecture)
            work.advance(free=record.key in before)

    toolbox = assemble(declaration, problem, archive, on_record=on_record)
    keep(archive, toolbox.sources)
    # The seconds are of the variant that was here before.
    archive.note("generation_seconds", [])
    counts, trained = [], 0
    with closing(toolbox):
        for generation in search(declaration, toolbox):
            counts.append(len(toolbox.evaluator.networks.records))
            trained += generation.trained
    networks = {tuple(toolbox.canonical(one)) for one in generation.population}
    known = toolbox.evaluator.networks
    return Course(
        list(known.records.values()),
        counts,
        trained,
        known.epochs,
        distinct=len(networks) / len(generation.population),
    )


def _write(
    reached: dict[str, list[list[float]]],
    distinct: dict[str, list[float]],
    budget: int,
    declaration: Declaration,
    out: Path,
    screen: Console,
) -> None:
    objectives = declaration.objectives
    several = len(objectives) > 1
    what = "hypervolume, share of all found" if several else objectives[0].name
    maximize = several or objectives[0].direction == "maximize"
    last = {name: [values[-1] for values in seeds] for name, seeds in reached.items()}
    found = differences(last, BASELINE, maximize)
    rows = [
        {"variant": name, "seed": seed, "networks": point, "value": value}
        for name, seeds in reached.items()
        for seed, values in enumerate(seeds, start=1)
        for point, value in zip(grid(budget), values, strict=True)
    ]
    write_table(out / "comparison.csv", rows)
    write_table(out / "differences.csv", [vars(difference) for difference in found])
    shares = [
        {"variant": name, "seed": seed, "distinct": share}
        for name, seeds in distinct.items()
        for seed, share in enumerate(seeds, start=1)
    ]
    write_table(out / "final_populations.csv", shares)
    for suffix in ("svg", "png"):
        _draw(reached, budget, what, out / f"comparison.{suffix}")
    for table in _tables(last, distinct, found, what, budget):
        screen.print(table)
        screen.print()
    screen.print(f"written: {out / 'comparison.png'} and the rest of {out}")


def _tables(
    last: dict[str, list[float]],
    distinct: dict[str, list[float]],
    found: Sequence[Difference],
    what: str,
    budget: int,
) -> list[Table]:
    seeds = len(last[BASELINE])
    title = f"{what} after {budget:,} networks, {seeds} seed{'s' * (seeds > 1)}"
    variants = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("variant", "median", "lower quartile", "upper quartile", "distinct in the end"):
        variants.add_column(name, justify="left" if name == "variant" else "right", overflow="fold")
    for name, values in last.items():
        quartiles = numpy.nanpercentile(values, [25, 75])
        share = f"{median(distinct[name]):.0%}"
        variants.add_row(name, *map(as_number, (median(values), *quartiles)), share)
    title = "Differences, paired by seed (positive: the first is better)"
    pairs = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("first", "second", "median", "effect", "p"):
        pairs.add_column(
            name, justify="left" if name in ("first", "second") else "right", overflow="fold"
        )
    for one in found:
        p = "too few seeds" if one.p is None else f"{one.p:.3g}"
        pairs.add_row(one.first, one.second, as_number(one.median), f"{one.effect:+.2f}", p)
    return [variants, pairs]


def _draw(reached: dict[str, list[list[float]]], budget: int, what: str, path: Path) -> None:
    """Medians over the seeds with the band between the quartiles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, seeds in reached.items():
        values = numpy.array(seeds)
        seen = ~numpy.isnan(values).all(axis=0)
        points = numpy.array(grid(budget))[seen]
        lower, middle, upper = numpy.nanpercentile(values[:, seen], [25, 50, 75], axis=0)
        style = "--" if name == BASELINE else "-"
        (line,) = axes.plot(points, middle, style, label=name)
        axes.fill_between(points, lower, upper, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xlabel("distinct networks evaluated")
    axes.set_ylabel(what)
    axes.set_title(f"Median and quartiles of {len(reached[BASELINE])} seeds")
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], dpi=150)
    write_whole(path, content.getvalue())
