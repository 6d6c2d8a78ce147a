import re

import pytest

from problems import PROBLEMS
from toolbox.declaration import declare
from toolbox.overrides import TABLES, override

SELECT = {"toolbox": {"select": {"use": "tournament", "size": 5}}}


@pytest.mark.parametrize(
    ("texts", "before", "after"),
    [
        (["seed=3"], {}, {"seed": 3}),
        (["a.b=[1, 2]"], {}, {"a": {"b": [1, 2]}}),
        (["a.use=text"], {"a": {"use": "old", "n": 1}}, {"a": {"use": "text", "n": 1}}),
        (['a={use="m:f", n=2}'], {"a": "old"}, {"a": {"use": "m:f", "n": 2}}),
        (["a.n=0.5"], {"a": "name"}, {"a": {"use": "name", "n": 0.5}}),
        (["a=two words"], {}, {"a": "two words"}),
        (["a=1\nb=2"], {}, {"a": "1\nb=2"}),
        (["toolbox.select=tournament", "toolbox.select.size=5"], {}, SELECT),
        (["toolbox.select.use=tournament", "toolbox.select.size=5"], {}, SELECT),
        (["toolbox.select={use=tournament, size=5}"], {}, SELECT),
        (["objectives=params"], {}, {"objectives": ["params"]}),
        (["objectives=val_accuracy,params"], {}, {"objectives": ["val_accuracy", "params"]}),
        (["objectives=[val_accuracy, params]"], {}, {"objectives": ["val_accuracy", "params"]}),
        (
            ["objectives.1.n=5"],
            {"objectives": ["a", "b"]},
            {"objectives": ["a", {"use": "b", "n": 5}]},
        ),
        (["stop.target_fitness=0.9,1000"], {}, {"stop": {"target_fitness": [0.9, 1000]}}),
        (["a.root=C:\\new\\photos"], {}, {"a": {"root": "C:\\new\\photos"}}),
        (['a.root="C:\\new\\photos"'], {}, {"a": {"root": "C:\\new\\photos"}}),
        (['a.root="C:\\\\new"'], {}, {"a": {"root": "C:\\new"}}),
        (["a.root=/data/one,two"], {}, {"a": {"root": "/data/one,two"}}),
        (["a={x=true, y=-inf, z=1e3, w='b c'}"], {}, None),
    ],
)
def test_an_override_sets_what_it_addresses(texts, before, after):
    for text in texts:
        override(before, text)
    wanted = {"a": {"x": True, "y": float("-inf"), "z": 1e3, "w": "b c"}}
    assert before == (wanted if after is None else after)


@pytest.mark.parametrize("text", ["seed", "=3", "a..b=3", "seed.x=3", "objectives.2.x=3"])
def test_an_override_that_addresses_nothing_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        override({"seed": 1, "objectives": ["a"]}, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "toolbox.select={use=tournament size=5",
            r"taken its quotes; without a table: toolbox.select.use=",
        ),
        (
            'problem.dataset={use="image_folder", root="C:\\Users\\me"}',
            r"backslash in .* without a table: problem.dataset.use=image_folder "
            r"problem.dataset.root=C:\\Users\\me$",
        ),
        ("objectives=[val_accuracy, params", r"without brackets: objectives=A,B$"),
        ("--seed", r"without dashes$"),
        ("params", r'if the shell has split it at a comma, quote the whole: "key=a,b"$'),
    ],
)
def test_what_a_shell_has_spoilt_is_told_with_a_form_that_works(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        override({}, text)
    assert "\n" not in str(caught.value)


def test_the_tables_are_those_of_a_declaration():
    with pytest.raises(ValueError, match="legal: ") as caught:
        declare({"nothing": 1}, PROBLEMS, "x")
    legal = str(caught.value).partition("legal: ")[2].partition(";")[0]
    assert tuple(legal.split(", ")) == TABLES
