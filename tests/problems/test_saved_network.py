import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from problems.datasets import Digits
from problems.datasets.splits import open_splits
from problems.saved_network import NAME, Blueprint, as_bytes, load
from problems.spaces.layers import Conv, Flatten, GlobalAveragePool, Linear, Pool
from problems.training.loop import seeded, train
from problems.training.recipe import Training

WITH_A_HEAD_OF_LAYERS = (
    Conv(4, 4, "relu", batch_norm=True),
    Conv(4, 3, "leaky_relu", stride=2, padding="valid"),
    Pool("average"),
    Flatten(),
    Linear(8, "swish", dropout=0.5),
    Linear(10),
)
GLOBAL = (Conv(4, 3, "tanh"), Pool("max"), Conv(4, 1, "gelu"), GlobalAveragePool(), Linear(10))
CHAINS = {"flattened": WITH_A_HEAD_OF_LAYERS, "global": GLOBAL}
DATA = Digits(size=12, limit=200, validation=100)


def blueprint(chain, normalize=True):
    return Blueprint("its architecture", chain, (1, 12, 12), tuple("0123456789"), normalize)


def trained(plan):
    """A network with weights, statistics and running means that are not those of a new one."""
    splits = open_splits(DATA, "cpu")
    with seeded(1, "cpu"):
        network = plan.untrained()
    if plan.normalize:
        for name, values in zip(("mean", "std"), splits.train.channel_statistics, strict=True):
            network.get_buffer(f"0.{name}").copy_(values.view(1, -1, 1, 1))
    for _ in train(network, splits, Training(epochs=2, batch_size=20), seed=1):
        pass
    return network.eval()


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("normalize", [True, False])
def test_a_network_computes_the_same_after_it_was_saved_and_loaded(chain, normalize, tmp_path):
    plan = blueprint(chain, normalize)
    network = trained(plan)
    path = tmp_path / "network.safetensors"
    path.write_bytes(as_bytes(network, plan))
    loaded, found = load(path)
    assert found == plan
    assert not loaded.training
    saved = network.state_dict()
    assert list(saved) == list(loaded.state_dict())
    assert all(torch.equal(saved[name], value) for name, value in loaded.state_dict().items())
    images, _ = open_splits(DATA, "cpu").validation.batch(slice(None))
    with torch.inference_mode():
        assert torch.equal(loaded(images), network(images))


def test_the_same_network_is_the_same_file():
    plan = blueprint(GLOBAL)
    network = trained(plan)
    assert len({as_bytes(network, plan) for _ in range(20)}) == 1


def test_a_file_tells_what_it_holds_without_torch_or_this_project(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(as_bytes(trained(blueprint(GLOBAL)), blueprint(GLOBAL)))
    with safe_open(path, framework="numpy") as file:
        told = json.loads(file.metadata()[NAME])
        assert file.get_tensor("0.std").shape == (1, 1, 1, 1)
    assert told["architecture"] == "its architecture"
    assert told["image_shape"] == [1, 12, 12]
    assert told["chain"][0]["layer"] == "Conv"


OTHER = blueprint((*GLOBAL[:-1], Linear(7)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no such file",
        save({"weight": torch.zeros(1)}),
        save({"weight": torch.zeros(1)}, {NAME: "{}"}),
        save({}, {NAME: OTHER.as_json()}),
    ],
    ids=["empty", "no safetensors", "of another program", "no layers", "no weights"],
)
def test_a_file_that_is_no_saved_network_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="it is no saved network") as refused:
        load(path)
    assert "\n" not in str(refused.value)
