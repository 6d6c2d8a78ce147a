import sqlite3

import pytest

from toolbox.archive import Archive, Record, differences
from toolbox.measure import Outcome

PROBLEM = {"use": "onemax", "length": 3, "training": {"epochs": 5}}


def record(key="k", status="ok"):
    return Record.of(key, [1, 0, 1], "101", Outcome(0, status, {"ones": 2.0}, "why"))


def test_a_record_is_read_back_by_the_next_session(tmp_path):
    path = tmp_path / "archive.sqlite"
    first = Archive(PROBLEM, path)
    kept = record()
    first.add(kept)
    first.note("seconds", [2.5])
    # Not closed: a killed process closes nothing either.
    second = Archive(PROBLEM, path)
    assert list(second) == [kept]
    assert second.get("k") == kept
    assert second.get("other") is None
    assert second.noted("seconds") == [2.5]
    first.close()
    second.close()


def test_the_tables_are_those_of_the_contract(tmp_path):
    archive = Archive(PROBLEM, tmp_path / "archive.sqlite")
    archive.add(record())
    archive.close()
    connection = sqlite3.connect(tmp_path / "archive.sqlite")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(evaluations)")]
    assert columns == [
        *("key", "genome", "architecture", "status"),
        *("measurement", "message", "attempts", "finished_at"),
    ]
    (row,) = connection.execute("SELECT * FROM evaluations")
    assert row[:7] == ("k", "[1, 0, 1]", "101", "ok", '{"ones": 2.0}', "why", 1)
    assert [row[1] for row in connection.execute("PRAGMA table_info(meta)")] == ["name", "value"]
    connection.close()


def test_another_problem_is_refused_with_the_difference(tmp_path):
    path = tmp_path / "archive.sqlite"
    Archive(PROBLEM, path).close()
    changed = PROBLEM | {"training": {"epochs": 6}, "threads": 2}
    with pytest.raises(ValueError, match="begun with another one") as caught:
        Archive(changed, path)
    assert "problem.training.epochs was 5, now 6" in str(caught.value)
    assert "problem.threads was not declared, now 2" in str(caught.value)
    Archive(PROBLEM, path).close()


def test_a_file_that_is_no_archive_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, but long enough to look like a file of some kind" * 20)
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    with connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()
    similar = tmp_path / "similar.sqlite"
    connection = sqlite3.connect(similar)
    with connection:
        connection.execute("CREATE TABLE meta (name TEXT, value TEXT)")
        connection.execute("INSERT INTO meta VALUES ('owner', 'somebody')")
    connection.close()
    for path in (text, foreign, similar):
        before = path.read_bytes()
        with pytest.raises(ValueError, match="cannot be used as an archive"):
            Archive(PROBLEM, path)
        assert path.read_bytes() == before


def test_a_folder_in_the_archive_s_place_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be used as an archive"):
        Archive(PROBLEM, tmp_path)


def test_an_archive_of_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "archive.sqlite"
    Archive(PROBLEM, path).close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    connection.close()
    with pytest.raises(ValueError, match="has format 99; this version reads format 1"):
        Archive(PROBLEM, path)


def test_a_key_depends_on_the_architecture_and_the_problem():
    archive = Archive(PROBLEM)
    assert archive.key("101") == Archive(dict(reversed(PROBLEM.items()))).key("101")
    assert archive.key("101") != archive.key("110")
    assert archive.key("101") != Archive(PROBLEM | {"length": 4}).key("101")


def test_notes_are_kept_and_replaced():
    archive = Archive(PROBLEM)
    assert archive.noted("seconds", []) == []
    archive.note("seconds", [1.5])
    archive.note("seconds", [1.5, 2.0])
    assert archive.noted("seconds") == [1.5, 2.0]


def test_equal_declarations_have_no_differences():
    assert differences(PROBLEM, dict(PROBLEM)) == []
