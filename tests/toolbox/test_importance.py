import itertools
import random

import numpy
import pytest
from scipy.stats import spearmanr

from problems import PROBLEMS
from tests.conftest import Run, lotz, onemax
from toolbox.archive import Record
from toolbox.declaration import declare
from toolbox.judge import Judge
from toolbox.quantities import QUANTITIES
from toolbox.report.ablation import telling_changes
from toolbox.report.evaluations import Evaluations
from toolbox.report.importance import Sampled, foretelling, importance
from toolbox.report.mattering import importance_sections

CELLS = {
    "objectives": ["val_accuracy"],
    "seed": 1,
    "problem": {"use": "tabular", "format": "skip_cells"},
    "toolbox": {"select": "tournament", "map": "serial"},
    "algorithm": {"use": "genetic_algorithm", "population": 20, "generations": 100},
    "stop": {"evaluations": 200},
}


def true_shares(table, genomes, genes):
    """What each gene tells alone of a whole table's test accuracy, by a functional ANOVA."""
    values = numpy.array([table.rows[tuple(genome)]["test_accuracy"] for genome in genomes])
    return [
        sum(
            (genomes[:, gene] == choice).mean()
            * (values[genomes[:, gene] == choice].mean() - values.mean()) ** 2
            for choice in set(genomes[:, gene])
        )
        for gene in range(genes)
    ]


@pytest.mark.parametrize("algorithm", ["genetic_algorithm", "random_search"])
def test_the_ranking_of_genes_after_200_networks_is_that_of_the_whole_table(algorithm):
    tables = CELLS | {"algorithm": CELLS["algorithm"] | {"use": algorithm}}
    run = Run(tables)
    space = run.problem.space
    told = foretelling(space, run.toolbox.evaluator.judge, run.archive.networks(), 0)
    sampled = Sampled.of(space)
    assert len(sampled.genomes) == 4096
    found = {one.name: one.alone for one in importance(told, sampled).genes}
    true = true_shares(run.problem.file.table(), sampled.genomes, len(space.genes))
    assert spearmanr([found[gene.name] for gene in space.genes], true).statistic >= 0.9


class Layers:
    """A chain of up to three layers: a layer that is off has a width that says nothing."""

    def __init__(self):
        names = [(f"layer{n}.kind", ("off", "on")) for n in (1, 2, 3)]
        widths = [(f"layer{n}.width", (8, 16, 32, 64)) for n in (1, 2, 3)]
        pairs = itertools.chain.from_iterable(zip(names, widths, strict=True))
        self.genes = [Gene(name, choices) for name, choices in pairs]
        self.slots = [slice(at, at + 2) for at in (0, 2, 4)]
        self.parts = {"layers": [(0, 1), (2, 3), (4, 5)]}

    def canonical(self, genome):
        on = [genome[slot] for slot in self.slots if genome[slot.start]]
        packed = [gene for layer in on for gene in layer]
        return packed + [0] * (6 - len(packed))

    def decode(self, genome):
        return str(self.canonical(genome))

    def violation(self, genome):
        return "" if any(genome[::2]) else "it has no layer"


class Gene:
    def __init__(self, name, choices):
        self.name, self.choices = name, choices
        self.ordered = isinstance(choices[0], int)


def records_of(space, value, count, seed=0):
    draw = random.Random(seed)
    found = {}
    while len(found) < count:
        genome = [draw.randrange(len(gene.choices)) for gene in space.genes]
        if not space.violation(genome):
            name = space.decode(genome)
            canonical = space.canonical(genome)
            found[name] = Record(name, canonical, name, "ok", {"ones": value(canonical)})
    return list(found.values())


JUDGE = Judge(declare(onemax(), PROBLEMS, "test").objectives)


def test_a_width_that_no_network_has_tells_nothing_and_the_first_layer_tells_all():
    space = Layers()
    told = foretelling(space, JUDGE, records_of(space, lambda g: g[1] + 0.0, 60), 0)
    found = importance(told, Sampled.of(space))
    first, *others = found.genes
    assert (first.name, first.best, first.worst) == ("layer1.width", "64", "8")
    assert first.alone > 0.8
    assert max(one.alone for one in others) < 0.1
    assert found.parts[0].name == "layer1"
    assert found.parts[0].in_all > 0.8 > 0.1 > found.parts[1].in_all


def test_two_genes_that_only_act_together_are_a_pair_and_nothing_alone():
    space = Run(onemax()).problem.space
    records = records_of(space, lambda g: float(g[2] ^ g[5]), 200)
    found = importance(foretelling(space, JUDGE, records, 0), Sampled.of(space))
    assert found.pairs[0].name == f"{space.genes[2].name} and {space.genes[5].name}"
    assert found.pairs[0].alone > 0.6 > 0.1 > found.pairs[1].alone
    assert max(one.alone for one in found.genes) < 0.1
    assert {one.name for one in found.genes if one.in_all > 0.5} == {
        space.genes[2].name,
        space.genes[5].name,
    }


def test_where_networks_are_few_equal_or_noise_nothing_is_told_and_the_page_says_why():
    space = Run(onemax()).problem.space
    draw = random.Random(0)
    few = foretelling(space, JUDGE, records_of(space, lambda g: float(sum(g)), 19), 0)
    equal = foretelling(space, JUDGE, records_of(space, lambda g: 1.0, 60), 0)
    noise = foretelling(space, JUDGE, records_of(space, lambda g: draw.random(), 60), 0)
    assert few == "19 networks are too few; 20 are needed"
    assert equal == "all networks are equal in it"
    assert "do not tell yet" in noise
    run = Run(lotz(generations=0, population=10))
    found = Evaluations("run", run.toolbox.evaluator.judge, run.archive, 10)
    (section,) = importance_sections([found], [run.problem.space], QUANTITIES)
    assert "Leading ones: 10 networks are too few; 20 are needed." in section.text
    assert not section.tables


def test_telling_changes_are_of_the_gene_that_matters_first_and_of_each_gene_once():
    space = Layers()
    records = records_of(space, lambda g: 4.0 * g[1] + g[0] + 0.5 * g[2], 80)
    told = foretelling(space, JUDGE, records, 0)
    genome = [1, 0, 0, 0, 0, 0]
    changes = telling_changes(space, genome, [told], 4, lambda genome: True)
    assert (changes[0].gene, changes[0].before, changes[0].after) == ("layer1.width", "8", "64")
    # Widths of layers that are off change nothing, and without its first layer it is no network.
    assert [one.gene for one in changes[:2]] == ["layer1.width", "layer2.kind"]
    assert {one.gene for one in changes[2:]} == {"layer1.width"}
    within = telling_changes(space, genome, [told], 9, lambda genome: genome[1] < 2)
    assert [one.after for one in within if one.gene == "layer1.width"] == ["16"]
