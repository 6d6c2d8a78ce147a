import json
import random

import pytest

from problems.image_classification import ImageClassification
from problems.int8.latency_table import fitted, read_table
from problems.spaces import SPACES

PROBLEM = ImageClassification(space=SPACES["plain_cnn"](), device="cpu")
PRICES = {"network": 5.0, "conv steps": 2.0, "conv macs": 0.001, "linear numbers": 0.5}


def genomes(networks):
    draw, space = random.Random(2), PROBLEM.space
    found = []
    while len(found) < networks:
        genome = [draw.randrange(len(gene.choices)) for gene in space.genes]
        if not space.violation(genome):
            found.append(genome)
    return found


def readings(networks=12):
    works = [PROBLEM.work(genome) for genome in genomes(networks)]
    return [(w, sum(PRICES.get(part, 0) * much for part, much in w.items())) for w in works]


def test_prices_foretell_networks_that_they_were_not_fitted_from():
    table = fitted("latency", readings(16))
    assert table.held_out == 4
    assert table.median_error < 0.02
    assert table.rank_correlation > 0.95
    for work, number in readings(16):
        assert table.of(work) == pytest.approx(number, rel=0.02)
    assert min(table.prices.values()) > 0


def test_noise_shows_in_the_error():
    noise = random.Random(0)
    noisy = [(work, number * noise.uniform(0.5, 2)) for work, number in readings(16)]
    assert fitted("latency", noisy).median_error > 0.05


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (readings(4), "4 readings: at least 8 are needed"),
        ([*readings(8), ({"network": 1.0}, 0.0)], "latency = 0: only what is above 0 has prices"),
    ],
)
def test_readings_that_give_no_table_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        fitted("latency", given)


def test_a_search_knows_the_estimate_before_training(tmp_path):
    file = tmp_path / "latency.json"
    file.write_text(fitted("latency", readings(), unit="ms", worst=1e3).as_json())
    problem = ImageClassification(
        space=SPACES["plain_cnn"](), device="cpu", latency_table=str(file)
    )
    (genome, *_), ((_, number), *_) = genomes(1), readings(1)
    assert problem.known(genome)["estimated_latency"] == pytest.approx(number, rel=0.05)
    assert "estimated_latency" in problem.measures
    assert problem.quantities["estimated_latency"] == {
        "direction": "minimize",
        "worst": 1e3,
        "unit": "ms",
    }


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"latency_table = '.*': it cannot be read: No such file"):
        ImageClassification(latency_table=str(tmp_path / "none.json"))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"name": "latency"}))
    with pytest.raises(ValueError, match="it is no latency table"):
        read_table(str(other))
