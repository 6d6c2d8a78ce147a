"""Every distinct network is measured once, ever: the archive that remembers.

One SQLite file, one writer.  Evaluations are committed as they become known, those that arrived
together in one transaction, so a kill at any moment loses only what was still training; a search
continues by running again from its start and being served from here.
"""

import contextlib
import gc
import hashlib
import itertools
import json
import logging
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from toolbox.archive_contents import (
    COLUMNS,
    check_births,
    check_evaluations,
    check_notes,
    check_tables,
    check_trainings,
    parsed,
)
from toolbox.belief import Belief
from toolbox.lineage import Birth
from toolbox.measure import Outcome, Status
from toolbox.stopped import SearchStopped
from toolbox.whole_copy import WholeCopy, whole_copy_of

log = logging.getLogger(__name__)
ARCHIVE_FORMAT = 1
WAIT_SECONDS = 60.0  # for another process to have read
FAILED = ("error", "timeout", "crash")
TABLES = (
    "CREATE TABLE evaluations (key TEXT PRIMARY KEY, genome TEXT, architecture TEXT, status TEXT, "
    "measurement TEXT, message TEXT, attempts INTEGER, finished_at TEXT)",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)",
    "CREATE TABLE IF NOT EXISTS births (number INTEGER PRIMARY KEY, generation INTEGER, key TEXT, "
    "operators TEXT, parents TEXT, survived INTEGER)",
    # How an evaluation went, apart from what a search reads again.
    "CREATE TABLE IF NOT EXISTS trainings (key TEXT PRIMARY KEY, worker TEXT, seconds REAL, "
    "curve TEXT)",
)
LATER_TABLES = TABLES[2:]  # that an archive of an earlier version may lack
ROWS_AT_ONCE = 1000  # that are read


@dataclass(frozen=True, slots=True)
class Record:
    """One evaluation, as the archive keeps it.  `finished_at` is UTC, ISO 8601.

    What the file does not say of a single record: seed: the number of the training that the finals
    of this search asked for; 0: the network's own.  further: the records of the other trainings
    that the last finals gave this network.  worker, seconds, curve: as in an `Outcome`; the file
    has them, and a search that is continued does not read them.
    """

    key: str
    genome: list[int]
    architecture: str
    status: Status
    measurement: dict[str, float] = field(default_factory=dict)
    message: str = ""
    attempts: int = 1
    finished_at: str = ""
    worker: str = field(default="", compare=False)
    seconds: float = field(default=0.0, compare=False)
    curve: str = field(default="", compare=False)
    seed: int = field(default=0, compare=False)
    further: tuple["Record", ...] = field(default=(), compare=False)
    belief: Belief | None = field(default=None, compare=False)

    @property
    def failed(self) -> bool:
        """Whether the network was begun and could not be measured."""
        return self.status in FAILED

    @classmethod
    def of(cls, key: str, genome: list[int], architecture: str, outcome: Outcome) -> "Record":
        return cls(
            key,
            genome,
            architecture,
            outcome.status,
            outcome.measurement,
            outcome.message,
            outcome.attempts,
            finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            worker=outcome.worker,
            seconds=round(outcome.seconds, 3),
            curve=outcome.curve,
        )


class Archive:
    """The evaluations of one problem, kept in `path` (in memory if none is given).

    problem: its declaration as plain data, all that a measurement depends on.  Raises ValueError
    if the file was begun with another one, or is no archive.
    """

    def __init__(self, problem: Mapping[str, Any], path: Path | None = None):
        self.problem = json.loads(json.dumps(problem))  # as it will be read back
        self.path = path
        self._records: dict[str, Record] = {}
        self._positions: dict[str, int] = {}
        self._ticks = itertools.count()
        self._notes: dict[str, Any] = {"format": ARCHIVE_FORMAT, "problem": self.problem}
        self._births: dict[int, list[Birth]] = {}  # by generation
        self._connection: sqlite3.Connection | None = None
        self._copy: WholeCopy | None = None
        if path is not None:
            try:
                # Another process may be reading, at a low priority too.
                self._connection = sqlite3.connect(path, timeout=WAIT_SECONDS)
                self._open(self._connection)
            except (sqlite3.Error, KeyError, SearchStopped) as error:
                self.close()
                whole = whole_copy_of(path)
                hint = (
                    f"; if the folder was copied while a search wrote it, {whole.name} beside it "
                    "is whole: put it in its place"
                )
                raise ValueError(
                    f"{path} cannot be used as an archive: {error}{hint * whole.exists()}"
                ) from error
            except ValueError:
                self.close()
                raise
            self._copy = WholeCopy(path)

    @classmethod
    def read(cls, path: Path) -> "Archive":
        """The archive in `path` as it is now, in memory, for whatever problem.

        The file is only read, unless a search was ended in the middle of a commit and has not gone
        on since: that commit is taken back.  Where it was torn when its folder was copied, the
        whole copy beside it is read.  Raises ValueError as the constructor does.
        """
        try:
            return cls._read_whole(path)
        except ValueError as error:
            if not path.is_file() or not (whole := whole_copy_of(path)).is_file():
                raise
            archive = cls._read_whole(whole)
            log.warning(
                "%s: read instead, because %s; a copy of a folder that a search was writing?",
                *(whole, error),
            )
            archive.path = path
            return archive

    @classmethod
    def _read_whole(cls, path: Path) -> "Archive":
        archive = cls({})
        try:
            with contextlib.closing(_read_only(path)) as connection:
                archive.path = path
                check_tables(connection)
                archive._notes = archive._read_meta(connection)
                archive.problem = archive._notes["problem"]
                with _collecting_nothing():
                    archive._read_records(connection)
                    archive._read_trainings(connection)
                    archive._read_births(connection)
                archive._check_finals()
        except (sqlite3.Error, KeyError) as error:
            raise ValueError(f"{path} cannot be used as an archive: {error}") from error
        return archive

    def _open(self, connection: sqlite3.Connection) -> None:
        # A rollback journal, because a write-ahead log is not safe on a network disk, and each
        # commit on disk before it counts.  To truncate the journal costs less than to delete it.
        check_tables(connection)
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = EXTRA")
        meta = {}
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            meta = self._read_meta(connection)
        if meta and (changes := differences(meta["problem"], self.problem)):
            raise ValueError(
                f"problem: {self.path} was begun with another one ({'; '.join(changes)}); "
                "declare it as it was, or choose another folder with --runs"
            )
        if not meta:
            self._create(connection)
        for statement in LATER_TABLES:
            connection.execute(statement)
        self._notes |= meta
        with _collecting_nothing():
            self._read_records(connection)
            self._read_births(connection)
        self._check_finals()

    def _read_meta(self, connection: sqlite3.Connection) -> dict[str, Any]:
        texts = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        meta = dict(zip(texts, parsed("meta", "value", texts.values()), strict=True))
        if meta["format"] != ARCHIVE_FORMAT:
            raise ValueError(
                f"{self.path} has format {meta['format']!r}; this version reads format "
                f"{ARCHIVE_FORMAT}"
            )
        check_notes(meta)
        return meta

    def _check_finals(self) -> None:
        for keys in self.noted("finals", {}).values():
            if missing := set(keys) - self._records.keys():
                raise sqlite3.DataError(f"in meta, finals: there is no {min(missing)} in it")

    def _read_records(self, connection: sqlite3.Connection, after: int = 0) -> int:
        """Take up the records of larger row ids; the largest."""
        columns = ", ".join(COLUMNS["evaluations"])
        rows = connection.execute(
            f"SELECT rowid, {columns} FROM evaluations WHERE rowid > ? ORDER BY rowid", (after,)
        )
        while many := rows.fetchmany(ROWS_AT_ONCE):
            numbers, *values = zip(*many, strict=True)
            read: dict[str, Any] = dict(zip(COLUMNS["evaluations"], values, strict=True))
            for column in ("genome", "measurement"):
                read[column] = parsed("evaluations", column, read[column])
            check_evaluations(read)
            for record in map(Record, *read.values()):
                self._records[record.key] = record
                self._positions[record.key] = next(self._ticks)
            after = numbers[-1]
        return after

    def _read_trainings(self, connection: sqlite3.Connection, after: int = 0) -> int:
        """Take up how evaluations went, as far as it was kept, of larger row ids; the largest."""
        if not _has_table(connection, "trainings"):
            return after
        columns = ", ".join(COLUMNS["trainings"])
        rows = connection.execute(
            f"SELECT rowid, {columns} FROM trainings WHERE rowid > ? ORDER BY rowid", (after,)
        )
        while many := rows.fetchmany(ROWS_AT_ONCE):
            numbers, *values = zip(*many, strict=True)
            check_trainings(dict(zip(COLUMNS["trainings"], values, strict=True)))
            for key, worker, seconds, curve in zip(*values, strict=True):
                if record := self._records.get(key):
                    how = {"worker": worker, "seconds": seconds, "curve": curve}
                    self._records[key] = replace(record, **how)
            after = numbers[-1]
        return after

    def _read_births(self, connection: sqlite3.Connection) -> None:
        if not _has_table(connection, "births"):
            return
        self._births.clear()
        rows = connection.execute(
            f"SELECT {', '.join(COLUMNS['births'])} FROM births ORDER BY number"
        )
        while many := rows.fetchmany(ROWS_AT_ONCE):
            columns = zip(*many, strict=True)
            read: dict[str, Any] = dict(zip(COLUMNS["births"], columns, strict=True))
            texts = read["operators"]
            for column in ("operators", "parents"):
                read[column] = parsed("births", column, read[column])
            check_births(read)
            known: dict[str, tuple[str, ...]] = {}  # few, and the same for many
            read["operators"] = [
                known.setdefault(text, tuple(names))
                for text, names in zip(texts, read["operators"], strict=True)
            ]
            read["parents"] = map(tuple, read["parents"])
            read["survived"] = map(bool, read["survived"])
            for birth in map(Birth, *read.values()):
                self._births.setdefault(birth.generation, []).append(birth)

    def _create(self, connection: sqlite3.Connection) -> None:
        """Make the tables and their first notes at once: a kill leaves all of it or nothing."""
        connection.execute("BEGIN")  # else each table would be a transaction of its own
        for statement in TABLES:
            connection.execute(statement)
        rows = [(name, json.dumps(value)) for name, value in self._notes.items()]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        connection.commit()

    @cached_property
    def _problem_text(self) -> str:
        return json.dumps(self.problem, sort_keys=True)

    def key(self, architecture: str, **less: Any) -> str:
        """The identity of a network: its architecture and all that is declared of its training.

        less: what was asked for instead of that, such as fewer epochs or another seed, has a record
        of its own.
        """
        # As json.dumps([architecture, problem], sort_keys=True) writes it.
        text = f"[{json.dumps(architecture)}, {self._problem_text}]"
        if less:
            text += json.dumps(less, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def add(self, *records: Record) -> None:
        """Keep records for good, in their order and in one transaction: all of them are on disk
        when this returns, and none if it raises.

        Each takes the place of a record of the same key, of a network refused by bounds that have
        been widened since.
        """
        if self._connection is not None and records:
            rows = [
                (
                    record.key,
                    json.dumps(record.genome),
                    record.architecture,
                    record.status,
                    json.dumps(record.measurement),
                    record.message,
                    record.attempts,
                    record.finished_at,
                )
                for record in records
            ]
            with self._transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO trainings VALUES (?, ?, ?, ?)",
                    [
                        (r.key, r.worker, r.seconds, r.curve)
                        for r in records
                        if r.seconds or r.curve
                    ],
                )
            if self._copy:
                self._copy.follow(self._connection)
        for record in records:
            self._records[record.key] = record
            self._positions[record.key] = next(self._ticks)

    def amended(self, record: Record, more: Mapping[str, float]) -> Record:
        """A record with more in its measurement, in its place; it is on disk when this returns."""
        whole = replace(record, measurement={**record.measurement, **more})
        if self._connection is not None:
            with self._transaction() as connection:
                connection.execute(
                    "UPDATE evaluations SET measurement = ? WHERE key = ?",
                    (json.dumps(whole.measurement), record.key),
                )
        self._records[record.key] = whole
        return whole

    def get(self, key: str) -> Record | None:
        return self._records.get(key)

    def is_whole(self, record: Record) -> bool:
        """Whether a record is of all that is declared, and not of fewer epochs or another seed."""
        return record.key == self.key(record.architecture)

    def networks(self) -> list[Record]:
        """One record for each network: the whole one, or that of the most epochs.

        One that failed or was refused on its way ends there.  A network of the last finals has its
        `further` trainings, and one that the guide of a search that has ended knew its `belief`.
        """
        furthest: dict[str, Record] = {}
        for record in self._records.values():
            known = furthest.setdefault(record.architecture, record)
            if known is not record and self._reach(record) > self._reach(known):
                furthest[record.architecture] = record
        finals = self.finals
        beliefs = {key: Belief(*map(tuple, of)) for key, of in self.noted("beliefs", {}).items()}
        return [
            replace(record, further=finals.get(record.key, ()), belief=beliefs.get(record.key))
            for record in furthest.values()
        ]

    @property
    def finals(self) -> dict[str, tuple[Record, ...]]:
        """The further trainings that the last finals gave a network, by its key."""
        return {
            key: tuple(
                replace(self._records[other], seed=seed)
                for seed, other in enumerate(others, start=1)
            )
            for key, others in self.noted("finals", {}).items()
        }

    def keep_finals(self, finalists: Sequence[Record]) -> None:
        """Remember which trainings the finals of this search gave whom; nobody: it had none."""
        noted = {one.key: [other.key for other in one.further] for one in finalists}
        if noted != self.noted("finals", {}):
            self.note("finals", noted)

    def keep_beliefs(self, beliefs: Mapping[str, Belief]) -> None:
        """Remember what the guide of this search believes of each network, by its key."""
        noted = {key: [list(part) for part in astuple(one)] for key, one in beliefs.items()}
        if noted != self.noted("beliefs", {}):
            self.note("beliefs", noted)

    def _reach(self, record: Record) -> tuple[bool, float]:
        epochs = record.measurement.get("epochs", math.inf)
        return self.is_whole(record), math.inf if record.failed else epochs

    def position(self, key: str) -> int:
        """Where a known record stands in the order in which the records were finished."""
        return self._positions[key]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def note(self, name: str, value: Any) -> None:
        """Keep a JSON value in the meta table, in place of an earlier one of this name."""
        if self._connection is not None:
            row = (name, json.dumps(value))
            with self._transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row)
        self._notes[name] = value

    def noted(self, name: str, default: Any = None) -> Any:
        """The value that `note` kept under a name."""
        return self._notes.get(name, default)

    @property
    def births(self) -> list[Birth]:
        """The individuals of the last search with this archive, each at the index of its number."""
        return [birth for births in self._births.values() for birth in births]

    def keep_births(self, generation: int, births: Sequence[Birth]) -> None:
        """Keep the individuals of a generation, in place of this and later ones of another search.

        A search that repeats its steps finds its births as they are and writes nothing.
        """
        if self._births.get(generation, []) == list(births):
            return
        if self._connection is not None:
            rows = [
                (
                    b.number,
                    generation,
                    b.key,
                    json.dumps(b.operators),
                    json.dumps(b.parents),
                    b.survived,
                )
                for b in births
            ]
            with self._transaction() as connection:
                connection.execute("DELETE FROM births WHERE generation >= ?", (generation,))
                connection.executemany("INSERT INTO births VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._births[generation] = list(births)
        while self._births.pop(generation := generation + 1, None) is not None:
            pass  # of another search

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection of an archive with a file; what is done with it is on disk afterwards, or
        not."""
        assert self._connection is not None
        try:
            with self._connection:
                yield self._connection
        except sqlite3.Error as error:  # a full disk, say
            raise SearchStopped(f"{self.path} cannot be written: {error}") from error

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA journal_mode = DELETE")  # leaves no journal
            self._connection.close()
            if self._copy:
                self._copy.remove()


def _read_only(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
    """The file opened to be read; what a search left in the middle of a commit is taken back.

    timeout: seconds to wait for a writer.
    """
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=timeout)
    try:
        try:
            _look_at(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            _take_back(path)
    except BaseException:
        connection.close()
        raise
    return connection


def noted_in(path: Path, name: str) -> Any:
    """What `note` kept under a name in an archive's file; None if nothing.  Raises ValueError."""
    try:
        with contextlib.closing(_read_only(path)) as connection:
            if not _has_table(connection, "meta"):
                return None
            query = "SELECT value FROM meta WHERE name = ?"
            row = connection.execute(query, (name,)).fetchone()
        if row is None:
            return None
        (value,) = parsed("meta", "value", row)
        check_notes({name: value})
    except sqlite3.Error as error:
        raise ValueError(f"{path} cannot be used as an archive: {error}") from error
    return value


def _take_back(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            _look_at(connection)
        except sqlite3.OperationalError as error:
            raise ValueError(
                f"{path}: a search was ended while it wrote, and its folder must be writable for "
                "that to be taken back"
            ) from error


def _look_at(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


@contextlib.contextmanager
def _collecting_nothing() -> Iterator[None]:
    """While much is read that stays, looking for garbage in it takes as long as the reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    return found is not None


class FollowedArchive:
    """The archive in a file that a search writes to, or will, read as it grows.

    archive: what was read so far, in memory; None before there is anything.
    """

    def __init__(self, path: Path):
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._forget()

    def _forget(self) -> None:
        self.archive: Archive | None = None
        self._file: tuple[int, int] | None = None
        self._version = 0
        self._rows = self._went = 0
        self._births: tuple[int, int] | None = None

    def news(self) -> bool:
        """Read what was committed since it was asked last; whether there was anything.

        Raises ValueError for what is no archive.  What cannot be read just now is read next time.
        """
        try:
            told = self.path.stat()
        except OSError:
            return False
        try:
            if (told.st_dev, told.st_ino) != self._file:  # another file in its place
                self.close()
                self._forget()
                self._connection = _read_only(self.path, timeout=0.2)
                self._file = (told.st_dev, told.st_ino)
            assert self._connection
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return False
            self._connection.execute("BEGIN")  # all that follows is of one moment
            try:
                if _has_table(self._connection, "meta"):
                    self._read(self._connection)
            finally:
                self._connection.rollback()
            self._version = version
        except sqlite3.OperationalError:
            return False
        except (sqlite3.Error, KeyError) as error:
            raise ValueError(f"{self.path} cannot be used as an archive: {error}") from error
        return True

    def _read(self, connection: sqlite3.Connection) -> None:
        if self.archive is None:
            self.archive = Archive({})
            self.archive.path = self.path
        archive = self.archive
        check_tables(connection)
        archive._notes = archive._read_meta(connection)
        archive.problem = archive._notes["problem"]
        self._rows = archive._read_records(connection, self._rows)
        self._went = archive._read_trainings(connection, self._went)
        if _has_table(connection, "births"):
            counted = connection.execute("SELECT count(*), max(generation) FROM births").fetchone()
            if counted != self._births:
                archive._read_births(connection)
                self._births = counted
        archive._check_finals()

    def close(self) -> None:
        """Let go of the file."""
        if self._connection:
            self._connection.close()
            self._connection = None


def differences(old: Any, new: Any, key: str = "problem") -> list[str]:
    """Where two declarations differ, as a person would say it.

    >>> differences({"training": {"epochs": 5}}, {"training": {"epochs": 6}})
    ['problem.training.epochs was 5, now 6']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            change
            for name in {**old, **new}
            for change in differences(
                old.get(name), new.get(name), f"{key}.{name}" if key else name
            )
        ]
    return [] if old == new else [f"{key} was {_said(old)}, now {_said(new)}"]


def _said(value: Any) -> str:
    return "not declared" if value is None else json.dumps(value)
