"""Searches by shared weights, as a person runs them."""

import json
import shutil
from contextlib import closing

import pytest

from deap_nas.finished_run import FinishedRun
from problems.supernets import gate as gates
from problems.supernets.gate import Agreement
from problems.supernets.training import SupernetTraining
from problems.training.loop import Diverged
from toolbox.archive import Archive

pytestmark = pytest.mark.slow

SHARED = """
objectives = ["val_loss", "params"]
seed = 3
[problem]
use = "weight_sharing"
dataset = { use = "digits", limit = 100, validation = 100 }
space = { use = "pooled_cnn", depth = [2, 3], filters = [4, 8], kernels = [3], units = [8, 16] }
training = { epochs = 1, optimizer = "adam", learning_rate = 0.01 }
supernet = { use = "shared_chain", training = { epochs = 2, optimizer = "adam" } }
gate = { use = "kendall_tau", networks = 5 }
device = "cpu"
[toolbox]
map = "serial"
[algorithm]
use = "nsga2"
population = 4
generations = 1
"""


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """A declaration whose gate takes little time, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gates, "RESAMPLES", 20)
    path = tmp_path / "shared.toml"
    path.write_text(SHARED)
    return path


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs" / "shared" / "seed-3"


@pytest.fixture
def taus(monkeypatch):
    """The taus that the gate sees, by the name of the score."""
    seen = {"shared val_loss": 0.6, "params": 0.2, "macs": 0.5}
    monkeypatch.setattr(
        gates, "agreement", lambda score, *_: Agreement(score, seen[score], -0.1, 0.9)
    )
    return seen


def interrupt_at(epoch, monkeypatch):
    """Have the supernet's training interrupted in this epoch, until the context ends."""
    take_epoch = SupernetTraining.take_epoch

    def interrupted(training):
        if training.epoch + 1 == epoch:
            raise KeyboardInterrupt
        take_epoch(training)

    monkeypatch.setattr(SupernetTraining, "take_epoch", interrupted)


def never(*arguments):
    raise AssertionError("it was done before")


def test_a_search_by_shared_weights_is_gated_and_its_winner_retrained(
    command, declared, run, taus, monkeypatch
):
    status, said, wrong = command(declared)
    assert status == 0, wrong
    assert "supernet: epoch 2 of 2, loss" in said
    assert "shared val_loss  0.600 [-0.100, 0.900]" in said
    assert said.index("gate: trained alone") < said.index("generation 0/1")
    found = FinishedRun.open(run)
    assert len(found.archive) <= 8  # the gate's networks are none of the search's
    assert all("train_seconds" not in record.measurement for record in found.archive)
    told = json.loads((run / "supernet" / "gate.json").read_text())
    assert len(told["networks"]) == 5

    before = (run / "population.csv").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(SupernetTraining, "take_epoch", never)
        patched.setattr("problems.image_classification.Run", never)
        status, _, wrong = command(declared)  # all of it is served from what is kept
    assert status == 0, wrong
    assert (run / "population.csv").read_bytes() == before

    for more in ((), ("--inherit",)):
        status, said, wrong = command("retrain", run, "--seeds", 1, "training.epochs=2", *more)
        assert status == 0, wrong
        assert "1 of 1 seeds to train x 2 epochs" in said
    seeds = [json.loads(path.read_text()) for path in (run / "retrained").glob("*/seed-1.json")]
    first_weights = [seed["identity"]["problem"].get("first_weights") for seed in seeds]
    assert sorted(first_weights, key=str) == [None, "inherited"]
    losses = {key: seed["curve"][0]["train_loss"]
              for key, seed in zip(first_weights, seeds, strict=True)}  # fmt: skip
    assert losses["inherited"] < losses[None]

    shutil.rmtree(run / "supernet")
    status, _, wrong = command("retrain", run, "--inherit")
    assert status == 2
    assert "there is no trained supernet of this declaration" in wrong


def test_below_counting_the_search_stops_with_the_table_unless_the_gate_is_off(
    command, declared, run, taus
):
    taus["shared val_loss"] = 0.4
    status, said, wrong = command(declared)
    assert status == 1
    assert wrong.count("\n") == 1
    assert "Kendall tau 0.400 [-0.100, 0.900], macs alone with 0.500" in wrong
    assert "goes on" not in wrong
    assert "  params           0.200 [-0.100, 0.900]" in said
    with closing(Archive.read(run / "archive.sqlite")) as archive:
        assert not len(archive)
    status, said, wrong = command(declared, "problem.gate=off")
    assert status == 0, wrong
    assert "nothing shows that the shared score ranks" in said


def test_interrupted_in_the_supernet_s_training_the_same_command_goes_on(
    command, declared, run, monkeypatch
):
    with monkeypatch.context() as patched:
        interrupt_at(2, patched)
        status, said, wrong = command(declared, "problem.gate=off")
    assert status == 130
    assert "supernet: epoch 1 of 2" in said
    assert "the same command goes on" in wrong
    status, said, wrong = command(declared, "problem.gate=off")
    assert status == 0, wrong
    assert "supernet: going on after epoch 1 of 2" in said
    assert "supernet: epoch 1 of 2" not in said


def test_a_gate_that_is_interrupted_trains_no_network_twice(command, declared, taus, monkeypatch):
    from problems.image_classification import ImageClassification

    evaluation, begun = ImageClassification._evaluation, []

    def counted(problem, job):
        if type(problem) is ImageClassification:
            begun.append(tuple(job[0]))
            if len(begun) == 3:
                raise KeyboardInterrupt
        return evaluation(problem, job)

    monkeypatch.setattr(ImageClassification, "_evaluation", counted)
    assert command(declared)[0] == 130
    assert command(declared)[0] == 0
    assert len(begun) == 6  # the third was begun again
    assert len(set(begun)) == 5


def test_another_number_of_epochs_of_the_gate_is_another_training(command, declared, run, taus):
    assert command(declared)[0] == 0
    assert command(declared, "problem.gate.epochs=2")[0] == 0
    assert len(list((run / "supernet").glob("gate_alone-*.sqlite"))) == 2
    assert len(list((run / "supernet").glob("gate_shared-*.sqlite"))) == 1


def test_a_supernet_that_diverges_ends_the_search_in_one_line(command, declared, monkeypatch):
    def diverge(training):
        raise Diverged("the supernet's training loss is nan in epoch 1")

    monkeypatch.setattr(SupernetTraining, "take_epoch", diverge)
    status, _, wrong = command(declared)
    assert (status, wrong) == (1, "error: the supernet's training loss is nan in epoch 1\n")


def test_variants_are_compared_with_one_supernet_a_seed(command, declared, taus, tmp_path):
    arguments = ("compare", declared, "--vary", "toolbox.mutate=reset_gene,shift_gene",
                 "--seeds", 1, "--budget", 6, "--out", tmp_path / "compared")  # fmt: skip
    taus["shared val_loss"] = 0.5
    status, said, _ = command(*arguments)
    assert status == 1
    assert "macs alone with 0.500" in said
    taus["shared val_loss"] = 0.6
    status, _, wrong = command(*arguments)
    assert status == 0, wrong
    supernets = list((tmp_path / "compared").rglob("*.safetensors"))
    assert len(supernets) == 1


def test_an_ordinary_search_has_no_weights_to_inherit(command, searched):
    status, _, wrong = command("retrain", searched, "--inherit")
    assert status == 2
    assert "'image_classification', which has no shared weights" in wrong


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("problem.supernet.path=7", ("problem.supernet.path: unknown key", "'paths'")),
        ("problem.supernet.paths=1", ("problem.supernet.paths = 1",)),
        ("problem.supernet.use=shared_chains", ("'shared_chain'",)),
        ("problem.gate.networks=4", ("problem.gate.networks = 4",)),
        ("problem.gate=of", ("'off'",)),
        (
            "problem.supernet.training.keep=best",
            ("problem.supernet.training.keep = 'best'", "legal is 'last'"),
        ),
    ],
)
def test_a_mistake_in_the_declaration_is_one_line(command, declared, override, parts):
    status, _, wrong = command(declared, override)
    assert status == 2
    assert wrong.count("\n") == 1
    for part in parts:
        assert part in wrong
