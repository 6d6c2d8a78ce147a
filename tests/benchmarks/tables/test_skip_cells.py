"""The space of small cells: what its genomes compute, held to brute force."""

from itertools import permutations

import numpy
import pytest
import torch

from benchmarks.tables import skip_cells
from benchmarks.tables.skip_cells import (
    EDGES,
    CellModule,
    SkipCells,
    canonical_genomes,
    computed,
    genomes,
    networks,
)
from problems.networks.rehearsal import rehearse
from tests.conftest import REPOSITORY, run_search

WEIGHTS = numpy.random.default_rng(1).normal(size=(6, 3))
ASSIGNED = WEIGHTS[numpy.array(list(permutations(range(6))))]  # (720, 6, 3): one set an edge


def response(kernel, weights, values):
    """A function of no sum, 0 at 0, and another one for each kernel and weights."""
    first, second, third = weights.T
    return (
        numpy.sin(first * values * (1 + 0.3 * kernel))
        + second * values**2 * (0.2 + 0.1 * kernel)
        + 0.5 * kernel * numpy.tanh(third * values)
    )


def outputs(genome):
    """What a genome's graph gives, read literally, for all ways to deal six weights to edges."""
    held = [numpy.full(len(ASSIGNED), 0.7)]
    for end in (1, 2, 3):
        total = numpy.zeros(len(ASSIGNED))
        for edge, ((begin, to), operation) in enumerate(zip(EDGES, genome, strict=True)):
            if to == end and operation == 1:
                total = total + held[begin]
            elif to == end and operation:
                total = total + response((1, 3)[operation - 2], ASSIGNED[:, edge], held[begin])
        held.append(total)
    return tuple(numpy.unique(held[3].round(9)))


def test_two_genomes_are_one_network_if_and_only_if_they_compute_the_same():
    by_brute_force, by_canonical = {}, {}
    for genome in genomes():
        by_brute_force.setdefault(outputs(genome), set()).add(genome)
        by_canonical.setdefault(canonical_genomes()[genome], set()).add(genome)
    assert sum(map(len, by_canonical.values())) == 4096
    assert set(map(frozenset, by_canonical.values())) == set(
        map(frozenset, by_brute_force.values())
    )
    assert len(networks()) == len(by_canonical) == 1011


def test_the_canonical_genome_is_the_first_of_its_network_and_its_own():
    space = SkipCells()
    for genome in ([0, 3, 0, 0, 0, 1], [3, 0, 1, 0, 0, 1], [1, 0, 3, 0, 0, 1], [0, 0, 0, 3, 3, 2]):
        canonical = space.canonical(genome)
        assert canonical == [0, 0, 0, 3, 0, 0]
        assert space.canonical(canonical) == canonical


def test_what_is_shared_is_not_what_is_computed_twice():
    once_used_twice = (3, 1, 1, 0, 1, 1)  # the input's convolution reaches the output twice
    twice = (0, 3, 0, 3, 0, 1)
    assert computed(once_used_twice).output == (0, 1, 1)
    assert computed(twice).output == (1, 2)


def test_a_cell_computes_the_graph_of_its_genome():
    genome = SkipCells().encode("3x3 identity 1x1 identity 3x3 identity")
    torch.manual_seed(0)
    cell = CellModule(computed(tuple(genome)), 4).eval()
    x = torch.rand(2, 4, 6, 6)
    kernels = [kernel for kernel, _ in cell.cell.convolutions]
    (first,) = [n for n, (k, terms) in enumerate(cell.cell.convolutions) if (k, terms) == (3, (0,))]
    one = cell.convolutions[first](x)
    two = x + cell.convolutions[kernels.index(1)](one)
    last = next(n for n, kernel in enumerate(kernels) if kernel == 3 and n != first)
    expected = x + cell.convolutions[last](one) + two
    torch.testing.assert_close(cell(x), expected)


@pytest.mark.parametrize(
    "architecture",
    [
        "none none none none none none",
        "none none none identity none none",
        "3x3 3x3 3x3 3x3 3x3 3x3",
        "3x3 none none identity none 1x1",
    ],
)
def test_a_network_has_no_weights_that_are_never_trained(architecture):
    space = SkipCells()
    network = space.module(space.encode(architecture))
    network(torch.rand(3, 1, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_space_passes_the_rehearsal_of_an_own_space():
    rehearse(SkipCells(), (1, 8, 8), 10)


def test_an_architecture_is_read_back_and_a_wrong_one_is_refused():
    space = SkipCells()
    architecture = "none 1x1 identity 3x3 none 1x1"
    assert space.decode(space.encode(architecture)) == architecture
    for wrong in ("none 3x3", "none 5x5 none none none none"):
        with pytest.raises(ValueError, match="6 words are needed, one an edge: none, identity,"):
            space.encode(wrong)


def test_every_network_is_drawn_once_before_the_first_comes_again():
    drawn = [tuple(skip_cells.every_network(SkipCells(), index)) for index in range(1012)]
    assert set(drawn[:1011]) == set(networks())
    assert drawn[1011] == drawn[0]


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_the_declaration_of_the_table_trains_its_networks(tmp_path):
    done = run_search(
        REPOSITORY / "benchmarks" / "tables" / "skip_cells.toml",
        *("algorithm.population=3", "problem.training.epochs=1", "toolbox.map=serial"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "evaluated 3, trained 3" in done.stdout
