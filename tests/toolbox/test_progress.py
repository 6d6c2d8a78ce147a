import io
import logging

import pytest
from rich.console import Console

from tests.conftest import Run, lotz, onemax
from toolbox.course import Course
from toolbox.progress import SearchProgress, log_to_console, log_to_file
from toolbox.report.tables import print_results


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def searched(console, tables):
    """A finished search, shown again record by record."""
    run = Run(tables)
    judge = run.toolbox.evaluator.judge
    archived = [record.key for record in run.archive]
    generations = run.declaration.generations
    with SearchProgress(console, judge, generations, 100, archived) as progress:
        for record in run.archive:
            progress.record(record)
        for generation in run.generations:
            progress.generation_done(generation, {})
    return run


def test_a_terminal_shows_a_live_bar():
    out = io.StringIO()
    searched(Console(file=out, force_terminal=True, width=140), lotz(generations=2))
    text = out.getvalue()
    assert "generation 2/2" in text
    assert "networks" in text
    assert "best leading_ones 7; best trailing_zeros 5; " in text


def test_elsewhere_there_are_plain_lines():
    out = io.StringIO()
    console = Console(file=out, width=140)
    log_to_console(console)
    searched(console, lotz(generations=2))
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert "generation 2/2: evaluated" in lines[-1]
    assert "\x1b" not in out.getvalue()


def test_the_first_of_several_seeds_tells_of_all_of_them():
    out = io.StringIO()
    console = Console(file=out, width=140)
    log_to_console(console)
    run = Run(lotz(generations=2))
    judge = run.toolbox.evaluator.judge
    with SearchProgress(console, judge, 2, 100, place=(1, 3)) as progress:
        assert str(progress.work).startswith("seed 1/3, generation 0/2: ")
        progress.expects(Course(60, 0, 60, 0.0, 0, seconds=100.0))
    assert "expected with all 3 seeds: 5 min 0 s, until " in out.getvalue()
    with SearchProgress(console, judge, 2, 100, place=(3, 3)) as progress:
        progress.expects(Course(60, 0, 60, 0.0, 0, seconds=100.0))
    assert out.getvalue().count("seeds: ") == 1


def test_a_failure_is_logged_with_its_reason(tmp_path):
    from tests.toolbox.test_evaluation import failing

    run = failing("raise", generations=0, population=20)
    out = io.StringIO()
    console = Console(file=out, width=200)
    log_to_console(console)
    with (
        log_to_file(tmp_path / "run.log"),
        SearchProgress(console, run.toolbox.evaluator.judge, 0, 20) as progress,
    ):
        for record in run.archive:
            progress.record(record)
    assert progress.failed > 0
    for text in (out.getvalue(), (tmp_path / "run.log").read_text(encoding="utf-8")):
        assert text.count("RuntimeError: out of memory") == progress.failed


def test_what_is_infeasible_is_counted_apart(tmp_path):
    from tests.toolbox.test_bounds import searched as bounded

    run = bounded({"cost": 4, "redraws": 0}, generations=1)
    console = Console(file=io.StringIO(), width=200)
    log_to_console(console)
    with (
        log_to_file(tmp_path / "run.log"),
        SearchProgress(console, run.toolbox.evaluator.judge, 1, 20) as progress,
    ):
        for record in run.archive:
            progress.record(record)
    refused = [record for record in run.archive if record.status == "infeasible"]
    assert progress.new == len(run.archive) - len(refused)
    assert progress.failed == progress.reused == 0
    assert (tmp_path / "run.log").read_text(encoding="utf-8").count("infeasible: ") == len(refused)


def test_how_a_gpu_was_used_is_logged(caplog):
    run = Run(onemax(generations=0))
    with (
        caplog.at_level("INFO"),
        SearchProgress(Console(file=io.StringIO()), run.toolbox.evaluator.judge, 0, 8) as progress,
    ):
        progress.generation_done(run.generations[0], {"gpu_utilization_percent": 87.4})
    assert "device: gpu_utilization_percent 87" in caplog.text


def test_on_a_terminal_log_lines_stand_above_the_bar():
    out = io.StringIO()
    log_to_console(Console(file=out, force_terminal=True, width=140))
    logging.getLogger("run_search").info("budget: at most 3 networks")
    assert "budget: at most 3 networks" in out.getvalue()


def test_results_of_several_objectives_are_the_front_and_no_list_of_the_cheapest():
    out = io.StringIO()
    run = Run(lotz())
    print_results(Console(file=out, width=140), run.toolbox.evaluator.judge, run.archive.networks())
    text = out.getvalue()
    assert "Pareto front: 9 networks" in text
    assert "Top" not in text
    assert "11111111" in text


def seeded(genomes):
    return {"use": "seeded", "genomes": genomes}


def test_a_long_front_is_thinned_out():
    out = io.StringIO()
    front = ["1" * ones + "0" * (24 - ones) for ones in range(25)]
    tables = lotz(population=25, generations=0) | {"problem": {"use": "lotz", "length": 24}}
    run = Run(tables | {"toolbox": {"map": "serial", "individual": seeded(front)}})
    print_results(Console(file=out, width=140), run.toolbox.evaluator.judge, run.archive.networks())
    assert "Pareto front: 25 networks, 20 of them shown" in out.getvalue()
    shown = [int(line.split()[0]) for line in out.getvalue().splitlines()[2:] if line.strip()]
    assert (len(shown), shown[0], shown[-1]) == (20, 24, 0)  # both ends


def test_results_of_one_objective_are_its_top_five():
    out = io.StringIO()
    print_results(
        Console(file=out, width=140),
        Run(onemax()).toolbox.evaluator.judge,
        Run(onemax()).archive.networks(),
    )
    assert "Pareto" not in out.getvalue()
    assert "Top 5 by ones" in out.getvalue()
