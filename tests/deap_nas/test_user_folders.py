import json
import sys

from deap_nas.user_folders import FILE, admit_again, remember
from problems import PROBLEMS
from toolbox.declaration import declare

TABLES = {
    "objectives": ["ones"],
    "problem": "onemax",
    "toolbox": {"mutate": "my_mutation_of_a_test:flip"},
    "algorithm": {"use": "nsga2", "population": 4, "generations": 1},
}


def test_a_module_is_found_again_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "my_mutation_of_a_test.py").write_text("def flip(individual):\n    return (0,)\n")
    monkeypatch.syspath_prepend(tmp_path)
    remember(tmp_path, declare(TABLES, PROBLEMS, name="a"))
    told = json.loads((tmp_path / FILE).read_text())
    assert told == {"my_mutation_of_a_test": str(tmp_path)}
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    before = list(sys.path)
    admit_again(tmp_path)
    assert sys.path[-1] == str(tmp_path)
    assert sys.path[: len(before)] == before
    now = list(sys.path)
    (tmp_path / FILE).write_text(json.dumps({"gone": str(tmp_path / "gone")}))
    admit_again(tmp_path)
    assert sys.path == now


def test_a_run_without_modules_of_a_user_leaves_no_file(tmp_path):
    remember(tmp_path, declare({**TABLES, "toolbox": {}}, PROBLEMS, name="a"))
    assert not (tmp_path / FILE).exists()
