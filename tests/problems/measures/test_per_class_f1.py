import numpy
import torch
from sklearn.metrics import f1_score

from problems.measures.per_class_f1 import per_class_f1


def test_it_is_what_scikit_learn_computes():
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(5, (200,), generator=generator)
    logits = torch.rand(200, 5, generator=generator) + torch.nn.functional.one_hot(labels, 5) / 2
    expected = f1_score(labels, logits.argmax(dim=1), average=None)
    found = per_class_f1(logits, labels)
    assert numpy.isclose(found["worst_class_f1"], expected.min())
    assert numpy.isclose(found["macro_f1"], expected.mean())


def test_a_class_that_is_never_predicted_has_0_and_one_without_images_none():
    logits = torch.tensor([[3.0, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    found = per_class_f1(logits, torch.tensor([0, 0, 1]))
    assert found == {"worst_class_f1": 0.0, "macro_f1": 0.4}
