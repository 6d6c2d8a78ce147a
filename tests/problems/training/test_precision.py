import json

import pytest
import torch

from problems.training import precision
from problems.training.precision import cpu_has_bfloat16, measure_share, resolve_precision


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(precision.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    return tmp_path / "deap-nas" / "precision.json"


@pytest.fixture
def processor(monkeypatch):
    """Make torch tell of a processor with these instructions."""

    def set_up(**capabilities):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    set_up(avx512_f=True, avx512_bf16=True)
    return set_up


pytestmark = pytest.mark.usefixtures("processor")


@pytest.mark.parametrize(("share", "chosen"), [(0.6, "bfloat16"), (0.95, "float32")])
def test_auto_takes_bfloat16_on_a_cpu_where_it_pays(monkeypatch, share, chosen):
    monkeypatch.setattr(precision, "measure_share", lambda threads: share)
    assert resolve_precision("auto", "cpu", threads=1) == chosen


@pytest.mark.parametrize(
    "instructions",
    [{"avx512_f": True, "avx512_bf16": False}, {"avx2": True}, {"neon": True, "bf16": False}, {}],
)
def test_auto_takes_no_bfloat16_that_is_only_emulated(
    monkeypatch, processor, own_cache, instructions, caplog
):
    """A small network took .87 of the time of float32 where one of 64 channels took 2.1."""
    processor(**instructions)
    monkeypatch.setattr(precision, "measure_share", lambda threads: 0.6)
    assert resolve_precision("auto", "cpu", threads=1) == "float32"
    assert not caplog.messages
    assert resolve_precision("bfloat16", "cpu", threads=1) == "bfloat16"  # it was asked for
    assert "has no instructions for it" in caplog.text
    assert not own_cache.exists()


@pytest.mark.parametrize("name", ["amx_bf16", "bf16", "sve_bf16"])
def test_bfloat16_of_other_processors_is_known(processor, name):
    processor(**{name: True})
    assert cpu_has_bfloat16()


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 vaes\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),
        (None, False),
    ],
)
def test_an_older_torch_is_helped_by_linux(monkeypatch, tmp_path, flags, has):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    told = tmp_path / "cpuinfo"
    if flags:
        told.write_text(flags)
    monkeypatch.setattr(precision, "Path", lambda *parts: told)
    assert cpu_has_bfloat16() is has


def test_the_calibration_is_made_once_a_machine(monkeypatch, own_cache):
    asked = []
    monkeypatch.setattr(precision, "measure_share", lambda threads: asked.append(threads) or 0.6)
    for _ in range(3):
        assert resolve_precision("auto", "cpu", threads=2) == "bfloat16"
    assert asked == [2]
    assert list(json.loads(own_cache.read_text()).values()) == [0.6]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": "y"}'])
def test_a_broken_calibration_file_is_replaced(monkeypatch, own_cache, text):
    monkeypatch.setattr(precision, "measure_share", lambda threads: 0.6)
    own_cache.parent.mkdir()
    own_cache.write_text(text)
    assert resolve_precision("auto", "cpu", threads=1) == "bfloat16"
    assert list(json.loads(own_cache.read_text()).values()) == [0.6]


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(monkeypatch, tmp_path):
    (tmp_path / "deap-nas").write_text("a file where the folder should be")
    monkeypatch.setattr(precision, "measure_share", lambda threads: 0.95)
    assert resolve_precision("auto", "cpu", threads=1) == "float32"


def test_the_share_is_a_ratio_of_times():
    threads = torch.get_num_threads()
    assert 0.05 < measure_share(threads=1) < 50
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("declared", ["float32", "bfloat16"])
def test_what_is_declared_is_taken(declared):
    assert resolve_precision(declared, "cpu", threads=1) == declared


def test_tf32_needs_a_gpu():
    with pytest.raises(ValueError, match="precision = 'tf32': only a GPU has it; legal on the CPU"):
        resolve_precision("tf32", "cpu", threads=1)


@pytest.fixture
def card(monkeypatch):
    """Make torch show a GPU that takes these shares of the time of float32."""

    def set_up(capability, has_bfloat16, **shares):
        asked = []
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16
        )
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
        monkeypatch.setattr(
            precision, "measure_gpu_share", lambda name, *_: asked.append(name) or shares[name]
        )
        return asked

    return set_up


@pytest.mark.parametrize(
    ("tf32", "bfloat16", "chosen"),
    [(0.8, 0.6, "bfloat16"), (0.7, 0.8, "tf32"), (0.95, 0.92, "float32"), (1.1, 1.3, "float32")],
)
def test_auto_on_a_gpu_takes_what_a_calibration_shows_to_pay(card, tf32, bfloat16, chosen):
    asked = card((9, 0), True, tf32=tf32, bfloat16=bfloat16)
    for _ in range(2):
        assert resolve_precision("auto", "cuda:0", threads=1) == chosen
    assert asked == ["tf32", "bfloat16"]  # once, though it was asked for twice
    assert resolve_precision("tf32", "cuda:0", threads=1) == "tf32"


def test_only_what_the_hardware_has_is_calibrated(card):
    asked = card((7, 5), False)
    assert resolve_precision("auto", "cuda:0", threads=1) == "float32"
    assert asked == []


def test_one_calibration_does_not_forget_another(card, monkeypatch, own_cache):
    card((8, 0), False, tf32=0.5)
    monkeypatch.setattr(precision, "measure_share", lambda threads: 0.6)
    resolve_precision("auto", "cpu", threads=1)
    resolve_precision("auto", "cuda:0", threads=1)
    resolve_precision("auto", "cpu", threads=2)
    assert sorted(json.loads(own_cache.read_text()).values()) == [0.5, 0.6, 0.6]
