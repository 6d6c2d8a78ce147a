import pickle
import random
from dataclasses import replace

import pytest
import torch

from problems.datasets import Digits, FashionMnist
from problems.image_classification import ImageClassification
from problems.spaces import PlainCnn
from problems.spaces.layer_string import LayerString
from problems.training.augmentation import Augmentation
from problems.training.gpu_use import GpuUse
from problems.training.loop import Diverged
from problems.training.recipe import Training
from toolbox.initialization import uniform_random
from toolbox.signature import described

SMALL = ImageClassification(
    space=LayerString(normal=(1, 1), kernels=(3,)),
    dataset=Digits(size=12, limit=150, validation=100),
    training=Training(epochs=1, batch_size=32, optimizer="adam", learning_rate=0.01),
    device="cpu",
)
ARCHITECTURE = "RC 8 3 relu;NC 4 3 tanh;RC 8 3 gelu;FL swish;"


def without_seconds(measurement):
    return {name: value for name, value in measurement.items() if not name.endswith("seconds")}


def test_a_measurement_has_every_name_that_the_problem_says():
    measurement = SMALL.evaluate(SMALL.space.encode(ARCHITECTURE))
    assert set(measurement) == {*SMALL.measures, "learning_curve"}
    assert measurement["conv_params"] == 80 + 292 + 296
    assert measurement["fc_params"] == 8 * 64 + 64 + 64 * 10 + 10
    assert measurement["params"] == measurement["conv_params"] + measurement["fc_params"]
    # 12x12 -> 5x5 -> 5x5 -> 2x2
    convolutions = 9 * 8 * 25 + 9 * 8 * 4 * 25 + 9 * 4 * 8 * 4
    assert measurement["macs"] == convolutions + 8 * 64 + 64 * 10
    assert measurement["epochs"] == 1


def test_a_learning_curve_has_a_number_for_each_epoch_and_the_scores_where_each_is_scored():
    genome = SMALL.space.encode(ARCHITECTURE)
    plain = replace(SMALL, training=replace(SMALL.training, epochs=3)).evaluate(genome)
    assert list(plain["learning_curve"]) == ["train_loss", "train_accuracy"]
    assert len(plain["learning_curve"]["train_loss"]) == 3
    assert plain["learning_curve"]["train_accuracy"][-1] == plain["train_accuracy"]
    scored = replace(SMALL, training=replace(SMALL.training, epochs=3, keep="best"))
    best = scored.evaluate(genome)
    assert max(best["learning_curve"]["val_accuracy"]) == best["val_accuracy"]


def test_a_training_that_goes_on_has_its_whole_learning_curve(tmp_path):
    genome = SMALL.space.encode(ARCHITECTURE)
    problem = replace(SMALL, training=replace(SMALL.training, epochs=3)).in_folder(tmp_path)
    first = problem.evaluate(genome, epochs=1, key="k")
    last = problem.evaluate(genome, epochs=3, key="k")
    assert last["trained_epochs"] == 2
    assert last["learning_curve"]["train_loss"][:1] == first["learning_curve"]["train_loss"]
    assert last["learning_curve"] == problem.evaluate(genome)["learning_curve"]


def test_a_diverged_training_brings_its_learning_curve_until_then():
    training = replace(SMALL.training, epochs=2, optimizer="sgd", learning_rate=1e30)
    genome = SMALL.space.encode(ARCHITECTURE)
    with pytest.raises(Diverged) as raised:
        replace(SMALL, training=training).evaluate(genome)
    told = raised.value.measurement
    assert len(told["learning_curve"]["train_loss"]) == told["epochs"] - 1


def test_a_guide_is_told_of_the_counted_layers_and_of_what_no_layer_can_be_made():
    found = SMALL.features(SMALL.space.encode(ARCHITECTURE))
    assert found[0] == 5  # three convolutions, and two linear layers
    assert len(found) == len(SMALL.features([0] * len(SMALL.space.genes))) == 10


def test_a_measurement_is_the_same_in_any_order_and_process():
    a = SMALL.space.encode(ARCHITECTURE)
    b = SMALL.space.encode("NC 4 3 relu;RC 8 3 relu;RC 8 3 gelu;FL swish;")
    first = SMALL.evaluate(a)
    SMALL.evaluate(b)
    torch.manual_seed(999)
    again = pickle.loads(pickle.dumps(SMALL)).evaluate(a)
    assert without_seconds(again) == without_seconds(first)


def test_another_seed_is_another_training():
    genome = SMALL.space.encode(ARCHITECTURE)
    other = replace(SMALL, seed=1).evaluate(genome)
    assert other["val_loss"] != SMALL.evaluate(genome)["val_loss"]


def test_a_further_seed_is_another_training_of_the_same_network_and_seed_0_is_its_own():
    genome = SMALL.space.encode(ARCHITECTURE)
    own = without_seconds(SMALL.evaluate(genome))
    assert without_seconds(SMALL.evaluate(genome, seed=0)) == own
    again = without_seconds(SMALL.evaluate(genome, seed=1))
    assert again["val_loss"] != own["val_loss"]
    assert again["params"] == own["params"]
    jobs = [(genome, {"seed": 1}), genome]
    found = dict(SMALL.evaluate_many(jobs))
    assert [without_seconds(found[number]) for number in range(2)] == [again, own]
    assert SMALL.reseeds
    assert not replace(SMALL, inherit=True).reseeds


def test_evaluation_touches_no_global_generator():
    python, numpy_state = random.getstate(), torch.random.get_rng_state()
    SMALL.evaluate(SMALL.space.encode(ARCHITECTURE))
    assert random.getstate() == python
    assert torch.equal(torch.random.get_rng_state(), numpy_state)


def test_a_problem_pickles_small_even_after_it_has_trained():
    SMALL.evaluate(SMALL.space.encode(ARCHITECTURE))
    assert len(pickle.dumps(SMALL)) < 5_000


def test_the_space_takes_its_shape_from_the_data():
    assert SMALL.space.image_shape == (1, 12, 12)
    assert ImageClassification(dataset=FashionMnist()).space.image_shape == (1, 28, 28)


def test_the_budget_is_networks_times_epochs_times_images():
    problem = ImageClassification(dataset=FashionMnist(), training=Training(epochs=20))
    assert problem.budget(121) == (
        "121 networks x 20 epochs x 50,000 images = 121,000,000 training images"
    )


def test_the_cost_of_an_evaluation_grows_with_its_macs():
    small, large = (
        SMALL.space.encode(f"NC {filters} 3 relu;RC 8 3 relu;RC 8 3 gelu;FL swish;")
        for filters in (2, 16)
    )
    assert SMALL.cost(small) < SMALL.cost(large)


def test_a_space_that_cannot_take_the_shape_of_the_data_is_refused():
    with pytest.raises(ValueError, match="space = object: a dataclass"):
        ImageClassification(space=object())


def test_a_preview_tells_what_is_known_and_the_latency_of_an_untrained_network():
    genome = SMALL.space.encode(ARCHITECTURE)
    preview = SMALL.preview(genome)
    assert preview.pop("latency_seconds") > 0
    assert preview == SMALL.known(genome)
    assert SMALL.evaluate(genome).items() >= preview.items()


def test_normalized_images_have_mean_0_and_deviation_1():
    problem = replace(SMALL, training=replace(SMALL.training, normalize=True))
    genome = problem.space.encode(ARCHITECTURE)
    network, splits = problem._built(genome)
    images, _ = splits.train.batch(slice(None))
    standardized = network[0](images)
    assert standardized.mean().item() == pytest.approx(0, abs=1e-5)
    assert standardized.std().item() == pytest.approx(1, abs=1e-3)
    plain, normalized = SMALL.evaluate(genome), problem.evaluate(genome)
    assert plain["val_loss"] != normalized["val_loss"]
    assert plain["params"] == normalized["params"]


def test_a_gpu_that_cannot_be_used_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr(
        "problems.image_classification.resolve_device", lambda declared: ("cpu", ["a warning"])
    )
    SMALL.prepared()
    assert "a warning" in caplog.text


def test_a_cpu_has_no_gpu_uuid():
    assert SMALL.gpu_uuid is None


def test_threads_must_be_positive():
    with pytest.raises(ValueError, match="threads = 0"):
        ImageClassification(threads=0)


def test_memory_is_measured_where_the_device_tells():
    assert "peak_memory_bytes" not in SMALL.measures
    assert "peak_memory_bytes" in ImageClassification(device="cuda:0").measures


def test_prepared_spells_out_device_and_folders(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("DEAP_NAS_DATA", str(tmp_path))
    monkeypatch.setattr(FashionMnist, "require", lambda self: None)
    with caplog.at_level("INFO"):
        problem = ImageClassification(dataset=FashionMnist(), device="cpu").prepared()
    assert problem.device == "cpu"
    assert problem.dataset.root == str(tmp_path)
    assert "device: cpu" in caplog.text


def test_a_network_is_the_same_alone_and_in_company():
    chains = ImageClassification(
        space=PlainCnn(),  # batch norm and dropout
        dataset=SMALL.dataset,
        training=replace(
            SMALL.training,
            epochs=2,
            augmentation=Augmentation(crop_padding=1, flip=True),
            initialization="glorot",
        ),
        device="cpu",
    )
    random.seed(3)
    for problem in (SMALL, chains):
        genomes = [uniform_random(problem.space) for _ in range(4)]
        alone = [without_seconds(problem.evaluate(genome)) for genome in genomes]
        company = dict(replace(problem, in_flight=3).evaluate_many(genomes))
        assert [without_seconds(company[number]) for number in range(4)] == alone


def test_how_many_are_in_flight_is_no_part_of_what_is_measured():
    assert "in_flight" not in described(SMALL, identity=True)
    assert "in_flight" in described(replace(SMALL, in_flight=2))


def test_how_a_gpu_is_used_belongs_to_what_is_measured_only_where_it_changes_it():
    identity = described(SMALL, identity=True)
    assert not {"gpu", "deterministic", "time_alone"} & set(identity)
    assert described(replace(SMALL, deterministic=True), identity=True) == identity
    assert described(replace(SMALL, gpu=GpuUse(steps_per_graph=1)), identity=True) == identity
    assert described(replace(SMALL, deterministic=False), identity=True) != identity
    untimed = replace(SMALL, time_alone=False)
    assert described(untimed, identity=True) != identity
    measured = untimed.evaluate(SMALL.space.encode(ARCHITECTURE))
    assert set(measured) == {*untimed.measures, "learning_curve"}
    assert "train_seconds" not in measured


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_gpu_gives_the_same_alone_and_in_company_and_with_a_graph_or_without(precision):
    problem = replace(
        SMALL,
        space=PlainCnn(),
        dataset=Digits(size=12, limit=1_000, validation=100),
        training=Training(epochs=3, batch_size=16, precision=precision),
        device="auto",
    ).prepared()
    random.seed(3)
    genomes = [uniform_random(problem.space) for _ in range(6)]
    company = dict(replace(problem, in_flight=6).evaluate_many(genomes))
    alone = [problem.evaluate(genome) for genome in genomes]
    eagerly = replace(problem, gpu=GpuUse(steps_per_graph=0))
    eager = [eagerly.evaluate(genome) for genome in genomes]
    for number in range(6):
        # The same kernels in the same order: equal but for atomics in cuDNN's choice, if any.
        for other in (company[number], eager[number]):
            assert other["val_loss"] == pytest.approx(alone[number]["val_loss"], rel=1e-3)
            assert other["val_accuracy"] == pytest.approx(alone[number]["val_accuracy"], abs=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_gives_the_same_measurement_twice():
    problem = replace(SMALL, device="auto").prepared()
    genome = problem.space.encode(ARCHITECTURE)
    first, second = problem.evaluate(genome), problem.evaluate(genome)
    assert without_seconds(first) == without_seconds(second)
    assert first["peak_memory_bytes"] > 0


@pytest.mark.real_data
@pytest.mark.slow
def test_a_network_learns_real_fashion_mnist(real_data, monkeypatch):
    monkeypatch.delenv("DEAP_NAS_DATA", raising=False)
    problem = ImageClassification(
        dataset=FashionMnist(root=str(real_data), limit=6_000),
        training=Training(epochs=3, optimizer="adam", learning_rate=0.003),
        device="cpu",
    )
    architecture = "NC 10 4 relu;RC 14 4 tanh;RC 14 4 relu;FL swish;"
    measurement = problem.evaluate(problem.space.encode(architecture))
    assert measurement["params"] == 7184
    assert measurement["val_accuracy"] > 0.6


def test_a_trial_tells_how_long_a_whole_evaluation_takes():
    genome = SMALL.space.encode(ARCHITECTURE)
    training = replace(SMALL.training, epochs=10, early_stop="loss", patience=1)
    problem = replace(SMALL, training=training)
    told = problem.with_trials(0.0).evaluate(genome)
    assert 0 < told["epoch_seconds"] < told["expected_seconds"]
    stopped = told["expected_seconds"] - told["least_seconds"]
    assert stopped == pytest.approx(8 * told["epoch_seconds"])
    assert told["kept_bytes"] == 0
    heir = replace(problem, inherit=True).with_trials(0.0).evaluate(genome)
    assert heir["kept_bytes"] == 4 * problem.known(genome)["params"]


def test_a_trial_of_epochs_of_a_single_step_counts_that_step():
    genome = SMALL.space.encode(ARCHITECTURE)
    training = replace(SMALL.training, batch_size=10_000, epochs=3)
    told = replace(SMALL, training=training).with_trials(1.0).evaluate(genome)
    assert told["epoch_seconds"] > 0
    assert told["expected_seconds"] == told["least_seconds"] >= 3 * told["epoch_seconds"]


def test_a_trial_is_no_part_of_what_is_measured():
    genome = SMALL.space.encode(ARCHITECTURE)
    brief = SMALL.with_trials(1.0)
    assert described(brief, identity=True) == described(SMALL, identity=True)
    before = without_seconds(SMALL.evaluate(genome))
    brief.evaluate(genome)
    assert without_seconds(SMALL.evaluate(genome)) == before


def test_a_trial_sees_when_a_training_stops_early_if_it_has_the_time():
    genome = SMALL.space.encode(ARCHITECTURE)
    training = replace(SMALL.training, epochs=10, early_stop="loss", patience=1, min_delta=0.2)
    problem = replace(SMALL, training=training)
    told = problem.with_trials(600.0).evaluate(genome)
    assert told["epochs"] == problem.evaluate(genome)["epochs"] < 10
    assert "epochs" not in SMALL.with_trials(600.0).evaluate(genome)
