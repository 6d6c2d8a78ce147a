"""The report, as a person opens it."""

import argparse
import csv
import json
import os
import re
import shutil
import sqlite3

import pytest

from benchmarks.browser import BROWSERS, browser_path, browsing, until
from deap_nas import painter
from deap_nas.commands import report
from deap_nas.watch_server import PageServer
from deap_nas.watching import Watch
from tests.conftest import run_search
from tests.test_run_search import DIGITS, ONEMAX
from toolbox.archive import Archive

pytestmark = pytest.mark.slow  # searches in processes of their own


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


@pytest.mark.parametrize("bad", ["misspelt", "nowhere", "same", "others", "out"])
def test_what_cannot_be_reported_is_refused_in_one_line(bad, networks, ones, tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    arguments, message = {
        "misspelt": ([f"{ones}x"], f"there is no such folder; did you mean '{ones}'?"),
        "nowhere": ([tmp_path], "there is no archive.sqlite in it"),
        "same": ([ones, ones], "named twice"),
        "others": ([ones, networks[0]], "its objectives are val_accuracy, params"),
        "out": ([ones, "--out", tmp_path / "file"], "it cannot be written"),
    }[bad]
    done = run_search("report", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def wide(tab):
    """What a page shows on a wide screen, in daylight."""
    tab.size(1280, 900)
    tab.value("document.documentElement.dataset.theme === 'dark' && theme.click()")
    return tab


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One for all tests; it starts in seconds."""
    if browser_path() is None:
        reason = f"none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("CI") and not os.environ.get("NO_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def tab(browser, one):
    """The page of one run, in a tab of its own; its scripts must be without fault."""
    with browser.tab((one / "report.html").as_uri()) as tab:
        yield wide(tab)
        tab.value("1")
        assert not tab.faults


def shown(tab):
    """The architecture in the panel."""
    return tab.value("document.querySelector('#opened h3').textContent")


def column(tab, table, number):
    """The cells of a column of the rows that are shown."""
    cell = f"row.cells[{number}]"
    rows = f"[...document.querySelector('#{table}').tBodies[0].rows].filter((row) => !row.hidden)"
    return tab.value(f"{rows}.map((row) => {cell}.dataset.value ?? {cell}.textContent)")


def counted(tab):
    """How many networks are drawn."""
    said = tab.value("document.getElementById('count').textContent")
    return int(said.split()[0].replace(",", ""))


def pixels(tab, canvas):
    """A picture of what a canvas shows, to be held against another one."""
    return tab.value(f"document.querySelector('{canvas}').toDataURL()")


def test_at_first_the_balanced_network_is_open_and_an_address_opens_another(tab, networks, one):
    assert shown(tab) == table(one / "start.csv")[0]["architecture"]
    best = table(networks[0] / "front.csv")[0]
    tab.value(f"location.hash = '{best['key']}'")
    tab.settle()
    assert shown(tab) == best["architecture"]
    panel = tab.value("document.getElementById('opened').textContent")
    assert best["key"] in panel
    assert "global average pool" in panel
    assert tab.value("document.querySelectorAll('#opened canvas').length") == 2  # its curves


def test_a_click_on_a_point_opens_its_network_and_marks_it_in_each_plot(tab, networks):
    best = table(networks[0] / "front.csv")[0]
    point = f'#plot-front_params a[href="#{best["key"]}"]'
    tab.click(point)
    assert shown(tab) == best["architecture"]
    assert tab.value("location.hash") == f"#{best['key']}"
    marked = tab.value("[...document.querySelectorAll('svg a.chosen')].map((a) => a.href.baseVal)")
    assert set(marked) == {f"#{best['key']}"}
    assert len(marked) > 1


def test_a_click_in_a_table_opens_a_network(tab, one):
    row = table(one / "front.csv")[-1]
    tab.click(f'#table-front a[href="#{row["key"]}"]')
    assert shown(tab) == row["architecture"]


def test_a_click_on_a_head_sorts_a_table_and_another_one_turns_it_round(tab):
    tab.click("#table-generations th:nth-child(5) button")
    up = [float(value) for value in column(tab, "table-generations", 4)]
    assert up == sorted(up)
    tab.click("#table-generations th:nth-child(5) button")
    assert [float(value) for value in column(tab, "table-generations", 4)] == up[::-1]
    said = tab.value("document.querySelector('#table-generations th:nth-child(5)').ariaSort")
    assert said == "descending"


def test_what_is_typed_above_a_table_leaves_only_the_rows_that_have_it(browser, ones, tmp_path):
    reported(ones, out=tmp_path)
    with browser.tab((tmp_path / "report.html").as_uri()) as tab:
        before = column(tab, "table-parents", 4)
        word = before[0][-6:]
        tab.write("input.filter:has(+ * #table-parents)", word)
        left = column(tab, "table-parents", 4)
        assert left == [text for text in before if word in text]
        assert 0 < len(left) < len(before)
        assert not tab.faults


def test_other_axes_and_colours_are_drawn_as_they_are_chosen(tab):
    before = pixels(tab, "#map")
    tab.value(
        "const chosen = document.getElementById('choose-x'); chosen.value = 'macs'; "
        "chosen.dispatchEvent(new Event('change'))"
    )
    tab.settle()
    across = pixels(tab, "#map")
    assert across != before
    heads = "[...document.querySelectorAll('#within th')].map((head) => head.textContent)"
    assert "multiply-accumulates per image" in tab.value(heads)
    tab.click("#choose-colour")
    tab.press("End", 35)
    tab.press("Enter", 13)
    assert tab.value("document.getElementById('choose-colour').value") == "order"


def test_a_slider_leaves_out_what_is_worse(tab):
    all_of_them = counted(tab)
    tab.click("#bound-params", across=0.5)
    limit = tab.value("document.querySelector('#bound-params').parentNode.textContent")
    assert counted(tab) < all_of_them
    rows = "[...document.querySelectorAll('#within tbody tr')]"
    shown = tab.value(f"{rows}.map((row) => row.cells[1].textContent.replaceAll(',', ''))")
    assert max(map(int, shown)) <= int(limit.rsplit(" ", 1)[1].replace(",", ""))
    tab.press("End", 35)
    assert counted(tab) == all_of_them


def test_a_rectangle_zooms_in_and_a_double_click_out(tab):
    before = pixels(tab, "#map")
    tab.drag("#map", (0.3, 0.2), (0.7, 0.7))
    assert "zoomed in" in tab.value("document.getElementById('count').textContent")
    assert pixels(tab, "#map") != before
    tab.click("#map", 0.5, 0.99, times=2)
    assert "zoomed in" not in tab.value("document.getElementById('count').textContent")
    assert pixels(tab, "#map") == before


def test_a_click_in_the_plot_of_all_networks_opens_the_nearest(tab):
    first = "document.querySelector('#within tbody a').textContent"
    at = tab.value(
        # The highest point of the front: where the ring of the best network is.
        "(() => { const pen = document.getElementById('map'); const found = explored.pointOf("
        "all.architecture.indexOf(" + first + ")); "
        "return [found[0] / pen.clientWidth, found[1] / pen.clientHeight]; })()"
    )
    tab.click("#map", *at)
    assert shown(tab) == tab.value(first)


def test_a_click_on_a_learning_curve_opens_its_network_and_draws_it_strongly(tab):
    before = pixels(tab, "#curves")
    was = shown(tab)
    at = tab.value(
        "(() => { const { clientWidth, clientHeight } = document.getElementById('curves'); "
        "const [x, y] = band.find(([key]) => key !== shown)[1].at(-1); "
        "return [x / clientWidth, y / clientHeight]; })()"
    )
    tab.click("#curves", *at)
    assert shown(tab) != was
    assert pixels(tab, "#curves") != before


def test_the_dark_page_is_dark_and_draws_anew(tab):
    before = pixels(tab, "#map")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.value(ground)
    tab.click("#theme")
    assert tab.value(ground) != light
    assert pixels(tab, "#map") != before
    assert tab.value("document.getElementById('theme').textContent") == "light"


def test_on_a_phone_nothing_lies_beside_the_screen_and_a_link_goes_to_the_panel(tab):
    tab.size(390, 844, phone=True)
    tab.settle()
    assert tab.value("document.documentElement.scrollWidth") <= 390
    tab.click("#table-front a")
    until(
        lambda: 0 <= tab.value("document.getElementById('panel').getBoundingClientRect().y") < 844
    )


def test_a_page_of_several_runs_colours_by_run(browser, both):
    with browser.tab((both / "report.html").as_uri()) as tab:
        assert tab.value("document.getElementById('choose-colour').value") == "run"
        assert not tab.faults


def test_a_page_that_is_watched_lives_and_keeps_what_was_set_up(
    browser, networks, tmp_path, monkeypatch
):
    monkeypatch.setattr(painter, "SHARE", 1e9)
    monkeypatch.setattr(painter, "NICENESS", 0)  # a busy machine would never let it draw
    run = tmp_path / "runs" / "seed-1"
    watch = Watch([run], tmp_path / "out")
    watch.look()
    with PageServer(watch.file, watch.news) as server, browser.tab(server.address) as tab:
        wide(tab)
        note = "document.querySelector('.note')?.textContent ?? ''"
        assert "Waiting for the first network" in tab.value(note)
        changed(networks[0], tmp_path / "runs" / "x", "DELETE FROM evaluations WHERE rowid > 5")
        (tmp_path / "runs" / "x" / "try" / "seed-1").rename(run)
        watch.look()
        until(lambda: tab.value("document.getElementById('map') && explored !== null"))
        tab.settle()
        first = counted(tab)
        assert first <= 5
        until(lambda: watch.look() or tab.value("!!document.querySelector('#table-front')"))
        tab.value(
            "const chosen = document.getElementById('choose-x'); chosen.value = 'macs'; "
            "chosen.dispatchEvent(new Event('change'))"
        )
        tab.drag("#map", (0.3, 0.2), (0.7, 0.7))
        tab.click("#table-front th button")
        tab.click("#table-front a")
        opened = shown(tab)
        drawn = column(tab, "table-evaluations", 2)
        with sqlite3.connect(networks[0] / "archive.sqlite") as connection:
            rows = connection.execute("SELECT * FROM evaluations WHERE rowid > 5").fetchall()
        connection.close()
        with sqlite3.connect(run / "archive.sqlite") as connection:
            connection.executemany("INSERT INTO evaluations VALUES (?,?,?,?,?,?,?,?)", rows)
        connection.close()
        watch.look()
        total = "+document.getElementById('count').textContent.split(' ')[2]"
        until(lambda: tab.value(total) > first)
        until(lambda: watch.look() or column(tab, "table-evaluations", 2) != drawn)
        assert tab.value("document.getElementById('choose-x').value") == "macs"
        assert "zoomed in" in tab.value("document.getElementById('count').textContent")
        assert tab.value("!!document.querySelector('#table-front th[aria-sort]')")
        assert shown(tab) == opened
        watch.close()
        assert not tab.faults
