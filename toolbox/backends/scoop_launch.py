"""Start SCOOP for a search, stay beside it, and bring back its true exit status.

SCOOP's launcher always ends with 0 and leaves its processes behind when it is killed.  So it runs
in a session of its own, which is killed as a whole in the end; the leading process tells its
process number and its exit status in a folder, and ends when the pipe there does.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolbox.whole_file import write_whole

PIPE, PID, STATUS, HOSTS = "pipe", "pid", "status", "hosts"
SHUTDOWN_SECONDS = 10.0  # SCOOP gets this long to end by itself
# SCOOP's launcher, told which of this machine's addresses it would otherwise take for a remote one.
LAUNCHER = (
    "import sys, scoop.utils; scoop.utils.localHostnames.append(sys.argv.pop(1)); "
    "import scoop.launcher; scoop.launcher.main()"
)


def launch(
    script: str, arguments: Sequence[str], workers: int | None, hostfile: Path | None
) -> int:
    """Run `script` under SCOOP with the given number of workers; its exit status.

    hostfile: lines of a host and how many workers run there; `workers` then spreads that
    number over them.  Without a hostfile they run here, or on what SLURM, PBS or SGE has
    allotted.  The leading process always runs here.  Raises ValueError for a hostfile that cannot
    be used.
    """
    with tempfile.TemporaryDirectory(prefix="deap-nas-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "scoop", "-q"]
        if hostfile:
            hosts = read_hosts(hostfile)
            workers = workers or sum(count for _, count in hosts)
            towards = {host: address_towards(host, hostfile) for host, _ in hosts}
            # This machine's own name leads to it too, and on many systems by a loopback address.
            elsewhere = [one for one in hosts if not towards[one[0]].startswith("127.")]
            here = sum(count for _, count in hosts) - sum(count for _, count in elsewhere)
            first = "127.0.0.1"
            if elsewhere:
                first = towards[elsewhere[0][0]]
                command = [sys.executable, "-c", LAUNCHER, first, "-q"]
                command += ["--external-hostname", first]
            lines = [f"{host} {count}\n" for host, count in [(first, here + 1), *elsewhere]]
            (folder / HOSTS).write_text("".join(lines), encoding="utf-8")
            command += ["--hostfile", str(folder / HOSTS)]
        assert workers
        command += ["-n", str(workers + 1), script, "--leader", name, *arguments]
        os.mkfifo(folder / PIPE)
        pipe = os.open(folder / PIPE, os.O_RDWR)  # both ends: it ends when this process does
        process = subprocess.Popen(command, start_new_session=True)
        try:
            with _forwarding(folder, process.pid):
                while not (folder / STATUS).exists() and process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(0.05)
                _wait_for_the_leader(folder)  # what ended SCOOP may have been a signal for all
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SHUTDOWN_SECONDS)
        finally:
            _kill_session(process.pid)
            process.wait()
            os.close(pipe)
        if not (folder / STATUS).exists():
            print(
                "error: the leading process was lost; everything finished is in the archive and "
                "the same command goes on",
                file=sys.stderr,
            )
            return 1
        return int((folder / STATUS).read_text(encoding="ascii"))


def read_hosts(hostfile: Path) -> list[tuple[str, int]]:
    """The hosts of a file and how many workers run on each.  Raises ValueError."""
    try:
        text = hostfile.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--hostfile {hostfile}: it cannot be read: {error}") from error
    hosts = []
    for number, line in enumerate(text.splitlines(), start=1):
        match line.partition("#")[0].split():
            case []:
                continue
            case [host, count] if count.isdecimal() and int(count) > 0:
                hosts.append((host, int(count)))
            case _:
                raise ValueError(
                    f"--hostfile {hostfile}, line {number}: {line.strip()!r}; a host and how many "
                    "workers run there are needed, like: node1 4"
                )
    if not hosts:
        raise ValueError(f"--hostfile {hostfile}: it names no host")
    return hosts


def address_towards(host: str, hostfile: Path) -> str:
    """This machine's address as `host` sees it, which is 127.x if that is this machine itself.

    Raises ValueError if there is no way there.
    """
    if host == "::1":
        return "127.0.0.1"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # sends nothing
            return str(probe.getsockname()[0])
    except OSError as error:
        raise ValueError(f"--hostfile {hostfile}: {host!r} cannot be reached: {error}") from error


@contextlib.contextmanager
def _forwarding(folder: Path, session: int) -> Iterator[None]:
    """Meanwhile, the first Ctrl-C or SIGTERM stops the search cleanly, the second kills it."""

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, kill)
        signal.signal(signal.SIGTERM, kill)
        try:
            os.kill(int((folder / PID).read_text(encoding="ascii")), signal.SIGTERM)
        except (OSError, ValueError):  # it has not begun yet
            kill(number, frame)

    def kill(number: int, frame: object) -> None:
        _kill_session(session)

    before = {sent: signal.signal(sent, stop) for sent in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


def _wait_for_the_leader(folder: Path) -> None:
    """Until the leading process has told its exit status, or has ended, or takes too long."""
    end = time.monotonic() + SHUTDOWN_SECONDS
    with contextlib.suppress(OSError, ValueError):
        leader = int((folder / PID).read_text(encoding="ascii"))
        while not (folder / STATUS).exists() and time.monotonic() < end:
            os.kill(leader, 0)  # raises when it has ended
            time.sleep(0.05)


def _kill_session(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def follow(folder: Path) -> None:
    """In the leading process: say who it is, and stop as by SIGTERM when the launcher ends."""
    write_whole(folder / PID, str(os.getpid()))

    def watch() -> None:
        # Not blocking at first: opening would wait for a launcher that has already ended.
        pipe = os.open(folder / PIPE, os.O_RDONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):  # it is there, and has nothing to say
            os.read(pipe, 1)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        os.set_blocking(pipe, True)
        os.read(pipe, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def leave(status: int, folder: Path | None, lost: bool) -> None:
    """In the leading process, at its end: hand over its exit status and let SCOOP shut down.

    folder: where `launch` waits for it.  Without it SCOOP's launcher was started by hand; it passes
    nothing on, but ends with a status that is not 0 if its own child is killed by a signal.
    lost: SCOOP's broker may be gone, and SCOOP would wait for it for ever.
    """
    if folder:
        write_whole(folder / STATUS, str(status))
    elif status:
        atexit.register(os.kill, os.getppid(), signal.SIGTERM)
    if lost:
        sys.stdout.flush()
        sys.stderr.flush()
        if not folder:
            with contextlib.suppress(OSError):
                os.kill(os.getppid(), signal.SIGTERM)
        os._exit(status)
