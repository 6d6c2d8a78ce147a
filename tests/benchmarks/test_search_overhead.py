import pytest

from benchmarks.search_quality import TABLE

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


def test_the_vectorized_sums_are_those_of_the_problem():
    choices, losses = search_overhead.vectorized("sums", "")
    genome = [1, 0, 1] + [0] * (len(choices) - 3)
    found = search_overhead.WeightedSums().evaluate(genome)
    (row,) = losses(search_overhead.numpy.array([genome]))
    assert row.tolist() == pytest.approx([found["sum0"], found["sum1"], found["sum2"]])


@pytest.mark.skipif(not TABLE.is_file(), reason=f"{TABLE} is not there")
def test_the_vectorized_table_is_the_table():
    choices, losses = search_overhead.vectorized("table", str(TABLE))
    genome = [0, 2, 0, 1, 2, 1, 0, 0]
    found = search_overhead.Tabular(path=str(TABLE), format="nas_bench_macro").evaluate(genome)
    (row,) = losses(search_overhead.numpy.array([genome]))
    assert choices == [3] * 8
    assert row.tolist() == [-found["val_accuracy"], found["params"], found["flops"]]


@pytest.mark.parametrize("of", [search_overhead.of_ours, search_overhead.of_pymoo])
def test_both_sides_evolve_the_declared_generations(of):
    assert len(of("sums", "", 8, 3, 1)) == 3
