"""How long does the report of a large archive take, to be written and to be opened?

    python -m benchmarks.report_page [--networks 1000 10000 50000] [--repeats 5] [--out FILE.md]

A run folder is made up: networks of the quickstart's space with made-up scores, learning curves of
8 epochs, two workers, generations of 500.  Its report is written, in processor seconds, and opened
in a headless Chromium: from the beginning of the navigation until the page is loaded, its scripts
have run and the first picture is on the screen, in elapsed seconds; and what the page's own thread
took of the processor for that, which a busy machine changes little.
"""

import math
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.browser import browsing
from benchmarks.result_file import keep, machine, parser_of
from deap_nas.reporting import write_report
from problems import PROBLEMS
from toolbox.archive import Archive, Record
from toolbox.declaration import Declaration, load
from toolbox.learning_curve import kept
from toolbox.lineage import Birth
from toolbox.run_folder import RunFolder

QUICKSTART = Path(__file__).parents[1] / "experiments" / "quickstart.toml"
GENERATION = 500  # individuals
OPENED = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const [told] = performance.getEntriesByType("navigation");
  done([performance.now(), told.loadEventEnd - told.startTime]);
})))"""


def made_up_run(runs: Path, networks: int) -> Path:
    """A run folder of so many networks, as a search leaves it but for what its scores are."""
    declaration: Declaration = load(QUICKSTART, [f"algorithm.population={GENERATION}"], PROBLEMS)
    problem = declaration.problem.build()
    draw = random.Random(networks)
    with RunFolder(runs, declaration) as folder:
        folder.write_declaration()
        archive = Archive(declaration.identity(problem), folder.path / "archive.sqlite")
        assert archive._connection
        archive._connection.execute("PRAGMA synchronous = OFF")  # made up again in no time
        begun = datetime.now(UTC) - timedelta(seconds=networks)
        births: list[Birth] = []
        while len(births) < networks:
            genome = problem.space.canonical(
                [draw.randrange(len(gene.choices)) for gene in problem.space.genes]
            )
            architecture = problem.space.decode(genome)
            key = archive.key(architecture)
            if archive.get(key) or problem.space.violation(genome):
                continue
            known = problem.known(genome)
            accuracy = 1 - 1 / math.log10(10 + known["params"]) * draw.uniform(0.5, 2)
            seconds = draw.uniform(0.5, 2)
            curve = [accuracy * (1 - math.exp(-epoch / 2)) for epoch in range(1, 9)]
            loss = [2.3 - 2 * value for value in curve]
            measured = {"val_accuracy": accuracy, "val_loss": loss[-1], "epochs": 8, **known}
            number = len(births)
            at = begun + timedelta(seconds=number)
            archive.add(
                Record(
                    *(key, genome, architecture, "ok"),
                    measurement=measured | {"train_seconds": seconds / 2},
                    finished_at=at.isoformat(timespec="milliseconds"),
                    worker=f"made-up {number % 2 + 1}",
                    seconds=seconds,
                    curve=kept({"train_loss": loss, "val_accuracy": curve}),
                )
            )
            parents = (
                tuple(draw.sample(range(number - number % GENERATION), 2))
                if number >= GENERATION
                else ()
            )
            births.append(
                Birth(
                    number,
                    number // GENERATION,
                    key,
                    ("mutate:made_up",) if parents else (),
                    parents,
                )
            )
        for generation in range(births[-1].generation + 1):
            archive.keep_births(
                generation, births[generation * GENERATION : (generation + 1) * GENERATION]
            )
        archive.close()
        return folder.path


def seconds_to_open(page: Path, repeats: int) -> list[tuple[float, float]]:
    """From the beginning of the navigation until the first picture, of a page in a new tab:
    elapsed, and those of the processor that its thread took."""
    found = []
    with tempfile.TemporaryDirectory() as profile, browsing(Path(profile)) as browser:
        for _ in range(repeats):
            with browser.tab("data:text/html,warm") as tab:
                tab.ask("Performance.enable", timeDomain="threadTicks")
                tab.open(page.as_uri())
                elapsed = max(tab.value(OPENED)) / 1000
                metrics = tab.ask("Performance.getMetrics")["metrics"]
                told = {one["name"]: one["value"] for one in metrics}
                found.append((elapsed, told["TaskDuration"]))
                assert not tab.faults, tab.faults
    return found


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--networks", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    lines = [
        "# The report of a large archive",
        "",
        f"{machine()}; headless Chromium, median of {chosen.repeats} and their range.",
        "",
        "| networks | written, processor s | page, MB | opened, s | range | thread, s | range |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for networks in chosen.networks:
        with tempfile.TemporaryDirectory() as folder:
            run = made_up_run(Path(folder), networks)
            begun = time.process_time()
            page = write_report([run])
            written = time.process_time() - begun
            opened = seconds_to_open(page, chosen.repeats)
            said = " | ".join(
                f"{median(times):.2f} | {min(times):.2f} to {max(times):.2f}"
                for times in zip(*opened, strict=True)
            )
            size = page.stat().st_size / 1e6
            lines.append(f"| {networks:,} | {written:.1f} | {size:.1f} | {said} |")
            print(lines[-1], flush=True)
    lines += ["", "`python -m benchmarks.report_page`"]
    keep(lines, chosen.out)


if __name__ == "__main__":
    main()
