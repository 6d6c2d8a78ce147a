import json
import shutil
import subprocess
import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy
import pytest
from PIL import Image

from deap_nas.commands import export
from deap_nas.commands.retrain import picked
from deap_nas.finished_run import FinishedRun
from deap_nas.retraining.kept_seeds import RetrainedFolder
from problems.datasets.image_stream import ImageStream, Pictures
from problems.datasets.own_images import ImageFolder
from problems.datasets.splits import open_splits
from problems.saved_network import load
from tests.conftest import run_search
from tests.deap_nas.commands.test_retrain import assert_refused, worst_key

pytestmark = pytest.mark.slow  # searches in processes of their own


@pytest.fixture(scope="module")
def run(searched, tmp_path_factory):
    """A run folder whose knee has been retrained."""
    run = shutil.copytree(searched, tmp_path_factory.mktemp("exported") / "run")
    done = run_search("retrain", run, "--seeds", 2, "training.epochs=3", cwd=run)
    assert done.returncode == 0, done.stderr
    return run


def predictions(run, folder, tmp_path):
    """Paths of image files, and the class that the retrained network gives each of them."""
    images = open_splits(FinishedRun.open(run).problem.dataset, "cpu").validation
    network, blueprint = load(run / "retrained" / folder / "seed-1.safetensors")
    answers = network(images.batch(slice(0, 20))[0]).argmax(dim=1).tolist()
    paths = []
    for number, image in enumerate(images.images[:20]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(image[0].numpy()).save(paths[-1])
    return [str(path) for path in paths], [blueprint.classes[answer] for answer in answers]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "suffix"), [("onnx", "onnx"), ("torch", "pt2")])
@pytest.mark.usefixtures("untraced")
def test_the_snippet_beside_an_export_classifies_image_files(run, tmp_path, kind, suffix):
    done = run_search("export", run, "--format", kind, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (out,) = (run / "exported").iterdir()
    seen = json.loads((out / f"{kind}.json").read_text())
    assert seen["difference"] < 1e-4
    assert seen["seed"] == 1
    assert seen["bytes"] == (out / f"network.{suffix}").stat().st_size
    assert "one image by torch:" in done.stdout
    assert len(done.stdout.splitlines()) <= 8  # nothing of what the exporters tell of themselves

    snippet = out / f"use_{kind}.py"
    assert len(snippet.read_text().splitlines()) <= 1 + 10  # what it is, and ten lines
    paths, classes = predictions(run, out.name, tmp_path)
    assert len(set(classes)) > 1
    used = subprocess.run(
        [sys.executable, snippet, *paths], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    answers = [line.split("\t") for line in used.stdout.splitlines()]
    assert answers == [list(pair) for pair in zip(paths, classes, strict=True)]


def test_a_network_in_8_bits_is_tried_on_the_test_images(run, tmp_path):
    done = run_search("export", run, "--format", "onnx", "--int8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (out,) = (run / "exported").iterdir()
    seen = json.loads((out / "int8_onnx.json").read_text())
    assert seen["bytes"] == (out / "network.int8.onnx").stat().st_size
    (retrained,) = (run / "retrained").glob("*/seed-1.json")
    assert seen["float32_test_accuracy"] == json.loads(retrained.read_text())["test"]["accuracy"]
    assert abs(seen["test_accuracy"] - seen["float32_test_accuracy"]) < 0.1
    assert f"test accuracy {seen['test_accuracy']:.4f} in 8 bits" in done.stdout
    assert len(done.stdout.splitlines()) <= 8

    paths, classes = predictions(run, out.name, tmp_path)
    used = subprocess.run(
        [sys.executable, out / "use_int8_onnx.py", *paths],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [line.split("\t")[1] for line in used.stdout.splitlines()]
    assert sum(map(str.__eq__, answers, classes)) >= 18  # of 20


@pytest.mark.slow
def test_the_retraining_that_was_finished_last_is_exported(run, tmp_path, command):
    copy = shutil.copytree(run, tmp_path / "copy")
    (seed,) = copy.glob("retrained/*/seed-1.json")
    other = shutil.copytree(seed.parent, seed.parent.with_name(f"{seed.parent.name[:12]}-later"))
    later = json.loads((other / "seed-2.json").read_text()) | {"finished_at": "9999-01-01"}
    (other / "seed-2.json").write_text(json.dumps(later))
    arguments = ("--format", "torch", "--out", tmp_path / "out")
    status, said, _ = command("export", copy, *arguments)
    assert status == 0
    assert "of 2 retrainings with other recipes, the last" in said
    about = json.loads((tmp_path / "out" / "torch.json").read_text())
    assert about["weights"] == str(other / "seed-1.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --format --to is required"),
        (["--format", "tflight"], "argument --format: invalid choice: 'tflight'"),
        (["--format", "torch", "--int8"], "--int8: --format torch has none; onnx and tflite have"),
        (["--format", "onnx", "--pick", "bst"], "'bst' is unknown; .*did you mean 'best'"),
        (["--format", "onnx", "--pick", "params<1"], "none of .* networks is within it"),
        (["--format", "onnx", "--retrained", "nowhere"], "nowhere: knee .* has not been retrained"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(command, run, arguments, message):
    status, _, error = command("export", run, *arguments)
    assert_refused(status, error, message)
    assert "Traceback" not in error


def test_what_was_not_retrained_is_not_exported(command, run):
    key = worst_key(run)
    status, _, error = command("export", run, "--format", "torch", "--pick", key)
    assert_refused(status, error, f"{key} .* has not been retrained; retrained have been: --pick ")
    status, _, error = command(
        "export", run, "--format", "torch", "--pick", key, "--retrained", "nowhere"
    )
    assert_refused(status, error, f"{key} .* has not been retrained; first: .*--pick '{key}'")


def test_without_a_rule_the_one_network_that_was_retrained_is_exported(run, tmp_path):
    finished = FinishedRun.open(run)
    (knee,) = picked(finished, None)
    record = finished.archive.get(worst_key(run))
    other = RetrainedFolder.of(tmp_path, record, finished.problem)
    other.path.mkdir()
    other.keep(2, b"weights")
    kept = json.loads(next((run / "retrained").glob("*/seed-1.json")).read_text())
    other.finish(2, {name: kept[name] for name in ("test", "train_seconds", "curve")})
    assert record.key != knee.record.key
    assert export._pick(finished, run / "retrained", None).record.key == knee.record.key
    assert export._pick(finished, tmp_path, None).record.key == record.key
    with pytest.raises(ValueError, match=r"first: run_search\.py retrain"):
        export._pick(finished, tmp_path / "nowhere", None)


class PretendedSession:
    """Takes the place of onnxruntime: keeps the images that a snippet would classify."""

    seen: ClassVar = []

    def __init__(self, file):
        pass

    def run(self, names, inputs):
        self.seen.append(inputs["images"])
        return [numpy.zeros((1, 2))]


@pytest.fixture
def photographs(tmp_path):
    """Pictures of many sizes and modes, of two classes."""
    generator = numpy.random.default_rng(0)
    modes = ("RGB", "L", "RGBA", "P")
    for number, size in enumerate([(60, 40), (33, 71), (200, 150), (64, 64), (35, 301), (48, 37)]):
        for part, name in (("train", "a"), ("train", "b"), ("val", "a"), ("val", "b")):
            folder = tmp_path / part / name
            folder.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (size[1], size[0], 3), dtype=numpy.uint8)
            picture = Image.fromarray(pixels).convert(modes[number % 4])
            picture.save(folder / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(("kind", "channels"), [("folder", 1), ("folder", 3), ("stream", 3)])
def test_a_snippet_reads_the_very_pixels_that_the_search_scored(
    photographs, monkeypatch, kind, channels
):
    if kind == "stream":
        dataset = ImageStream(root=str(photographs), validation=4, size=24, resize=32, workers=0)
        paths, _ = dataset.located()._samples("test")
        pictures = Pictures(paths, 24, 32, 0.1, flip=False)
        wanted = [pictures[number, None].numpy() for number in range(len(paths))]
    else:
        dataset = ImageFolder(
            root=str(photographs / "train"), validation=4, size=24, channels=channels
        )
        paths, _ = dataset.located()._samples("train")
        wanted = dataset.located().read("train")[0]
    blueprint = SimpleNamespace(image_shape=(channels, 24, 24), classes=("a", "b"))
    source = export.snippet("onnx", blueprint, 32 if kind == "stream" else None)
    monkeypatch.setattr(PretendedSession, "seen", [])
    session = SimpleNamespace(InferenceSession=PretendedSession)
    monkeypatch.setitem(sys.modules, "onnxruntime", session)
    monkeypatch.setattr(sys, "argv", ["use_onnx.py", *paths])
    exec(compile(source, "use_onnx.py", "exec"), {"__file__": "use_onnx.py"})
    assert len(PretendedSession.seen) == len(paths) == 12
    for images, pixels in zip(PretendedSession.seen, wanted, strict=True):
        assert (numpy.rint(images[0] * 255) == pixels).all()


def test_packages_that_are_missing_are_told(command, run, monkeypatch):
    monkeypatch.setattr("problems.export.ONNX_PACKAGES", ("no_such_package",))
    status, _, error = command("export", run, "--format", "onnx")
    assert_refused(status, error, r"no_such_package must be installed: pip install 'deap-nas\[exp")
