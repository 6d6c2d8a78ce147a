import inspect
import itertools
import logging
import random
from dataclasses import dataclass, field

import numpy
import pytest
from scipy.stats import kendalltau

from problems import PROBLEMS
from problems.bit_counting import OneMax
from problems.spaces.bit_string import BitString
from tests.conftest import Run, lotz, onemax
from toolbox.archive import Archive
from toolbox.assemble import rehearse
from toolbox.declaration import declare
from toolbox.operator_error import OperatorError
from toolbox.screening import SCREENS
from toolbox.screening.linear_ranker import MOST, cross_validated_tau, fitted


def guided(tables, **options):
    screen = {"use": "pairwise_ranker", **options}
    return tables | {"toolbox": tables["toolbox"] | {"screen": screen}}


def features_and_losses(networks, noise=0.0, seed=1):
    draw = numpy.random.default_rng(seed)
    features = draw.integers(0, 2, (networks, 12)).astype(float)
    return features, features @ numpy.arange(12.0) + noise * draw.normal(size=networks)


def test_the_ranker_orders_what_it_has_not_seen():
    features, losses = features_and_losses(200)
    weights = fitted(features[:60], losses[:60], 0.003)
    assert kendalltau(features[60:] @ weights, losses[60:]).statistic > 0.9


def test_the_ranker_depends_on_the_order_of_the_losses_alone():
    features, losses = features_and_losses(60)
    assert numpy.allclose(
        fitted(features, losses, 0.003), fitted(features, numpy.exp(losses / 20), 0.003)
    )


def test_the_ranker_minimizes_the_loss_of_ranknet():
    features, losses = features_and_losses(30, noise=8.0)
    regularization = 0.05

    def objective(weights):
        scores = features @ weights
        margins = [
            scores[i] - scores[j]
            for i, j in itertools.permutations(range(30), 2)
            if losses[i] > losses[j]
        ]
        loss = numpy.logaddexp(0, -numpy.array(margins)).mean()
        return loss + regularization / 2 * weights @ weights

    weights = fitted(features, losses, regularization)
    draw = numpy.random.default_rng(3)
    for _ in range(50):
        assert objective(weights) <= objective(weights + 0.01 * draw.normal(size=12)) + 1e-9


def test_of_many_networks_the_better_half_is_taken_whole():
    features, losses = features_and_losses(3 * MOST)
    weights = fitted(features, losses, 0.003)
    assert kendalltau(features @ weights, losses).statistic > 0.9


def test_networks_that_are_all_alike_give_no_weights():
    features, _ = features_and_losses(20)
    assert not fitted(features, numpy.ones(20), 0.003).any()


def test_cross_validation_tells_what_can_be_learned_from_what_cannot():
    def fit(features, losses):
        return fitted(features, losses, 0.003)

    features, losses = features_and_losses(60)
    assert cross_validated_tau(fit, features, losses) > 0.8
    draw = numpy.random.default_rng(2)
    assert abs(cross_validated_tau(fit, features, draw.normal(size=60))) < 0.3
    assert cross_validated_tau(fit, features, numpy.ones(60)) == 0.0


@pytest.mark.parametrize("use", ["genetic_algorithm", "steady_state", "islands"])
def test_the_guide_finds_more_with_fewer_networks(use):
    def reached(screen):
        tables = onemax(use=use, population=16, generations=4) | {
            "problem": {"use": "onemax", "length": 60}
        }
        runs = [Run(screen(tables) | {"seed": seed}) for seed in range(3)]
        return numpy.mean([run.generations[-1].best[0] for run in runs])

    assert reached(guided) > reached(lambda tables: tables) + 2


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


def test_a_ranker_that_is_wrong_is_switched_off_by_its_own_record(caplog):
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
        Run(guided(tables), problems={"noise": Noise}, swap=count)
    assert "the pairwise ranker is off: tau" in caplog.text
    assert bred.count(1) > bred.count(16)


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
        run = Run(guided(tables, candidates=4, rankers=1), problems={"first_noise": FirstNoise})
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
    assert ranker._predicted == [0]
    losses = ranker._losses(ranker._fits[-1], [[1] * 16, [0] * 16])
    assert losses[:, :, 1].tolist() == [[9.0, 1.0]] * 3
    assert not ranker._fits[-1].weights[:, :, 1].any()


def test_an_objective_that_is_all_known_needs_no_ranker():
    tables = onemax(population=12, generations=4) | {
        "objectives": ["params"],
        "problem": {"use": "half"},
    }
    run = Run(guided(tables), problems={"half": Half})
    assert run.generations[-1].best == (1.0,)


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


def test_a_screen_that_an_algorithm_never_asks_is_refused():
    declaration = declare(guided(onemax(use="eaSimple")), PROBLEMS, name="test")
    with pytest.raises(OperatorError, match=r"toolbox\.screen = 'pairwise_ranker': it has nothing"):
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
        ({"least_tau": 2}, r"toolbox\.screen\.least_tau = 2"),
        ({"candidate": 3}, r"toolbox\.screen\.candidate: unknown key.*did you mean 'candidates'"),
    ],
)
def test_options_of_the_ranker_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Run(guided(onemax(), **options))
