"""Genes of somebody's own that have no more than a name and choices, all the way to the report."""

import random
from typing import NamedTuple

import pytest

import deap_nas
from toolbox.genes import is_ordered
from toolbox.mutation import shift_gene


class Knob(NamedTuple):
    name: str
    choices: list


class Amplifier:
    genes = (
        *(Knob(f"stage{number}.gain", [0, 1, 2, 3, 4]) for number in range(3)),
        Knob("tube", ["EL34", "6L6"]),
    )

    def decode(self, genome):
        return " ".join(str(k.choices[place]) for k, place in zip(self.genes, genome, strict=True))


class Sound:
    space = Amplifier()
    measures = ("loudness", "hum")

    def evaluate(self, genome):
        return {"loudness": float(sum(genome[:3])), "hum": float(genome[0] ** 2 + 2 * genome[3])}


TABLES = {
    "objectives": [
        {"use": "measured", "name": "loudness", "direction": "maximize", "worst": 0.0},
        {"use": "measured", "name": "hum", "direction": "minimize", "worst": 100.0},
    ],
    "problem": {"use": Sound},
    "toolbox": {"map": "serial", "mutate": "shift_gene", "screen": "interaction_ranker"},
    "algorithm": {"use": "nsga2", "population": 20, "generations": 3},
}


@pytest.mark.slow
def test_they_are_searched_guided_and_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = deap_nas.Search(TABLES, runs="runs", name="sound", progress=False)
    for _ in search:
        pass
    page = search.result.report().read_text(encoding="utf-8")
    assert "stage1.gain" in page


@pytest.mark.parametrize(
    ("gene", "ordered"),
    [(Knob("gain", [0, 1]), True), (Knob("tube", ["EL34", "6L6"]), False)],
)
def test_numbers_have_an_order_unless_a_gene_says_otherwise(gene, ordered):
    assert is_ordered(gene) == ordered
    gene = type("Own", (), {"name": "x", "choices": gene.choices, "ordered": not ordered})()
    assert is_ordered(gene) != ordered


def test_shift_gene_moves_them_by_one():
    random.seed(1)
    for _ in range(50):
        ((first, *_, last),) = shift_gene([2, 2, 2, 0], Amplifier, gene_probability=1.0)
        assert first in (1, 3)
        assert last == 1
