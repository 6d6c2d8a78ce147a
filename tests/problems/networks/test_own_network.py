"""A function's typed parameters as genes."""

import json
import pickle
from enum import Enum
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Interval, Le, Len, MaxLen, MinLen
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from problems.image_classification import ImageClassification
from problems.networks.own_network import OwnNetwork
from problems.networks.plan import as_data, from_data, imports_of, plan_of
from toolbox.signature import choose, described

Width = Literal[4, 8, 16]
Kernels = Annotated[tuple[Literal[1, 3], ...], MinLen(1), MaxLen(3)]
CALLS = []


def build(
    image_shape,
    classes,
    width: Width,
    skip: bool,
    kernels: Kernels,
    pool: Literal["max", "mean pool", "none", "3"] | None,
    rate: float = 0.1,
):
    CALLS.append({"width": width, "skip": skip, "kernels": kernels, "pool": pool, "rate": rate})
    if width == 4 and skip:
        raise ValueError("a width of 4 has no shortcut")
    channels, height, wide = image_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * wide, classes))


def ranges(
    image_shape,
    classes,
    depth: Annotated[int, Ge(2), Le(4)],
    groups: Annotated[int, Interval(gt=0, lt=3)],
    pair: Annotated[list[bool], Len(2, 2)],
):
    assert isinstance(pair, list)
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


class Activation(Enum):
    RELU = nn.ReLU
    GELU = nn.GELU


class Gated(Enum):
    GLU = nn.GLU


def members(
    image_shape,
    classes,
    activation: Activation | Gated | Literal["plain"] | None,
    each: tuple[Activation, Activation],
    sizes: tuple[Literal[3, 5], Literal[3, 5], Literal[3, 5]],
):
    CALLS.append({"activation": activation, "each": each, "sizes": sizes})
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def two_kinds(image_shape, classes, pair: tuple[Width, bool]):
    pass


def nothing(image_shape, classes, pair: tuple[()]):
    pass


def unannotated(image_shape, classes, width):
    pass


def without_genes(image_shape, classes):
    pass


def endless(image_shape, classes, widths: tuple[Width, ...]):
    pass


def no_shape(classes, width: Width):
    pass


USE = f"{__name__}:build"


def of(**options):
    return OwnNetwork.of(USE, build, options)


def names(space):
    return {gene.name: gene.choices for gene in space.genes}


def test_typed_parameters_are_genes():
    assert names(of()) == {
        "width": (4, 8, 16),
        "skip": (False, True),
        "kernels.length": (1, 2, 3),
        "kernels.1": (1, 3),
        "kernels.2": (1, 3),
        "kernels.3": (1, 3),
        "pool": ("max", "mean pool", "none", "3", None),
    }
    space = OwnNetwork.of(f"{__name__}:ranges", ranges, {})
    assert names(space) == {
        "depth": (2, 3, 4),
        "groups": (1, 2),
        "pair.1": (False, True),
        "pair.2": (False, True),
    }
    assert isinstance(space.module([0] * 4), nn.Sequential)


def test_members_of_an_enum_are_passed_and_their_names_are_the_choices():
    use = f"{__name__}:members"
    space = OwnNetwork.of(use, members, {})
    assert names(space) == {
        "activation": ("RELU", "GELU", "GLU", "plain", None),
        **dict.fromkeys(("each.1", "each.2"), ("RELU", "GELU")),
        **dict.fromkeys(("sizes.1", "sizes.2", "sizes.3"), (3, 5)),
    }
    genome = [1, 0, 1, 0, 0, 1]
    architecture = "activation=GELU each=2: RELU GELU sizes=3: 3 3 5"
    assert space.decode(genome) == architecture
    assert space.encode(architecture) == genome
    CALLS.clear()
    space.module(genome)
    relu, gelu = Activation
    assert CALLS[-1] == {"activation": gelu, "each": (relu, gelu), "sizes": (3, 3, 5)}
    for choice, passed in ((2, Gated.GLU), (3, "plain"), (4, None)):
        space.module([choice, *genome[1:]])
        assert CALLS[-1]["activation"] == passed
    fixed = OwnNetwork.of(use, members, {"activation": "RELU", "each": ["GELU", "GELU"]})
    fixed.module([0, 0, 1])
    assert CALLS[-1] == {"activation": relu, "each": (gelu, gelu), "sizes": (3, 3, 5)}
    plan = plan_of(fixed, [0, 0, 1])
    again = from_data(json.loads(json.dumps(as_data(plan))), (1, 4, 4), 10, imports_of(plan))
    assert again == plan
    with pytest.raises(
        ValueError, match=r"legal: RELU, GELU, GLU, plain, none; did you mean 'RELU'\?$"
    ):
        OwnNetwork.of(use, members, {"activation": "RELO"})


def test_an_architecture_reads_as_its_values():
    genome = [1, 1, 1, 1, 0, 1, 1]
    assert of().decode(genome) == 'width=8 skip=yes kernels=2: 3 1 pool="mean pool"'
    assert of().canonical(genome) == [1, 1, 1, 1, 0, 0, 1]
    assert of().values(genome) == {
        "width": 8, "skip": True, "kernels": (3, 1), "pool": "mean pool", "rate": 0.1,
    }  # fmt: skip


@settings(deadline=None)  # the first network is counted in a second
@given(st.data())
def test_what_was_decoded_is_encoded_as_the_canonical_genome(data):
    space = of()
    genome = [data.draw(st.integers(0, len(gene.choices) - 1)) for gene in space.genes]
    canonical = space.canonical(genome)
    assert space.canonical(canonical) == canonical
    assert space.decode(canonical) == space.decode(genome)
    assert space.values(canonical) == space.values(genome)
    if not space.violation(genome):
        assert space.encode(space.decode(genome)) == canonical


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("width=8 skip=yes kernels=1: 3", "pool has 0 values where 1 is needed"),
        ("width=9 skip=yes kernels=1: 3 pool=max", "width=9 .* legal: 4, 8, 16"),
        ("width=8 skip=yes kernels=4: 3 3 3 3 pool=max", "kernels=4 .* legal: 1, 2, 3"),
        ("width=8 skip=yes kernels=2: 3 pool=max", "kernels has 1 values where 2 are needed"),
        ("width=8 width=8", "width stands there twice"),
        ("width=8 skip=yes kernels=1: 3 pool=max wide=3", "'wide' .* did you mean 'width'"),
        ("width=4 skip=yes kernels=1: 3 pool=max", "a width of 4 has no shortcut"),
    ],
)
def test_an_architecture_that_is_none_is_told(architecture, reason):
    with pytest.raises(ValueError, match=reason):
        of().encode(architecture)


def test_keys_narrow_and_fix():
    space = of(width=[16, 4], skip=True, kernels={"length": 2, "each": [3]}, pool="none", rate=0.5)
    assert names(space) == {"width": (4, 16), "kernels.1": (3,), "kernels.2": (3,)}
    assert space.values([1, 0, 0]) == {
        "width": 16, "skip": True, "kernels": (3, 3), "pool": "none", "rate": 0.5,
    }  # fmt: skip
    assert of(kernels=[1, 3]).values([0, 0, 0])["kernels"] == (1, 3)


def test_a_number_of_a_function_is_searched_in_a_range():
    space = of(
        width={"between": [4, 16], "scale": "log", "values": 3}, skip=True, kernels=[3],
        pool="max", rate={"between": [0, 0.5], "values": 3},
    )  # fmt: skip
    assert names(space) == {"width": (4, 8, 16), "rate": (0.0, 0.25, 0.5)}
    assert space.decode([1, 2]) == "width=8 rate=0.5"
    assert space.encode("width=16 rate=0.25") == [2, 1]
    assert space.values([0, 1])["rate"] == 0.25
    assert space.declared()["rate"] == {"between": [0, 0.5], "values": 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": 4}, r"^widht = 4: unknown key; .*did you mean 'width'\?$"),
        ({"width": 5}, r"^width = 5: it is none of the choices"),
        ({"width": [4, 5]}, r"^width = \[4, 5\]: it is none of the choices"),
        ({"width": [4, 4]}, r"^width = \[4, 4\]: one or more different choices"),
        ({"width": []}, r"^width = \[\]: one or more different choices"),
        ({"skip": 1}, r"^skip = 1: it is none of the choices; legal: no, yes$"),
        ({"rate": "a"}, r"^rate = 'a': a float is needed$"),
        ({"kernels": [1, 1, 1, 1]}, r"^kernels = \[1, 1, 1, 1\]: 1 to 3 values are needed"),
        ({"kernels": 3}, r"^kernels = 3: a list of values is needed"),
        ({"kernels": {"length": 4}}, r"^kernels.length = \[4\]: it is none of the choices"),
        ({"kernels": {"among": [1, 3]}}, r"^kernels = .*: it has several values; say \{ each ="),
        ({"rate": {"between": [0.5, 0.1]}}, r"^rate = .*: between needs two numbers, the lowest"),
        ({"rate": {"among": ["a", "b"]}}, r"^rate = .*: a float is needed$"),
        ({"rate": {"among": [0.1, 0.1]}}, r"^rate = .*: 0.1 stands there twice$"),
        (
            {"width": {"between": [4, 6]}},
            r"^width = .*: it is none of the choices; legal: 4, 8, 16$",
        ),
    ],
)
def test_a_key_that_is_wrong_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        of(**options)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unannotated, "its parameter 'width' is no gene; annotate it as Literal"),
        (without_genes, "no parameter is left to search"),
        (nothing, "its parameter 'pair' is no gene; annotate it as Literal"),
        (two_kinds, "its parameter 'pair' is no gene; annotate it as Literal"),
        (endless, r"its parameter 'widths' has 0 to None values; annotate it as .*MaxLen\(4\)"),
        (no_shape, "it has no parameter 'image_shape'"),
    ],
)
def test_a_function_that_is_no_space_is_told(function, message):
    use = f"{__name__}:{function.__name__}"
    with pytest.raises(ValueError, match=f"^use = '{use}': {message}"):
        OwnNetwork.of(use, function, {})


def test_a_declaration_names_the_function_and_is_written_as_it_was():
    table = {"use": USE, "width": [4, 8], "kernels": {"length": [1, 2]}}
    problems = {"image_classification": ImageClassification}
    chosen = choose({"use": "image_classification", "space": table}, problems, "problem")
    problem = chosen.build()
    assert problem.space.image_shape == problem.dataset.image_shape
    assert described(problem, identity=True)["space"] == table
    assert described(chosen)["space"] == table


def test_a_space_travels_small():
    space = of(width=[4, 8])
    _ = space.slots, space.parts
    again = pickle.loads(pickle.dumps(OwnNetwork.of(USE, build, {"width": [4, 8]})))
    assert (again, again.genes) == (space, space.genes)
    assert len(pickle.dumps(space)) < 3_000


def test_values_that_belong_together_are_parts_of_their_own():
    parts = of().parts
    assert parts == {"genes": ((0,), (1,), (2,), (6,)), "kernels": ((3,), (4,), (5,))}
