import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

pytest.importorskip("optuna")
pytest.importorskip("psutil")
pytest.importorskip("pymoo")

import deap_nas
from benchmarks import race, race_replay
from deap_nas.opening import declared
from problems.datasets import Digits
from problems.image_classification import ImageClassification
from problems.spaces import LayerString
from problems.training.recipe import Training

B = race.REFERENCES["B"]
TABLE_SEARCH = {
    "objectives": ["val_accuracy"],
    "seed": 1,
    "problem": {"use": "tabular", "format": "skip_cells"},
    "toolbox": {"map": "serial", "select": "tournament"},
    "algorithm": {"use": "genetic_algorithm", "population": 6, "generations": 2},
}


@pytest.fixture(scope="module")
def problem():
    return declared(race.REPOSITORY / "experiments" / B.best).problem.build()


def finished_lane(folder, name, first=0, **algorithm):
    """A finished search, which took a second of two processors for each of its networks after the
    first one, which took `first`."""
    tables = TABLE_SEARCH | {"algorithm": TABLE_SEARCH["algorithm"] | algorithm}
    deap_nas.Search(tables, runs=folder, name=name, progress=False).run()
    lane = race.Lane(f"{name}.toml", 1, folder)
    moments = sorted(race.moment(record) for record in lane.finished.archive)
    readings = [race.Reading(at, wall, 2 * wall) for wall, at in enumerate(moments, start=first)]
    lines = [json.dumps(vars(reading)) for reading in readings]
    (folder / f"{name}-1.jsonl").write_text("\n".join(lines))
    return lane


@pytest.fixture
def lane(tmp_path):
    return finished_lane(tmp_path, "x")


def test_the_last_incumbent_is_what_a_search_returns_and_each_is_better(lane):
    found = [one.measurement["val_accuracy"] for one in race.incumbents(lane.finished)]
    assert found == sorted(found)
    assert found[-1] == max(one.measurement["val_accuracy"] for one in lane.finished.archive)


def test_a_search_cost_what_it_had_when_it_knew_a_network(lane):
    records = sorted(lane.finished.archive, key=race.moment)
    one = records[3]
    found = race.Found.of(lane, one)
    known = [record for record in records if race.moment(record) <= race.moment(one)]
    assert found.trainings == len(known)
    assert found.cost.at >= race.moment(one)
    assert found.cost.processor == 2 * found.cost.wall
    ended = race.Found.of(lane, one, ended=True)
    assert ended.trainings == len(records)
    assert ended.cost == lane.readings[-1]


def test_a_search_that_has_ended_is_not_begun_again(lane):
    (lane.folder / "x-1.ended").touch()
    assert lane.run(1, until=math.inf)  # there is no experiments/x.toml


class Recipe:
    class space:
        encode = staticmethod(list)


@pytest.fixture
def scored(monkeypatch, tmp_path):
    made = []

    def score(job):
        _, genome, seed = job
        made.append(("".join(genome), seed))
        return {"accuracy": seed / 10, "seconds": 2.0}

    monkeypatch.setattr(race, "score", score)
    return made, lambda until: race.Scores(Recipe, tmp_path / "scores", 1, until)


def test_each_training_of_a_score_is_made_once(scored):
    made, scores = scored
    now = time.monotonic() + 60
    assert scores(now).of(["ab"]) == {"ab": [0.1, 0.2, 0.3]}
    assert set(scores(now).of(["ab", "c"])) == {"ab", "c"}
    assert made == [(name, seed) for name in ("ab", "c") for seed in (1, 2, 3)]


def test_a_score_that_is_not_complete_is_none(scored):
    made, scores = scored
    assert scores(time.monotonic() - 1).of(["ab"]) is None
    assert not made


def test_a_race_that_is_ended_does_not_wait_for_the_trainings_of_its_scores(monkeypatch, tmp_path):
    ended = []

    class Child:
        @staticmethod
        def terminate():
            ended.append("child")

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers, context):
            super().__init__(workers)

        def submit(self, *job):
            return super().submit(sys.exit, 143)  # as the handler of SIGTERM does

    monkeypatch.setattr(race, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(race, "active_children", lambda: [Child, Child])
    scores = race.Scores(Recipe, tmp_path / "scores", 2, time.monotonic() + 60)
    with pytest.raises(SystemExit):
        scores.of(["ab"])
    assert ended == ["child", "child"]


def test_what_is_known_of_the_scored_networks_is_their_mean(scored):
    _, scores = scored
    found = scores(time.monotonic() + 60)
    found.of(["ab", "c"])
    assert found.known == pytest.approx({"ab": 0.2, "c": 0.2})


def test_another_number_of_each_training_is_told(monkeypatch, tmp_path):
    told = {"accuracy": 0.5, "seconds": 2.0, "epochs": 7}
    monkeypatch.setattr(race, "score", lambda job: told)
    scores = race.Scores(Recipe, tmp_path / "scores", 1, time.monotonic() + 60)
    assert scores.of(["ab"], "epochs") == {"ab": [7, 7, 7]}


@pytest.mark.parametrize("name", race.REFERENCES)
def test_a_race_is_run_in_the_space_of_its_reference(name):
    reference = race.REFERENCES[name]
    files = [race.REPOSITORY / "experiments" / getattr(reference, who) for who in race.SEARCHES]
    raced, published = (declared(file).problem.build() for file in files)
    assert raced.space == published.space
    assert type(raced.dataset) is type(published.dataset)


@pytest.mark.parametrize("watches", ["never", "accuracy"])
def test_a_recipe_that_watches_is_scored_on_its_validation_images_too(watches):
    training = Training(epochs=2, early_stop=watches, optimizer="adam", learning_rate=0.01)
    problem = ImageClassification(
        LayerString(normal=(1, 1), filters=(2, 4, 2)),
        Digits(validation=100, limit=200),
        training,
        device="cpu",
    )
    genome = problem.space.encode("RC 2 3 relu;NC 4 3 relu;RC 4 3 relu;FL relu;")
    first, again = (race.score((problem, genome, seed)) for seed in (1, 1))
    assert first["seconds"] > 0
    assert 0 < first["accuracy"] < 1
    assert first["accuracy"] == again["accuracy"]
    watched = {"val_accuracy", "epochs"} if watches == "accuracy" else set()
    assert first.keys() - {"accuracy", "seconds"} == watched


def test_replays_stop_at_the_first_network_that_reaches_the_target(problem):
    surrogate = race_replay.Surrogate(problem, lambda genome: 0.9)
    easy = replace(B, target=1.0)
    first = race_replay.Replay(trainings=1, networks=1)
    assert race_replay.by_deap(easy, surrogate, B.ea_simple, 1) == first
    assert race_replay.by_deap(easy, surrogate, (), 1) == first
    assert race_replay.by_tpe(easy, surrogate, 1) == first


def test_the_objective_of_every_priced_search_can_be_replayed():
    for reference in race.REFERENCES.values():
        if reference.epochs:
            file = race.REPOSITORY / "experiments" / reference.published
            surrogate = race_replay.Surrogate(declared(file).problem.build(), lambda genome: 0.99)
            found = race_replay.by_deap(reference, surrogate, reference.ea_simple, 1)
            assert 1 <= found.trainings <= 10


def test_a_replay_of_a_loop_without_a_memory_trains_some_networks_again(problem, monkeypatch):
    monkeypatch.setattr(race_replay, "MOST_TRAININGS", 60)
    surrogate = race_replay.Surrogate(problem, lambda genome: 0.1)
    found = race_replay.by_deap(B, surrogate, B.ea_simple, 1)
    assert found.networks < found.trainings
    assert race_replay.by_tpe(B, surrogate, 1).trainings == 60


def test_what_a_halving_stopped_is_foretold_by_what_went_on(tmp_path):
    archive = {(0,): (0.5, 0.7), (1,): (0.6, 0.8), (2,): (0.4, None)}

    class Record:
        status = "ok"

        def __init__(self, genome, accuracy, whole):
            self.genome, self.measurement, self.whole = genome, {"val_accuracy": accuracy}, whole

    class Archive(list):
        is_whole = staticmethod(lambda record: record.whole)

    records = Archive()
    for genome, (stopped, whole) in archive.items():
        records.append(Record(list(genome), stopped, False))
        if whole:
            records.append(Record(list(genome), whole, True))

    class Lane:
        class finished:
            archive = records

    found = race_replay.measured([Lane])
    assert found == pytest.approx({(0,): 0.7, (1,): 0.8, (2,): 0.6})


@pytest.fixture
def no_images(monkeypatch):
    monkeypatch.setattr(race.Found, "images", 0.0)  # a table is trained on none


class Known:
    """Scores that are known: each incumbent's place, as an accuracy."""

    def __init__(self, lane):
        found = race.incumbents(lane.finished)
        self.accuracy = {one.architecture: float(place) for place, one in enumerate(found)}

    def of(self, architectures):
        return {name: [self.accuracy[name]] * 3 for name in architectures}


def test_the_first_incumbent_that_reaches_the_target_is_found(lane, no_images):
    known = Known(lane)
    last = len(known.accuracy) - 1
    assert last >= 2
    for target in range(last + 1):
        reference = replace(B, value=lambda accuracy, params: accuracy, target=target)
        reached, ended = race.Finish.of(lane, reference, known).rows(reference, known)
        first = next(name for name, place in known.accuracy.items() if place == target)
        assert "target reached" in reached
        assert f"`{first}`" in reached
        assert "| ended |" in ended


def test_a_search_that_misses_the_target_says_so(lane, no_images):
    reference = replace(B, value=lambda accuracy, params: accuracy, target=99.0)
    known = Known(lane)
    (row,) = race.Finish.of(lane, reference, known).rows(reference, known)
    assert "target missed" in row


class ByRecipe:
    """Scores of a recipe of a hundred epochs, of which a training took the seventieth, say."""

    class recipe:
        training = Training(epochs=100)

    def of(self, architectures, name="accuracy"):
        return {one: {"epochs": [60, 70, 80]}.get(name, [0.5, 0.6, 0.7]) for one in architectures}


class Unknown(ByRecipe):
    def of(self, architectures, name="accuracy"):
        return None


def test_what_a_search_returned_is_told_by_every_recipe_of_its_reference(lane):
    (row,) = race.as_it_was_rows(lane, ByRecipe())
    assert "| 0.6000 (0.5000 to 0.7000) | 0.6000 (0.5000 to 0.7000) | 70 of 100 |" in row
    trial = race.Trial("trial-1", "no schedule", (), 0.7386)
    (row,) = race.trial_row(lane, trial, ByRecipe())
    assert "| no schedule |" in row
    assert row.endswith("| 0.6000 (0.5000 to 0.7000) | 0.7386 |")
    assert not list(race.as_it_was_rows(lane, Unknown()))
    assert not list(race.trial_row(lane, trial, Unknown()))


@pytest.fixture
def on_digits(tmp_path):
    """A reference whose published search trained 20 networks on 200 digits, watching others."""
    file = tmp_path / "digits.toml"
    file.write_text(
        """
        objectives = ["val_accuracy"]
        [problem]
        use = "image_classification"
        dataset = { use = "digits", validation = 100, limit = 200 }
        device = "cpu"
        [problem.training]
        epochs = 50
        early_stop = "accuracy"
        keep = "best"
        [toolbox]
        select = "tournament"
        map = "serial"
        [algorithm]
        use = "genetic_algorithm"
        population = 8
        generations = 2
        elite = 2
        """
    )
    return race.Reference(
        published=str(file),
        best="",
        value=race.accuracy_alone,
        target=0.5,
        scored=("problem.training.epochs=7",),
        epochs=30,
    )


def test_a_score_trains_all_images_for_the_epochs_that_are_said_and_watches_none(on_digits):
    scored = on_digits.on_all_images("problem.training.learning_rate=0.5")
    assert scored.dataset.limit is None
    assert scored.training == race.unwatched(scored.training, epochs=7)
    assert scored.training.learning_rate == 0.5
    as_published = on_digits.problem()
    assert as_published.dataset.limit == 200
    assert as_published.training.early_stop == "accuracy"


def test_the_whole_published_search_is_priced_before_any_network_is_scored(
    on_digits, lane, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        race_replay, "timed", lambda problem: {"loop": [0.01, 0.03], "own": [0.001, 0.003]}
    )
    (line,) = race_replay.estimates(on_digits, [lane], {}, [], tmp_path)
    assert "20 trainings, would take 2,400 s in the loop" in line  # x 30 epochs x 200 x .02 s
    assert "at most 240 s here" in line
    assert "20,000 (10,000 to 30,000) microseconds" in line
