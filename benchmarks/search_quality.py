"""Which optimizer finds the most with the fewest trained networks, and what does it take itself?

    python -m benchmarks.search_quality [--table FILE] [--genes NAME ...] [--runs NAME ...]
        [--cost NAME] [--format csv] [--seeds 40] [--first-seed 1000] [--cache DIR]
        [--processes 2] [--only NAME ...] [--out FILE.md] [--plot FILE.png]

Ours, pymoo's, Optuna's, local search, regularized evolution, the largest networks first and random
search on a table of trained networks; by default NAS-Bench-Macro (Su et al., 2021): 3^8 networks,
three published trainings of each.  --format skip_cells is the table that is shipped, and any other
one is a CSV file: --genes are its columns of choices, --runs those of the same accuracy after
several trainings, --cost the second objective, which is known without training.

A search sees the true accuracy of a network plus the noise of one training, drawn by seed and
network, and is scored on the true one (noisy_table.py).  All have a population of 20 and see the
same draws.  Trainings count, those of finals among them.  Every optimizer has an archive: what it
asks for again, by the same genome or by another one of the same network, is answered from it and
counts once, up to ten times the budget of questions.  A search of ours is made anew for each
budget, because its finals come at its end; of a peer its first networks are looked at.

One objective: the regret, in percentage points, of the network that the search returns: ours by its
own rule, of a peer the one with the best accuracy that it saw.  Because that one is chosen by a
noisy number, even a search of the whole table has some regret, which stands in the last row.
Beside it the regret of the best network among those trained, which only tells what the search came
across, and how many of the seeds end more than .3 points behind the best by either.

Two objectives, accuracy and cost: the true hypervolume of the front that the search returns: ours
by its own rule, of a peer the networks that are not dominated by what it saw; as a share of the
table's.  First axis (best - accuracy) / (best - floor), where the floor is the accuracy that one
network in ten does not reach; second the cost scaled by the table's range to [0, 1]; reference
point (1, 1).

Whether ours differs from the best peer at a budget, the peer with the best mean, is told by
Wilcoxon's signed-rank test over the seeds, two-sided.

Seconds are of processor time outside the evaluation, for each training of the largest budget,
everything included: archive in memory, lineage, guards.  What was found is kept in --cache by
version and settings, ours by the code of the toolbox.
"""

import hashlib
import io
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import moocore
import numpy
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from scipy.stats import wilcoxon

from benchmarks.noisy_table import ACCURACY, NoisyTable
from benchmarks.result_file import keep, machine, parser_of
from problems import PROBLEMS
from problems.tables import SHIPPED
from toolbox.archive import Archive
from toolbox.assemble import assemble
from toolbox.declaration import declare
from toolbox.report.picking import pick
from toolbox.report.ranking import front
from toolbox.search import search

REPOSITORY = Path(__file__).parents[1]
TABLE = REPOSITORY.parent / "shared" / "tables" / "nas-bench-macro_cifar10.json"
BUDGETS = (50, 100, 200, 400)
POPULATION = 20
MOST_ASKS = 10  # for each network of the budget; then an optimizer has converged to what it knows
OBJECTIVES = {"one": 1, "two": 2}  # accuracy; accuracy and cost
MACRO = NoisyTable(str(TABLE), format="nas_bench_macro")
STUCK = 0.3  # points of regret
OURS_PROBLEMS = {**PROBLEMS, "noisy_table": NoisyTable}
MUTATED = {"use": "reset_gene", "gene_probability": 0.125}  # one gene of eight
LESS = {"mutate": {"use": "reset_gene", "gene_probability": 0.05}}
GUIDED = {
    "mutate": {"use": "reset_gene", "gene_probability": 0.1},
    "screen": {"use": "interaction_ranker"},
}
GA = {"use": "genetic_algorithm", "elite": 5, "mutation_probability": 1.0}
FIVE = {
    "select": {"use": "tournament", "size": 5},
    "mutate": {"use": "reset_gene", "gene_probability": 0.1},
}
SMALL = {**GA, "elite": 14}  # six children a generation
FINALS = {"share": 0.25, "seeds": 3}

# Ours: what each declaration says beyond the base of `declared`, by name; a line each.  The figures
# in them are the best of those tried on seeds below 200, which are not among those reported.
OURS: dict[str, dict[str, dict[str, Any]]] = {
    "one": {
        "genetic_algorithm": {"algorithm": GA, "toolbox": FIVE},
        "genetic_algorithm, finals": {"algorithm": GA, "toolbox": FIVE, "finals": FINALS},
        "genetic_algorithm, guide": {"algorithm": SMALL, "toolbox": {**FIVE, **GUIDED}},
        "genetic_algorithm, guide, finals": {
            "algorithm": SMALL,
            "toolbox": {**FIVE, **GUIDED},
            "finals": FINALS,
        },
        "nsga2": {"algorithm": {"use": "nsga2"}, "toolbox": LESS},
        "regularized_evolution": {"algorithm": {"use": "regularized_evolution"}},
        "steady_state": {"algorithm": {"use": "steady_state"}, "toolbox": LESS},
        "islands": {"algorithm": {"use": "islands"}, "toolbox": LESS},
    },
    "two": {
        "nsga2": {"algorithm": {"use": "nsga2"}, "toolbox": LESS},
        "nsga2, guide": {"algorithm": {"use": "nsga2", "offspring": 6}, "toolbox": GUIDED},
        "nsga3": {"algorithm": {"use": "nsga3"}, "toolbox": LESS},
        "spea2": {"algorithm": {"use": "spea2"}, "toolbox": LESS},
        "steady_state": {"algorithm": {"use": "steady_state"}, "toolbox": LESS},
        "steady_state, guide": {"algorithm": {"use": "steady_state"}, "toolbox": GUIDED},
        "islands": {"algorithm": {"use": "islands"}, "toolbox": LESS},
    },
}


@dataclass(frozen=True)
class Course:
    """One search: its distinct networks in the order of evaluation, those that it returns, how many
    individuals it asked for in all, and its processor seconds outside the evaluation."""

    networks: list[str]
    returned: list[str]
    asked: int
    seconds: float


@dataclass(frozen=True)
class Task:
    """The searches of an optimizer and a seed, one for each budget; `settings` are what a
    declaration of ours says beyond the base."""

    name: str
    objectives: str
    seed: int
    budgets: tuple[int, ...]
    table: NoisyTable
    settings: Mapping[str, Any] | None = None  # None: a peer
    cache: str | None = None


def losses(
    accuracy: Any, cost: Any, extent: tuple[tuple[float, float], tuple[float, float]]
) -> numpy.ndarray:
    """Accuracy and cost as two losses, 1 at the reference point; (networks, 2).

    extent: the floor and the best of the accuracy, the lowest and the highest cost.

    >>> losses([93.0, 80.0], [10.0, 30.0], extent=((80.0, 93.0), (10.0, 30.0))).tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    (floor, best), (low, high) = extent
    first = (best - numpy.asarray(accuracy, float)) / (best - floor)
    return numpy.column_stack([first, (numpy.asarray(cost, float) - low) / (high - low)])


def hypervolume(points: numpy.ndarray) -> float:
    """The area that dominated points cover below (1, 1).

    >>> hypervolume(numpy.array([[0.5, 0.5], [0.0, 0.75], [2.0, 0.0]]))
    0.375
    """
    return float(moocore.hypervolume(points, ref=[1.0, 1.0]))


class Scorer:
    """What a table says of a course, whatever the search saw of it; accuracies in percent."""

    def __init__(self, table: NoisyTable):
        self.table = table
        truth, decode = table.truth, table.space.decode
        self.accuracy = {decode(list(g)): 100 * value for g, value in truth.accuracy.items()}
        self.cost = {decode(list(genome)): value for genome, value in truth.cost.items()}
        self.best = max(self.accuracy.values())
        floor = float(numpy.quantile(list(self.accuracy.values()), 0.1))
        self.extent = (floor, self.best), (min(self.cost.values()), max(self.cost.values()))
        self.whole = hypervolume(self._losses(list(self.cost), list(self.accuracy.values())))

    def _losses(self, networks: Sequence[str], accuracy: Sequence[float]) -> numpy.ndarray:
        return losses(accuracy, [self.cost[name] for name in networks], self.extent)

    def observed(self, networks: Sequence[str], seed: int) -> list[float]:
        """The accuracy of each network, in percent, that searches of a seed saw."""
        problem = replace(self.table, seed=seed)
        encode = problem.space.encode
        return [100 * problem.evaluate(encode(name))[ACCURACY] for name in networks]

    def returned(self, networks: Sequence[str], seed: int, objectives: str) -> list[str]:
        """What is returned by what was seen: the best network, or the front."""
        observed = self.observed(networks, seed)
        if objectives == "one":
            return [networks[int(numpy.argmax(observed))]]
        kept = moocore.is_nondominated(self._losses(networks, observed))
        return [network for network, stays in zip(networks, kept, strict=True) if stays]

    def regret(self, networks: Sequence[str]) -> float:
        """What the best of networks lacks to the best of all."""
        return self.best - max(self.accuracy[name] for name in networks)

    def floor(self, seeds: Iterable[int]) -> list[float]:
        """The regret of a search that has seen the whole table, for each seed."""
        everything = [self.table.space.decode(list(one)) for one in self.table.networks]
        return [self.regret(self.returned(everything, seed, "one")) for seed in seeds]

    def share(self, networks: Sequence[str]) -> float:
        """The share of the table's hypervolume, in percent, that networks cover."""
        points = self._losses(networks, [self.accuracy[name] for name in networks])
        return 100 * hypervolume(points) / self.whole


@cache
def scorer_of(table: NoisyTable) -> Scorer:
    return Scorer(table)


def objectives_of(table: NoisyTable) -> list[Any]:
    """Accuracy and cost, as a declaration names them."""
    worst = 10 * max(table.truth.cost.values())  # of a network that failed; none does
    cost = {"use": "measured", "name": table.cost_column, "direction": "minimize", "worst": worst}
    return [ACCURACY, cost]


def declared(task: Task, budget: int) -> dict[str, Any]:
    """The declaration of a search of ours, as TOML data."""
    changes = task.settings or {}
    generations = MOST_ASKS * budget // POPULATION
    table = {name: value for name, value in asdict(task.table).items() if name != "seed"}
    base: dict[str, Any] = {
        "objectives": objectives_of(task.table)[: OBJECTIVES[task.objectives]],
        "seed": task.seed,
        "problem": {"use": "noisy_table", **table},
        "toolbox": {"map": "serial", "mutate": MUTATED},
        "algorithm": {"population": POPULATION, "generations": generations},
        "stop": {"evaluations": budget},
    }
    return base | {key: {**base.get(key, {}), **table} for key, table in changes.items()}


class Stopwatch:
    """A problem whose evaluations are timed."""

    def __init__(self, problem: Any):
        self.problem = problem
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)

    def evaluate(self, genome: list[int], **options: Any) -> dict[str, float]:
        began = time.process_time()
        measurement = self.problem.evaluate(genome, **options)
        self.seconds += time.process_time() - began
        return measurement


def ours(task: Task, budget: int) -> Course:
    """A search of ours, assembled as any other, with its archive in memory."""
    declaration = declare(declared(task, budget), OURS_PROBLEMS, name=task.name)
    problem = declaration.problem.build()
    timed = Stopwatch(problem)
    began = time.process_time()
    archive = Archive(declaration.identity(problem))
    toolbox = assemble(declaration, timed, archive)
    with closing(toolbox):
        asked = sum(generation.evaluated for generation in search(declaration, toolbox))
    seconds = time.process_time() - began - timed.seconds
    assert len(archive) <= budget
    found, judge = archive.networks(), toolbox.evaluator.judge
    one = task.objectives == "one"
    returned = [pick(judge, found, "best")] if one else front(judge, found)
    networks, names = ([one.architecture for one in some] for some in (found, returned))
    return Course(networks, names, asked, seconds)


def peer(task: Task) -> list[Course]:
    """A search of a peer, after each budget."""
    from benchmarks.peers import PEERS, Memory

    problem = replace(task.table, seed=task.seed)
    objectives = OBJECTIVES[task.objectives]

    def evaluate(genome: tuple[int, ...]) -> list[float]:
        measurement = problem.evaluate(genome)
        return [-measurement[ACCURACY], measurement[problem.cost_column]][:objectives]

    def cost(genome: list[int]) -> float:
        return problem.known(genome)[problem.cost_column]

    choices = [len(gene.choices) for gene in problem.space.genes]
    budget = max(task.budgets)
    memory = Memory(evaluate, choices, budget, MOST_ASKS * budget, problem.space.canonical, cost)
    began = time.process_time()
    PEERS[task.objectives][task.name](memory, objectives, task.seed, POPULATION)
    seconds = time.process_time() - began - memory.seconds
    networks = [problem.space.decode(list(genome)) for genome in memory.genomes]
    scorer = scorer_of(task.table)
    return [
        Course(first, scorer.returned(first, task.seed, task.objectives), memory.asks, seconds)
        for first in (networks[:number] for number in task.budgets)
    ]


def run(task: Task) -> list[Course]:
    """The courses of a task, from the cache if they are known."""

    def courses() -> list[Course]:
        if task.settings is None:
            return peer(task)
        return [ours(task, budget) for budget in task.budgets]

    if task.cache is None:
        return courses()
    depends = [
        *(task.name, task.objectives, task.seed, task.budgets, POPULATION, MOST_ASKS),
        *(version("pymoo"), version("optuna"), version("numpy")),
        *(task.settings, _digest_of_code(task.settings is None), asdict(task.table)),
        (task.table.truth.noise, sum(task.table.truth.accuracy.values())),
    ]
    digest = hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:16]
    path = Path(task.cache) / f"{digest}.json"
    if path.exists():
        return [Course(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    found = courses()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(one) for one in found]), encoding="utf-8")
    return found


@cache
def _digest_of_code(peers: bool) -> str:
    """Of what the courses of peers, or ours, follow from."""
    ours_in = [*(REPOSITORY / "toolbox").rglob("*.py"), Path(__file__)]
    files = [Path(__file__).with_name("peers.py")] if peers else sorted(ours_in)
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()


def contestants(only: Sequence[str], objectives: str) -> dict[str, Mapping[str, Any] | None]:
    """The settings of each optimizer; None for a peer.

    only: their names, or parts of names; "ours" and "peers" are all of them.
    """
    wanted = only or ["ours", "peers"]
    found: dict[str, Mapping[str, Any] | None] = {}
    if set(wanted) != {"ours"}:
        from benchmarks.peers import PEERS

        found |= dict.fromkeys(PEERS[objectives])
    found |= OURS[objectives]
    return {
        name: settings
        for name, settings in found.items()
        if ("peers" if settings is None else "ours") in wanted
        or any(part == name if part in found else part in name for part in wanted)
    }


def statistics(values: Sequence[float], digits: int) -> str:
    """Mean and standard error of the mean.

    >>> statistics([1.0, 2.0, 3.0], digits=2)
    '2.00 ± 0.58'
    """
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{mean(values):.{digits}f} ± {error:.{digits}f}"


def table_of(title: str, rows: Mapping[str, Sequence[Sequence[float]]], digits: int) -> list[str]:
    """A Markdown table of scores: an optimizer a row, each score the seeds' mean and error.

    rows: of each optimizer, seed by seed, its score at each budget.
    """
    budgets = BUDGETS[: len(next(iter(rows.values()))[0])]
    lines = [title, "", f"| optimizer | {' | '.join(map(str, budgets))} |"]
    lines.append("|---" * (len(budgets) + 1) + "|")
    for name, seeds in rows.items():
        cells = [statistics(column, digits) for column in zip(*seeds, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def test_table(rows: Mapping[str, Sequence[Sequence[float]]], objectives: str) -> list[str]:
    """Each of ours beside the best peer of each budget, a Markdown table; nothing without both.

    rows: as for `table_of`.  A difference is above 0 where ours is better.
    """
    sign = 1 if objectives == "two" else -1
    scores = {name: sign * numpy.array(seeds) for name, seeds in rows.items()}
    peers = [name for name in rows if name not in OURS[objectives]]
    if not peers or len(peers) == len(rows):
        return []
    budgets = range(len(next(iter(scores.values()))[0]))
    lines = [f"| ours, less the best peer | {' | '.join(str(BUDGETS[b]) for b in budgets)} |"]
    lines.append("|---" * (len(budgets) + 1) + "|")
    for name in [one for one in scores if one not in peers]:
        cells = []
        for budget in budgets:
            best = max(peers, key=lambda peer: scores[peer][:, budget].mean())
            gains = scores[name][:, budget] - scores[best][:, budget]
            p = float(wilcoxon(gains).pvalue) if gains.any() else 1.0
            cells.append(f"{gains.mean():+.3f}, p {p:.3f} ({best})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def cost_table(courses: Mapping[str, Sequence[Sequence[Course]]], budget: int) -> list[str]:
    """What the searches of the largest budget took beside the evaluations, and how often they asked
    for what they knew."""
    lines = [
        "| optimizer | distinct networks | individuals asked for | outside the evaluation, "
        "ms a training | s a search |",
        "|---|---|---|---|---|",
    ]
    for name, found in courses.items():
        seeds = [each[-1] for each in found]
        each = [1000 * course.seconds / budget for course in seeds]
        lines.append(
            f"| {name} | {mean(len(course.networks) for course in seeds):.0f} | "
            f"{mean(course.asked for course in seeds):.0f} | {statistics(each, 2)} | "
            f"{statistics([course.seconds for course in seeds], 2)} |"
        )
    return [*lines, ""]


def draw(
    curves: Mapping[str, Mapping[str, numpy.ndarray]],
    points: Sequence[int],
    floor: float,
    path: Path,
) -> None:
    """Regret, and the hypervolume that is missing, against trainings, with the standard
    error as a band; ours solid, peers dashed.

    curves: "one" and "two", of each optimizer (seeds, points).  floor: the regret of a search that
    has seen the whole table.
    """
    figure = Figure(figsize=(15, 8), layout="constrained")
    labels = {
        "one": ("regret of the network returned, percentage points", "Accuracy"),
        "two": ("hypervolume missing, % of the table's", "Accuracy and cost"),
    }
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    kinds = {True: iter(colormaps["tab10"].colors), False: iter(colormaps["Dark2"].colors)}
    colors: dict[str, Any] = {}  # the same in every panel; a guided algorithm has its own one's
    for axes, (objectives, found) in zip(panels, curves.items(), strict=True):
        for name, values in found.items():
            own = name in OURS[objectives]
            values = values if objectives == "one" else 100 - values
            middle = values.mean(axis=0)
            error = values.std(axis=0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0
            plain, guided, _ = name.partition(", ")
            if plain not in colors:
                colors[plain] = next(kinds[own], "black")
            look = {"color": colors[plain], "linewidth": 2.2 if own else 1.3}
            marks = {"marker": "o" if "guide" in guided else "s", "markersize": 5} if guided else {}
            axes.plot(points, middle, "-" if own else "--", label=name, **look, **marks)
            low = numpy.maximum(middle - error, middle / 2)  # which has a place on a log axis
            axes.fill_between(
                points, low, middle + error, color=look["color"], alpha=0.08, linewidth=0
            )
        if objectives == "one":
            axes.axhline(floor, color="grey", linestyle=":", label="the whole table, as noisy")
        what, title = labels[objectives]
        axes.set(xscale="log", yscale="log", title=title, ylabel=what)
        axes.set_xlabel("trainings")
        axes.set_xticks(points)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    path.write_bytes(content.getvalue())


def main(words: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--format", help="of the table; by its ending, if this is left out")
    parser.add_argument("--genes", nargs="+", default=[], help="columns of a CSV table")
    parser.add_argument("--runs", nargs="+", default=[ACCURACY], help="the same accuracy, trained")
    parser.add_argument("--cost", default="flops", help="the second objective")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--budget", type=int, default=max(BUDGETS))
    parser.add_argument("--objectives", choices=[*OBJECTIVES, "both"], default="both")
    parser.add_argument("--only", nargs="+", default=[], help="ours, peers, or parts of names")
    parser.add_argument("--cache", type=Path, help="keeps what the peers found")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="draw the curves here")
    arguments = parser.parse_args(words)
    budgets = [budget for budget in BUDGETS if budget <= arguments.budget]
    if not budgets:
        parser.error(f"--budget {arguments.budget}: at least {BUDGETS[0]} is needed")
    kind = arguments.format or ("csv" if arguments.table.suffix == ".csv" else "nas_bench_macro")
    shipped = SHIPPED.get(kind)
    path = str(shipped or arguments.table.absolute())
    columns = {name: tuple(getattr(arguments, name)) for name in ("genes", "runs")}
    table = NoisyTable(path, kind, **columns, cost_column=arguments.cost)
    scorer = scorer_of(table)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    versions = ", ".join(f"{name} {version(name)}" for name in ("deap", "moocore", "numpy"))
    if set(arguments.only) != {"ours"}:
        versions += f", pymoo {version('pymoo')}, optuna {version('optuna')}"
    said = list(words if words is not None else sys.argv[1:])
    lines = [
        "# Search quality: what is found with how many networks",
        "",
        f"{machine()}, {versions}; {Path(path).name}, a run's standard deviation "
        f"{100 * table.truth.noise:.2f} points, seeds {seeds[0]} to {seeds[-1]}, "
        f"population {POPULATION}; mean ± standard error over {len(seeds)} seeds.",
        "",
        f"`python -m benchmarks.search_quality {shlex.join(said)}`",
        "",
    ]
    print("\n".join(lines), flush=True)
    curves: dict[str, dict[str, numpy.ndarray]] = {}
    kinds = list(OBJECTIVES) if arguments.objectives == "both" else [arguments.objectives]
    with ExitStack() as stack:
        apply: Callable = map
        if arguments.processes > 1:
            pool = stack.enter_context(get_context("spawn").Pool(arguments.processes))
            apply = partial(pool.map, chunksize=1)
        for objectives in kinds:
            courses: dict[str, list[list[Course]]] = {}
            for name, settings in contestants(arguments.only, objectives).items():
                kept = None if arguments.cache is None else str(arguments.cache)
                tasks = [
                    Task(name, objectives, seed, tuple(budgets), table, settings, kept)
                    for seed in seeds
                ]
                courses[name] = list(apply(run, tasks))
            if not courses:
                parser.error(f"--only {' '.join(arguments.only)}: no optimizer is called so")
            part, curves[objectives] = report(objectives, courses, seeds, scorer, budgets)
            print("\n".join(part), flush=True)
            lines += part
    if arguments.plot:
        draw(curves, budgets, mean(scorer.floor(seeds)), arguments.plot)
    keep(lines[:-1], arguments.out)


def report(
    objectives: str,
    courses: Mapping[str, Sequence[Sequence[Course]]],
    seeds: Sequence[int],
    scorer: Scorer,
    budgets: Sequence[int],
) -> tuple[list[str], dict[str, numpy.ndarray]]:
    """The tables of one kind of search, and its curves (seeds, budgets)."""

    def scores(score: Callable[[Course], float]) -> dict[str, list[list[float]]]:
        return {
            name: [[score(course) for course in each] for each in found]
            for name, found in courses.items()
        }

    if objectives == "two":
        shares = scores(lambda course: scorer.share(course.returned))
        lines = [
            *table_of(
                "## Two objectives: hypervolume of the front returned, % of the table's", shares, 1
            ),
            *test_table(shares, objectives),
            *cost_table(courses, budgets[-1]),
        ]
        return lines, {name: numpy.array(found) for name, found in shares.items()}
    returned = scores(lambda course: scorer.regret(course.returned))
    trained = scores(lambda course: scorer.regret(course.networks))
    stuck = ", ".join(
        f"{name} {sum(each[-1] > STUCK for each in found)} and "
        f"{sum(each[-1] > STUCK for each in trained[name])}"
        for name, found in returned.items()
    )
    whole = {"whole table": [[value] * len(budgets) for value in scorer.floor(seeds)]}
    lines = [
        *table_of(
            "## One objective: regret of the network returned, points of %", returned | whole, 3
        ),
        f"Seeds that end more than {STUCK:g} points behind the best, by the network returned and "
        f"by the best trained: {stuck}.",
        "",
        *test_table(returned, objectives),
        *table_of("## One objective: regret of the best network trained", trained, 3),
        *cost_table(courses, budgets[-1]),
    ]
    return lines, {name: numpy.array(found) for name, found in returned.items()}


if __name__ == "__main__":
    main()
