"""Genomes that tell how their network is trained too, in every space of networks."""

import random
from dataclasses import dataclass, field

import pytest
from torch import nn

from problems import PROBLEMS
from problems.spaces import SPACES, BitString
from problems.spaces.gene import Gene
from problems.spaces.with_recipe import WithRecipe
from toolbox.archive import Archive, Record
from toolbox.crossover import CROSSOVERS
from toolbox.declaration import declare
from toolbox.evaluation import Evaluator
from toolbox.genes import random_genome
from toolbox.individual import Individual
from toolbox.judge import Judge
from toolbox.measure import Outcome
from toolbox.mutation import MUTATIONS
from toolbox.mutation.shift_gene import shift_gene
from toolbox.networks import Networks
from toolbox.problem import adapted, own
from toolbox.screening import SCREENS

RANGES = {
    "batch_size": {"between": [16, 64], "scale": "log", "values": 3},
    "optimizer": {"among": ["adam", "sgd"]},
    "learning_rate": {"between": [1e-3, 1e-1], "scale": "log", "values": 5},
    "momentum": {"between": [0.0, 0.9], "values": 4},
    "schedule": {"among": ["constant", "cosine", {"use": "one_cycle", "warm_up": 0.2}]},
    "augmentation": {"crop_padding": {"between": [0, 2]}, "flip": {"among": [False, True]}},
    "gradient_clip": {"among": ["none", 1.0]},
}


def build(image_shape, classes, width: int = 4):
    channels, height, wide = image_shape
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * height * wide, width), nn.Linear(width, classes)
    )


@dataclass(frozen=True)
class Bare:
    """A space of somebody's own with nothing but what it must have."""

    image_shape: tuple[int, int, int] = field(default=(1, 8, 8), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    @property
    def genes(self):
        return (Gene("width", (2, 4, 8)), Gene("twice", (False, True)))

    def decode(self, genome):
        return f"width {genome[0]}{' twice' * genome[1]}"

    def module(self, genome):
        return build(self.image_shape, self.classes, 2 ** (1 + genome[0]))


OWN = {
    "own function": {"use": f"{__name__}:build", "width": {"among": [2, 4, 8]}},
    "own space": {"use": f"{__name__}:Bare"},
}
NAMES = [*(name for name in SPACES if SPACES[name] is not BitString), *OWN]


def problem_of(name, training=None, **keys):
    tables = {
        "objectives": ["val_accuracy"],
        "problem": {
            "use": "image_classification",
            "space": OWN.get(name, name),
            "dataset": {"use": "digits", "size": 8 if name in OWN else 28},
            "training": RANGES if training is None else training,
            "device": "cpu",
            **keys,
        },
        "toolbox": {"map": "serial", "select": "tournament"},
        "algorithm": {"use": "genetic_algorithm", "population": 4, "generations": 2},
    }
    declaration = declare(tables, PROBLEMS, "test")
    return declaration, adapted(declaration.problem.build())


@pytest.fixture(scope="module", params=NAMES)
def searched(request):
    """A declaration and its problem, of every space that makes networks."""
    random.seed(1)
    return problem_of(request.param)


def genomes(space, count=30):
    return [random_genome(space) for _ in range(count)]


def test_the_recipe_s_genes_stand_behind_those_of_the_network(searched):
    space = searched[1].space
    names = [gene.name for gene in space.genes]
    assert names[-8:] == [
        *("training.batch_size", "training.optimizer", "training.learning_rate"),
        *("training.momentum", "training.schedule", "training.augmentation.crop_padding"),
        *("training.augmentation.flip", "training.gradient_clip"),
    ]
    assert [gene.ordered for gene in space.genes[-8:]] == [
        *(True, False, True, True, False, True, False, False)
    ]
    assert all(slot.stop <= len(names) - 8 for slot in space.slots)
    parts = [part for kind in space.parts.values() for part in kind]
    assert set(range(len(names) - 8, len(names))) <= {gene for part in parts for gene in part}


def test_what_is_decoded_is_read_as_the_canonical_genome(searched):
    space = searched[1].space
    for genome in genomes(space):
        canonical = space.canonical(genome)
        assert space.canonical(canonical) == canonical
        text = space.decode(genome)
        assert text == space.decode(canonical)
        assert ("momentum=" in text) == ("optimizer=sgd" in text)
        if hasattr(own(searched[1]).space.space, "encode"):
            assert space.encode(text) == canonical


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutant_is_a_genome_of_the_space(searched, mutate):
    space = searched[1].space
    asks = {"population": genomes(space, 3)} if mutate.__name__ == "layer_from_population" else {}
    for genome in genomes(space, 10):
        (mutant,) = mutate(list(genome), space, **asks)
        assert len(mutant) == len(space.genes)
        # The copied layer of a space without layers may not fit; then it is drawn again.
        if not asks:
            assert all(
                0 <= index < len(gene.choices)
                for gene, index in zip(space.genes, mutant, strict=True)
            )


@pytest.mark.parametrize("mate", CROSSOVERS.values(), ids=CROSSOVERS)
def test_children_have_the_recipes_of_their_parents(searched, mate):
    space = searched[1].space
    asks = {} if mate.__name__ == "uniform" else {"space": space}
    for a, b in zip(genomes(space, 5), genomes(space, 5), strict=True):
        one, other = mate(list(a), list(b), **asks)
        pairs = [{x, y} for x, y in zip(a, b, strict=True)]
        assert [{x, y} for x, y in zip(one, other, strict=True)] == pairs


def test_a_step_of_a_number_is_one_value_up_or_down_in_its_range(searched):
    space = searched[1].space
    place = [gene.name for gene in space.genes].index("training.learning_rate")
    genome = random_genome(space)
    for index, reached in ((0, {1}), (2, {1, 3}), (4, {3})):
        genome[place] = index
        found = {shift_gene(list(genome), space, 1.0)[0][place] for _ in range(30)}
        assert found == reached


def test_networks_that_differ_in_the_recipe_alone_have_two_keys(searched):
    declaration, problem = searched
    archive = Archive(declaration.identity(own(problem)))
    networks = Networks(problem, Judge(declaration.objectives, declaration.bounds), archive)
    space = problem.space
    genome = random_genome(space)
    names = [gene.name for gene in space.genes]
    rate, optimizer = (names.index(f"training.{n}") for n in ("learning_rate", "optimizer"))
    genome[rate], genome[optimizer] = 0, 0
    other = list(genome)
    other[rate] = 1
    assert networks.identify(genome)[0] != networks.identify(other)[0]
    momentum = list(genome)
    momentum[names.index("training.momentum")] = 2  # which adam has not
    assert networks.identify(genome) == networks.identify(momentum)


def test_what_is_known_and_drawn_of_a_network_does_not_depend_on_its_recipe(searched):
    problem = own(searched[1])
    genome = random_genome(searched[1].space)
    alone, network = problem.of_one(genome)
    assert problem.known(genome) == alone.known(network)
    assert problem.layers(genome) == alone.layers(network)
    assert problem.cost(genome) == alone.cost(network)
    assert not alone.training.searched
    assert not isinstance(alone.space, WithRecipe)
    assert type(alone.space) is type(problem.space.space)


def test_a_guide_is_told_as_many_numbers_of_each_genome(searched):
    problem = searched[1]
    some = genomes(problem.space, 5)
    assert len({len(problem.features(genome)) for genome in some}) == 1
    alone, network = own(problem).of_one(some[0])
    more = len(problem.features(some[0])) - len(alone.features(network))
    assert more == 4  # batch size, learning rate, momentum, crops


GUIDES = {name: screen for name, screen in SCREENS.items() if name != "everyone"}


@pytest.mark.parametrize("screen", GUIDES.values(), ids=GUIDES)
def test_a_guide_learns_which_learning_rate_is_better(screen):
    random.seed(1)
    declaration, problem = problem_of("plain_cnn")
    archive = Archive(declaration.identity(own(problem)))
    judge = Judge(declaration.objectives, declaration.bounds)
    evaluator = Evaluator(Networks(problem, judge, archive))
    space = problem.space
    place = [gene.name for gene in space.genes].index("training.learning_rate")
    for genome in genomes(space, 60):
        key, canonical = evaluator.networks.identify(genome)
        measured = problem.known(genome) | {"val_accuracy": genome[place] / 4}
        outcome = Outcome(0, "ok", measured)
        evaluator.networks.learn(Record.of(key, canonical, space.decode(genome), outcome))
    guide = screen(evaluator=evaluator)
    chosen = guide(
        lambda count: [Individual(one, weights=judge.weights) for one in genomes(space, count)], 10
    )
    assert sum(one[place] for one in chosen) / 10 > 3
