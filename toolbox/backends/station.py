"""What a worker of SCOOP does: it stands ready for the leading process, with a child for the work.

SCOOP brings the workers to their machines and calls `stand_ready` once on each.  Jobs and outcomes
then travel on a connection of our own, because SCOOP's broker runs long tasks twice and stops for
good when it sends to a worker that has died.
"""

import contextlib
import os
import platform
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Client, wait
from pathlib import Path

from filelock import FileLock, Timeout

from toolbox.backends.child import STOP, leave_signals_to_the_parent
from toolbox.backends.children import Care, Children
from toolbox.backends.sealed import Sealed, lost_after
from toolbox.measure import Job

BEAT_SECONDS = 3.0
SILENT_SECONDS = 5 * BEAT_SECONDS  # without a sign of life, or of the rest of a message: lost
ALIVE = "alive"
BROKER_SECONDS = 5.0  # how often SCOOP's broker is looked at, whose end is that of the launcher
MISSED = 6  # so often in a row the broker must be missed to be gone, and not only cut off

_invited = threading.Event()


def end_with_the_broker() -> None:
    """In a worker, from its start on: end it if SCOOP's broker ends before it is invited.

    It would wait for ever: SCOOP's workers do not notice, and what started this one may be gone.
    """
    threading.Thread(target=_watch_the_broker, daemon=True).start()


def look_for_the_broker() -> None:
    """Raise OSError if SCOOP's broker does not answer."""
    import scoop

    address = (scoop.BROKER.hostname, int(scoop.BROKER.task_port))
    socket.create_connection(address, timeout=BROKER_SECONDS).close()


def _watch_the_broker() -> None:
    missed = 0
    while not _invited.wait(BROKER_SECONDS):
        try:
            look_for_the_broker()
            missed = 0
        except OSError:
            missed += 1
        if missed == MISSED and not _invited.is_set():
            os._exit(0)


def stand_ready(address: tuple[str, int], key: bytes, path: list[str], care: Care) -> None:
    """In a worker: evaluate what the leading process at `address` sends, until it ends.

    It never returns: a worker without its leading process has nothing to do, and without SCOOP's
    broker it would not even learn of that.
    """
    _invited.set()
    sys.path.extend(entry for entry in path if entry not in sys.path)
    # SCOOP calls the user's script SCOOP_WORKER, and a child would look for a module of that name.
    main = sys.modules["__main__"]
    main.__spec__ = None
    leave_signals_to_the_parent()
    try:
        connection = Client(address, authkey=key)
        lost_after(connection, SILENT_SECONDS)
        sealed = Sealed(connection, key, leads=False)
        rank, lock = rank_on_this_machine(key)
        station = Station(sealed, Children(1, care, first_rank=rank))
        station.serve()
        lock.release()
    except Exception:  # SCOOP would keep it to itself
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # whoever read it is gone
                stream.flush()
        os._exit(0)


class Station:
    """The worker's side of a connection to the leading process.

    In: the pickled function and jobs, as for a child.  Out: outcomes, and a sign of life now and
    then, by which the leading process tells a long evaluation from a machine that is gone.
    """

    def __init__(self, connection: Sealed, children: Children):
        self.connection = connection
        self.children = children
        self.children.also = [connection.connection]
        self._lock = threading.Lock()
        self._next_payload = STOP

    def serve(self) -> None:
        self._send((platform.node(), os.getpid()))
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            wait([self.connection.connection])  # the leading process may have much to do first
            payload = self.connection.recv()
            while payload != STOP:
                self._next_payload = STOP
                for together in self.children.outcomes(payload, 1, self._jobs()):
                    for outcome in together:
                        self._send(outcome)
                payload = self._next_payload
        except (EOFError, OSError):
            pass  # the leading process is gone
        finally:
            self.children.close()

    def _jobs(self) -> Iterator[Job | None]:
        while True:
            if not self.connection.poll():
                yield None
                continue
            message = self.connection.recv()
            if not isinstance(message, Job):
                self._next_payload = message
                return
            yield message

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            try:
                self._send(ALIVE)
            except OSError:
                return

    def _send(self, message: object) -> None:
        with self._lock:
            self.connection.send(message)


def rank_on_this_machine(key: bytes) -> tuple[int, FileLock]:
    """The first number that no other worker of this search has here, and the lock that holds it.

    The system frees the lock when the process ends, however it ends.
    """
    rank = 0
    while True:
        lock = FileLock(Path(tempfile.gettempdir(), f"deap-nas-{key.hex()[:16]}-{rank}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            rank += 1
        else:
            return rank, lock
