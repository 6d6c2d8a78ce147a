"""The notebook of examples/ is run as it stands, in a kernel of its own."""

import shutil

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.usefixtures("untraced")

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


def text_of(cell):
    """All that a cell shows, HTML before plain text."""
    shown = []
    for output in cell.outputs:
        data = output.get("data", {})
        shown.append(output.get("text") or data.get("text/html") or data.get("text/plain", ""))
    return "".join(shown)


@pytest.mark.slow
def test_the_first_steps_run_in_a_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    shutil.copy(REPOSITORY / "examples" / "first_steps.ipynb", tmp_path)
    notebook = nbformat.read(tmp_path / "first_steps.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    shown = [text_of(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert "<Search 'first_steps': nsga2 for val_accuracy, params" in shown[0].replace("&lt;", "<")
    assert "generation 2/2" in shown[2]
    assert shown[2].count("<progress") == 1  # updated in place
    assert "networks on the front" in shown[3]
    assert "<table" in shown[3]
    assert "report.html" in shown[-1]
    assert (tmp_path / "runs" / "first_steps" / "seed-1" / "front.csv").exists()
