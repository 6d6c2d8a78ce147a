"""Halving, inheritance, supernets: machines whose run folders are on disks of their own."""

import csv

import pytest

from tests.cluster.machines import REPOSITORY, machines_or_skip, marks, python_first
from tests.cluster.test_ray_nodes import Cluster, backend
from tests.conftest import run_search

pytestmark = marks("ip", "unshare", "ssh-keygen", "sshd")
SEARCH = """
objectives = ["val_accuracy"]
seed = 3
[problem]
use = "{problem}"
device = "cpu"
space = "{space}"
dataset = {{ use = "digits", limit = 120, validation = 60 }}
training = {{ epochs = 3, batch_size = 32 }}
{of_problem}
[toolbox]
select = {{ use = "tournament", size = 2 }}
[algorithm]
use = "genetic_algorithm"
population = 6
generations = 2
{more}
"""
TRAINED = {"problem": "image_classification", "space": "plain_cnn"}
KINDS = {
    "halving": TRAINED | {"of_problem": "", "more": "[halving]\nepochs = [1, 2]\nkeep = 0.5"},
    "inherit": TRAINED | {"of_problem": "inherit = true", "more": ""},
    "supernet": {
        "problem": "weight_sharing",
        "space": "pooled_cnn",
        "of_problem": 'gate = "off"\nsupernet = { use = "shared_chain", training.epochs = 2 }',
        "more": "",
    },
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.fixture
def machines(folder):
    with machines_or_skip("lead", "one", "two", own_disk=folder / "runs") as machines:
        yield machines


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["scoop", "ray"])
def test_a_search_without_a_shared_disk_ends_as_on_one(machines, folder, by, kind):
    (folder / "away.toml").write_text(SEARCH.format(**KINDS[kind]))
    done = run_search("away.toml", "--runs", "alone", "toolbox.map=serial", cwd=folder)
    assert done.returncode == 0, done.stderr
    if by == "scoop":
        (folder / "hosts").write_text("one 2\ntwo 2\n")
        ssh = python_first(machines.with_ssh() | {"PYTHONPATH": str(REPOSITORY)})
        command = ["python", REPOSITORY / "run_search.py", "away.toml", "--hostfile", "hosts"]
        process = machines.start("lead", *command, cwd=folder, env=ssh)
        process.wait(300)
        said = (machines.folder / "lead-python.txt").read_text()
    else:
        cluster = Cluster(machines)
        for name in ("one", "two"):
            cluster.join(name)
        process = cluster.search(folder, backend(cluster), experiment="away.toml")
        cluster.ended(process)
        said = cluster.said()
    assert process.returncode == 0, said
    assert said.count("a worker does not see the run folder") == (kind != "supernet")
    assert "anew" not in said

    def left(runs, name):
        with (folder / runs / "away" / "seed-3" / name).open() as file:
            rows = list(csv.DictReader(file))
        return [{key: row[key] for key in row if "seconds" not in key} for row in rows]

    for name in ("population.csv", "ranking.csv"):
        assert left("runs", name) == left("alone", name)
