"""The example of docs/searching_the_recipe.md is a search that can begin."""

import re
import tomllib

from problems import PROBLEMS
from tests.conftest import REPOSITORY
from toolbox.assemble import rehearse
from toolbox.declaration import declare

TEXT = (REPOSITORY / "docs" / "searching_the_recipe.md").read_text(encoding="utf-8")


def test_the_example_can_begin_and_reads_as_the_page_says():
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    declaration = declare(tomllib.loads(example), PROBLEMS, "joint")
    problem = declaration.problem.build()
    rehearse(declaration, problem)
    names = [gene.name for gene in problem.space.genes if gene.name.startswith("training.")]
    assert names == [
        *("training.batch_size", "training.optimizer", "training.learning_rate"),
        *("training.momentum", "training.schedule", "training.augmentation.crop_padding"),
        "training.augmentation.flip",
    ]
    rates = problem.space.genes[-5].choices
    assert len(rates) == 11
    assert 0.0126 in rates
