"""Several machines on this one, on a network that can be as bad as one likes (Linux, root).

Each machine is a network namespace with a host name of its own; all share the disk.  Between them
is a switch in this process, which hands each frame on, late, or not at all: the kernel's netem
does the same where it is built in, and often it is not.
"""

import contextlib
import fcntl
import heapq
import ipaddress
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
LONGEST_FRAME = 9100  # bytes


class Switch:
    """Carries the frames between network devices, in a thread.

    delay: seconds that each frame takes.  loss: the chance that it does not arrive.  cut: the
    machines that no frame reaches or leaves.  May be changed at any time.
    """

    def __init__(self, seed=0):
        self.delay = self.loss = 0.0
        self.cut = set()
        self.carried = self.lost = 0
        self._luck = random.Random(seed)
        self._ports = {}  # machine -> file of its device
        self._homes = {}  # hardware address -> machine
        self._late = []
        self._bell, self._doorbell = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def plug(self, machine, device):
        """Make a network device; what is written to it arrives here, wherever it is moved."""
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TAP | IFF_NO_PI))
        self._ports[machine] = file

    def start(self):
        self._thread.start()

    def close(self):
        os.write(self._doorbell, b"!")
        if self._thread.ident:
            self._thread.join()
        for file in [*self._ports.values(), self._bell, self._doorbell]:
            os.close(file)

    def _carry(self):
        machines = {file: machine for machine, file in self._ports.items()}
        while True:
            patience = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            ready, _, _ = select.select([*machines, self._bell], [], [], patience)
            if self._bell in ready:
                return
            for file in ready:
                with contextlib.suppress(OSError):
                    self._take(machines[file], os.read(file, LONGEST_FRAME))
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, sender, frame = heapq.heappop(self._late)
                self._hand_on(sender, frame)

    def _take(self, sender, frame):
        self._homes[frame[6:12]] = sender
        self.carried += 1
        if self._luck.random() < self.loss:
            self.lost += 1
        elif self.delay:
            due = time.monotonic() + self.delay
            heapq.heappush(self._late, (due, self.carried, sender, frame))
        else:
            self._hand_on(sender, frame)

    def _hand_on(self, sender, frame):
        home = self._homes.get(frame[:6])
        for receiver in [home] if home else [name for name in self._ports if name != sender]:
            if self.cut.isdisjoint((sender, receiver)):
                with contextlib.suppress(OSError):  # its queue is full, as a real one's may be
                    os.write(self._ports[receiver], frame)


class Machines:
    """Machines by these names, which know each other by them.  A context manager.

    own_disk: a folder that each machine but the first has on a disk of its own, empty.

    Raises OSError, with the reason, if this user or this system cannot make any.
    """

    def __init__(self, *names, seed=0, own_disk=None):
        self.names = names
        self.own_disk = own_disk
        self.switch = Switch(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="machines-"))
        network = ipaddress.ip_network(f"10.{os.getpid() % 200 + 20}.78.0/24")
        self.addresses = dict(zip(names, map(str, network.hosts()), strict=False))
        self._space = {name: f"deap{os.getpid()}{name}" for name in names}
        self.processes = []

    def __enter__(self):
        try:
            for number, name in enumerate(self.names):
                self._make(name, f"dn{os.getpid()}.{number}")
        except OSError:
            self.close()
            raise
        self.switch.start()
        return self

    def __exit__(self, *error):
        self.close()

    def _make(self, name, device):
        space = self._space[name]
        hosts = Path("/etc/netns", space, "hosts")  # what `ip netns exec` shows as /etc/hosts
        hosts.parent.mkdir(parents=True)
        lines = [f"{address} {other}\n" for other, address in self.addresses.items()]
        hosts.write_text("".join(["127.0.0.1 localhost\n", *lines]))
        _do("ip", "netns", "add", space)
        self.switch.plug(name, device)
        _do("ip", "link", "set", device, "netns", space, "name", "net0", "mtu", "9000")
        _do("ip", "-n", space, "addr", "add", f"{self.addresses[name]}/24", "dev", "net0")
        _do("ip", "-n", space, "link", "set", "net0", "up")
        _do("ip", "-n", space, "link", "set", "lo", "up")

    def command(self, name, *command):
        """The command that runs a command on a machine."""
        named = 'hostname "$0" && exec "$@"'
        if self.own_disk and name != self.names[0]:
            named = f"mount -t tmpfs none '{self.own_disk}' && {named}"
        inside = ["unshare", "--uts", "--mount", "sh", "-c", named, name, *map(str, command)]
        return ["ip", "netns", "exec", self._space[name], *inside]

    def start(self, name, *command, **options):
        """Start a process on a machine; what it says goes to a file that is named after both."""
        file = self.folder / f"{name}-{Path(str(command[0])).name}.txt"
        with file.open("a") as output:
            process = subprocess.Popen(
                self.command(name, *command),
                **{"stdout": output, "stderr": output, "start_new_session": True} | options,
            )
        self.processes.append(process)
        return process

    def run(self, name, *command, check=True, **options):
        """Run a command on a machine; what it wrote."""
        found = subprocess.run(
            self.command(name, *command), capture_output=True, text=True, check=False, **options
        )
        if check and found.returncode:
            raise RuntimeError(f"{command}: {found.returncode}: {found.stdout}{found.stderr}")
        return found.stdout

    def kill(self, name):
        """End all that runs on a machine, as when it is switched off."""
        while pids := _do("ip", "netns", "pids", self._space[name]).split():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            for process in self.processes:
                process.poll()
            time.sleep(0.05)

    def close(self):
        known = _do("ip", "netns", "list")
        for name, space in self._space.items():
            if space in known:
                self.kill(name)
                _do("ip", "netns", "del", space)
            shutil.rmtree(Path("/etc/netns", space), ignore_errors=True)
        self.switch.close()
        for process in self.processes:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def with_ssh(self):
        """Let the machines be reached from each other by ssh; the environment that does so."""
        folder = self.folder / "ssh"
        folder.mkdir()
        for key in ("host", "user"):
            _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
        lines = {
            "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "user.pub",
            "StrictModes": "no",
            "PidFile": "none",
            "PermitRootLogin": "yes",
            "MaxStartups": "100",
        }
        text = "".join(f"{key} {value}\n" for key, value in lines.items())
        (folder / "sshd_config").write_text(text)
        Path("/run/sshd").mkdir(exist_ok=True)  # Debian's sshd wants it
        for name in self.names:
            self.start(name, program("sshd"), "-D", "-f", folder / "sshd_config")
        ssh = folder / "ssh"
        quiet = "-o LogLevel=ERROR"
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -i {folder}/user {quiet} "$@"\n')
        ssh.chmod(0o755)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}


@contextlib.contextmanager
def machines_or_skip(*names, **options):
    """Machines as a fixture has them; where none can be made its tests are skipped."""
    try:
        machines = Machines(*names, **options).__enter__()
    except OSError as error:
        pytest.skip(f"no machines can be made here: {error}")
    try:
        yield machines
    finally:
        machines.close()


def program(name):
    """Where a program is; also one that only root is meant to run."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def marks(*tools):
    """Of tests that need these programs and take too long for every change."""
    missing = [name for name in tools if not program(name)]
    reason = "takes a minute or more: python -m pytest tests/cluster"
    return [
        pytest.mark.slow,
        pytest.mark.skipif(bool(os.environ.get("CI")), reason=reason),
        pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    ]


def python_first(environment=()):
    """The environment in which `python` is this one."""
    found = {**os.environ, **dict(environment)}
    return found | {"PATH": f"{Path(sys.executable).parent}:{found['PATH']}"}


def _do(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
