from collections import Counter
from dataclasses import replace

import pytest
import torch

from problems.spaces import ConvPoolFc, LayerString, PlainCnn, PooledCnn
from problems.supernets.shared_chain import SharedChain
from problems.supernets.training import recalibrate
from problems.training.recipe import Training

cross_entropy = torch.nn.functional.cross_entropy
POOLED = PooledCnn(
    filters=(4, 8, 12), kernels=(3, 4, 5), units=(8, 16), image_shape=(1, 16, 16), dropout=0.0
)
OTHERS = (
    ConvPoolFc(filters=(4, 8), units=(8, 16), image_shape=(3, 16, 16)),
    PlainCnn(filters=(4, 8), kernels=(3, 5), image_shape=(3, 16, 16)),
)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def made(space, **options):
    torch.manual_seed(0)
    return SharedChain(**options).build(space)


def choices(space, genome):
    return {gene.name: gene.choices[index] for gene, index in zip(space.genes, genome, strict=True)}


@pytest.mark.parametrize("kernels", ["own", "crop"])
@pytest.mark.parametrize("space", [POOLED, *OTHERS], ids=lambda space: type(space).__name__)
def test_the_sliced_forward_is_what_the_network_alone_computes(space, kernels):
    supernet = made(space, kernels=kernels)
    images = torch.rand((5, *space.image_shape), generator=generator())
    for norm in supernet.norms.values():  # else each would be the identity but for its statistics
        torch.nn.init.uniform_(norm.weight)
        torch.nn.init.uniform_(norm.bias)
    supernet.eval()
    for genome in supernet.paths(generator()) + supernet.paths(generator(2)):
        alone = supernet.standalone(genome)
        recalibrate(alone, [images])
        by_itself, shared = alone(images), supernet(images, genome)
        # Of one batch both have the same mean; the variance is kept with n - 1 in place of n.
        close = 1e-5 if not supernet.norms else 0.05
        assert torch.allclose(by_itself, shared, atol=close * shared.abs().max().item())


def test_a_network_alone_has_a_copy_of_its_weights():
    supernet = made(POOLED)
    genome = supernet.paths(generator())[0]
    alone = supernet.standalone(genome)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    with torch.no_grad():
        for weights in alone.parameters():
            weights.add_(1)
    assert all(before[name].equal(tensor) for name, tensor in supernet.state_dict().items())


def test_a_smaller_layer_is_the_first_part_of_a_larger_one():
    supernet = made(POOLED)
    small = supernet.standalone(POOLED.encode("conv 4k3max 4k3max | fc 8"))
    large = supernet.standalone(POOLED.encode("conv 12k3max 8k3max | fc 16"))
    assert large[0].weight[:4].equal(small[0].weight)
    assert large[3].weight[:4, :4].equal(small[3].weight)
    # Its own: the first fully connected layer of each flattened shape, and the head of each width.
    assert not large[7].weight[:8, : small[7].in_features].equal(small[7].weight)
    assert not large[-1].weight[:, :8].equal(small[-1].weight)


@pytest.mark.parametrize(("kernels", "same"), [("own", False), ("crop", True)])
def test_a_smaller_kernel_has_its_own_weights_or_the_centre_of_the_largest(kernels, same):
    supernet = made(POOLED, kernels=kernels)
    weights = {
        size: supernet.standalone(POOLED.encode(f"conv 4k{size}max 4k3max | fc 8"))[
            1 if size == 4 else 0
        ].weight
        for size in (3, 4, 5)
    }
    assert weights[5][:, :, 1:4, 1:4].equal(weights[3]) == same
    assert weights[5][:, :, 1:5, 1:5].equal(weights[4]) == same


@pytest.mark.parametrize("paths", [6, 12])
def test_every_choice_is_in_equally_many_paths_of_a_step(paths):
    supernet = made(POOLED, paths=paths)
    for seed in range(20):
        drawn = supernet.paths(generator(seed))
        assert len(drawn) == paths
        for gene, column in zip(POOLED.genes, zip(*drawn, strict=True), strict=True):
            counts = Counter(column)
            assert set(counts.values()) == {paths // len(gene.choices)}, gene.name


@pytest.mark.parametrize("paths", [2, 4, 5, 7])
def test_where_it_does_not_divide_a_choice_is_in_one_path_more_at_most(paths):
    supernet = made(POOLED, paths=paths)
    drawn = supernet.paths(generator())
    for gene, column in zip(POOLED.genes, zip(*drawn, strict=True), strict=True):
        counts = [Counter(column)[index] for index in range(len(gene.choices))]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == paths


def test_the_largest_and_the_smallest_network_lead_each_step():
    unsorted = replace(POOLED, filters=(8, 12, 4))
    for seed in range(5):
        largest, smallest, *_ = made(unsorted).paths(generator(seed))
        numbers = [name for name in choices(unsorted, largest) if not name.endswith("pool")]
        large, small = choices(unsorted, largest), choices(unsorted, smallest)
        for gene in unsorted.genes:
            if gene.name in numbers:
                assert large[gene.name] == max(gene.choices)
                assert small[gene.name] == min(gene.choices)


def test_networks_that_do_not_fit_the_images_are_on_no_path():
    small = replace(POOLED, image_shape=(1, 8, 8))  # 8, 4, 2, 1: there is no fourth pool
    supernet = made(small)
    drawn = [genome for seed in range(10) for genome in supernet.paths(generator(seed))]
    assert {choices(small, genome)["depth"] for genome in drawn} == {2, 3}
    assert not any(small.violation(genome) for genome in drawn)


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (LayerString(image_shape=(1, 8, 8)), "conv_pool_fc, plain_cnn and pooled_cnn"),
        (replace(POOLED, image_shape=(1, 2, 2)), "no network of this space fits"),
    ],
)
def test_a_space_that_it_cannot_share_is_refused(space, reason):
    assert reason in SharedChain().unfit(space)


def step(supernet, **recipe):
    images = torch.rand((4, 1, 16, 16), generator=generator())
    labels = torch.tensor([0, 1, 2, 3])
    paths = supernet.paths(generator())
    loss = supernet.loss_step(images, labels, paths, Training(**recipe))
    return loss, paths, images, labels


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_others_learn_a_share_of_what_the_largest_answers(share):
    supernet = made(POOLED, distillation=share)
    loss, paths, images, labels = step(supernet, label_smoothing=0.1)
    with torch.no_grad():
        logits = [supernet(images, path) for path in paths]
    of_labels = [cross_entropy(one, labels, label_smoothing=0.1).item() for one in logits]
    answers = logits[0].softmax(dim=1)
    of_answers = [cross_entropy(one, answers).item() for one in logits]
    expected = of_labels[0] + sum(
        (1 - share) * by_labels + share * by_answers
        for by_labels, by_answers in zip(of_labels[1:], of_answers[1:], strict=True)
    )
    assert loss.item() == pytest.approx(expected / len(paths), rel=1e-5)


def test_the_largest_learns_from_the_labels_alone():
    supernet = made(POOLED, paths=2)
    _, paths, images, labels = step(supernet)
    head = supernet.heads["16"].weight.grad.clone()  # which no other path of this step has
    supernet.zero_grad()
    (cross_entropy(supernet(images, paths[0]), labels) / 2).backward()
    assert torch.allclose(supernet.heads["16"].weight.grad, head)


@pytest.mark.parametrize(("dropout", "dropped"), [("largest", 1), ("all", 6)])
def test_dropout_is_in_the_largest_path_or_in_all(dropout, dropped, monkeypatch):
    space = replace(POOLED, fc_layers=(1, 1), dropout=0.9)
    supernet = made(space, dropout=dropout)
    masked = []

    def forward(features):
        masked.append(supernet.dropout.training)
        return features

    monkeypatch.setattr(supernet.dropout, "forward", forward)
    for _ in range(2):
        masked.clear()
        step(supernet)
        assert sum(masked) == dropped
        assert masked[0]


def test_a_loss_step_goes_through_another_forward_if_it_is_given_one():
    supernet, asked = made(POOLED), []

    def forward(images, genome):
        asked.append(genome)
        return supernet(images, genome)

    paths = supernet.paths(generator())
    images, labels = torch.rand((2, 1, 16, 16)), torch.tensor([0, 1])
    supernet.loss_step(images, labels, paths, Training(), forward)
    assert asked == paths
