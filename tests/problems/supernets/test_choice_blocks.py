import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from problems.datasets import Digits
from problems.datasets.splits import open_splits
from problems.networks.chain import Standardize, build
from problems.spaces import MobileBlocks, PooledCnn, ShuffleBlocks
from problems.supernets.choice_blocks import ChoiceBlocks
from problems.supernets.processes import ALONE, Processes, Share, joined
from problems.supernets.training import SplitBatches, SupernetTraining, recalibrate
from problems.training.loop import seeded
from problems.training.recipe import Training
from problems.weight_sharing import WeightSharing
from tests.conftest import REPOSITORY

MOBILE = MobileBlocks(stages=(1, 2), widths=(8, 16), stem=8, last=16, image_shape=(1, 12, 12))
SHUFFLE = ShuffleBlocks(
    stages=(2, 1), widths=(8, 12), stem=4, last=16, image_shape=(1, 24, 24), classes=10
)
SPACES = {"mobile": MOBILE, "shuffle": SHUFFLE}
IMAGES = Digits(size=12, limit=200, validation=100)


def made(space, standardize=None, **declared):
    with seeded(1, "cpu"):
        return ChoiceBlocks(**declared).build(space, standardize)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def images_of(space, many=6):
    return torch.rand((many, *space.image_shape), generator=generator())


def training(processes, fairness="uniform", exact=False, **recipe):
    """A training in two shards by these processes.

    exact: in float64, where two orders of a sum differ by nothing that matters.
    """
    torch.set_num_threads(1)
    recipe = Training(
        **{"epochs": 2, "batch_size": 40, "learning_rate": 0.05, "momentum": 0.9} | recipe
    )
    supernet = made(MOBILE, training=recipe, shards=2, fairness=fairness)
    if exact:
        supernet.double()
        forward = supernet.forward
        supernet.forward = lambda images, genome: forward(images.double(), genome)
    batches = SplitBatches(open_splits(IMAGES, "cpu").train, recipe, Share(2, processes))
    return SupernetTraining(supernet, batches, recipe, 1)


TRAININGS = {
    "uniform": training,
    "strict": lambda processes: training(processes, "strict", exact=True, gradient_clip=0.5),
}


def outcome(training):
    """The loss of each epoch and all weights at the end."""
    for _ in range(training.recipe.epochs):
        training.take_epoch()
    weights = [weight.detach().flatten() for weight in training.supernet.parameters()]
    return torch.tensor(training.losses), torch.cat(weights)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("normalize", [True, False])
def test_a_path_computes_what_its_network_alone_does(space, normalize):
    standardize = Standardize(torch.tensor([0.4]), torch.tensor([0.2])) if normalize else None
    supernet = made(space, standardize)
    images = images_of(space)
    for choice in range(len(space.names)):
        genome = [choice] * len(space.genes)
        network = supernet.standalone(genome)
        assert [type(module) for module in network][normalize:] == [
            type(module) for module in build(space.chain(genome), space.image_shape)
        ]
        recalibrate(network, [images])
        with torch.no_grad():
            by_itself, shared = network(images), supernet(images, genome)
        # The batch's variance divides by n, the running one by n - 1.
        assert torch.allclose(by_itself, shared, atol=0.2)
        network.train()
        with torch.no_grad():
            assert torch.allclose(network(images), shared, atol=1e-5)


def test_a_network_alone_has_a_copy_of_the_weights_and_scales_of_its_own():
    supernet = made(MOBILE)
    network = supernet.standalone([1, 2, 1])
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.affine and norm.track_running_stats for norm in norms)
    before = supernet.before[0].main[0].weight.clone()
    with torch.no_grad():
        network[0].main[0].weight.zero_()
    assert torch.equal(supernet.before[0].main[0].weight, before)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_no_batch_norm_of_the_supernet_has_scales_or_running_statistics(space):
    norms = [m for m in made(space).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.affine or norm.track_running_stats for norm in norms)


def test_choices_share_no_weights_and_a_step_moves_its_path_alone():
    supernet = made(MOBILE)
    genome = [1, 2, 0]
    labels = torch.arange(6) % 10
    supernet.loss_step(images_of(MOBILE), labels, [genome], Training())
    moved = {name for name, weight in supernet.named_parameters() if weight.grad is not None}
    of_layers = {tuple(name.split(".")[1:3]) for name in moved if name.startswith("layers.")}
    assert of_layers == {("0", "1"), ("1", "2")}  # the identity of the third has no weights
    assert {name.split(".")[0] for name in moved} == {"before", "layers", "after"}


def test_uniform_paths_take_every_choice_and_strict_ones_each_once_a_step():
    uniform = made(MOBILE)
    drawn = generator()
    paths = [uniform.paths(drawn) for _ in range(300)]
    assert {len(step) for step in paths} == {1}
    for layer in range(3):
        counts = Counter(step[0][layer] for step in paths)
        assert all(70 < counts[choice] < 130 for choice in range(3))
    strict = made(SHUFFLE, fairness="strict")
    assert strict.plan.paths_a_step(SHUFFLE) == 4
    step = strict.paths(drawn)
    assert [sorted(column) for column in zip(*step, strict=True)] == [[0, 1, 2, 3]] * 3
    assert strict.paths(drawn) != step


def test_a_space_without_choice_blocks_is_refused():
    assert not ChoiceBlocks().unfit(SHUFFLE)
    assert "mobile_blocks and shuffle_blocks" in ChoiceBlocks().unfit(PooledCnn())


def test_shards_divide_the_batch():
    with pytest.raises(ValueError, match=r"shards = 3: training.batch_size = 128 is not a mul"):
        ChoiceBlocks(shards=3)


def test_more_processes_than_shards_are_refused():
    with pytest.raises(ValueError, match=r"supernet.shards = 2: a multiple of the 4 processes"):
        Share(2, Processes(0, 4))


@pytest.mark.parametrize(
    ("images", "steps"),
    [
        (40, [(0, 20), (20, 40)]),
        (47, [(0, 20), (20, 40)]),  # of the 7 left each shard would have one
        (51, [(0, 20), (20, 40), (40, 48)]),
        (7, [(0, 4)]),
    ],
)
def test_the_last_batch_is_cut_to_its_shards(images, steps):
    assert Share(4).steps(images, 20) == steps


def test_a_device_of_one_process_is_refused_for_several(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")  # as torchrun sets it
    message = "device = 'cuda:1': under torchrun each process has its own"
    with pytest.raises(ValueError, match=message), joined("cuda:1"):
        pass


def test_a_strictly_fair_step_is_counted_with_all_its_paths():
    problem = WeightSharing(space=MOBILE, dataset=IMAGES, supernet=ChoiceBlocks(fairness="strict"))
    assert problem.budget(9).startswith("a supernet of 3 paths x 30 epochs x 200 images = 18,000 ")


def test_processes_share_a_batch_without_rest():
    shares = [Share(4, Processes(rank, 2)) for rank in range(2)]
    assert [share.here for share in shares] == [2, 2]
    assert [share.own(20, 28) for share in shares] == [slice(20, 24), slice(24, 28)]


def test_shards_are_batches_of_their_own_with_the_mean_of_their_gradients():
    one = made(MOBILE)
    images, labels = images_of(MOBILE, 8), torch.arange(8)

    class Batches:
        share = Share(2)

        def __len__(self):
            return 1

        def epoch(self, seed):
            yield images, labels

    moved = SupernetTraining(one, Batches(), Training(epochs=1, batch_size=8), 1)
    path = one.paths(generator(0))
    one.paths = lambda drawn: path
    moved.take_epoch()
    other = made(MOBILE)
    for half in (slice(0, 4), slice(4, 8)):
        other.loss_step(images[half], labels[half], path, Training())
    for weight, same in zip(one.parameters(), other.parameters(), strict=True):
        assert (weight.grad is None) == (same.grad is None)
        if weight.grad is not None:
            assert torch.allclose(weight.grad, same.grad / 2, atol=1e-6)


def test_weights_that_had_no_gradient_yet_do_not_stop_a_training_with_momentum():
    losses, _ = outcome(training(ALONE, epochs=4))
    assert losses[-1] < losses[0]


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_two_processes_train_what_one_does(tmp_path):
    """Losses within 1e-6; weights too, in float64 where gradients of several paths add up.

    No thread of the process group outlives it, though the trainings do: one that still lets go of
    tensors when the interpreter ends aborts the process.
    """
    script = REPOSITORY / "tests" / "problems" / "supernets" / "two_processes.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", script, tmp_path],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, begin in TRAININGS.items():
        losses, weights = outcome(begin(ALONE))
        together = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        assert torch.allclose(together[0], losses, rtol=0, atol=1e-6), name
        assert torch.allclose(together[1], weights, rtol=0, atol=1e-6), name
    if sys.platform == "linux":
        left = Path(tmp_path, "threads").read_text().split("\n")
        assert not [name for name in left if "gloo" in name]
