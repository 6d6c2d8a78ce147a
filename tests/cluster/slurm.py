"""A SLURM over several machines of `machines.py`: real daemons, tools and users' files."""

import contextlib
import os
import secrets
import shutil
import subprocess
import time

from tests.cluster.machines import REPOSITORY, python_first

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={head}({address})
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
SlurmdTimeout=30
SchedulerParameters=sched_interval=1,bf_interval=1
SchedulerTimeSlice=5
MailProg=/bin/true
NodeName=DEFAULT CPUs=4 RealMemory=100
{nodes}
PartitionName=DEFAULT Nodes=ALL MaxTime=300 State=UP
PartitionName=low Default=YES PriorityTier=1 GraceTime=5
PartitionName=high PriorityTier=10 PreemptMode=OFF
"""


def missing():
    """The daemons that are not installed here."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    return [name for name in DAEMONS if not shutil.which(name, path=path)]


class Slurm:
    """A SLURM whose first machine leads and whose others compute, with four cores each."""

    def __init__(self, machines):
        self.machines = machines
        self.head, *self.nodes = machines.names
        self.folder = machines.folder / "slurm"
        self.environment = python_first(
            {
                "SLURM_CONF": str(self.folder / "slurm.conf"),
                "PYTHONPATH": str(REPOSITORY),
                "RAY_TMPDIR": str(machines.folder),  # where nobody else's Ray finds what is left
            }
        )
        self.environment["PATH"] += ":/usr/sbin"

    def start(self):
        """Start the daemons; returns when every node is idle."""
        for name in ("", "state", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir()
        nodes = [f"NodeName={one} NodeAddr={self.machines.addresses[one]}\n" for one in self.nodes]
        text = CONFIGURATION.format(
            head=self.head,
            address=self.machines.addresses[self.head],
            folder=self.folder,
            nodes="".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # and none is used
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        files = {
            "socket": "munge.socket",
            "key-file": "munge.key",
            "pid-file": "munge.pid",
            "log-file": "munge.log",
            "seed-file": "munge.seed",
        }
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        settings = {"env": self.environment}
        self.machines.start(self.head, "munged", "--foreground", "--force", *options, **settings)
        self._wait_for((self.folder / "munge.socket").exists)
        self.machines.start(self.head, "slurmctld", "-D", **settings)
        for node in self.nodes:
            self.start_node(node)
        self._wait_for(lambda: self._states() == {"idle"})

    def start_node(self, node):
        self.machines.start(node, "slurmd", "-D", "-N", node, env=self.environment)

    def _states(self):
        """The states of the nodes; none while the leading daemon does not answer."""
        with contextlib.suppress(RuntimeError):
            return set(self.run("sinfo", "--noheader", "--Node", "--format=%t").split())

    def run(self, *command, cwd=None):
        return self.machines.run(self.head, *command, cwd=cwd, env=self.environment)

    def submit(self, *arguments, cwd):
        """The number of a job that `sbatch` was given these arguments for."""
        return self.run("sbatch", "--parsable", *arguments, cwd=cwd).split(";")[0].strip()

    def state(self, job):
        """What SLURM says of a job: `RUNNING`, `COMPLETED`, `FAILED`, ...; and its restarts."""
        shown = self.run("scontrol", "show", "job", "--oneliner", job)
        fields = dict(word.split("=", 1) for word in shown.split() if "=" in word)
        return fields["JobState"], int(fields["Restarts"]), fields["ExitCode"]

    def wait_for(self, job, *states, seconds=60):
        """Wait until a job is in one of these states, and say in which."""
        self._wait_for(lambda: self.state(job)[0] in states, seconds, lambda: self.state(job))
        return self.state(job)

    def _wait_for(self, condition, seconds=60, described=str):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{described()}; {self._logs()}")
            time.sleep(0.1)

    def _logs(self):
        return subprocess.run(
            f"tail -n 15 {self.folder}/*.log {self.machines.folder}/*.txt",
            shell=True,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
