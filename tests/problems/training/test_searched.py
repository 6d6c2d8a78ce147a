"""A recipe whose keys are searched: declared, trained, inherited, continued, refused."""

import random
from dataclasses import dataclass, field, replace

import pytest

from deap_nas.opening import prepared
from problems import PROBLEMS
from problems.spaces import BitString
from problems.training.recipe import Training
from tests.conftest import Run
from toolbox.archive import Archive
from toolbox.declaration import declare
from toolbox.genes import random_genome
from toolbox.problem import own
from toolbox.signature import choose, described

ELAPSED = ("train_seconds", "latency_seconds")
RANGES = {
    "epochs": 2,
    "batch_size": {"among": [16, 32]},
    "optimizer": {"among": ["adam", "sgd"]},
    "learning_rate": {"between": [1e-3, 1e-1], "scale": "log", "values": 5},
    "momentum": {"between": [0.0, 0.9], "values": 4},
    "schedule": {"among": ["constant", {"use": "one_cycle", "warm_up": 0.2}]},
    "augmentation": {"crop_padding": {"between": [0, 2]}, "flip": True},
    "normalize": {"among": [False, True]},
}
ADAM = (
    "conv 4k3 | batch_norm on @ batch_size=32 optimizer=adam learning_rate=0.01 "
    "schedule=one_cycle(warm_up=0.2) augmentation.crop_padding=1 normalize=yes"
)
SGD = (
    "conv 4k3 | batch_norm on @ batch_size=16 optimizer=sgd learning_rate=0.1 momentum=0.9 "
    "schedule=constant augmentation.crop_padding=0 normalize=no"
)


def declared(training, use="image_classification", more=None, **keys):
    tables = {
        "objectives": ["val_accuracy"],
        "seed": 1,
        "problem": {
            "use": use,
            "space": {
                "use": "plain_cnn", "depth": [1, 2], "filters": [4, 8], "kernels": [3],
                "pool_after": "none",
            },
            "dataset": {"use": "digits", "size": 8, "limit": 100, "validation": 100},
            "training": training,
            "device": "cpu",
            **keys,
        },
        "toolbox": {"map": "serial", "select": "tournament"},
        "algorithm": {"use": "genetic_algorithm", "population": 4, "generations": 2},
        **(more or {}),
    }  # fmt: skip
    return tables, declare(tables, PROBLEMS, "test")


def problem_of(training=None, **keys):
    return declared(RANGES if training is None else training, **keys)[1].problem.build()


def measured(problem, genome, **options):
    found = problem.evaluate(genome, **options)
    return {name: value for name, value in found.items() if name not in ELAPSED}


@pytest.mark.parametrize(
    ("architecture", "recipe"),
    [
        (
            ADAM,
            {
                "batch_size": 32, "optimizer": "adam", "learning_rate": 0.01, "normalize": True,
                "schedule": {"use": "one_cycle", "warm_up": 0.2},
                "augmentation": {"crop_padding": 1, "flip": True},
            },
        ),
        (
            SGD,
            {
                "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9,
                "augmentation": {"flip": True},
            },
        ),
    ],
)  # fmt: skip
def test_a_network_is_trained_as_a_search_with_its_recipe_alone_would_train_it(
    architecture, recipe
):
    joint = problem_of()
    genome = joint.space.encode(architecture)
    alone, network = joint.of_one(genome)
    plain = problem_of({"epochs": 2, **recipe})
    assert described(alone, identity=True) == described(plain, identity=True)
    assert alone.space.decode(network) == "conv 4k3 | batch_norm on"
    found = measured(joint, genome)
    numbers = {
        "batch_size": recipe["batch_size"], "learning_rate": recipe["learning_rate"],
        "momentum": recipe.get("momentum", 0.0),
        "augmentation.crop_padding": recipe["augmentation"].get("crop_padding", 0),
    }  # fmt: skip
    assert found == measured(plain, network) | numbers
    assert {*joint.measures, "learning_curve"} == {*found, *ELAPSED}
    assert joint.preview(genome).keys() == alone.preview(network).keys()
    blueprint = joint.blueprint(genome)
    assert blueprint.normalize is recipe.get("normalize", False)
    assert blueprint.architecture == architecture


def test_a_training_that_goes_on_is_that_of_its_recipe_in_one_go(tmp_path):
    joint = replace(problem_of(), folder=tmp_path)
    genome = joint.space.encode(ADAM)
    assert measured(joint, genome, epochs=1, key="a")["epochs"] == 1
    went_on = measured(joint, genome, epochs=2, key="a")
    assert went_on.pop("trained_epochs") == 1
    assert went_on == measured(joint, genome)


def test_a_child_inherits_the_weights_of_an_equal_network_and_trains_by_its_own_recipe(tmp_path):
    ranges = {name: value for name, value in RANGES.items() if name != "normalize"}
    joint = replace(problem_of(ranges, inherit=True), folder=tmp_path)
    parent, child = (joint.space.encode(text.rpartition(" normalize")[0]) for text in (ADAM, SGD))
    measured(joint, parent, key="parent")
    found = measured(joint, child, key="child", parents=["parent"])
    assert found["inherited_params"] == found["params"]
    assert found["inherited_epochs"] == 2
    assert found["learning_rate"] == 0.1
    alone, network = joint.of_one(child)
    numbers = {name: found[name] for name in found if name not in measured(alone, network)}
    again = measured(alone, network, key="again", parents=["parent"])
    assert again | numbers == found


@pytest.mark.parametrize("inherit", [False, True])
def test_a_search_halves_inherits_and_is_served_again_from_its_archive(inherit):
    ranges = {name: value for name, value in RANGES.items() if name != "normalize"}
    keys = {"inherit": True} if inherit else {}
    tables, _ = declared(ranges, more={"halving": {"epochs": [1]}}, **keys)
    run = Run(tables)
    space = run.problem.space
    whole = [record for record in run.archive if run.archive.is_whole(record)]
    assert whole
    assert {record.status for record in run.archive} == {"ok"}
    for record in run.archive:
        assert space.encode(record.architecture) == record.genome
        assert record.measurement["learning_rate"] in (0.001, 0.00316, 0.01, 0.0316, 0.1)
    before = len(run.archive)
    again = Run(tables, archive=run.archive)
    assert len(again.archive) == before
    assert [list(one) for one in again.population] == [list(one) for one in run.population]


def test_what_is_written_of_a_declaration_declares_the_same():
    _, declaration = declared(RANGES)
    written = declaration.table()
    assert written["problem"]["training"]["momentum"] == {
        "between": [0.0, 0.9], "scale": "linear", "values": 4,
    }  # fmt: skip
    assert written["problem"]["training"]["augmentation"]["flip"] is True
    again = declare(written, PROBLEMS, "test")
    one, other = declaration.problem.build(), again.problem.build()
    assert declaration.identity(one) == again.identity(other)
    assert one.space.genes == other.space.genes
    assert declaration.identity(own(prepared(declaration))) == declaration.identity(one)


def test_other_ranges_are_another_problem():
    one = declared(RANGES)[1]
    other = declared({**RANGES, "batch_size": {"among": [16, 64]}})[1]
    assert one.identity(one.problem.build()) != other.identity(other.problem.build())


def test_an_archive_of_before_recipes_could_be_searched_goes_on():
    training = {"optimizer": "adam", "schedule": "cosine", "augmentation": {"crop_padding": 1}}
    _, declaration = declared(training, space="plain_cnn", dataset={"use": "digits", "size": 8})
    archive = Archive(declaration.identity(declaration.problem.build()))
    key = archive.key("conv 16k3 | batch_norm on")
    assert key == "056b5675c3f00ca86d795687758d5fec"


def test_each_optimizer_is_drawn_as_often_as_the_others():
    random.seed(1)
    problem = problem_of()
    recipes = [problem.space.parted(random_genome(problem.space))[1] for _ in range(300)]
    adam = [recipe for recipe in recipes if recipe["optimizer"] == "adam"]
    assert 120 < len(adam) < 180
    assert not any("momentum" in recipe for recipe in adam)


def test_a_momentum_that_is_not_searched_is_the_one_of_sgd_alone():
    problem = problem_of({"optimizer": {"among": ["adam", "sgd"]}, "momentum": 0.9})
    adam, sgd = (problem.of_one([0] * (len(problem.space.genes) - 1) + [n])[0] for n in (0, 1))
    assert (adam.training.optimizer, adam.training.momentum) == ("adam", 0.0)
    assert (sgd.training.optimizer, sgd.training.momentum) == ("sgd", 0.9)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("learning_rate", {"between": [0.1, 0.001]}, "the lowest first"),
        ("learning_rate", {"between": [0, 0.1], "scale": "log"}, "numbers above 0"),
        ("learning_rate", {"between": [0, 0.1]}, "learning_rate = 0: it should be greater than 0"),
        ("learning_rate", {"betwen": [0.01, 0.1]}, "did you mean 'between'?"),
        ("learning_rat", {"among": [0.1, 0.2]}, "did you mean 'learning_rate'?"),
        ("momentum", {"between": [0, 1]}, "momentum = 1.0: it should be less than 1"),
        ("momentum", {"among": [0.5, 0.5]}, "0.5 stands there twice"),
        ("batch_size", {"among": [16, 0]}, "batch_size = 0: it should be greater than or equal"),
        ("batch_size", {"between": [0.5, 8]}, "batch_size = 0.5: it should be a valid integer"),
        ("optimizer", {"among": ["sgd", "addam"]}, "did you mean 'adam'?"),
        ("schedule", {"among": ["cosine", "constnat"]}, "did you mean 'constant'?"),
        ("schedule", {"use": "step", "every": {"among": [1, 0]}}, "schedule.every = 0: it should"),
        ("augmentation", {"crop_paddin": {"among": [1, 2]}}, "did you mean 'crop_padding'?"),
        ("patience", {"among": [1, 2]}, "means nothing with early_stop = 'never'"),
        ("epochs", {"among": [1, 2]}, "cannot be searched: networks are compared after equally"),
        ("keep", {"among": ["last", "best"]}, "cannot be searched: the best epoch's score"),
        ("precision", {"among": ["float32", "bfloat16"]}, "cannot be searched: it is decided once"),
    ],
)
def test_a_range_that_cannot_be_searched_is_told_in_one_line(name, value, reason):
    with pytest.raises(ValueError, match=rf"^problem\.training\.{name}") as refused:
        problem_of({name: value})
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_momentum_is_not_searched_beside_an_optimizer_that_has_none():
    with pytest.raises(ValueError, match="it means nothing with optimizer = 'adam', only with"):
        problem_of({"optimizer": "adam", "momentum": {"between": [0, 0.9]}})


@dataclass(frozen=True)
class Own:
    """A problem that trains by a recipe and does not know of ranges."""

    training: Training = field(default_factory=Training)
    space = BitString(length=4)

    def evaluate(self, genome):
        return {"ones": float(sum(genome))}


def test_a_problem_that_searches_no_recipe_refuses_a_range():
    reason = r"^problem.training.learning_rate = \{.*\}: it should be a valid number"
    with pytest.raises(ValueError, match=reason):
        choose(
            {"use": f"{__name__}:Own", "training": {"learning_rate": {"among": [1, 2]}}},
            {},
            "problem",
        )


def test_normalize_is_not_searched_where_weights_are_inherited():
    with pytest.raises(ValueError, match=r"training.normalize: it cannot be searched with inherit"):
        problem_of({"normalize": {"among": [False, True]}}, inherit=True)


def test_shared_weights_have_no_recipe_to_search():
    space = {"use": "plain_cnn"}
    ranges = {"learning_rate": {"among": [0.1, 0.2]}}
    with pytest.raises(ValueError, match="a network is scored with its supernet's weights"):
        problem_of(ranges, use="weight_sharing", space=space)
    supernet = {"use": "shared_chain", "training": ranges}
    with pytest.raises(ValueError, match=r"supernet\.training\.learning_rate = .*: it should be a"):
        problem_of({}, use="weight_sharing", space=space, supernet=supernet)


def test_a_batch_that_may_be_larger_than_the_data_is_pointed_out(caplog):
    _, declaration = declared({"batch_size": {"among": [16, 400]}})
    prepared(declaration)
    assert "training.batch_size = 400: there are 100 images" in caplog.text


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("conv 4k3 | batch_norm on", "it tells no recipe"),
        (ADAM.replace("adam", "addam"), "did you mean 'adam'?"),
        (ADAM.replace("learning_rate", "learning_rat"), "did you mean 'learning_rate'?"),
        (ADAM.replace(" normalize=yes", ""), "has no normalize="),
        (ADAM + " normalize=no", "each once"),
        (ADAM.replace("batch_norm on", "batch_norm no"), "batch_norm = no"),
    ],
)
def test_an_architecture_that_is_none_is_told(architecture, reason):
    with pytest.raises(ValueError, match="conv 4k3") as refused:
        problem_of().space.encode(architecture)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
