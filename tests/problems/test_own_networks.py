"""Networks of somebody's own in the problem: measured, inherited, kept, refused."""

import logging
import random
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import pytest
import torch
from annotated_types import MaxLen, MinLen
from torch import nn
from torchvision.ops import StochasticDepth

from problems import PROBLEMS
from problems.datasets import Digits
from problems.datasets.splits import open_splits
from problems.image_classification import ImageClassification
from problems.networks.dropout import Dropout
from problems.networks.own_network import OwnNetwork
from problems.networks.plan import imports_of
from problems.networks.rehearsal import rehearse
from problems.retraining import check_can_be_kept
from problems.saved_network import Blueprint, as_bytes, load
from problems.spaces.chain import Chain
from problems.spaces.gene import Gene
from problems.spaces.layers import Flatten, Linear
from problems.training.recipe import Training
from problems.training.steps import Steps
from toolbox.signature import choose

DATA = Digits(size=12, limit=200, validation=100)
Widths = Annotated[tuple[Literal[4, 8], ...], MinLen(1), MaxLen(2)]


def build(image_shape, classes, widths: Widths, dropout: float = 0.2):
    layers, channels = [], image_shape[0]
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(
        *layers, nn.Dropout(dropout), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(4 * channels, classes),
    )  # fmt: skip


class Drawing(nn.Module):
    """Draws in each way that modules draw: a stochastic depth, an attention, a function, noise."""

    def __init__(self, image_shape, classes, width: Literal[4, 8], rate: Literal[0.0, 0.2] = 0.2):
        super().__init__()
        self.rate = rate
        self.stem = nn.Conv2d(image_shape[0], width, 3, stride=2, padding=1)
        self.branch, self.depth = nn.Conv2d(width, width, 1), StochasticDepth(rate, "row")
        self.attention = nn.MultiheadAttention(width, 2, dropout=rate, batch_first=True)
        self.head, self.alpha = nn.Linear(width, classes), nn.AlphaDropout(rate)

    def forward(self, images):
        planes = self.stem(images)
        planes = planes + self.depth(self.branch(planes))
        if self.training and self.rate:
            planes = planes + 0.1 * torch.randn_like(planes)
        tokens = planes.flatten(2).transpose(1, 2)
        tokens, _ = self.attention(tokens, tokens, tokens)
        dropped = nn.functional.dropout(tokens.mean(1), self.rate, self.training)
        return self.head(self.alpha(dropped))


class AlwaysDropping(nn.Module):
    def __init__(self, image_shape, classes, width: Literal[4, 8]):
        super().__init__()
        self.head = nn.Linear(image_shape[1], classes)

    def forward(self, images):
        return self.head(nn.functional.dropout(images).mean((1, 2)))


class DrawingElsewhere(AlwaysDropping):
    def forward(self, images):
        return self.head(images.mean((1, 2))) * random.random()


def only_broken(image_shape, classes, width: Literal[4, 8]):
    return nn.Linear(width, 3)


def own(function=build, **options):
    return OwnNetwork.of(f"{__name__}:{function.__name__}", function, options)


PROBLEM = ImageClassification(
    device="cpu",
    space=own(),
    dataset=DATA,
    training=Training(epochs=2, batch_size=25, normalize=True),
)
SMALL, LARGE = [0, 0, 0], [1, 1, 1]
ELAPSED = ("train_seconds", "latency_seconds")


def without_times(found):
    left_out = (*ELAPSED, "peak_memory_bytes")  # which depends on what else a GPU does
    return {name: value for name, value in found.items() if name not in left_out}


def measured(problem, genome, **options):
    return without_times(problem.evaluate(genome, **options))


def test_a_network_measures_the_same_alone_and_beside_others():
    alone = measured(PROBLEM, LARGE)
    assert alone == measured(PROBLEM, LARGE)
    together = replace(PROBLEM, in_flight=2).evaluate_many([SMALL, LARGE])
    beside = dict(together)[1]
    assert without_times(beside) == alone
    assert {*PROBLEM.measures, "learning_curve"} == {*alone, *ELAPSED}


def test_what_is_known_is_what_is_measured():
    known = PROBLEM.known(LARGE)
    assert known.items() <= measured(PROBLEM, LARGE).items()
    network = PROBLEM.untrained(LARGE, open_splits(DATA, "cpu").train)
    assert known["params"] == sum(parameter.numel() for parameter in network.parameters())
    assert PROBLEM.layers(LARGE)[0]["name"] == "image"
    assert PROBLEM.layers(LARGE)[-1]["name"] == "linear 10"


def test_a_training_that_went_on_is_that_of_one_go(tmp_path):
    problem = replace(PROBLEM, folder=tmp_path)
    problem.evaluate(LARGE, epochs=1, key="a")
    went_on = measured(problem, LARGE, epochs=2, key="a")
    assert went_on.pop("trained_epochs") == 1
    assert went_on == measured(PROBLEM, LARGE)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_modules_draw_is_their_network_s_own(optimizer, tmp_path):
    training = Training(epochs=3, batch_size=25, optimizer=optimizer, learning_rate=0.01)
    problem = replace(PROBLEM, space=own(Drawing), training=training)
    before = torch.get_rng_state()
    alone = [measured(problem, genome) for genome in ([0, 1], [1, 1], [1, 0])]
    assert torch.equal(torch.get_rng_state(), before)
    assert alone[1]["val_loss"] != alone[2]["val_loss"]
    company = dict(replace(problem, in_flight=3).evaluate_many([[0, 1], [1, 1], [1, 0]]))
    for number, one in enumerate(alone):
        assert without_times(company[number]) == one
    kept = replace(problem, folder=tmp_path)
    for epochs in (1, 2):
        measured(kept, [1, 1], epochs=epochs, key="a")
    went_on = measured(kept, [1, 1], epochs=3, key="a")
    assert went_on.pop("trained_epochs") == 1
    assert went_on == alone[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_what_modules_draw_on_a_gpu_is_their_network_s_own():
    training = Training(epochs=3, batch_size=25, learning_rate=0.01)
    problem = replace(PROBLEM, space=own(Drawing), training=training, device="cuda").prepared()
    genomes = [[0, 1], [1, 1], [1, 0]]
    alone = [without_times(problem.evaluate(genome)) for genome in genomes]
    company = dict(replace(problem, in_flight=3).evaluate_many(genomes))
    assert [without_times(company[number]) for number in range(3)] == alone


def test_two_dropouts_draw_two_masks():
    ones = torch.ones(200)
    network = nn.ModuleList([Dropout(0.5)])
    steps = Steps(network.append(nn.Linear(1, 1)), open_splits(DATA, "cpu").train, Training(), 3)
    with steps._own_draws.of_the_network():
        other = nn.functional.dropout(ones)
    assert not torch.equal(network.train()[0](ones), other)


def test_a_state_of_draws_that_cannot_be_one_begins_the_training_anew(tmp_path, caplog):
    problem = replace(PROBLEM, space=own(Drawing), folder=tmp_path)
    measured(problem, [1, 1], epochs=1, key="a")
    path = tmp_path / "states" / "a.pt"
    state = torch.load(path)
    assert len(state["steps"]["own_draws"]) == 1
    for wrong in ([torch.zeros(3, dtype=torch.uint8)], state["steps"]["own_draws"] * 2, [1]):
        torch.save(state | {"steps": state["steps"] | {"own_draws": wrong}}, path)
        caplog.clear()
        found = measured(problem, [1, 1], epochs=2, key="a")
        assert found["trained_epochs"] == 2
        assert "begins anew" in caplog.text


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (AlwaysDropping, r"each time that it is scored; .* F.dropout\(x, training=self.training"),
        (DrawingElsewhere, "same images, weights and seed of torch; .* neither from random nor"),
    ],
)
def test_what_no_seed_repeats_is_refused(function, reason):
    with pytest.raises(ValueError, match=reason):
        rehearse(own(function), (1, 12, 12), 10)
    assert rehearse(own(Drawing), (1, 12, 12), 10) == []


def test_a_child_inherits_the_layers_that_agree(tmp_path):
    problem = replace(PROBLEM, inherit=True, folder=tmp_path)
    measured(problem, LARGE, key="parent")
    child = measured(problem, [1, 1, 0], key="child", parents=["parent"])
    assert child["inherited_epochs"] == 2
    assert 0 < child["inherited_params"] < child["params"]


@pytest.mark.parametrize("normalize", [True, False])
def test_a_network_is_saved_as_its_function_and_genes(normalize, tmp_path):
    training = replace(PROBLEM.training, normalize=normalize, initialization="glorot")
    problem = replace(PROBLEM, training=training)
    check_can_be_kept(problem, LARGE)
    network = problem.untrained(LARGE, open_splits(DATA, "cpu").train).eval()
    path, blueprint = tmp_path / "network.safetensors", problem.blueprint(LARGE)
    path.write_bytes(as_bytes(network, blueprint))
    with pytest.raises(ValueError, match="code that the reader has not named"):
        load(path)
    loaded, found = load(path, imports=[f"{__name__}:build"])
    assert found == blueprint
    assert found.plan.function == f"{__name__}:build"
    images, _ = open_splits(DATA, "cpu").validation.batch(slice(0, 9))
    with torch.inference_mode():
        assert torch.equal(loaded(images), network(images))


def test_a_function_that_was_changed_is_told_when_its_network_is_read(tmp_path, caplog):
    path, blueprint = tmp_path / "network.safetensors", PROBLEM.blueprint(SMALL)
    network = blueprint.untrained()
    path.write_bytes(as_bytes(network, replace(blueprint, sources={__name__: "other"})))
    load(path, imports=imports_of(blueprint.plan))
    assert f"module {__name__!r} has been changed since it was trained" in caplog.text


def test_a_function_that_was_changed_since_a_run_began_is_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        PROBLEM.in_folder(tmp_path)
        PROBLEM.in_folder(tmp_path)
    assert not caplog.records
    (tmp_path / "own_sources.json").write_text(f'{{"{__name__}": "other"}}')
    PROBLEM.in_folder(tmp_path)
    (record,) = caplog.records
    assert f"module {__name__!r}, which makes the networks, has been changed" in record.message


def test_a_function_that_makes_no_networks_is_told_before_a_search():
    problem = replace(PROBLEM, space=own(only_broken))
    with pytest.raises(
        ValueError, match=r"^space: 'width=8': .*: its module Linear, given .*: RuntimeError"
    ):
        problem.prepared()


@dataclass(frozen=True)
class Shapeless:
    """A space without networks."""

    image_shape: tuple = field(default=(1, 12, 12), metadata={"declared": False})
    classes: int = field(default=10, metadata={"declared": False})

    genes = (Gene("width", (4, 8)),)

    def decode(self, genome):
        return f"w{self.genes[0].choices[genome[0]]}"


@dataclass(frozen=True)
class OfModules(Shapeless):
    """A space that makes its modules itself."""

    def module(self, genome):
        return nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, 10))


@dataclass(frozen=True)
class OfLayers(Shapeless):
    """A space of layers."""

    units: tuple[int, ...] = (3,)

    def chain(self, genome) -> Chain:
        return (Flatten(), *map(Linear, self.units), Linear(self.classes))


@dataclass(frozen=True)
class MadeOtherwise(ImageClassification):
    """A problem that makes its networks itself."""

    def known(self, genome):
        return {"params": 1450}

    def untrained(self, genome, images):
        return nn.Sequential(nn.Flatten(), nn.Linear(144, 10))


def test_a_space_with_modules_is_counted_kept_and_read_back(tmp_path):
    problem = replace(PROBLEM, space=OfModules()).prepared()
    assert problem.known([0])["params"] == 144 * 8 + 8 + 8 * 10 + 10
    check_can_be_kept(problem, [0])
    blueprint = problem.blueprint([0])
    imports = imports_of(blueprint.plan)
    assert Blueprint.from_json(blueprint.as_json(), imports) == blueprint


def test_a_space_that_makes_no_networks_is_told_before_a_search():
    with pytest.raises(
        ValueError, match=r"^space = Shapeless: it makes no networks; it needs chain"
    ):
        replace(PROBLEM, space=Shapeless()).prepared()


def test_a_problem_that_makes_its_networks_itself_is_searched_and_not_kept_unseen():
    problem = MadeOtherwise(
        space=Shapeless(), dataset=DATA, training=PROBLEM.training, device="cpu"
    ).prepared()
    assert measured(problem, [0])["params"] == 1450
    assert problem.layers([0]) == []
    with pytest.raises(ValueError, match=r"^space = Shapeless: it makes no networks"):
        check_can_be_kept(problem, [0])


def test_a_blueprint_that_tells_of_another_network_is_told_before_it_is_trained():
    recipe = Training(epochs=1)
    problem = MadeOtherwise(space=OfLayers(), dataset=DATA, training=recipe, device="cpu")
    with pytest.raises(
        ValueError, match=r"its '1.weight' has the shape \(10, 144\) where it is tr"
    ):
        check_can_be_kept(problem, [0])
    told = replace(problem, space=OfLayers(units=()))
    check_can_be_kept(told, [0])


ONCE = nn.Linear(144, 10)


def always_one(image_shape, classes, width: Literal[4, 8]):
    return nn.Sequential(nn.Flatten(), ONCE)


def ever_another(image_shape, classes, width: Literal[4, 8]):
    ever_another.made = getattr(ever_another, "made", 0) + 1
    hidden = ever_another.made
    return nn.Sequential(nn.Flatten(), nn.Linear(144, hidden), nn.Linear(hidden, classes))


class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(144, 10), None

    def forward(self, images):
        logits = self.linear(images.flatten(1))
        self.norm = self.norm or nn.BatchNorm1d(10, device=images.device)
        return self.norm(logits)


class Answering(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.linear, self.answer = nn.Linear(144, 10), answer

    def forward(self, images):
        return self.answer(self.linear(images.flatten(1)))


def late(image_shape, classes, width: Literal[4, 8]):
    return Late()


def whole(image_shape, classes, width: Literal[4, 8]):
    return Answering(lambda logits: logits.long())


def complex_numbers(image_shape, classes, width: Literal[4, 8]):
    return Answering(lambda logits: torch.complex(logits, logits))


def detached(image_shape, classes, width: Literal[4, 8]):
    return Answering(torch.Tensor.detach)


def views(image_shape, classes, width: Literal[4, 8]):
    class Viewing(nn.Sequential):
        def forward(self, images):
            features = self[0](images)
            return self[1](features.view(len(features), -1))

    return Viewing(nn.Conv2d(1, 4, 3), nn.Linear(400, classes))


def normalized(image_shape, classes, width: Literal[4, 8]):
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.BatchNorm1d(8), nn.Linear(8, classes))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (always_one, "always_one returns the same '1.weight' at each call"),
        (ever_another, "ever_another makes another module at each call"),
        (late, "late: its module makes 'norm.bias' only when it is run, too late to be trained"),
        (whole, "whole: its module returned logits of torch.int64; floating-point numbers"),
        (complex_numbers, "returned logits of torch.complex64; floating-point numbers"),
        (detached, "its module cannot be trained by a step of 2 images: RuntimeError: element 0"),
        (views, "its module cannot be trained by a step of 2 images: RuntimeError: view size"),
    ],
)
def test_a_module_that_would_be_trained_wrongly_is_told_before_a_search(function, message):
    with pytest.raises(ValueError, match=rf"^space: 'width=.': .*{message}"):
        replace(PROBLEM, space=own(function)).prepared()


def test_a_module_that_the_last_image_of_an_epoch_breaks_is_told_before_a_search():
    problem = replace(PROBLEM, space=own(normalized))
    problem.prepared()
    alone = replace(DATA, limit=101)
    with pytest.raises(ValueError, match="a step of 1 image, as the last one of each epoch has"):
        replace(problem, dataset=alone).prepared()


class Net(nn.Module):
    """A class in the place of a function; its annotation is no gene."""

    scale: float = 1.0

    def __init__(self, image_shape, classes, width: Literal[4, 8], unused: bool):
        super().__init__()
        pixels = image_shape[0] * image_shape[1] * image_shape[2]
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        return self.head(self.body(images))


def with_softmax(image_shape, classes, width: Literal[4, 8]):
    return nn.Sequential(Net(image_shape, classes, width, unused=False), nn.Softmax(dim=1))


def test_a_class_of_modules_is_called_as_a_function_is():
    table = {
        "use": "image_classification",
        "space": {"use": f"{__name__}:Net", "width": [8]},
        "device": "cpu",
        "dataset": {"use": "digits", "size": 12, "limit": 100, "validation": 50},
    }
    problem = choose(table, PROBLEMS, "problem").build()
    assert [gene.name for gene in problem.space.genes] == ["unused"]
    assert problem.known([0])["params"] == 8 * 144 + 8 + 10 * 8 + 10
    assert problem.evaluate([0])["params"] == 8 * 144 + 8 + 10 * 8 + 10
    with pytest.raises(ValueError, match=r"problem\.space\.widht = 4: unknown key; .*'width'"):
        choose({**table, "space": {"use": f"{__name__}:Net", "widht": 4}}, PROBLEMS, "problem")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (Net, "space: gene 'unused' changes nothing in the networks that were tried"),
        (with_softmax, "its module returns probabilities, as of a softmax"),
    ],
)
def test_what_a_stranger_s_networks_do_without_effect_is_pointed_out(function, said, caplog):
    replace(PROBLEM, space=own(function)).prepared()
    (line,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert said in line


def test_nothing_is_pointed_out_of_networks_whose_genes_all_do_something(caplog):
    PROBLEM.prepared()
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
