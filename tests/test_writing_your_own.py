"""Every example of docs/writing_your_own.md is run as it stands there, in one process."""

import re

import pytest

from tests.conftest import REPOSITORY, run_search

pytestmark = pytest.mark.usefixtures("untraced")

TEXT = (REPOSITORY / "docs" / "writing_your_own.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|toml)\n# ([\w.]+)\n(.*?)```", TEXT, flags=re.DOTALL))
DECLARATIONS = sorted(name for name in FILES if name.endswith(".toml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", DECLARATIONS)
def test_an_example_searches_to_its_end(folder, name):
    own_map = "map" in FILES[name]
    done = run_search(name, *([] if own_map else ["toolbox.map=serial"]), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "written: " in done.stdout
    assert "WARNING" not in done.stdout + done.stderr


def test_each_kind_of_thing_has_an_example():
    sections = re.findall(r"^## (.+)$", TEXT, flags=re.MULTILINE)
    rows = re.findall(r"^\| \S* ?\[(.+?)\]\(#(.+?)\)", TEXT, flags=re.MULTILINE)
    assert len(rows) == 11
    assert {anchor for _, anchor in rows} == {name.lower().replace(" ", "-") for name in sections}
    assert len(DECLARATIONS) == 9
