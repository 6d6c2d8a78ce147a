"""What a page that is watched is told, and who may ask for it."""

import http.client
import json
import re
import threading

import pytest

from deap_nas import watching
from deap_nas.reporting import write_report
from deap_nas.watch_server import File, News, PageServer
from deap_nas.watching import Watch
from problems import PROBLEMS
from tests.conftest import lotz, onemax
from toolbox.archive import Archive, Record
from toolbox.declaration import declare
from toolbox.run_folder import RunFolder


class NoPainter:
    """Nothing is drawn: that is a process of its own."""

    def __init__(self):
        self.asked = []

    def is_free(self, searched, idle):
        return not self.asked

    def paint(self, runs, out):
        self.asked.append(runs)

    def finished(self):
        return None

    def close(self):
        """Nothing is open."""


@pytest.fixture(autouse=True)
def painter(monkeypatch):
    found = NoPainter()
    monkeypatch.setattr(watching, "Painter", lambda: found)
    return found


OPENED = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPENED:
        OPENED.pop().close()


def begun(runs, tables, seed=1):
    """A run folder whose search has measured nothing yet, and its archive."""
    declaration = declare(tables | {"seed": seed}, PROBLEMS, name="try")
    with RunFolder(runs, declaration) as folder:
        folder.write_declaration()
        identity = declaration.identity(declaration.problem.build())
        OPENED.append(Archive(identity, folder.path / "archive.sqlite"))
        return folder.path, OPENED[-1]


def measured(archive, genome, **numbers):
    architecture = "".join(map(str, genome))
    at = f"2026-01-01T00:00:{len(archive):02}.000+00:00"
    key = archive.key(architecture)
    archive.add(Record(key, genome, architecture, "ok", numbers, finished_at=at))


def told(watch):
    """The last that the pages were told, and how often they were told anything."""
    message, number = watch.news.after(-1, 0)
    return json.loads(message), number


def test_a_folder_that_does_not_exist_is_waited_for_and_then_shown(tmp_path, painter):
    watch = Watch([tmp_path / "try"], tmp_path / "out")
    watch.look()
    message, number = told(watch)
    assert f"Waiting for the first network of {tmp_path / 'try'}." in message["summary"]
    assert message["all"] == {}
    watch.look()
    assert told(watch)[1] == number  # nothing is new
    run, archive = begun(tmp_path, lotz())
    watch.look()
    assert f"Waiting for the first network of {run}." in told(watch)[0]["summary"]
    assert painter.asked == []
    measured(archive, [1, 0], leading_ones=1, trailing_zeros=1)
    watch.look()
    message, _ = told(watch)
    assert "Waiting" not in message["summary"]
    assert message["all"]["architecture"] == ["10"]
    assert painter.asked == [[run]]
    measured(archive, [1, 1], leading_ones=2, trailing_zeros=0)
    watch.look()
    assert told(watch)[0]["all"]["architecture"] == ["10", "11"]
    archive.close()
    watch.close()


def test_the_seeds_of_a_folder_are_shown_together_as_they_begin(tmp_path):
    watch = Watch([tmp_path / "try"], tmp_path / "out")
    archives = []
    for seed in (1, 2):
        _, archive = begun(tmp_path, onemax(), seed)
        measured(archive, [1, 0, 1], ones=2)
        archives.append(archive)
        watch.look()
        assert told(watch)[0]["all"]["runs"] == [f"seed-{one}" for one in range(1, seed + 1)]
    for archive in archives:
        archive.close()
    watch.close()


def test_what_cannot_be_shown_is_said_on_the_page_and_looked_at_again(tmp_path):
    run, archive = begun(tmp_path, onemax())
    measured(archive, [1, 0, 1], ones=2)
    declaration = run / "declaration.toml"
    text = declaration.read_text()
    declaration.write_text("objectives = [")
    watch = Watch([run], tmp_path / "out")
    watch.look()
    assert "declaration.toml" in told(watch)[0]["summary"]
    declaration.write_text(text)
    watch.look()
    assert told(watch)[0]["all"]["architecture"] == ["101"]
    archive.close()
    watch.close()


def test_a_watched_page_asks_for_news_and_the_report_does_not(tmp_path):
    run, archive = begun(tmp_path, onemax())
    measured(archive, [1, 0, 1], ones=2)
    archive.close()
    watch = Watch([run], tmp_path / "out")
    watch.look()
    page = watch.file("").content.decode()
    assert '<html data-watched="0" lang="en">' in page
    assert 'id="map"' in page
    watch.close()
    written = write_report([run], tmp_path / "out").read_text(encoding="utf-8")
    assert '<html lang="en">' in written


def test_only_plots_tables_and_the_page_of_the_report_are_served(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "front.csv").write_text("a,b")
    (tmp_path / "out" / "secret.txt").write_text("s")
    (tmp_path / "other.csv").write_text("a,b")
    watch = Watch([tmp_path / "run"], tmp_path / "out")
    assert watch.file("front.csv") == File(b"a,b", "text/csv; charset=utf-8")
    for name in ("secret.txt", "../other.csv", "..\\other.csv", "none.csv"):
        assert watch.file(name) is None


def asked(server, path, host=None):
    """Status and body of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_without_the_random_part_of_the_address_there_is_nothing():
    with PageServer(lambda name: File(b"page" + name.encode(), "text/html"), News()) as server:
        token = re.search(r"/([^/]+)/$", server.address)[1]
        assert len(token) >= 20
        assert asked(server, f"/{token}/") == (200, b"page")
        assert asked(server, f"/{token}/a.csv?x") == (200, b"pagea.csv")
        wrong = ("/", f"/{token}", f"/{token}x/", f"/{token[:-1]}/", "//", f"/x/{token}/")
        assert {asked(server, path)[0] for path in wrong} == {404}


def test_a_request_by_another_name_is_refused():
    with PageServer(lambda name: File(b"page", "text/html"), News()) as server:
        token = server.token
        assert asked(server, f"/{token}/", host=f"localhost:{server.port}")[0] == 200
        for other in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", "127.0.0.1:1"):
            assert asked(server, f"/{token}/", host=other)[0] == 403
        other = PageServer(lambda name: None, News())
        assert other.token != token
        other._server.server_close()


def test_pages_hear_the_last_news_first_and_then_each():
    news = News()
    news.tell(b"old")
    news.tell(b"one")
    with PageServer(lambda name: None, news) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", f"/{server.token}/events")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.readline() + answer.readline() == b"data: one\n\n"
        threading.Thread(target=news.tell, args=(b"two",)).start()
        assert answer.readline() + answer.readline() == b"data: two\n\n"
        connection.close()


def test_a_port_that_is_taken_or_is_none_is_refused_in_one_line():
    with (
        PageServer(lambda name: None, News()) as server,
        pytest.raises(ValueError, match=f"--port {server.port}: it cannot be used"),
    ):
        PageServer(lambda name: None, News(), server.port)
    with pytest.raises(ValueError, match="--port 70000: it cannot be used"):
        PageServer(lambda name: None, News(), 70000)
