"""A problem is whatever has a space and an evaluation; every other hook has a default."""

import logging
import pickle
import re

import pytest

from problems.spaces.gene import Gene
from tests.conftest import REPOSITORY, Run, onemax
from toolbox.problem import HOOKS, Problem, adapted, own
from toolbox.space import HOOKS as SPACE_HOOKS


class Least:
    """The space that has nothing but what is required."""

    genes = tuple(Gene(f"gene{number}", (1, 2, 4)) for number in range(4))

    def decode(self, genome):
        return "-".join(str(self.genes[0].choices[index]) for index in genome)


class Summing:
    """The problem that has nothing but what is required."""

    space = Least()

    def evaluate(self, genome):
        return {"ones": sum(genome)}


def tables(**toolbox):
    return onemax() | {"problem": "mine", "toolbox": {"map": "serial", **toolbox}}


def test_every_hook_has_a_default():
    problem = adapted(Summing())
    for name in HOOKS:
        getattr(problem, name)
    assert problem.known([0]) == {}
    assert problem.preview([0]) == {}
    assert problem.budget(1200) == "1,200 evaluations"
    assert problem.prepared() is problem.in_folder(None) is problem.on_worker(3) is problem
    assert (problem.measures, problem.epochs, problem.threads) == (None, None, 1)
    for name in SPACE_HOOKS:
        getattr(problem.space, name)
    assert problem.features([0, 0, 0, 0]) == ()
    assert problem.space.slots[3] == slice(3, 4)
    assert problem.space.violation([0, 0, 0, 0]) == ""
    with pytest.raises(ValueError, match="it has no method 'encode'"):
        problem.space.encode("1-1")


def test_a_hook_of_the_users_own_takes_the_place_of_the_default_and_of_what_rests_on_it():
    class Knowing(Summing):
        def known(self, genome):
            return {"params": 7}

    assert adapted(Knowing()).preview([0]) == {"params": 7}


def test_an_adapted_problem_is_adapted_once_and_survives_pickling():
    mine = Summing()
    problem = adapted(mine)
    assert adapted(problem) is problem
    assert own(problem) is mine
    again = pickle.loads(pickle.dumps(problem))
    assert isinstance(own(again), Summing)
    assert again.evaluate([1, 2]) == {"ones": 3}


def test_a_problem_that_inherits_from_the_contract_needs_no_adapter():
    class Inheriting(Problem):
        space = Least()

        def evaluate(self, genome):
            return {"ones": sum(genome)}

    assert own(adapted(Inheriting())).threads == 1


def test_another_form_of_the_problem_has_every_hook_too():
    class Preparing(Summing):
        def prepared(self):
            return Summing()

    assert adapted(Preparing()).prepared().at_once == 1


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (type("A", (), {"evalute": 1, "space": Least()}), "no 'evaluate'.*did you mean 'evalute'"),
        (type("A", (), {"evaluate": 1}), "problem = A: it has no 'space'"),
    ],
)
def test_what_is_required_is_asked_for_in_one_line(cls, message):
    with pytest.raises(ValueError, match=message) as refused:
        adapted(cls())
    assert "\n" not in str(refused.value)


def test_a_space_without_genes_is_refused_in_one_line():
    class Bare(Summing):
        space = object()

    with pytest.raises(ValueError, match=r"problem\.space = object: it has no 'genes'"):
        adapted(Bare()).space  # noqa: B018


def test_a_name_that_is_nearly_a_hook_is_pointed_out(caplog):
    class Misspelt(Summing):
        def prepare(self):
            return self

    with caplog.at_level(logging.WARNING):
        adapted(Misspelt())
        adapted(Misspelt())
    assert caplog.text.count("nothing asks for its 'prepare'; did you mean 'prepared'?") == 1


@pytest.mark.parametrize(
    "toolbox",
    [
        {"mate": {"use": "swap_parts"}},
        {"mate": {"use": "one_point", "between": "layers"}},
        {"mate": {"use": "two_point"}},
        {"mutate": {"use": "reset_part"}},
        {"mutate": {"use": "layer_from_population"}},
        {"mutate": {"use": "shift_gene"}},
    ],
    ids=lambda table: "-".join(next(iter(table.values())).values()),
)
def test_every_operator_works_in_a_space_that_has_only_what_is_required(toolbox):
    run = Run(tables(**toolbox), problems={"mine": Summing})
    assert len(run.generations) == 6


def test_no_other_file_looks_for_hooks():
    """`hasattr` and `getattr` with a hook's name stand in toolbox/hooks.py alone."""
    hook = "|".join(sorted(HOOKS | SPACE_HOOKS))
    asking = re.compile(rf"(?:hasattr|getattr)\([^()]*(?:\(\))?,\s*[\"'](?:{hook})[\"']")
    rooms = [REPOSITORY / name for name in ("toolbox", "deap_nas")]
    files = [*(file for room in rooms for file in room.rglob("*.py")), REPOSITORY / "run_search.py"]
    found = {
        f"{file.name}: {match.group()}"
        for file in files
        for match in asking.finditer(file.read_text(encoding="utf-8"))
        # A backend asks a function how many jobs it takes; that is no problem.
        if "function" not in match.group()
    }
    assert not found
