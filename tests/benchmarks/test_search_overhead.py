import numpy
import pytest

pytest.importorskip("pymoo")
pytest.importorskip("optuna")

from benchmarks import search_overhead


def test_the_time_of_a_generation_is_without_the_first_and_without_the_evaluations(monkeypatch):
    now = 0.0
    evaluating = 0.0

    def step():
        nonlocal now, evaluating
        now += 3.0
        evaluating += 2.0

    monkeypatch.setattr(search_overhead.time, "process_time", lambda: now)
    assert search_overhead.by_generation(step, lambda: evaluating, 2) == [1.0, 1.0]
    assert now == 9.0


@pytest.mark.parametrize("space", search_overhead.SPACES)
def test_both_sides_reset_a_gene_to_another_choice_as_often(space):
    choices = [len(gene.choices) for gene in search_overhead.SPACES[space].genes]
    problem = search_overhead.Integers(choices, 1, None)
    genomes = numpy.zeros((4000, len(choices)), dtype=int)
    varied = search_overhead.ResetGene()._do(
        problem, genomes, random_state=numpy.random.default_rng(0)
    )
    assert (varied < choices).all()
    assert (varied >= 0).all()
    changed = (varied != genomes).sum(axis=1)
    assert changed.mean() == pytest.approx(sum(n > 1 for n in choices) / len(choices), rel=0.1)
    assert set(varied[:, 0]) == set(range(choices[0]))


@pytest.mark.parametrize("of", [search_overhead.of_ours, search_overhead.of_pymoo])
@pytest.mark.parametrize("algorithm", search_overhead.ALGORITHMS)
def test_both_sides_evolve_the_declared_generations(of, algorithm):
    assert len(of("chain", algorithm, 8, 3, 1)) == 3
