"""Hooks that answer wrongly are told in one line before anything is evaluated."""

import math
import re

import pytest

from problems.spaces.gene import Gene
from toolbox.assemble import rehearse
from toolbox.declaration import declare
from toolbox.operator_error import OperatorError
from toolbox.problem import adapted


class Bag:
    genes = tuple(Gene(f"thing{number}", (False, True)) for number in range(6))

    def decode(self, genome):
        return "".join("x" if packed else "." for packed in genome)


class Packing:
    """Which of six things are packed; what is asked of it may be replaced."""

    measures = ("weight_kg",)

    def __init__(self, space=None, **answers):
        self.space = space or Bag()
        vars(self).update(answers)

    def known(self, genome):
        return {"weight_kg": float(sum(genome))}

    def evaluate(self, genome):
        return self.known(genome)


TABLES = {
    "objectives": [{"use": "measured", "name": "weight_kg", "direction": "minimize", "worst": 9.0}],
    "bounds": {"weight_kg": 5},
    "problem": {"use": "packing"},
    "toolbox": {"map": "serial", "select": "tournament"},
    "algorithm": {"use": "genetic_algorithm", "population": 4, "generations": 1},
}
DECLARATION = declare(TABLES, {"packing": Packing}, name="packing")


def space(**answers):
    return type("Own", (Bag,), answers)()


def test_a_problem_whose_hooks_answer_rightly_passes():
    rehearse(DECLARATION, Packing())


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Packing(known=lambda genome: {"weight_kg": math.nan}), "problem.known: it returned {'we"),
        (Packing(known=lambda genome: {"weight_kg": "heavy"}), "problem.known: it returned {'we"),
        (Packing(known=lambda genome: None), "problem.known: it returned None; a dict of finite"),
        (Packing(known=lambda genome: 1 / 0), "problem.known: ZeroDivisionError: division by"),
        (Packing(cost=lambda genome: "much"), "problem.cost: it returned 'much'; a finite number"),
        (Packing(layers=lambda genome: [{"size": 3}]), "problem.layers: a layer of it is {'size"),
        (Packing(layers=lambda genome: [][0]), "problem.layers: IndexError: list index out of"),
        (Packing(quantities={"weight_kg": {"unti": "kg"}}), "problem.quantities.weight_kg.unti: u"),
        (Packing(space(genes=())), "problem.space: it has no genes"),
        (Packing(space(genes=(Gene("a", ()),))), "problem.space: its gene 'a' has no choices"),
        (
            Packing(space(genes=([1, 2], [3, 4]))),
            "problem.space: genes[0] is [1, 2], which has no 'name'; an object with a name and its",
        ),
        (
            Packing(space(genes=(Gene("a", (1, 2)), Gene("a", (3, 4))))),
            "problem.space: its gene 'a' has the name of genes[0]; each needs its own",
        ),
        (
            Packing(space(genes=(Gene("a", {"x", "y"}),))),
            "problem.space: its gene 'a' has a set of choices; a list or a tuple is needed",
        ),
        (
            Packing(space(genes=(Gene("a", {"x": 1, "y": 2}),))),
            "problem.space: its gene 'a' has a dict of choices; a list or a tuple is needed",
        ),
        (
            Packing(space(genes=(Gene("a", (number for number in range(3))),))),
            "problem.space: its gene 'a' has a generator of choices; a list or a tuple is needed",
        ),
        (
            Packing(space(genes=(Gene("a", range(10**9)),))),
            "problem.space: its gene 'a' has 1,000,000,000 choices; at most 10,000 are legal",
        ),
        (
            Packing(space(decode=lambda self, genome: genome[0])),
            "problem.space.decode: it returned",
        ),
        (
            Packing(space(canonical=lambda self, genome: [0])),
            "problem.space.canonical: it returned",
        ),
        (
            Packing(space(decode=lambda self, genome: str(genome[:-1]))),
            "problem.space: gene 'thing5' changes weight_kg from",
        ),
        (
            Packing(space(canonical=lambda self, genome: [0, *genome[1:]])),
            "problem.space: gene 'thing0' changes weight_kg from",
        ),
    ],
)
def test_a_hook_that_answers_wrongly_is_told_before_a_search(problem, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}.*$"):
        rehearse(DECLARATION, problem)


@pytest.mark.parametrize("backend", ["processes", "ray"])  # scoop must be begun by itself
def test_a_problem_that_cannot_travel_is_told_before_a_search(backend):
    problem = Packing()
    problem.note = lambda: None  # as a file or a connection that it keeps open
    declaration = declare(TABLES | {"toolbox": {"map": backend}}, {"packing": Packing}, "packing")
    with pytest.raises(OperatorError, match="the problem cannot be sent to another process"):
        rehearse(declaration, problem)
    rehearse(DECLARATION, problem)


def test_what_a_hook_raises_later_is_told_with_its_line():
    known = adapted(Packing(known=lambda genome: {"weight_kg": 1 / genome[0]})).known
    assert known([1]) == {"weight_kg": 1.0}
    with pytest.raises(OperatorError, match=r"ZeroDivisionError: .* \(test_hook_answers.py, line"):
        known([0])


def own(**answers):
    """A declaration with an objective of somebody's own that answers so, or with an operator."""
    objective = {"use": f"{__name__}:{answers['objective']}", "direction": "maximize", "worst": 0.0}
    return declare({**TABLES, "objectives": [objective]}, {"packing": Packing}, name="packing")


def says_text(measurement):
    return "heavy"


def says_nothing(measurement):
    pass


@pytest.mark.parametrize(
    ("objective", "kind"), [("says_text", "str"), ("says_nothing", "NoneType")]
)
def test_an_objective_that_returns_no_number_is_told_before_a_search(objective, kind):
    with pytest.raises(
        ValueError, match=rf"^objectives\[0\] = .*: it returned a {kind} of made-up"
    ):
        rehearse(own(objective=objective), Packing())


def always_outside(individual):
    individual[0] = 7
    return (individual,)


def test_an_operator_whose_children_never_belong_to_the_space_is_pointed_out(caplog):
    toolbox = {**TABLES["toolbox"], "mutate": f"{__name__}:always_outside"}
    declaration = declare({**TABLES, "toolbox": toolbox}, {"packing": Packing}, name="packing")
    rehearse(declaration, Packing())
    assert "toolbox.mutate = 'tests.toolbox.test_hook_answers:always_outside': none of 100" in (
        caplog.text
    )


def extinct(population, toolbox):
    raise RuntimeError("extinct")


def test_an_algorithm_that_fails_is_told_in_one_line():
    algorithm = {**TABLES["algorithm"], "use": f"{__name__}:extinct"}
    declaration = declare({**TABLES, "algorithm": algorithm}, {"packing": Packing}, name="packing")
    with pytest.raises(OperatorError, match=r"^algorithm: RuntimeError: extinct \(test_hook_ans"):
        rehearse(declaration, Packing())
