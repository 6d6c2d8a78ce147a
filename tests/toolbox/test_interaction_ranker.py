import csv
import inspect
import logging
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

import numpy
import pytest
from scipy.stats import kendalltau

from problems import PROBLEMS
from problems.bit_counting import OneMax
from problems.seeds import seed_of
from problems.spaces.bit_string import BitString
from problems.spaces.gene import Gene
from tests.conftest import Run, lotz, onemax
from toolbox.archive import Archive
from toolbox.assemble import rehearse
from toolbox.declaration import declare
from toolbox.operator_error import OperatorError
from toolbox.quantities import QUANTITIES
from toolbox.report.evaluations import Evaluations
from toolbox.report.finals import finals_sections
from toolbox.report.picking import pick
from toolbox.report.sections import Reported, report
from toolbox.report.tables import result_tables
from toolbox.run_folder import RunFolder
from toolbox.screening import SCREENS
from toolbox.screening.candidates import CHANGED, by_volume
from toolbox.screening.encoding import Encoded, Encoding
from toolbox.screening.gaussian_process import GaussianProcess, smooth
from toolbox.screening.interaction_ranker import Scale
from toolbox.screening.rankers import MOST, RANKERS, kept, normal_scores
from toolbox.screening.trees import Trees


def guided(tables, **options):
    screen = {"use": "interaction_ranker", **options}
    return tables | {"toolbox": tables["toolbox"] | {"screen": screen}}


def encoded(networks, genes=8, seed=1):
    """Networks of genes with three choices, drawn at random."""
    drawn = numpy.random.default_rng(seed).integers(0, 3, (networks, genes))
    choices = (drawn[:, :, None] == numpy.arange(3)).reshape(networks, -1).astype(float)
    return drawn, Encoded(choices, numpy.zeros((networks, 0)))


LAWS = {
    "added": lambda genes: genes @ numpy.arange(1.0, 9.0),
    "in_pairs": lambda genes: (genes[:, 0] == genes[:, 1]) + 2.0 * (genes[:, 2] == genes[:, 3]),
    "smooth": lambda genes: (genes == 1).sum(axis=1) ** 2.0,
    "trees": lambda genes: numpy.where(genes[:, 0] == 0, 9.0, genes[:, 1] * genes[:, 2] * 1.0),
}


@pytest.mark.parametrize("name", RANKERS)
def test_each_ranker_orders_what_it_has_not_seen(name):
    genes, networks = encoded(260)
    losses = normal_scores(LAWS[name](genes))
    ranker = RANKERS[name]()
    unseen, deviations = ranker.fit(networks[:160], losses[:160])
    assert kendalltau(unseen, losses[:160]).statistic > 0.5
    within = abs(losses[:160] - unseen) < 2 * deviations
    assert within.mean() > 0.85
    means, deviations = ranker.predict(networks[160:])
    assert kendalltau(means, losses[160:]).statistic > 0.5
    assert (deviations >= 0).all()


@pytest.mark.parametrize("name", RANKERS)
def test_what_a_ranker_says_of_unseen_networks_tells_nothing_of_noise(name):
    _, networks = encoded(120)
    noise = numpy.random.default_rng(4).normal(size=120)
    unseen, deviations = RANKERS[name]().fit(networks, noise)
    assert abs(kendalltau(unseen, noise).statistic) < 0.25
    assert deviations.mean() == pytest.approx(noise.std(), rel=0.3)


@pytest.mark.parametrize("name", RANKERS)
def test_a_ranker_is_less_sure_of_what_is_far_from_what_it_saw(name):
    genes, networks = encoded(300)
    near = genes[:, 0] == 0
    ranker = RANKERS[name]()
    ranker.fit(networks[near], normal_scores(LAWS["added"](genes[near])))
    deviations = ranker.predict(networks)[1]
    if name != "trees":  # they do not tell, where no split was made
        assert deviations[~near].mean() > deviations[near].mean()
    assert numpy.isfinite(deviations).all()


def test_a_left_out_prediction_is_that_of_a_fit_without_the_network():
    genes, networks = encoded(30)
    losses = normal_scores(LAWS["smooth"](genes))
    whole = GaussianProcess(smooth)
    unseen, deviations = whole.fit(networks, losses)
    less = GaussianProcess(smooth, whole.scale, whole.noise, _chosen_for=30)
    less.fit(networks[1:], losses[1:])
    mean, deviation = less.predict(networks[:1])
    assert mean == pytest.approx(unseen[:1])
    together = numpy.hypot(deviation, less.noise_deviation)
    assert together * (whole._amplitude / less._amplitude) ** 0.5 == pytest.approx(deviations[:1])


def test_losses_count_by_their_ranks_alone():
    losses = numpy.array([3.0, 1.0, 2.0, 1e300, 2.0])
    assert numpy.allclose(normal_scores(losses), normal_scores(numpy.array([3, 1, 2, 4, 2])))
    assert normal_scores(losses).mean() == pytest.approx(0)
    assert not normal_scores(numpy.ones(4)).any()


def test_networks_that_are_all_alike_leave_every_ranker_finite():
    _, networks = encoded(20)
    for new in RANKERS.values():
        ranker = new()
        assert numpy.isfinite(ranker.fit(networks, numpy.zeros(20))).all()
        assert numpy.isfinite(ranker.predict(networks)).all()


def test_of_many_networks_the_better_half_is_kept_whole():
    losses = numpy.random.default_rng(1).permutation(5.0 * numpy.arange(2 * MOST))[:, None]
    rows = kept(losses)
    assert len(set(rows.tolist())) == MOST
    assert set(numpy.argsort(losses[:, 0])[: MOST // 2]) <= set(rows.tolist())
    assert kept(losses[:MOST]).tolist() == list(range(MOST))


def test_a_scale_goes_from_scores_to_losses_and_on_beyond_them():
    losses = numpy.linspace(1.0, 3.0, 21)
    scores = normal_scores(losses)
    scale = Scale(scores, losses)
    assert scale(scores) == pytest.approx(losses)
    beyond = scale(numpy.array([scores[0] - 1.0, scores[-1] + 1.0]))
    assert 0 < beyond[0] < 1.0
    assert 3.0 < beyond[1] < 4.0


@dataclass(frozen=True)
class NoisyBits(OneMax):
    """Bits of different worth, and noise that hides the difference of any two of them."""

    reseeds: ClassVar[bool] = True
    length: int = 10
    seed: int = 0

    def evaluate(self, genome, seed=0):
        noise = random.Random(seed_of(f"{self.seed} {genome} {seed}")).gauss(0, 4.0)
        return {"ones": self.truth(genome) + noise}

    def truth(self, genome):
        return float(sum(worth * bit for worth, bit in enumerate(genome, start=1)))


def of_noisy_bits(seed, screen, archive=None, **more):
    tables = onemax(population=20, generations=20) | {
        "objectives": [
            {"use": "measured", "name": "ones", "direction": "maximize", "worst": -99.0}
        ],
        "problem": {"use": "noisy_bits"},
        "stop": {"evaluations": 100},
        "seed": seed,
        **more,
    }
    tables["toolbox"] = tables["toolbox"] | {"screen": screen}
    return Run(tables, archive, problems={"noisy_bits": NoisyBits})


def returned(run):
    judge, networks = run.toolbox.evaluator.judge, run.archive.networks()
    return NoisyBits().truth(pick(judge, networks, "best").genome)


@pytest.mark.slow
def test_the_network_returned_is_not_the_luckiest_one():
    better = []
    for run in [of_noisy_bits(seed, "interaction_ranker") for seed in range(4)]:
        records = run.toolbox.evaluator.networks.records.values()
        luckiest = max(records, key=lambda record: record.measurement["ones"])
        better.append(returned(run) - NoisyBits().truth(luckiest.genome))
    assert min(better) >= 0 < max(better)


def test_what_is_believed_of_networks_is_about_as_far_off_as_it_says():
    run = of_noisy_bits(1, "interaction_ranker")
    found = [record for record in run.archive.networks() if record.belief]
    assert len(found) == 100
    truths = numpy.array([NoisyBits().truth(record.genome) for record in found])
    means = numpy.array([record.belief.mean[0] for record in found])
    deviations = numpy.array([record.belief.deviation[0] for record in found])
    noise = numpy.mean([record.belief.noise[0] for record in found])
    assert noise == pytest.approx(4.0, rel=0.4)
    assert (abs(means - truths) < 3 * deviations).mean() > 0.8


def test_finals_are_held_among_the_best_by_what_is_believed_and_measured():
    run = of_noisy_bits(2, "interaction_ranker", finals={"share": 0.15})
    finals = run.generations[-1].finals
    assert len(finals) == 8
    assert [s.estimate[0] for s in finals] == sorted((s.estimate[0] for s in finals), reverse=True)
    assert returned(run) == NoisyBits().truth(finals[0].record.genome) >= 54
    # Of the first network the estimate is not as lucky as the mean.
    assert finals[0].estimate[0] < max(s.mean[0] for s in finals)


def test_estimates_are_told_beside_the_means(tmp_path):
    run = of_noisy_bits(2, "interaction_ranker", finals={"share": 0.15})
    judge, networks = run.toolbox.evaluator.judge, run.archive.networks()
    first = run.generations[-1].finals[0]
    with RunFolder(tmp_path, run.declaration) as folder:
        folder.write_results(judge, networks)
        (row, *_) = csv.DictReader(folder.results.read_text(encoding="utf-8").splitlines())
    assert float(row["ones_estimate"]) == first.estimate[0]
    assert float(row["ones_mean"]) == first.mean[0]
    (shown,) = result_tables(judge, networks, QUANTITIES)
    assert [column.header for column in shown.columns][1:3] == ["s.e.", "estimate"]
    assert "by the estimate" in shown.title
    ((section,),) = [finals_sections([Evaluations("run", judge, run.archive, 20)])]
    assert section.tables[0].rows[0]["ones, estimate"] == first.estimate[0]


def test_an_estimate_is_not_shown_as_what_was_measured():
    run = of_noisy_bits(1, "interaction_ranker")
    judge, networks = run.toolbox.evaluator.judge, run.archive.networks()
    (shown,) = result_tables(judge, networks, QUANTITIES)
    assert [column.header for column in shown.columns][:2] == ["ones", "estimate"]
    best = pick(judge, networks, "best")
    measured, estimate = (next(iter(column.cells)) for column in shown.columns[:2])
    assert float(measured) == pytest.approx(best.measurement["ones"], abs=0.01)
    assert measured != estimate


def test_the_page_begins_with_what_the_search_returns():
    run = of_noisy_bits(1, "interaction_ranker")
    judge, networks = run.toolbox.evaluator.judge, run.archive.networks()
    found = Evaluations("run", judge, run.archive, 20)
    page = report([Reported(run.declaration, found, True, None, lambda record: [])], QUANTITIES)
    (start,) = page.sections[0].tables
    assert start.rows[0]["key"] == pick(judge, networks, "best").key
    assert "by estimate" in start.title
    estimates = [row["ones, estimate"] for row in start.rows]
    assert estimates == sorted(estimates, reverse=True)


def test_a_neighbour_of_a_good_network_comes_from_it():
    run = of_noisy_bits(1, "interaction_ranker")
    births = run.archive.births
    neighbours = [birth for birth in births if birth.operators[:1] == (CHANGED,)]
    assert neighbours
    for birth in neighbours:
        (parent,) = birth.parents
        one, other = (run.archive.get(birth.key), run.archive.get(births[parent].key))
        assert sum(a != b for a, b in zip(one.genome, other.genome, strict=True)) <= 1


def test_candidates_are_chosen_by_the_hypervolume_that_they_add():
    beside = numpy.array([[0.0, 1.0], [1.0, 0.0]])
    candidates = numpy.array([[0.9, 0.9], [0.5, 0.5], [0.1, 0.9], [0.6, 0.6], [0.45, 0.6]])
    # The second covers most; what it leaves is most for the third, and nothing for the fourth.
    assert by_volume([candidates], beside)[:3] == [1, 2, 4]
    every = by_volume([candidates, candidates - 0.05, candidates - 0.1], beside)
    assert sorted(every) == [0, 1, 2, 3, 4]
    assert by_volume([candidates[[1]]], beside) == [0]


def test_beliefs_are_kept_and_found_again_by_a_replay():
    first = of_noisy_bits(3, "interaction_ranker", finals={"share": 0.15})
    beliefs = {record.key: record.belief for record in first.archive.networks()}
    assert all(beliefs.values())
    again = of_noisy_bits(3, "interaction_ranker", first.archive, finals={"share": 0.15})
    assert {record.key: record.belief for record in again.archive.networks()} == beliefs


def test_a_search_without_a_guide_believes_nothing():
    run = of_noisy_bits(1, "everyone")
    assert not any(record.belief for record in run.archive.networks())


@pytest.mark.slow
@pytest.mark.parametrize("use", ["genetic_algorithm", "steady_state", "islands"])
def test_the_guide_finds_more_with_fewer_networks(use):
    def reached(screen):
        tables = onemax(use=use, population=16, generations=4) | {
            "problem": {"use": "onemax", "length": 60}
        }
        runs = [Run(screen(tables) | {"seed": seed}) for seed in range(3)]
        return numpy.mean([run.generations[-1].best[0] for run in runs])

    assert reached(guided) > reached(lambda tables: tables) + 2


@pytest.mark.slow
def test_the_guide_helps_towards_a_front():
    def volume(screen):
        tables = lotz(population=16, generations=6) | {"problem": {"use": "lotz", "length": 24}}
        runs = [Run(screen(tables) | {"seed": seed}) for seed in range(4)]
        return numpy.mean([run.generations[-1].hypervolume for run in runs])

    assert volume(guided) > 1.1 * volume(lambda tables: tables)


@dataclass(frozen=True)
class Noise:
    """A problem that nothing can be learned of."""

    length: int = 24
    seed: int = 0
    space: BitString = field(init=False)
    measures = ("ones",)

    def __post_init__(self):
        object.__setattr__(self, "space", BitString(self.length))

    def evaluate(self, genome):
        return {"ones": random.Random(str(genome)).random()}


def test_a_ranker_that_explains_nothing_is_switched_off(caplog):
    tables = onemax(population=20, generations=8) | {"problem": {"use": "noise"}}
    bred = []

    def count(toolbox, problem):
        screen = toolbox.screen

        def counting(breed, number):
            def more(n):
                bred.append(n / number)
                return breed(n)

            return screen(more, number)

        toolbox.register("screen", counting)

    with caplog.at_level(logging.INFO):
        run = Run(guided(tables), problems={"noise": Noise}, swap=count)
    assert (
        "the interaction ranker is off: what it expects of unseen networks does not yet tell"
        in caplog.text
    )
    assert bred.count(1) > bred.count(16)
    assert not run.toolbox.beliefs()


@pytest.mark.slow
def test_where_nothing_can_be_learned_the_search_is_that_without_a_guide():
    def population(screen, seed):
        tables = onemax(population=20, generations=5) | {"problem": {"use": "noise"}, "seed": seed}
        tables["toolbox"] = tables["toolbox"] | {"screen": screen}
        return Run(tables, problems={"noise": Noise}).population

    same = [population("interaction_ranker", n) == population("everyone", n) for n in range(8)]
    assert sum(same) >= 7


@pytest.mark.slow
def test_a_ranker_comes_back_when_it_is_right_again(caplog):
    @dataclass(frozen=True)
    class FirstNoise(OneMax):
        length: int = 30

        def evaluate(self, genome):
            if sum(genome) < 19:
                return {"ones": random.Random(str(genome)).random()}
            return super().evaluate(genome)

    tables = onemax(population=20, generations=30) | {"problem": {"use": "first_noise"}}
    with caplog.at_level(logging.INFO):
        run = Run(guided(tables, candidates=4), problems={"first_noise": FirstNoise})
    assert "is off" in caplog.text
    assert caplog.text.index("is off") < caplog.text.index("is on")
    assert run.generations[-1].best[0] == 30


@dataclass(frozen=True)
class Half(OneMax):
    """Two objectives of which one is known without training."""

    length: int = 16
    measures = ("ones", "params")

    def known(self, genome):
        return {"params": 1 + sum(genome[:8])}

    def evaluate(self, genome):
        return {"ones": float(sum(genome)), **self.known(genome)}


def test_what_is_known_without_training_is_not_predicted():
    tables = lotz(population=12, generations=5) | {
        "objectives": ["ones", "params"],
        "problem": {"use": "half"},
    }
    run = Run(guided(tables, candidates=6), problems={"half": Half})
    ranker = inspect.unwrap(run.toolbox.screen.func)
    fit = ranker._learner.newest(0)
    means, deviations = ranker._learner.believed(fit, [[1] * 16, [0] * 16])
    assert means[:, 1].tolist() == [9.0, 1.0]
    assert not deviations[:, 1].any()
    assert list(fit.chosen) == [0]


def test_an_objective_that_is_all_known_needs_no_ranker():
    tables = onemax(population=12, generations=4) | {
        "objectives": ["params"],
        "problem": {"use": "half"},
    }
    run = Run(guided(tables), problems={"half": Half})
    assert run.generations[-1].best == (1.0,)


@dataclass(frozen=True)
class Parity:
    """Networks of which no gene and no pair of genes tells anything: the triples of bits with an
    odd sum count.  The space says how many there are, where `told` is set."""

    told: bool = True
    length: int = 30
    measures = ("ones",)

    @property
    def space(self):
        return self

    @property
    def genes(self):
        return tuple(Gene(f"bit{n}", (0, 1)) for n in range(self.length))

    def decode(self, genome):
        return "".join(map(str, genome))

    def odd(self, genome):
        triples = zip(genome[::3], genome[1::3], genome[2::3], strict=True)
        return float(sum(sum(triple) % 2 for triple in triples))

    def features(self, genome):
        return (self.odd(genome),) if self.told else ()

    def evaluate(self, genome):
        return {"ones": self.odd(genome)}


def test_the_guide_ranks_by_what_the_space_offers():
    def best(told, seed):
        more = {"problem": {"use": "parity", "told": told}, "seed": seed}
        tables = onemax(population=24, generations=2) | more
        return Run(guided(tables), problems={"parity": Parity}).generations[-1].best[0]

    assert sum(best(True, seed) for seed in range(4)) > sum(best(False, seed) for seed in range(4))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda genome: [float("nan")], r"features: \[nan\] for \[.*finite numbers are needed"),
        (lambda genome: "long", r"features: 'long' for .*finite numbers are needed"),
        (lambda genome: [1.0] * (1 + genome[0]), r"features: . numbers for .*always as many"),
    ],
)
def test_features_that_are_no_numbers_are_refused_in_one_line(answer, message):
    run = Run(onemax(generations=0))
    networks = run.toolbox.evaluator.networks
    networks.problem = SimpleNamespace(features=answer, known=lambda genome: {})
    with pytest.raises(OperatorError, match=message) as refused:
        Encoding(networks).of([[0] * 12, [1] * 12])
    assert "\n" not in str(refused.value)


def test_genes_with_the_same_choices_are_counted_together():
    networks = Run(onemax(generations=0)).toolbox.evaluator.networks
    found = Encoding(networks).of([[1] * 5 + [0] * 7])
    assert found.choices.shape == (1, 24)
    assert found.numbers[:, :2].tolist() == [[7.0, 5.0]]


def test_what_is_known_is_not_chosen_again_while_there_is_another():
    tables = onemax(population=20, generations=10) | {"problem": {"use": "onemax", "length": 8}}
    run = Run(guided(tables, random_share=0.0))
    assert [g.reused for g in run.generations[1:6]] == [0] * 5


@pytest.mark.parametrize("length", [5, 6])
@pytest.mark.parametrize("search", [onemax, lotz])
def test_a_space_that_is_nearly_all_known_is_searched_to_its_end(search, length):
    tables = search(population=20, generations=6)
    tables["problem"] = tables["problem"] | {"length": length}
    run = Run(guided(tables, random_share=0.0))
    assert len(run.generations) == 7
    assert len(run.archive) > 0.9 * 2**length


def test_the_whole_random_share_is_no_guide():
    tables = onemax(population=14, generations=4)
    run = Run(guided(tables, random_share=1.0, candidates=1))
    plain = Run(tables)
    assert run.generations[1].evaluated == plain.generations[1].evaluated


def test_a_guided_search_is_repeated_exactly():
    tables = guided(lotz(population=12, generations=6))
    first = Run(tables)
    known = Archive(first.archive.problem)
    for record in reversed(list(first.archive)[:40]):  # finished in another order
        known.add(record)
    again = Run(tables, archive=known)
    assert again.population == first.population


def test_what_a_library_draws_when_it_is_imported_does_not_move_the_search(monkeypatch):
    tables = guided(onemax(population=20, generations=3))
    still = Run(tables)
    fit = Trees.fit

    def drawing(self, networks, losses):
        random.random()
        return fit(self, networks, losses)

    monkeypatch.setattr(Trees, "fit", drawing)
    assert Run(tables).population == still.population


def test_a_screen_that_an_algorithm_never_asks_is_refused():
    declaration = declare(guided(onemax(use="eaSimple")), PROBLEMS, name="test")
    with pytest.raises(
        OperatorError, match=r"toolbox\.screen = 'interaction_ranker': it has nothing"
    ):
        rehearse(declaration, declaration.problem.build())


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_returns_what_it_is_asked_for(screen):
    tables = lotz(population=12, generations=4)
    tables["toolbox"] = tables["toolbox"] | {"screen": screen}
    run = Run(tables)
    assert [g.evaluated for g in run.generations] == [12] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": 0}, r"toolbox\.screen\.candidates = 0"),
        ({"random_share": 1.5}, r"toolbox\.screen\.random_share = 1\.5"),
        ({"candidate": 3}, r"toolbox\.screen\.candidate: unknown key.*did you mean 'candidates'"),
    ],
)
def test_options_of_the_ranker_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Run(guided(onemax(), **options))
