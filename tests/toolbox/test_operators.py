"""Properties that hold for every operator on every space."""

import json
import random

import numpy
import pytest
from deap import tools
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.spaces.bit_string import BitString
from problems.spaces.conv_chain import ConvPoolFc, PlainCnn, PooledCnn
from problems.spaces.layer_string import LayerString
from toolbox.archive import Archive
from toolbox.crossover import CROSSOVERS, one_point, swap_parts, two_point, uniform
from toolbox.evaluation import Evaluator
from toolbox.guarded_toolbox import GuardedToolbox
from toolbox.individual import Individual
from toolbox.initialization import INITIALIZATIONS, seeded, uniform_random
from toolbox.judge import Judge
from toolbox.mutation import (
    MUTATIONS,
    layer_from_population,
    reset_gene,
    reset_part,
    shift_gene,
)
from toolbox.networks import Networks
from toolbox.operator_error import OperatorError
from toolbox.problem import adapted
from toolbox.signature import choose

SPACES = {
    "bit_string": BitString(6),
    "conv_pool_fc": ConvPoolFc(),
    "layer_string": LayerString(),
    "plain_cnn": PlainCnn(),
    "pooled_cnn": PooledCnn(),
    "small images": LayerString(image_shape=(1, 12, 12), normal=(0, 2)),
}
seeds = st.integers(0, 2**32)


class Unmeasured:
    """A problem that is never evaluated."""

    def __init__(self, space):
        self.space = space

    def evaluate(self, genome):
        raise AssertionError("nothing is evaluated here")


def toolbox_for(space):
    networks = Networks(adapted(Unmeasured(space)), Judge([]), Archive({}))
    return GuardedToolbox(Evaluator(networks))


def drawn(space):
    return Individual(uniform_random(space), weights=(1.0,))


def register(toolbox, alias, shelf, name, positional, population=()):
    chosen = choose(name, shelf, alias, positional, given={"space", "population"})
    given_ = {"space": toolbox.space, "population": population}
    toolbox.register(alias, chosen.target, **chosen.arguments(given_))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", CROSSOVERS)
@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_children_of_a_crossover_belong_to_the_space_and_parents_stay(space, name, seed):
    random.seed(seed)
    toolbox = toolbox_for(space)
    register(toolbox, "mate", CROSSOVERS, name, positional=2)
    parents = [drawn(space), drawn(space)]
    before = [list(parent) for parent in parents]
    children = toolbox.mate(*map(toolbox.clone, parents))
    assert [list(parent) for parent in parents] == before
    assert len(children) == 2
    assert all(space.violation(child) == "" for child in children)
    for position in range(len(space.genes)):
        either = {parent[position] for parent in parents}
        assert {child[position] for child in children} <= either


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", MUTATIONS)
@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_children_of_a_mutation_belong_to_the_space_and_the_parent_stays(space, name, seed):
    random.seed(seed)
    toolbox = toolbox_for(space)
    population = [drawn(space) for _ in range(4)]
    register(toolbox, "mutate", MUTATIONS, name, positional=1, population=population)
    parent = drawn(space)
    before = list(parent)
    (child,) = toolbox.mutate(toolbox.clone(parent))
    assert parent == before
    assert space.violation(child) == ""


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_a_drawn_genome_belongs_to_the_space(space, seed):
    random.seed(seed)
    genome = uniform_random(space)
    assert space.violation(genome) == ""
    assert space.encode(space.decode(genome)) == space.canonical(genome)


@pytest.mark.parametrize("mutate", [reset_gene, shift_gene])
def test_probability_0_is_identity_and_1_changes_every_gene_that_can_change(mutate):
    space = LayerString(kernels=(3,))
    for genome in ([0] * 21, [1] * 2 + [0] * 19):
        assert mutate(list(genome), space, gene_probability=0.0) == (genome,)
        (changed,) = mutate(list(genome), space, gene_probability=1.0)
        kept = [
            gene.name for gene, a, b in zip(space.genes, genome, changed, strict=True) if a == b
        ]
        assert kept == [f"layer{number}.kernel" for number in range(1, 6)]


def test_a_shifted_gene_moves_to_a_neighbour():
    space = LayerString()
    filters = [number for number, gene in enumerate(space.genes) if gene.name.endswith("filters")]
    for start in range(8):
        genome = [start if number in filters else 0 for number in range(21)]
        (shifted,) = shift_gene(genome, space, gene_probability=1.0)
        assert all(abs(shifted[number] - start) == 1 for number in filters)
        assert all(0 <= shifted[number] < 8 for number in filters)


def test_uniform_crossover_with_probability_0_is_identity_and_with_1_swaps_all():
    assert uniform([0, 0], [1, 1], swap_probability=0.0) == ([0, 0], [1, 1])
    assert uniform([0, 0], [1, 1], swap_probability=1.0) == ([1, 1], [0, 0])


@given(seed=seeds)
def test_a_cut_between_layers_keeps_layers_together(seed):
    random.seed(seed)
    space = LayerString()
    for operator in (one_point, two_point):
        a, b = operator([0] * 21, [1] * 21, space, between="layers")
        for slot in space.slots:
            assert len(set(a[slot])) == 1
            assert len(set(b[slot])) == 1


def test_a_genome_too_short_to_cut_is_left_alone():
    assert one_point([0], [1], BitString(1)) == ([0], [1])
    assert two_point([0, 0], [1, 1], BitString(2)) == ([0, 0], [1, 1])


def test_a_layer_comes_from_the_population():
    space = LayerString()
    (child,) = layer_from_population([0] * 21, space, population=[[1] * 21])
    changed = [slot for slot in space.slots if set(child[slot]) == {1}]
    assert len(changed) == 1
    assert sum(child) == 4
    assert layer_from_population([0] * 21, space, population=[]) == ([0] * 21,)


def test_seeded_starts_from_given_architectures_and_goes_on_at_random():
    space = BitString(3)
    assert seeded(space, 0, ["101", "111"]) == [1, 0, 1]
    assert seeded(space, 1, ["101", "111"]) == [1, 1, 1]
    assert space.violation(seeded(space, 2, ["101", "111"])) == ""
    assert set(INITIALIZATIONS) == {"seeded", "uniform_random"}


def test_a_space_without_networks_is_refused():
    with pytest.raises(ValueError, match="none of 10,000 random genomes is a network"):
        uniform_random(LayerString(image_shape=(1, 4, 4), kernels=(5,)))


def test_a_child_outside_the_space_is_drawn_again():
    space = LayerString()
    toolbox = toolbox_for(space)
    draws = iter(["RC", "RC", "NC"])

    def set_kind(individual):
        individual[0] = space.kinds.index(next(draws))
        return (individual,)

    toolbox.register("mutate", set_kind)
    parent = Individual(space.encode("NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;"), (1.0,))
    (child,) = toolbox.mutate(parent)
    assert space.decode(child) == "NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;"
    assert toolbox.redrawn["mutate"] == 2


def test_an_operator_that_never_stays_in_the_space_leaves_its_parents():
    space = BitString(3)
    toolbox = toolbox_for(space)

    def leave(a, b):
        a[0] = b[0] = 9
        return a, b

    toolbox.register("mate", leave)
    a, b = Individual([0, 0, 0], (1.0,)), Individual([1, 1, 1], (1.0,))
    assert toolbox.mate(a, b) == (a, b)
    assert (a, b) == ([0, 0, 0], [1, 1, 1])


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (lambda individual: individual, "must return a tuple of 1"),
        (lambda individual: (individual, individual), "must return a tuple of 1"),
        (lambda individual: None, "must return a tuple of 1"),
        (lambda individual: ([0, 0],), "returned 2 genes; this space has 3"),
        (lambda individual: ([0, 0, 0],), r"returned \[0, 0, 0\], which is no individual"),
        (lambda individual: ((0, 0, 0),), r"returned \(0, 0, 0\); a list of genes is needed"),
        (lambda individual: (None,), "returned None; a list of genes is needed"),
        (lambda individual: ([0, 0.5, 0],), "bit2 = 0.5; genes are integers"),
    ],
)
def test_an_operator_that_breaks_its_contract_is_named(operator, message):
    toolbox = toolbox_for(BitString(3))
    toolbox.register("mutate", operator)
    with pytest.raises(OperatorError, match=message):
        toolbox.mutate(Individual([0, 0, 0], (1.0,)))


def test_whole_numbers_of_numpy_become_plain_genes():
    """As of an operator that draws with numpy; they could not be written as JSON."""
    toolbox = toolbox_for(BitString(3))

    def flip(individual):
        individual[1] = numpy.int64(1)
        individual[2] = numpy.bool_(True).astype(int)
        return (individual,)

    toolbox.register("mutate", flip)
    (child,) = toolbox.mutate(Individual([0, 0, 0], (1.0,)))
    assert json.dumps(child) == "[0, 1, 1]"


def test_deap_s_own_operators_fit_as_they_are():
    toolbox = toolbox_for(BitString(6))
    toolbox.register("mate", tools.cxTwoPoint)
    toolbox.register("mutate", tools.mutFlipBit, indpb=1.0)
    parent = Individual([0] * 6, (1.0,))
    assert toolbox.mutate(toolbox.clone(parent)) == ([1] * 6,)
    children = toolbox.mate(toolbox.clone(parent), Individual([1] * 6, (1.0,)))
    assert sum(map(sum, children)) == 6


A = ConvPoolFc()
DEEP = "conv 16k3 32k3 64k3 | pool max | activation relu | fc 64"
SHALLOW = "conv 128k7 | pool average | activation leaky_relu | fc 512"


def test_swapped_depth_cuts_one_parent_and_fills_the_other():
    deep, shallow = swap_parts(A.encode(DEEP), A.encode(SHALLOW), A, ["depth"], 1.0)
    assert A.decode(deep) == "conv 16k3 | pool max | activation relu | fc 64"
    assert A.decode(shallow).startswith("conv 128k7 16k3 16k3 | pool average")


def test_swapped_wiring_goes_together():
    deep, shallow = swap_parts(A.encode(DEEP), A.encode(SHALLOW), A, ["wiring"], 1.0)
    assert A.decode(deep) == DEEP.replace("max", "average").replace("relu", "leaky_relu")
    assert A.decode(shallow) == SHALLOW.replace("average", "max").replace("leaky_relu", "relu")


def test_swap_parts_with_probability_0_is_identity_and_with_1_and_every_kind_swaps_all():
    a, b = A.encode(DEEP), A.encode(SHALLOW)
    assert swap_parts(list(a), list(b), A, swap_probability=0.0) == (a, b)
    assert swap_parts(list(a), list(b), A, swap_probability=1.0) == (b, a)


@given(seed=seeds, space=st.sampled_from(list(SPACES.values())))
@settings(max_examples=60, deadline=None)
def test_a_reset_part_changes_the_network_and_nothing_outside_one_part(seed, space):
    random.seed(seed)
    genome = uniform_random(space)
    for kind, members in space.parts.items():
        (child,) = reset_part(list(genome), space, kinds=[kind])
        changed = {p for p, (a, b) in enumerate(zip(genome, child, strict=True)) if a != b}
        assert any(changed <= set(part) for part in members)
        assert changed == set() or space.canonical(child) != space.canonical(genome)


def test_a_part_without_choices_is_left_alone():
    single = ConvPoolFc(depth=(1, 1))
    genome = single.encode("conv 16k3 | pool max | activation relu | fc 64")
    assert reset_part(list(genome), single, kinds=["depth"]) == (genome,)


@pytest.mark.parametrize(
    "misnamed",
    [
        lambda: swap_parts(A.encode(DEEP), A.encode(SHALLOW), A, ["dept"]),
        lambda: reset_part(A.encode(DEEP), A, ["dept"]),
    ],
    ids=["swap_parts", "reset_part"],
)
def test_a_kind_of_part_that_the_space_has_not_is_refused(misnamed):
    with pytest.raises(OperatorError, match=r"no 'dept'; legal: .*did you mean 'depth'"):
        misnamed()


@pytest.mark.parametrize(
    ("select", "message"),
    [
        (lambda individuals, k: None, "returned None; a list of 2 is needed"),
        (lambda individuals, k: individuals[:1], "returned 1; a list of 2 is needed"),
        (lambda individuals, k: [[0, 0, 0]] * k, "which is no individual"),
    ],
)
def test_a_selection_that_breaks_its_contract_is_named(select, message):
    toolbox = toolbox_for(BitString(3))
    toolbox.register("select", select)
    with pytest.raises(OperatorError, match=f"toolbox.select: .*{message}"):
        toolbox.select([drawn(toolbox.space) for _ in range(3)], 2)


@pytest.mark.parametrize(
    ("evolve", "message"),
    [
        (lambda population, toolbox: None, "returned None"),
        (lambda population, toolbox: [], r"returned \[\]"),
        (lambda population, toolbox: [[0, 0, 0]], "which is no individual"),
        (lambda population, toolbox: population, "without a fitness"),
    ],
)
def test_an_algorithm_that_breaks_its_contract_is_named(evolve, message):
    toolbox = toolbox_for(BitString(3))
    toolbox.register("evolve", evolve)
    with pytest.raises(OperatorError, match=message):
        toolbox.evolve([drawn(toolbox.space)], toolbox)
