"""Halving and inheritance on workers that do not see the run folder."""

import logging

import pytest

from deap_nas.opening import OpenSearch, declared, rehearsed
from tests.conftest import Unfollowed
from toolbox.archive import Archive

pytestmark = pytest.mark.slow

SEARCH = {
    "objectives": ["val_accuracy"],
    "seed": 3,
    "problem": {
        "use": "image_classification",
        "device": "cpu",
        "space": {"use": "plain_cnn"},
        "dataset": {"use": "digits", "limit": 120, "validation": 60},
        "training": {"epochs": 3, "batch_size": 32},
    },
    "toolbox": {"select": {"use": "tournament", "size": 2}},
    "algorithm": {"use": "genetic_algorithm", "population": 4, "generations": 2},
}
HALVING = {"halving": {"epochs": [1, 2], "keep": 0.5}}
INHERIT = {"problem": SEARCH["problem"] | {"inherit": True}}
BACKEND = "tests.toolbox.test_luggage:Elsewhere"


def searched(runs, more, backend):
    """What a search leaves: its final population and, of each record, all but its times."""
    toolbox = SEARCH["toolbox"] | {"map": backend}
    declaration = declared(SEARCH | more | {"toolbox": toolbox})
    problem = rehearsed(declaration)
    with OpenSearch(declaration, problem, runs, lambda *_: Unfollowed()) as opened:
        for _ in opened.generations():
            pass
        path, backend = opened.folder.path, opened.toolbox.backend
    records = Archive.read(path / "archive.sqlite")
    told = {
        (one.key, one.architecture, one.status): {
            name: value for name, value in one.measurement.items() if "seconds" not in name
        }
        for one in records
    }
    return (path / "population.csv").read_text(), told, backend


@pytest.mark.parametrize("more", [HALVING, INHERIT], ids=["halving", "inherit"])
def test_a_search_ends_as_on_one_disk(tmp_path, caplog, more):
    with caplog.at_level(logging.INFO):
        population, records, _ = searched(tmp_path / "one", more, "serial")
        away, found, backend = searched(tmp_path / "other", more, BACKEND)
    assert (away, found) == (population, records)
    assert sum(any(job.files) for job in backend.jobs) > 2
    assert "anew" not in caplog.text
    assert caplog.text.count("a worker does not see the run folder") == 1


def test_where_it_is_too_large_trainings_begin_anew(tmp_path):
    """So the test above would see it if nothing did."""
    _, records, _ = searched(tmp_path / "one", HALVING, "serial")
    _, found, _ = searched(tmp_path / "other", HALVING, {"use": BACKEND, "carry_mib": 1e-6})
    trained = [
        sum(measured["trained_epochs"] for measured in told.values()) for told in (records, found)
    ]
    assert trained[1] > trained[0]


def test_nothing_travels_without_a_need(tmp_path):
    _, _, backend = searched(tmp_path / "plain", {}, BACKEND)
    assert not any(one.files for one in (*backend.jobs, *backend.outcomes))
    assert not (tmp_path / "plain/search/seed-3/.mark").exists()
