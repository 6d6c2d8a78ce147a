import pickle
from dataclasses import replace

import pytest
import torch

from problems.datasets import Digits, FashionMnist, ImageFolder
from problems.datasets.splits import open_splits
from problems.image_classification import ImageClassification
from problems.spaces import ConvPoolFc, LayerString, PooledCnn
from problems.supernets.gate import KendallTau, Off
from problems.supernets.shared_chain import SharedChain
from problems.supernets.training import SupernetTraining, about
from problems.training.loop import score
from problems.training.recipe import Training
from problems.weight_sharing import WeightSharing, _identity
from toolbox.signature import described

RECIPE = Training(epochs=2, batch_size=32, optimizer="adam", learning_rate=0.01, normalize=True)
POOLED = WeightSharing(
    space=PooledCnn(depth=(2, 3), filters=(4, 8), kernels=(3,), units=(8, 16)),
    dataset=Digits(limit=100, validation=100),
    training=replace(RECIPE, epochs=1),
    supernet=SharedChain(training=RECIPE, recalibration=70),
    gate=Off(),
    device="cpu",
)
NORMED = replace(POOLED, space=ConvPoolFc(filters=(4, 8), kernels=(3,), units=(8, 16)))
ARCHITECTURES = {
    POOLED: "conv 4k3max 8k3average | fc 16",
    NORMED: "conv 4k3 8k3 | pool max | activation relu | fc 8",
}


def without_seconds(measurement):
    return {name: value for name, value in measurement.items() if not name.endswith("seconds")}


def nothing(*arguments):
    raise AssertionError("there was nothing to do")


def anything(genome):
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(params=[POOLED, NORMED], ids=["pooled_cnn", "conv_pool_fc"])
def ready(request, folder):
    return request.param.ready(folder, nothing, anything)


@pytest.fixture
def genome(ready):
    plain = next(one for one in ARCHITECTURES if one.space == ready.space)
    return ready.space.encode(ARCHITECTURES[plain])


def test_a_supernet_in_another_folder_scores_the_same(ready, genome, tmp_path):
    (file,) = ready.shared_files()
    (tmp_path / "supernet").mkdir()
    (tmp_path / "supernet" / file.name).write_bytes(file.read_bytes())
    away = ready.in_folder(tmp_path)
    assert away.shared_files() == [tmp_path / "supernet" / file.name]
    assert without_seconds(away.evaluate(genome)) == without_seconds(ready.evaluate(genome))


def test_a_measurement_has_every_name_that_the_problem_says(ready, genome):
    measurement = ready.evaluate(genome)
    assert set(measurement) == set(ready.measures)
    assert not {"epochs", "train_seconds", "train_accuracy"} & set(measurement)
    assert {name: measurement[name] for name in ready.known(genome)} == ready.known(genome)
    assert measurement["scoring_seconds"] > 0


def test_it_is_measured_as_the_user_asks_with_the_inherited_weights(ready, genome):
    measuring = replace(ready, measure=("per_class_f1", "tests.problems.own_measures:share"))
    named = replace(measuring, measured=measuring._rehearsed())
    measurement = named.evaluate(genome)
    assert set(measurement) == set(named.measures)
    assert measurement["share"] == pytest.approx(measurement["val_accuracy"])
    assert measurement["worst_class_f1"] <= measurement["macro_f1"]


def test_a_supernet_of_before_a_test_part_could_be_declared_is_found():
    data = ImageFolder(root="photographs", validation=10)
    assert "test" not in _identity(data)
    assert _identity(replace(data, test=0.2))["test"] == 0.2


def test_a_score_is_that_of_the_inherited_weights_on_the_validation_images(ready, genome):
    splits = open_splits(ready.dataset, "cpu")
    network = ready.inherited(genome, splits.train)
    val_loss, val_accuracy = score(network, splits.validation).tolist()
    measurement = ready.evaluate(genome)
    assert (measurement["val_loss"], measurement["val_accuracy"]) == (val_loss, val_accuracy)
    assert val_loss != pytest.approx(2.3026, abs=1e-3)  # of a network that knows nothing


def test_a_score_is_the_same_in_any_order_and_process(ready, genome):
    other = [0] * len(genome)
    first = ready.evaluate(genome)
    torch.manual_seed(999)
    again = pickle.loads(pickle.dumps(ready))
    again.evaluate(other)
    assert without_seconds(again.evaluate(genome)) == without_seconds(first)


def test_the_norms_of_a_network_are_those_of_so_many_training_images(folder):
    ready = NORMED.ready(folder, nothing, anything)
    genome = ready.space.encode(ARCHITECTURES[NORMED])
    images = open_splits(ready.dataset, "cpu").train
    network = ready.inherited(genome, images)
    norm = network[2]
    convolved = []
    for part in (slice(0, 32), slice(32, 64), slice(64, 70)):
        with torch.no_grad():
            convolved.append(network[1](network[0](images.batch(part)[0])).mean(dim=(0, 2, 3)))
    assert torch.allclose(norm.running_mean, torch.stack(convolved).mean(dim=0), atol=1e-5)


def test_a_supernet_is_trained_once(folder, monkeypatch):
    ready = POOLED.ready(folder, nothing, anything)
    monkeypatch.setattr(SupernetTraining, "take_epoch", nothing)
    again = POOLED.ready(folder, nothing, anything)
    assert again.supernet_file == ready.supernet_file
    assert about(POOLED._file(folder).weights)["train_seconds"] > 0


@pytest.mark.parametrize(
    "other",
    [
        replace(POOLED, seed=1),
        replace(POOLED, supernet=replace(POOLED.supernet, paths=7)),
        replace(POOLED, supernet=replace(POOLED.supernet, training=replace(RECIPE, epochs=3))),
        replace(POOLED, dataset=Digits(limit=99, validation=100)),
        replace(POOLED, space=replace(POOLED.space, kernels=(5,))),
    ],
    ids=["seed", "paths", "recipe", "dataset", "space"],
)
def test_another_supernet_is_another_archive_and_another_file(other, folder):
    assert described(other, identity=True) != described(POOLED, identity=True)
    assert other._file(folder).weights != POOLED._file(folder).weights


def test_the_gate_and_where_files_lie_are_not_part_of_what_is_measured(folder):
    identity = described(POOLED, identity=True)
    assert described(replace(POOLED, gate=KendallTau(networks=10)), identity=True) == identity
    assert "gate" not in identity
    assert described(POOLED.ready(folder, nothing, anything), identity=True) == identity
    one, other = (
        replace(
            POOLED,
            space=replace(POOLED.space, depth=(2, 2)),
            dataset=FashionMnist(limit=100, validation=100, root=root),
        )
        for root in ("here", "there")
    )
    assert one._file(folder) == other._file(folder)


def test_the_supernet_is_found_by_a_machine_that_decides_otherwise(folder):
    ready = POOLED.ready(folder, nothing, anything)
    recipe = replace(RECIPE, precision="bfloat16")
    elsewhere = replace(
        POOLED, threads=2, supernet=replace(POOLED.supernet, training=recipe), device="auto"
    )
    assert elsewhere.found(folder).supernet_file == ready.supernet_file
    with pytest.raises(ValueError, match="no trained supernet of this declaration"):
        replace(POOLED, seed=5).found(folder)


def test_a_training_begins_with_first_weights_of_its_own_or_with_inherited_ones(ready, genome):
    images = open_splits(ready.dataset, "cpu").train
    inherited = ready.inherited(genome, images).state_dict()
    scratch = ready.untrained(genome, images).state_dict()
    begun = replace(ready, first_weights="inherited").untrained(genome, images).state_dict()
    assert list(scratch) == list(inherited)
    assert all(begun[name].equal(inherited[name]) for name in inherited)
    assert not all(scratch[name].equal(inherited[name]) for name in inherited)
    plain, inheriting = (
        described(one, identity=True) for one in (ready, replace(ready, first_weights="inherited"))
    )
    assert inheriting == plain | {"first_weights": "inherited"}


def test_alone_it_is_the_ordinary_problem():
    alone = POOLED.alone()
    assert type(alone) is ImageClassification
    assert alone.space == POOLED.space
    assert alone.training == POOLED.training


def test_the_precision_of_the_supernet_is_decided_before_the_search():
    prepared = replace(
        POOLED, supernet=replace(POOLED.supernet, training=replace(RECIPE, precision="auto"))
    ).prepared()
    assert prepared.supernet.training.precision in ("float32", "bfloat16")


def test_a_longer_computation_costs_more():
    short, long = (POOLED.space.encode(f"conv {n}k3max {n}k3max | fc 8") for n in (4, 8))
    assert POOLED.cost(short) < POOLED.cost(long)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": LayerString()}, "supernet = SharedChain: it shares the weights of"),
        (
            {"training": replace(RECIPE, normalize=False)},
            "supernet.training.normalize = True: it must be training.normalize, which is False",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(POOLED, **change)


def test_a_precision_that_the_device_does_not_have_is_refused():
    recipe = replace(RECIPE, precision="tf32")
    with pytest.raises(ValueError, match=r"^supernet\.training\.precision = 'tf32'"):
        replace(POOLED, supernet=replace(POOLED.supernet, training=recipe)).prepared()


def test_what_is_scored_and_not_trained_cannot_be_trained_less_or_inherit_otherwise():
    assert POOLED.epochs is None
    assert not POOLED.inherits
    with pytest.raises(ValueError, match="inherit = true: a network has its supernet's weights"):
        replace(POOLED, inherit=True)


def test_a_score_with_shared_weights_has_no_other_seed():
    assert not POOLED.reseeds


def test_a_trial_needs_no_trained_supernet_and_tells_how_long_a_score_takes():
    told = POOLED.with_trials(0.01).evaluate(POOLED.space.encode(ARCHITECTURES[POOLED]))
    assert told["expected_seconds"] == told["least_seconds"] > 0
    assert told["epoch_seconds"] == 0


def test_what_comes_before_a_search_is_the_rest_of_the_supernet_and_the_gate(tmp_path, monkeypatch):
    monkeypatch.setattr("problems.weight_sharing.epoch_seconds", lambda training, seconds: 10.0)
    gated = replace(POOLED, gate=KendallTau(networks=6, epochs=3))
    seconds, ((shared, scored), (alone, trained)) = gated.readying(0.1)
    assert seconds == 20
    assert (shared, scored, trained) == (gated, 6, 6)
    assert (type(alone), alone.training.epochs) == (ImageClassification, 3)
    here = POOLED.in_folder(tmp_path)
    assert here.readying(0.1) == (20, [])
    here.trained(tmp_path)
    assert here.readying(0.1) == (0, [])


def test_an_epoch_of_a_supernet_is_foretold_by_some_of_its_steps():
    assert POOLED.readying(0.0)[0] > 0
    one_step = replace(POOLED, dataset=Digits(limit=20, validation=100))
    assert one_step.readying(0.0)[0] > 0
