"""The report, as a person opens it."""

import argparse
import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess

import pytest

from deap_nas.commands import report
from tests.conftest import run_search
from tests.test_run_search import DIGITS, ONEMAX
from toolbox.archive import Archive

pytestmark = pytest.mark.slow  # searches in processes of their own

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def searched(folder, text, *overrides):
    (folder / "try.toml").write_text(text)
    done = run_search("try.toml", *overrides, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "try"


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Two finished runs of a search of small networks."""
    folder = tmp_path_factory.mktemp("networks")
    for seed in (1, 2):
        runs = searched(folder, DIGITS, f"seed={seed}")
    return [runs / "seed-1", runs / "seed-2"]


@pytest.fixture(scope="module")
def ones(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("ones"), ONEMAX) / "seed-1"


@pytest.fixture(scope="module")
def one(networks, tmp_path_factory):
    """The folder of a report of one run."""
    folder = tmp_path_factory.mktemp("one") / "out"
    reported(networks[0], out=folder)
    return folder


@pytest.fixture(scope="module")
def both(networks, tmp_path_factory):
    """The folder of a report of two runs."""
    folder = tmp_path_factory.mktemp("both") / "out"
    reported(*networks, out=folder)
    return folder


def text(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def reported(*runs, out):
    """The page of some runs."""
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    assert report.run(parser.parse_args([*map(str, runs), "--out", str(out)])) == 0
    assert not list(out.glob("*.part"))
    return text(out)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def panel(page):
    """What the page tells of the networks that open."""
    found = re.search(r'<script type="application/json" id="networks">(.*?)</script>', page)
    return json.loads(found[1])


def changed(run, tmp_path, *statements):
    """A copy of a run folder with a changed archive."""
    copy = tmp_path / run.parent.name / run.name
    shutil.copytree(run, copy)
    with sqlite3.connect(copy / "archive.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return copy


def test_a_report_has_a_page_plots_and_tables(networks, one):
    page = text(one)
    names = {path.name for path in one.iterdir()}
    drawn = ("front_params", "hypervolume", "generations_params", "diversity", "network")
    for plot in drawn:
        assert {f"{plot}.png", f"{plot}.svg"} <= names
        assert f'id="plot-{plot}"' in page
    front = table(one / "front.csv")
    assert [row["key"] for row in front] == [r["key"] for r in table(networks[0] / "front.csv")]
    for name in ("start", "generations", "operators", "evaluations", "lineage"):
        assert table(one / f"{name}.csv")
    layers = table(one / "network.csv")
    (best,) = (
        row for row in table(one / "start.csv") if row["network"] == "highest validation accuracy"
    )
    assert sum(int(layer["parameters"]) for layer in layers) == float(best["params"])
    assert "python run_search.py try.toml seed=1" in page
    assert "torch 2" in page


def test_a_number_says_its_unit_in_cards_tables_and_panel(networks, one):
    page = text(one)
    best = max(float(row["val_accuracy"]) for row in table(networks[0] / "front.csv"))
    said = f"{100 * best:.2f} %"
    card = re.search(r"<dt>highest validation accuracy</dt><dd>.*?>([^<]*)</a>", page, re.DOTALL)
    assert card[1] == said
    assert f">{said}</td>" in page
    assert any(
        ["validation accuracy", said, "val_accuracy"] in n["facts"] for n in panel(page).values()
    )


def test_the_page_needs_no_network(one):
    page = text(one)
    linked = re.findall(r'(?:src|href)="(?!#|data:)([^"]+)"', page)
    assert linked
    assert all((one / name).is_file() for name in linked)  # links to the files beside it
    assert not re.search(r'src="(?!data:)|url\((?!#)|@import|https?://(?!www\.w3\.org)', page)


def test_every_point_says_its_architecture_and_opens(networks, both):
    page = text(both)
    points = dict(re.findall(r'<a href="#([0-9a-f]{32})"><title>(.*?)</title>', page))
    opened = panel(page)
    assert points
    assert set(points) <= set(opened)
    for key, architecture in points.items():
        assert opened[key]["architecture"] == architecture
    best = opened[table(networks[0] / "front.csv")[0]["key"]]
    facts = {name or label: said for label, said, name in best["facts"]}
    assert {"val_accuracy", "params", "generation", "made by"} <= set(facts)
    assert sum(int(row[2].replace(",", "")) for row in best["layers"]) == int(
        facts["params"].replace(",", "")
    )


def test_several_runs_stand_side_by_side(both):
    assert 'id="plot-trials"' in text(both)
    assert [row["run"] for row in table(both / "trials.csv")] == ["seed-1", "seed-2"]
    assert {"front_1.csv", "front_2.csv"} <= {path.name for path in both.iterdir()}


def test_a_problem_without_layers_and_costs_is_reported_too(ones):
    done = run_search("report", ones, cwd=ones.parent)
    assert done.returncode == 0, done.stderr
    page = (ones / "report" / "report.html").read_text(encoding="utf-8")
    assert "nothing to hold against it" in page
    assert 'id="plot-best_ones"' in page
    assert 'id="plot-ancestry"' in page
    assert 'id="plot-network"' not in page
    counted = table(ones / "report" / "evaluations.csv")[0]
    rows = table(ones / "generations.csv")
    assert int(counted["individuals"]) == sum(int(row["evaluated"]) for row in rows)
    assert int(counted["reused"]) == sum(int(row["reused"]) for row in rows)
    made = table(ones / "report" / "operators.csv")
    assert sum(int(row["individuals"]) for row in made) == int(counted["individuals"])
    assert sum(int(row["new networks"]) for row in made) == int(counted["measured"])


def test_a_run_that_is_still_going_says_so(ones, tmp_path):
    page = reported(ones, out=tmp_path / "ended")
    assert "has not ended" not in page
    unended = "UPDATE meta SET value = json_set(value, '$[0].ended', '') WHERE name = 'sessions'"
    going = changed(ones, tmp_path, unended)
    (going / "generations.csv").unlink()
    assert "seed-1 has not ended" in reported(going, out=tmp_path / "going")


def test_a_run_that_failed_everywhere_says_so(networks, tmp_path):
    failed = changed(
        networks[0],
        tmp_path,
        "UPDATE evaluations SET status = 'error', measurement = '{}', message = '<b>no</b>'",
    )
    page = reported(failed, out=tmp_path / "out")
    assert "No network of seed-1 was measured" in page
    assert "There is nothing to rank or to plot" in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>no</b>" not in page
    assert float(table(tmp_path / "out" / "evaluations.csv")[0]["failed"]) > 0


def test_one_failed_run_beside_a_good_one_is_left_out_of_the_plots(networks, tmp_path):
    failed = changed(
        networks[0], tmp_path, "UPDATE evaluations SET status = 'error', measurement = '{}'"
    )
    page = reported(failed, networks[1], out=tmp_path / "out")
    assert "was measured within the bounds" in page
    assert 'id="plot-front_params"' in page


@pytest.mark.parametrize("statement", ["DELETE FROM births", "DROP TABLE births"])
def test_a_run_in_its_first_generation_is_reported_without_its_lineage(
    networks, tmp_path, statement
):
    page = reported(changed(networks[0], tmp_path, statement), out=tmp_path / "out")
    assert "It is not known before the first generation is finished" in page


def test_a_continued_run_remembers_both_commands_and_its_births(tmp_path):
    searched(tmp_path, ONEMAX, "algorithm.generations=2")
    run = searched(tmp_path, ONEMAX, "algorithm.generations=4") / "seed-1"
    page = reported(run, out=tmp_path / "out")
    assert "algorithm.generations=2" in page
    assert "algorithm.generations=4" in page
    whole = searched(tmp_path, ONEMAX, "algorithm.generations=4", "--runs=whole")
    assert whole.is_dir()
    other = tmp_path / "whole" / "try" / "seed-1"
    births = [Archive.read(one / "archive.sqlite").births for one in (run, other)]
    assert births[0] == births[1]


@pytest.mark.parametrize("bad", ["nowhere", "same", "others", "out"])
def test_what_cannot_be_reported_is_refused_in_one_line(bad, networks, ones, tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    arguments, message = {
        "nowhere": ([tmp_path], "there is no archive.sqlite in it"),
        "same": ([ones, ones], "named twice"),
        "others": ([ones, networks[0]], "its objectives are val_accuracy, params"),
        "out": ([ones, "--out", tmp_path / "file"], "it cannot be written"),
    }[bad]
    done = run_search("report", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="session")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("CI") and not os.environ.get("NO_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def opened(browser, url, profile):
    """The page as the browser has it after its scripts ran."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_in_a_real_browser_a_chosen_point_opens_its_architecture(browser, networks, one, tmp_path):
    address = (one / "report.html").as_uri()
    best = table(networks[0] / "front.csv")[0]
    first = opened(browser, address, tmp_path / "profile")
    balanced = table(one / "start.csv")[0]
    assert f'<div id="opened"><h3>{balanced["architecture"]}</h3>' in first
    assert f'<a href="#{best["key"]}"' in first
    page = opened(browser, f"{address}#{best['key']}", tmp_path / "profile")
    shown = re.search(r'<div id="opened">(.*?)</div>', page, re.DOTALL)[1]
    assert f"<h3>{best['architecture']}</h3>" in shown
    assert best["key"] in shown
    assert "global average pool" in shown
    assert re.search(rf'<a href="#{best["key"]}" class="chosen"', page)


@pytest.mark.slow
def test_in_a_real_browser_a_click_opens_a_point(browser, networks, one, tmp_path):
    page = text(one)
    best = table(networks[0] / "front.csv")[0]
    click = (
        f"<script>document.querySelector('svg a[href=\"#{best['key']}\"] use')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))</script>"
    )
    clicked = tmp_path / "clicked.html"
    clicked.write_text(page.replace("</body>", f"{click}</body>"), encoding="utf-8")
    found = opened(browser, clicked.as_uri(), tmp_path / "profile")
    assert f'<div id="opened"><h3>{best["architecture"]}</h3>' in found
