import hashlib
import json
import sqlite3
from dataclasses import replace

import pytest

from toolbox import archive as archive_module
from toolbox.archive import Archive, FollowedArchive, Record, differences
from toolbox.lineage import Birth
from toolbox.measure import Outcome
from toolbox.stopped import SearchStopped

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
    columns = [row[1] for row in connection.execute("PRAGMA table_info(trainings)")]
    assert columns == ["key", "worker", "seconds", "curve"]
    connection.close()


def trained(key, **told):
    return Record(key, [1], f"net {key}", "ok", {"ones": 1.0}, worker="here 2", seconds=1.5, **told)


def test_how_a_network_was_trained_is_read_by_a_report_and_not_by_a_search(tmp_path):
    path = tmp_path / "archive.sqlite"
    archive = Archive(PROBLEM, path)
    archive.add(trained("a", curve='{"train_loss":[2.0,1.0]}'))
    archive.close()
    (read,) = Archive.read(path)
    assert (read.worker, read.seconds, read.curve) == ("here 2", 1.5, '{"train_loss":[2.0,1.0]}')
    again = Archive(PROBLEM, path)
    (served,) = again
    again.close()
    assert (served.worker, served.seconds, served.curve) == ("", 0.0, "")
    assert served == read


def test_an_archive_of_before_goes_on_and_keeps_how_what_is_new_was_trained(tmp_path):
    path = tmp_path / "archive.sqlite"
    archive = Archive(PROBLEM, path)
    archive.add(record())
    archive.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE trainings")
    connection.close()
    (old,) = Archive.read(path)
    assert old.seconds == 0
    archive = Archive(PROBLEM, path)
    archive.add(trained("new"))
    archive.close()
    assert [one.seconds for one in Archive.read(path)] == [0, 1.5]


def test_an_archive_is_followed_from_before_its_beginning(tmp_path):
    path = tmp_path / "archive.sqlite"
    followed = FollowedArchive(path)
    assert not followed.news()
    archive = Archive(PROBLEM, path)
    assert followed.news()
    assert len(followed.archive) == 0
    assert not followed.news()
    archive.add(trained("a"))
    archive.add(replace(trained("b"), status="infeasible"))
    archive.keep_births(0, [Birth(0, 0, "a"), Birth(1, 0, "b")])
    assert followed.news()
    assert [one.seconds for one in followed.archive] == [1.5, 1.5]
    assert [birth.key for birth in followed.archive.births] == ["a", "b"]
    archive.add(trained("b"))  # in the place of the one that was refused
    archive.note("sessions", [{"ended": "done"}])
    assert followed.news()
    assert [one.status for one in followed.archive] == ["ok", "ok"]
    assert followed.archive.noted("sessions") == [{"ended": "done"}]
    assert not followed.news()
    archive.close()
    followed.close()


def test_another_archive_in_the_place_of_a_followed_one_is_read_from_its_start(tmp_path):
    path = tmp_path / "archive.sqlite"
    for keys in ("ab", "c"):
        archive = Archive(PROBLEM, tmp_path / "new.sqlite")
        for key in keys:
            archive.add(trained(key))
        archive.close()
        (tmp_path / "new.sqlite").rename(path)
        if keys == "ab":
            followed = FollowedArchive(path)
        assert followed.news()
        assert [one.key for one in followed.archive] == list(keys)
    followed.close()


def test_a_file_that_is_no_archive_is_not_followed(tmp_path):
    (tmp_path / "archive.sqlite").write_text("no archive" * 1000)
    with pytest.raises(ValueError, match="cannot be used as an archive"):
        FollowedArchive(tmp_path / "archive.sqlite").news()


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


def test_keys_are_those_of_the_archives_that_are_out_there():
    problem = PROBLEM | {"ü": 'é"x', "f": 1e-7}
    archive = Archive(problem)
    assert archive.key("101") == "7e604d45c896e34be2b5132182c1e54b"
    assert archive.key('NC 4 3 "relu";é') == "2a06f39470d2368fb1d108e49adb1763"
    plain = json.dumps(["101", problem], sort_keys=True)
    assert archive.key("101") == hashlib.blake2b(plain.encode(), digest_size=16).hexdigest()


def test_an_archive_that_is_read_knows_its_keys(tmp_path):
    path = tmp_path / "archive.sqlite"
    archive = Archive(PROBLEM, path)
    archive.close()
    assert Archive.read(path).key("101") == archive.key("101") != Archive({}).key("101")


def test_notes_are_kept_and_replaced():
    archive = Archive(PROBLEM)
    assert archive.noted("seconds", []) == []
    archive.note("seconds", [1.5])
    archive.note("seconds", [1.5, 2.0])
    assert archive.noted("seconds") == [1.5, 2.0]


def test_equal_declarations_have_no_differences():
    assert differences(PROBLEM, dict(PROBLEM)) == []


def test_a_creation_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "archive.sqlite"
    with monkeypatch.context() as broken:
        broken.setattr(archive_module, "TABLES", (*archive_module.TABLES, "no statement"))
        with pytest.raises(ValueError, match="cannot be used as an archive"):
            Archive({}, path)
    Archive({}, path).close()


def test_a_disk_that_is_full_stops_the_search_and_keeps_what_was_written(tmp_path):
    archive = Archive({}, tmp_path / "archive.sqlite")
    archive._connection.execute("PRAGMA max_page_count = 6")

    def fill():
        for number in range(1000):
            archive.add(Record(f"key {number}", [1], "x" * 500, "ok"))

    with pytest.raises(SearchStopped, match=r"archive\.sqlite cannot be written: .* full"):
        fill()
    archive.close()
    again = Archive({}, tmp_path / "archive.sqlite")
    assert len(again) == len(archive) > 0
    again.close()


def test_records_are_kept_together_or_not_at_all(tmp_path):
    path = tmp_path / "archive.sqlite"
    archive = Archive({}, path)
    archive.add(Record("a", [1], "x", "ok"), Record("b", [2], "y", "ok"))
    with pytest.raises(SearchStopped, match="cannot be written"):
        archive.add(Record("c", [1], "z", "ok"), Record("d", [2], object(), "ok"))
    assert [record.key for record in archive] == ["a", "b"]
    assert [archive.position(key) for key in "ab"] == [0, 1]
    archive.close()
    assert [record.key for record in Archive.read(path)] == ["a", "b"]


@pytest.mark.parametrize("left", [100, 4096, 9000])
def test_a_truncated_archive_is_refused_and_left_alone(tmp_path, left):
    path = tmp_path / "archive.sqlite"
    archive = Archive({}, path)
    for number in range(100):
        archive.add(Record(f"key {number}", [1], "x" * 500, "ok"))
    archive.close()
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"archive\.sqlite cannot be used as an archive"):
        Archive({}, path)
    assert path.stat().st_size == left


def test_another_program_that_holds_the_archive_stops_the_search(tmp_path):
    path = tmp_path / "archive.sqlite"
    archive = Archive({}, path)
    archive._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SearchStopped, match="cannot be written: database is locked"):
        archive.add(Record("key", [1], "x", "ok"))
    other.close()
    archive.add(Record("key", [1], "x", "ok"))
    archive.close()
