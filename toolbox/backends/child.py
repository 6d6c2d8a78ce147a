"""What runs in a child process: it evaluates jobs until it is told to stop, or is killed.

A child may do what it likes: raise, exit, crash, hang, eat the memory.  Only the evaluations that
it has in hand are lost with it, and its parent knows which.
"""

import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from toolbox.measure import Job, Outcome, one_line

STOP = b""


def serve(connection: Connection, rank: int) -> None:
    """Answer jobs with outcomes.  It ends when the parent does.

    In: the pickled function, whenever it is another one, and jobs.  Out: (number, None) when a job
    is begun, (outcome, memory) when it is done; memory is the child's resident bytes, 0 if unknown.
    rank: 0, 1, ... among the workers of this machine, by which one of several GPUs is chosen.
    """
    leave_signals_to_the_parent()
    received: queue.SimpleQueue[bytes | Job] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, received), daemon=True).start()
    payload = received.get()
    while payload != STOP:
        assert isinstance(payload, bytes)
        answers = Answers(connection, received)
        for outcome in _outcomes(payload, rank, answers.jobs()):
            answers.send(outcome)
        payload = answers.next_payload
    os._exit(0)


def leave_signals_to_the_parent() -> None:
    """Let Ctrl-C and SIGTERM, which a terminal or a cluster sends to every process of a search, end
    none but the leading one: it would take the end of the others for a crash of what they do.
    """
    here = os.getpid()

    def leave(number: int, frame: object) -> None:
        if os.getpid() != here:  # a process that an evaluation has forked
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)


def _receive(connection: Connection, received: "queue.SimpleQueue[bytes | Job]") -> None:
    """Read without end, so that the end of the parent is noticed during an evaluation too."""
    while True:
        try:
            received.put(connection.recv())
        except (EOFError, OSError):
            os._exit(1)


class Answers:
    """The jobs for one function, and their answers."""

    def __init__(self, connection: Connection, received: "queue.SimpleQueue[bytes | Job]"):
        self.connection = connection
        self.received = received
        self.begun = 0
        self.answered = 0
        self.next_payload = STOP

    def jobs(self) -> Iterator[Job | None]:
        """Jobs until another function comes; None if there is none now while one is in hand."""
        while True:
            try:
                message = self.received.get(block=self.begun == self.answered)
            except queue.Empty:
                yield None
                continue
            if not isinstance(message, Job):
                self.next_payload = message
                return
            self.begun += 1
            self.connection.send((message.number, None))
            yield message

    def send(self, outcome: Outcome) -> None:
        self.answered += 1
        try:
            answer = pickle.dumps((outcome, resident_bytes()))
        except Exception as error:
            message = f"its outcome cannot be sent back: {one_line(error)}"
            answer = pickle.dumps((Outcome(outcome.number, "error", message=message), 0))
        self.connection.send_bytes(answer)


def _outcomes(payload: bytes, rank: int, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
    try:
        function = pickle.loads(payload)
        if hasattr(function, "on_worker"):
            function = function.on_worker(rank)
    except Exception as error:  # a module that is not there, say
        message = one_line(error)
        yield from (Outcome(job.number, "error", message=message) for job in jobs if job)
        return
    if hasattr(function, "many"):
        yield from function.many(jobs)
    else:
        yield from (answer(function, job) for job in jobs if job)


def answer(function: Callable[[Job], Outcome], job: Job) -> Outcome:
    """The outcome of a job, whatever the function does short of ending the process."""
    try:
        outcome = function(job)
    except (Exception, SystemExit) as error:
        return Outcome(job.number, "error", message=one_line(error))
    if not isinstance(outcome, Outcome):
        return Outcome(job.number, "error", message=f"{outcome!r} is no outcome")
    return outcome


def resident_bytes() -> int:
    """The memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return most_resident_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def most_resident_bytes() -> int:
    """The most memory that this process ever had; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
