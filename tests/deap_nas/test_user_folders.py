import json
import sys

import pytest
import tomlkit

from deap_nas.user_folders import FILE, admit_again, remember, seal
from problems import PROBLEMS
from run_search import main
from toolbox.declaration import declare

TABLES = {
    "objectives": ["ones"],
    "problem": "onemax",
    "toolbox": {"mutate": "my_mutation_of_a_test:flip"},
    "algorithm": {"use": "nsga2", "population": 4, "generations": 1},
}


def declared_here(folder, tables, check=True):
    """A run folder as a search leaves it, as far as its declaration goes."""
    tables = declare(tables, PROBLEMS, name="a").table() if check else tables
    (folder / "declaration.toml").write_text(tomlkit.dumps(tables))
    remember(folder, tables)


def test_a_module_is_found_again_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "my_mutation_of_a_test.py").write_text("def flip(individual):\n    return (0,)\n")
    monkeypatch.syspath_prepend(tmp_path)
    declared_here(tmp_path, TABLES)
    told = json.loads((tmp_path / FILE).read_text())
    assert told["names"] == ["my_mutation_of_a_test:flip"]
    assert told["folders"] == {"my_mutation_of_a_test": str(tmp_path)}
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    before = list(sys.path)
    admit_again(tmp_path)
    assert sys.path[-1] == str(tmp_path)
    assert sys.path[: len(before)] == before
    now = list(sys.path)
    seal(tmp_path, told["names"], {"gone": str(tmp_path / "gone")})
    admit_again(tmp_path)
    assert sys.path == now


def test_a_run_without_modules_of_a_user_leaves_no_file(tmp_path):
    declared_here(tmp_path, {**TABLES, "toolbox": {}})
    assert not (tmp_path / FILE).exists()
    admit_again(tmp_path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "my_mutation_of_a_test.py").write_text("def flip(individual):\n    return (0,)\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "x" / "seed-1"
    folder.mkdir(parents=True)
    declared_here(folder, TABLES)
    return folder


def test_a_run_folder_of_somebody_else_s_is_not_imported_from(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another user"))
    with pytest.raises(ValueError, match=r"names code \('my_mutation_of_a_test:flip'\).* trust "):
        admit_again(run)
    assert main(["trust", str(run)]) == 0
    admit_again(run)


def test_what_was_added_to_a_declaration_is_not_imported(run):
    text = (run / "declaration.toml").read_text()
    (run / "declaration.toml").write_text(text.replace("onemax", "subprocess:Popen"))
    with pytest.raises(ValueError, match=r"names code \('subprocess:Popen'\)"):
        admit_again(run)


@pytest.mark.parametrize("changed", ["names", "folders"])
def test_what_was_sealed_cannot_be_changed(run, changed):
    told = json.loads((run / FILE).read_text())
    told["names"] += ["subprocess:Popen"] if changed == "names" else []
    told["folders"] |= {"subprocess": str(run)} if changed == "folders" else {}
    (run / FILE).write_text(json.dumps(told))
    with pytest.raises(ValueError, match="names code"):
        admit_again(run)


def test_a_seal_that_cannot_be_kept_holds_in_its_own_process(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    declared_here(tmp_path, {**TABLES, "toolbox": {"mutate": "math:sqrt"}}, check=False)
    assert "it cannot be kept" in caplog.text
    admit_again(tmp_path)


def test_trust_is_given_to_nothing_but_run_folders(tmp_path, capsys):
    assert main(["trust", str(tmp_path)]) == 2
    assert "there is no declaration.toml in it" in capsys.readouterr().err
    assert main(["trust", str(tmp_path), "--modules", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
