"""What becomes of an archive whose folder is copied while it is written."""

import shutil

import pytest

from toolbox import whole_copy
from toolbox.archive import Archive, Record
from toolbox.whole_copy import whole_copy_of


def record(number):
    return Record(str(number), [number], f"net {number}", "ok", {"ones": float(number)})


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(whole_copy, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(whole_copy, "SHARE", float("inf"))


@pytest.fixture
def torn(tmp_path, at_once):
    """A copy of the folder of an archive of 50, made while it was written: its pages are of
    several moments."""
    folder = tmp_path / "run"
    folder.mkdir()
    archive = Archive({"p": 1}, folder / "archive.sqlite")
    archive.add(*map(record, range(50)))
    copy = shutil.copytree(folder, tmp_path / "copy") / "archive.sqlite"
    content = bytearray(copy.read_bytes())
    content[4096:8192] = bytes(4096)
    copy.write_bytes(content)
    archive.close()
    return copy


def test_a_torn_copy_is_read_from_the_whole_one(torn, caplog):
    archive = Archive.read(torn)
    assert [one.genome for one in archive] == [[number] for number in range(50)]
    assert archive.path == torn
    assert "archive.whole.sqlite: read instead, because" in caplog.text


def test_a_search_says_how_it_goes_on_in_a_torn_copy(torn):
    with pytest.raises(ValueError, match=r"archive.whole.sqlite beside it is whole: put it in"):
        Archive({"p": 1}, torn)
    shutil.move(whole_copy_of(torn), torn)
    archive = Archive({"p": 1}, torn)
    assert len(archive) == 50
    archive.close()


def test_what_is_torn_and_has_no_whole_copy_is_refused_as_before(torn):
    whole_copy_of(torn).unlink()
    with pytest.raises(ValueError, match="cannot be used as an archive") as refused:
        Archive.read(torn)
    assert "whole" not in str(refused.value)


def test_a_whole_copy_that_is_none_is_refused(torn):
    whole_copy_of(torn).write_bytes(b"no archive" * 1000)
    with pytest.raises(ValueError, match=r"archive.whole.sqlite cannot be used as an archive"):
        Archive.read(torn)


def test_the_whole_copy_follows_and_goes_with_the_search(tmp_path, at_once):
    file = tmp_path / "archive.sqlite"
    archive = Archive({"p": 1}, file)
    for number in range(3):
        archive.add(record(number))
        assert len(Archive.read(whole_copy_of(file))) == number + 1
    archive.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.sqlite"]


def test_a_short_search_has_none(tmp_path):
    archive = Archive({"p": 1}, tmp_path / "archive.sqlite")
    archive.add(record(1))
    assert not whole_copy_of(archive.path).exists()
    archive.close()


def test_without_room_for_it_the_search_goes_on(tmp_path, at_once):
    file = tmp_path / "archive.sqlite"
    archive = Archive({"p": 1}, file)
    whole_copy_of(file).mkdir()  # in its place
    (whole_copy_of(file) / "something").touch()
    archive.add(record(1))
    archive.close()
    assert len(Archive.read(file)) == 1
