"""What is said of a recipe before anything is trained by it."""

import pytest

from problems.training.augmentation import Augmentation
from problems.training.recipe import Training


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Training(patience=5), "patience = 5: without effect, since early_stop = 'never'"),
        (Training(min_delta=0.1), "min_delta = 0.1: without effect"),
        (Training(augmentation=Augmentation(crop_padding=8)), "images have 8 pixels a side"),
    ],
)
def test_what_has_no_effect_or_destroys_images_is_pointed_out(recipe, said):
    (line,) = recipe.notices((1, 8, 9))
    assert said in line


def test_nothing_is_said_of_a_recipe_that_means_all_of_it():
    recipe = Training(
        early_stop="loss", patience=5, min_delta=0.1, augmentation=Augmentation(crop_padding=7)
    )
    assert recipe.notices((1, 8, 9)) == []
