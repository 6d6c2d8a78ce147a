"""A page for this machine's own browser, under an address that nobody can guess.

Any program of this machine can reach a port of it, and any page that a browser shows can make the
browser ask it.  So the address has a random part, without which there is nothing, and a request
that was sent to another name than this machine's own is refused (DNS rebinding).
"""

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOCAL = "127.0.0.1"
STILL_HERE_SECONDS = 15.0  # without news, so that an end of either side is noticed


@dataclass(frozen=True)
class File:
    """What is sent for a name."""

    content: bytes
    kind: str  # its media type


class News:
    """The last of some messages, for threads that wait for the next one."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._message, self._number = b"", 0

    def tell(self, message: bytes) -> None:
        """A message of one line takes the place of the last one."""
        with self._told:
            self._message, self._number = message, self._number + 1
            self._told.notify_all()

    def after(self, number: int, seconds: float) -> tuple[bytes, int]:
        """The last message and its number, as soon as that is more than `number`; or, after so many
        seconds, whatever it is."""
        with self._told:
            self._told.wait_for(lambda: self._number > number, timeout=seconds)
            return self._message, self._number


class PageServer:
    """Serves files by name, and news as they come, until it is closed.  A context manager.

    file: of a name, "" for the page; None if there is none.  news: sent to each page that asks for
    `events` (server-sent events).  port: 0 for any that is free.  Raises ValueError if it is taken.
    """

    def __init__(self, file: Callable[[str], File | None], news: News, port: int = 0):
        self.token = secrets.token_urlsafe(18)
        try:
            self._server = _Server((LOCAL, port), _handler(self.token, file, news))
        except (OSError, OverflowError) as error:
            raise ValueError(f"--port {port}: it cannot be used: {error}") from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://{LOCAL}:{self.port}/{self.token}/"

    def __enter__(self) -> "PageServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a page that waits for news would never let it end

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed while it was being sent is no fault."""


def _handler(
    token: str, file: Callable[[str], File | None], news: News
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            port = self.server.server_address[1]  # type: ignore[index]
            if self.headers.get("Host") not in (f"{LOCAL}:{port}", f"localhost:{port}"):
                self._send(403, File(b"not for this name\n", "text/plain"))
                return
            asked, _, name = self.path.partition("?")[0].removeprefix("/").partition("/")
            if (
                not secrets.compare_digest(asked.encode(), token.encode())
                or "/" not in self.path[1:]
            ):
                self._send(404, File(b"there is nothing here\n", "text/plain"))
            elif name == "events":
                self._tell()
            elif found := file(name):
                self._send(200, found)
            else:
                self._send(404, File(b"there is no such file\n", "text/plain"))

        def _send(self, status: int, found: File) -> None:
            self.send_response(status)
            self._headers({"Content-Type": found.kind, "Content-Length": str(len(found.content))})
            self.wfile.write(found.content)

        def _headers(self, headers: Mapping[str, str]) -> None:
            safe = {
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Resource-Policy": "same-origin",
            }
            for header, value in {**headers, **safe}.items():
                self.send_header(header, value)
            self.end_headers()

        def _tell(self) -> None:
            """Every message from now on, the last one first."""
            self.send_response(200)
            self._headers({"Content-Type": "text/event-stream"})
            number = 0
            while True:
                message, latest = news.after(number, STILL_HERE_SECONDS)
                told = b"data: " + message if latest > number else b": still here"
                number = latest
                self.wfile.write(told + b"\n\n")
                self.wfile.flush()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody is told of requests."""

    return Handler
