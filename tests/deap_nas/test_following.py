"""What a notebook shows of a search."""

import logging

import pytest

from deap_nas.following import NotebookProgress, follower
from tests.conftest import Run, lotz
from toolbox.quantities import QUANTITIES


@pytest.fixture
def areas(monkeypatch):
    """What each area below the cell has shown, one after another."""
    shown = []

    class Handle:
        def __init__(self, html):
            self.texts = [html.data]
            shown.append(self.texts)

        def update(self, html):
            self.texts.append(html.data)

    monkeypatch.setattr("IPython.display.display", lambda html, display_id: Handle(html))
    monkeypatch.setattr("deap_nas.following.in_notebook", lambda: True)
    return shown


@pytest.fixture
def progress():
    run = Run(lotz(generations=0))
    judge = run.toolbox.evaluator.judge
    made = follower(judge, 0, len(run.archive), (), (), QUANTITIES)
    assert isinstance(made, NotebookProgress)
    return made, run


def told(title, unit, done, total):
    logging.getLogger("problems").warning("", extra={"work": (title, unit, done, total)})


def test_the_supernet_and_the_gate_have_an_area_each_that_is_updated_in_place(areas, progress):
    with progress[0].readying():
        for epoch in range(4):
            told("supernet", "epochs", epoch, 3)
        for network in range(3):
            told("gate, alone", "networks", network, 2)
    supernet, gate = areas
    assert "supernet <progress value='0' max='3'>" in supernet[0]
    assert "3/3 epochs (100%)" in supernet[-1]
    assert "gate, alone <progress value='2' max='2'>" in gate[-1]


def test_the_search_has_one_area_that_ends_with_all_its_networks(areas, progress):
    made, run = progress
    with made:
        for record in run.archive:
            made.record(record)
    (texts,) = areas
    assert f"{len(run.archive)}/{len(run.archive)} networks (100%)" in texts[-1]
    assert len(texts) < len(run.archive)  # a few times a second at most
