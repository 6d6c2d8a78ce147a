"""A typo in a declaration of networks is refused before torch is imported."""

import json
import subprocess
import sys

import pytest

from deap_nas.opening import declared
from problems import PROBLEMS
from tests.conftest import REPOSITORY
from toolbox.shelf import take
from toolbox.signature import signature_of
from toolbox.source_keys import class_of

TYPOS = {
    "fashion_mnist_nsga2": [
        "problem.spacee=1",
        "problem.training.epochz=3",
        "problem.training.augmentation.flp=true",
        "problem.training.optimizer=adm",
        "problem.training.schedule=cosin",
        "problem.dataset=digitz",
        "problem.dataset.sise=3",
        "problem.space.norml=1",
        "problem.gpu.turn_ahead=1",
        "problem.measured=x",
        "objectives=val_acuracy,params",
    ],
    "lightweight_shared_fashion_mnist": [
        "problem.supernet.path=3",
        "problem.supernet.training.epoch=3",
        "problem.gate=kendal_tau",
        "objectives=val_acuracy",
    ],
}
REFUSED = """
import json, sys
from pathlib import Path
from deap_nas.opening import declared
for name, overrides in json.loads(sys.argv[1]).items():
    for override in overrides:
        try:
            declared(Path("experiments", f"{name}.toml"), [override])
        except ValueError as error:
            print(error)
print("torch" in sys.modules)
"""


def test_a_typo_is_refused_without_torch_in_the_words_of_the_check_that_imports_it():
    command = [sys.executable, "-c", REFUSED, json.dumps(TYPOS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    *refused, imported = done.stdout.splitlines()
    assert imported == "False"
    for problem in PROBLEMS.values():
        take(problem, {}, "problem")  # now the source is asked no more
    expected = []
    for name, overrides in TYPOS.items():
        for override in overrides:
            with pytest.raises(ValueError, match=r"problem\.|objectives") as error:
                declared(REPOSITORY / "experiments" / f"{name}.toml", [override])
            expected.append(str(error.value))
    assert refused == expected


@pytest.mark.parametrize("use", PROBLEMS.values())
def test_the_source_tells_every_key_of_a_problem_and_of_what_it_holds(use):
    seen = []
    waiting = [(class_of(use), take(use, {}, "problem"))]
    while waiting:
        source, cls = waiting.pop()
        if cls in seen:
            continue
        seen.append(cls)
        parameters, _ = signature_of(cls)
        assert [name for name, one in source.fields.items() if one.declared] == list(parameters)
        for name, parameter in parameters.items():
            field = source.fields[name]
            assert (field.shelf is None) == (parameter.shelf is None), name
            if parameter.shelf is not None:
                assert list(field.shelf) == list(parameter.shelf)
                waiting += [
                    (held, take(key, parameter.shelf, name)) for key, held in field.shelf.items()
                ]
            elif field.nested:
                waiting.append((field.nested, parameter.annotation))
    assert seen


def test_only_the_keys_that_add_names_let_an_unknown_objective_wait_for_the_import():
    classification = class_of(PROBLEMS["image_classification"])
    assert "measure" in classification.read_by("quantities")
    assert "training" not in classification.read_by("quantities")
    assert class_of(PROBLEMS["weight_sharing"]).read_by("quantities") == (
        classification.read_by("quantities")
    )
    assert class_of(PROBLEMS["tabular"]).read_by("quantities") is None
