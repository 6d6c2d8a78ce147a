import re
import tomllib

import pytest
import tomlkit

from problems import PROBLEMS
from problems.image_classification import ImageClassification
from tests.conftest import lotz, onemax
from toolbox.declaration import declare, load
from toolbox.signature import described


def declared(tables=None, **changes):
    return declare((tables or onemax()) | changes, PROBLEMS, name="test")


CASES = [
    ({"sed": 1}, "sed: unknown key", "did you mean 'seed'?"),
    ({"seed": "1"}, "seed = '1'", "valid integer"),
    ({"seed": True}, "seed = True", "valid integer"),
    ({"seed": [1, 2, 3]}, "seed = [1, 2, 3]", "--seeds 3 runs a search for each"),
    ({"seed": -1}, "seed = -1", "greater than or equal to 0"),
    ({"objectives": []}, "objectives = []", "at least one"),
    ({"objectives": "ones"}, "objectives = 'ones'", "a list is needed, like"),
    ({"objectives": ["one"]}, "objectives[0] = 'one'", "did you mean 'ones'?"),
    ({"objectives": [1]}, "objectives[0] = 1", "a name or a table"),
    ({"objectives": ["ones", "ones"]}, "'ones' is named twice", ""),
    ({"objectives": [{"use": "ones", "worse": 1}]}, "objectives[0].worse: unknown key", "worst"),
    (
        {"objectives": [{"use": "ones", "direction": "minimise"}]},
        "objectives[0].direction = 'minimise'",
        "'minimize'",
    ),
    (
        {"objectives": [{"use": "ones", "direction": "minimize"}]},
        "objectives[0].worst is missing",
        "",
    ),
    (
        {"objectives": ["math:sqrt"]},
        "objectives[0]: direction and worst must be declared",
        "math:sqrt",
    ),
    ({"problem": "onemx"}, "problem.use = 'onemx'", "did you mean 'onemax'?"),
    ({"problem": {"length": 3}}, "problem: use = 'name' is missing", "onemax"),
    ({"problem": {"use": "onemax", "lenght": 3}}, "problem.lenght: unknown key", "'length'?"),
    ({"problem": {"use": "onemax", "length": 0}}, "problem.length = 0", "greater than or equal"),
    ({"problem": {"use": "onemax", "length": 2.5}}, "problem.length = 2.5", "valid integer"),
    ({"problem": 3}, "problem = 3", "a table"),
    ({"toolbox": []}, "toolbox = []", "a table"),
    ({"toolbox": {"mutat": "reset_gene"}}, "toolbox.mutat: unknown key", "'mutate'?"),
    ({"toolbox": {"mutate": "reset"}}, "toolbox.mutate.use = 'reset'", "legal: layer_from"),
    (
        {"toolbox": {"mutate": {"use": "reset_gene", "gene_probability": 1.5}}},
        "toolbox.mutate.gene_probability = 1.5",
        "less than or equal to 1",
    ),
    (
        {"toolbox": {"mutate": {"use": "reset_gene", "space": 1}}},
        "toolbox.mutate.space: unknown key",
        "legal: gene_probability",
    ),
    (
        {"toolbox": {"mate": {"use": "one_point", "between": "slots"}}},
        "toolbox.mate.between = 'slots'",
        "'genes' or 'layers'",
    ),
    ({"toolbox": {"map": {"use": "processes", "workers": 0}}}, "toolbox.map.workers = 0", "1"),
    ({"toolbox": {"map": {"use": "serial", "workers": 2}}}, "toolbox.map.workers", "no keys"),
    ({"toolbox": {"mate": "math:"}}, "toolbox.mate.use = 'math:'", "'module:function' is needed"),
    (
        {"problem": {"use": "image_classification", "training": {"optimizer": "adamm"}}},
        "problem.training.optimizer = 'adamm'",
        "did you mean 'adam'?",
    ),
    (
        {
            "problem": {
                "use": "image_classification",
                "space": {"use": "layer_string", "kernels": []},
            }
        },
        "problem.space.kernels = []: it should have at least 1 item",
        "",
    ),
    ({"toolbox": {"mate": "no_such:f"}}, "toolbox.mate.use = 'no_such:f'", "no module 'no_such'"),
    ({"toolbox": {"mate": "math:sqr"}}, "module 'math' has no function 'sqr'", "'sqrt'?"),
    (
        {"toolbox": {"individual": {"use": "seeded", "genomes": ["0" * 12] * 9}}},
        "toolbox.individual.genomes has 9 architectures",
        "population = 8",
    ),
    ({"algorithm": 3}, "algorithm = 3", "a table"),
    ({"algorithm": {"use": "nsga2"}}, "algorithm.population is missing", ""),
    ({"algorithm": onemax(population=0)["algorithm"]}, "algorithm.population = 0", "1"),
    ({"algorithm": onemax(elit=1)["algorithm"]}, "algorithm.elit: unknown key", "'elite'?"),
    ({"algorithm": onemax(use="nsga_2")["algorithm"]}, "algorithm.use = 'nsga_2'", "'nsga2'?"),
    ({"stop": {"target_fitness": [1, 2]}}, "stop.target_fitness = [1.0, 2.0]", "1 numbers"),
    ({"stop": {"wall_seconds": 0}}, "stop.wall_seconds = 0", "greater than 0"),
    ({"stop": {"evaluation": 3}}, "stop.evaluation: unknown key", "'evaluations'?"),
]


@pytest.mark.parametrize(("changes", "start", "hint"), CASES, ids=[case[1] for case in CASES])
def test_a_wrong_declaration_is_one_line_that_names_the_key(changes, start, hint):
    with pytest.raises(ValueError, match=re.escape(start)) as caught:
        declared(**changes)
    message = str(caught.value)
    assert hint in message
    assert "\n" not in message


def test_a_genetic_algorithm_refuses_two_objectives():
    with pytest.raises(ValueError, match=r"genetic_algorithm.*one objective, not 2"):
        declared(lotz(use="genetic_algorithm"))


def test_a_user_s_own_algorithm_tells_what_the_declaration_should_know(tmp_path, monkeypatch):
    (tmp_path / "own_algorithms.py").write_text(
        "from toolbox.algorithm_facts import algorithm\n"
        "@algorithm(select='spea2', one_objective=True, children=lambda size, options: 3 * size)\n"
        "def own(population, toolbox): return population\n"
        "def plain(population, toolbox): return population\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = declared(onemax(use="own_algorithms:own"), toolbox={})
    assert (own.toolbox["select"].use, own.most_evaluations) == ("spea2", 8 + 5 * 24)
    plain = declared(lotz(use="own_algorithms:plain"), toolbox={})
    assert plain.toolbox["select"].use == "nsga2"
    assert plain.most_evaluations == plain.population * (1 + plain.generations)
    with pytest.raises(ValueError, match=r"own_algorithms:own': it takes one objective, not 2"):
        declared(lotz(use="own_algorithms:own"))


def test_a_bare_name_is_short_for_a_table():
    assert declared(toolbox={"mutate": "shift_gene"}).toolbox["mutate"].options == {
        "gene_probability": 0.05
    }


def test_what_is_not_declared_has_its_default():
    declaration = declared(toolbox={})
    assert {alias: chosen.use for alias, chosen in declaration.toolbox.items()} == {
        "individual": "uniform_random",
        "mate": "uniform",
        "mutate": "reset_gene",
        "select": "tournament",
        "screen": "everyone",
        "map": "processes",
    }


def test_a_resolved_declaration_can_be_declared_again():
    first = declared(stop={"evaluations": 30, "target_fitness": 12})
    text = tomlkit.dumps(first.table())
    again = declare(tomllib.loads(text), PROBLEMS, name="test")
    assert again.table() == first.table()
    assert tomllib.loads(text)["stop"] == {"evaluations": 30, "target_fitness": 12}


@pytest.mark.parametrize(
    ("algorithm", "stop", "most"),
    [
        ({}, {}, 8 + 5 * 7),
        ({"elite": 3}, {}, 8 + 5 * 5),
        ({"use": "eaMuPlusLambda", "offspring": 4}, {}, 8 + 5 * 4),
        ({"use": "nsga2", "offspring": 3}, {}, 8 + 5 * 3),
        ({"use": "nsga2"}, {}, 8 + 5 * 8),
        ({"use": "random_search"}, {}, 8 + 5 * 8),
        ({"generations": 0}, {}, 8),
        ({}, {"evaluations": 20}, 20),
    ],
)
def test_the_budget_is_what_can_be_evaluated_at_most(algorithm, stop, most):
    assert declared(onemax(**algorithm), stop=stop).most_evaluations == most


def test_the_run_s_seed_is_the_problem_s_unless_it_declares_one():
    tables = onemax() | {"seed": 5, "objectives": ["val_accuracy"]}
    given = declare(tables | {"problem": "image_classification"}, PROBLEMS, "test")
    assert given.problem.build().seed == 5
    own = {"use": "image_classification", "seed": 7}
    assert declare(tables | {"problem": own}, PROBLEMS, "test").problem.build().seed == 7


def test_a_problem_is_described_by_all_that_its_measurements_depend_on(tmp_path):
    tables = {
        "dataset": {"use": "fashion_mnist", "root": str(tmp_path), "limit": 100},
        "training": {"epochs": 2},
    }
    chosen = declared(
        onemax() | {"objectives": ["params"]},
        problem={"use": "image_classification", **tables},
    ).problem.build()
    assert isinstance(chosen, ImageClassification)
    identity = described(chosen, identity=True)
    assert "root" not in identity["dataset"]
    assert identity["dataset"]["use"] == "fashion_mnist"
    assert identity["training"]["epochs"] == 2
    assert described(chosen)["dataset"]["root"] == str(tmp_path)


def test_a_part_of_one_s_own_is_described_by_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(
        "from dataclasses import dataclass\n"
        "from problems.datasets import Digits\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Few(Digits):\n"
        "    limit: int = 90\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    problem = {"use": "image_classification", "dataset": {"use": "own_data:Few"}}
    declaration = declared(onemax() | {"objectives": ["params"]}, problem=problem)
    identity = declaration.identity(declaration.problem.build())
    assert identity["use"] == "image_classification"
    assert identity["dataset"]["use"] == "own_data:Few"
    assert identity["dataset"]["limit"] == 90


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "experiment.toml").write_text("seed = ")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name, message in [
        ("experiment.toml", "it is not TOML"),
        ("experimnt.toml", "no such file; did you mean"),
        ("bytes.toml", "it must be saved as UTF-8"),
        ("elsewhere/x.toml", "no such file"),
    ]:
        with pytest.raises(ValueError, match=message):
            load(tmp_path / name, [], PROBLEMS)


def test_a_file_as_an_editor_of_windows_saves_it_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + tomlkit.dumps(onemax()).replace("\n", "\r\n").encode())
    assert load(path, [], PROBLEMS).name == "mine"


def test_any_parameter_of_a_user_s_own_function_can_be_declared(tmp_path, monkeypatch):
    (tmp_path / "own_operators.py").write_text(
        "class Thing: pass\n"
        "def anything(a, b, **options): return a, b\n"
        "def untyped(a, b, rate): return a, b\n"
        "def odd(a, b, thing: Thing = None): return a, b\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name, options in [
        ("anything", {"depth": 3}),
        ("untyped", {"rate": "x"}),
        ("odd", {"thing": 1}),
    ]:
        mate = {"use": f"own_operators:{name}", **options}
        assert declared(toolbox={"mate": mate}).toolbox["mate"].options == options
    with pytest.raises(ValueError, match=r"toolbox\.mate\.rate is missing"):
        declared(toolbox={"mate": "own_operators:untyped"})


def test_a_default_that_is_no_data_is_left_out_of_the_resolved_declaration(tmp_path, monkeypatch):
    (tmp_path / "odd_defaults.py").write_text("def machine(a, b, draw=len, n=2): return a, b\n")
    monkeypatch.syspath_prepend(tmp_path)
    table = declared(toolbox={"mate": "odd_defaults:machine"}).table()
    assert table["toolbox"]["mate"] == {"use": "odd_defaults:machine", "n": 2}


def test_a_user_s_module_that_fails_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_operators.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="importing 'broken_operators' failed: ZeroDivisionError"):
        declared(toolbox={"mate": "broken_operators:f"})


def test_what_is_legal_and_hardly_meant_is_remarked():
    assert not list(declared(lotz()).remarks())
    (lonely,) = declared(lotz(population=1)).remarks()
    assert lonely.startswith("algorithm.population = 1: there is one parent")
    assert not list(declared(lotz(population=1, generations=0)).remarks())
    (other,) = declared(lotz(), toolbox={"select": "tournament"}).remarks()
    assert other.startswith("toolbox.select = 'tournament': in 'nsga2' it decides who survives")


@pytest.mark.parametrize(
    ("algorithm", "search", "select"),
    [
        ("genetic_algorithm", onemax, "tournament"),
        ("eaSimple", onemax, "tournament"),
        ("eaSimple", lotz, "nsga2"),
        ("nsga2", onemax, "nsga2"),
        ("spea2", onemax, "spea2"),
    ],
)
def test_parents_are_drawn_by_a_tournament_unless_it_is_declared(algorithm, search, select):
    tables = search(use=algorithm) | {"toolbox": {}}
    assert declare(tables, PROBLEMS, "test").toolbox["select"].use == select


@pytest.mark.parametrize("select", ["nsga2", "nsga3", "spea2"])
def test_parents_that_are_drawn_once_are_remarked_and_refused_where_they_are_too_few(select):
    tables = onemax() | {"toolbox": {"select": select}}
    (remark,) = declare(tables, PROBLEMS, "test").remarks()
    assert remark.startswith(f"toolbox.select = '{select}': in 'genetic_algorithm' it draws the")
    tables["toolbox"]["screen"] = "interaction_ranker"
    with pytest.raises(ValueError, match=rf"^toolbox\.select = '{select}': .*needs more parents"):
        declare(tables, PROBLEMS, "test")
