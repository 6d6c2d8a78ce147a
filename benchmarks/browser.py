"""A headless Chromium by the DevTools protocol: open a page, click, ask it, take its picture."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0  # seconds for anything


def browser_path() -> str | None:
    """The browser of this machine, if it has one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def browsing(profile: Path) -> Iterator["Browser"]:
    """A browser that runs until the context ends.  profile: a folder for what it keeps."""
    path = browser_path()
    assert path, f"none of {', '.join(BROWSERS)} is installed"
    command = [path, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    process = subprocess.Popen(
        [*command, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = profile / "DevToolsActivePort"
        until(lambda: told.is_file() and len(told.read_text(encoding="ascii").split()) == 2)
        yield Browser(int(told.read_text(encoding="ascii").split()[0]))
    finally:
        process.terminate()
        process.wait()


def until(holds: Any, seconds: float = PATIENCE) -> Any:
    """What `holds()` returns as soon as it is true.  Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.02)
    return found


class Browser:
    """A running browser.  port: of its DevTools."""

    def __init__(self, port: int):
        self._address = f"http://127.0.0.1:{port}"

    @contextmanager
    def tab(self, url: str, width: int = 1280, height: int = 900) -> Iterator["Tab"]:
        """A page, loaded, in a tab of its own."""
        from websockets.sync.client import connect

        asked = urllib.request.Request(f"{self._address}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            told = json.load(answer)
        with connect(told["webSocketDebuggerUrl"], max_size=None, compression=None) as socket:
            tab = Tab(socket)
            for domain in ("Page", "Runtime"):
                tab.ask(f"{domain}.enable")
            tab.size(width, height)
            tab.open(url)
            yield tab
        urllib.request.urlopen(f"{self._address}/json/close/{told['id']}", timeout=PATIENCE).close()


class Tab:
    """A page in the browser.  faults: what its scripts threw or wrote as errors."""

    def __init__(self, socket: Any):
        self._socket = socket
        self._numbers = itertools.count(1)
        self.faults: list[str] = []

    def ask(self, method: str, **parameters: Any) -> Any:
        """The result of a DevTools command."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("method") == "Runtime.exceptionThrown":
                thrown = message["params"]["exceptionDetails"]
                self.faults.append(thrown.get("exception", {}).get("description", thrown["text"]))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded and was drawn once."""
        self.ask("Page.navigate", url=url)
        until(
            lambda: self.value(
                "location.href !== 'about:blank' && document.readyState === 'complete'"
            )
        )
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is on the screen."""
        frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.value(f"{frames}.then(() => true)")

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to, as plain data."""
        told = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"]["exception"].get("description", ""))
        return told["result"].get("value")

    def size(self, width: int, height: int, phone: bool = False) -> None:
        """The size of the window in CSS pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def place(self, selector: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        """Where a share of an element's width and height is on the screen; it is scrolled there."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        self.settle()
        box = self.value(f"{found}.getBoundingClientRect().toJSON()")
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def click(self, selector: str, across: float = 0.5, down: float = 0.5, times: int = 1) -> None:
        """Press and release the mouse in an element, as a person does."""
        x, y = self.place(selector, across, down)
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self._mouse(kind, x, y, count)
        self.settle()

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw the pressed mouse from one share of an element's width and height to another."""
        x0, y0 = self.place(selector, *start)
        x1, y1 = self.place(selector, *end)
        self._mouse("mousePressed", x0, y0)
        self._mouse("mouseMoved", (x0 + x1) / 2, (y0 + y1) / 2, buttons=1)
        self._mouse("mouseMoved", x1, y1, buttons=1)
        self._mouse("mouseReleased", x1, y1)
        self.settle()

    def _mouse(self, kind: str, x: float, y: float, count: int = 1, buttons: int = 0) -> None:
        self.ask(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left",
            buttons=buttons,
            clickCount=count,
        )

    def write(self, selector: str, text: str) -> None:
        """Click into a field and type."""
        self.click(selector)
        self.ask("Input.insertText", text=text)
        self.settle()

    def press(self, key: str, code: int) -> None:
        """Press a key that writes nothing, such as End, by its name and its Windows code."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)
        self.settle()

    def picture(self, path: Path, whole: bool = True) -> None:
        """Write a PNG of the page, or of what the window shows of it."""
        told = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(told["data"]))
