"""Search for convolutional networks: python run_search.py EXPERIMENT.toml [key=value ...]

Only this file and `deap_nas/` know both the toolbox, which evolves genomes, and the problems, which
turn a genome into a measurement.
"""

import argparse
import importlib
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from deap_nas import job_limit
from deap_nas.commands import COMMANDS
from deap_nas.output import lasting_output
from deap_nas.refused import Refused, not_ended, refusing
from deap_nas.user_modules import admit
from deap_nas.versions import version_of

AGAIN_SECONDS = 0.05  # until an interrupt comes again that was dropped
EPILOG = """\
an override addresses the declaration; quotes in it are not needed in any shell:
  seed=3   "objectives=val_accuracy,params"   toolbox.select=tournament toolbox.select.size=5

The run folder is RUNS/<experiment>/seed-<seed>/.  The same command goes on with a search that was
interrupted, and trains nothing again.

--workers and --hostfile evaluate on workers of SCOOP, here or on many machines (trusted networks
only).  A hostfile has lines of a host and how many workers run there: node1 4

The first Ctrl-C or SIGTERM stops cleanly, the second kills.

In a job of SLURM, a search stops by itself a minute before SLURM_JOB_END_TIME.

exit status: 0 done; 2 the declaration or an argument is wrong; 130 interrupted, everything
finished is in the archive; 75 the same, because its job ends; 1 anything else."""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        # With options between them, argparse calls the optional overrides required too.
        message = message.replace(", key=value", "")
        if dashed := re.match(
            r"unrecognized arguments: --?(\w+)([.\w]*)[= ]?([^-\s]\S*)?", message
        ):
            from toolbox.overrides import TABLES

            table, rest, value = dashed.groups()
            if table in TABLES:
                message += f"; without the dashes: {table}{rest}={value or 'VALUE'}"
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line.  Exits with status 2 and one line if it is wrong."""
    parser = OneLineParser(
        prog="run_search.py",
        description="Evolve convolutional networks by a declaration.",
        epilog=EPILOG + "".join(f"\n\nalso: run_search.py {name} --help" for name in COMMANDS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument(
        "--runs", type=_folder, default=Path("runs"), metavar="DIR", help="default: runs"
    )
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="evaluate on so many workers of SCOOP"
    )
    parser.add_argument(
        "--hostfile", type=Path, metavar="FILE", help="the machines that the workers run on"
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="try networks again that failed; otherwise a failure is remembered",
    )
    parser.add_argument(
        "--json", action="store_true", help="tell what happens in JSON lines on standard output"
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write scalars for TensorBoard into the run folder (needs the package tensorboard)",
    )
    for name, kept in (("mlflow", "RUNS/mlflow.db"), ("trackio", "its own folder")):
        parser.add_argument(
            f"--{name}",
            action="store_true",
            help=f"tell {name} of each generation, in {kept} (needs the package {name})",
        )
    parser.add_argument(
        "--seeds",
        type=_positive,
        metavar="N",
        help="search with the seeds 1 to N one after the other, each in a run folder of its own",
    )
    parser.add_argument("--leader", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"deap-nas {version_of()}")
    return parser.parse_intermixed_args(arguments)


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the name of a folder is needed")
    return Path(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of at least 1 is needed")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a search or a command from the command line; the exit status."""
    with lasting_output():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments[:1] and arguments[0] in COMMANDS else ""
    try:
        admit(Path.cwd())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from toolbox.stopped import SearchStopped  # it is known now that this is ours

    lost = False
    chosen = argparse.Namespace(leader=None)
    try:
        if not name:
            chosen = parse(arguments)
            if chosen.seeds and (chosen.workers or chosen.hostfile):
                raise Refused("--seeds: workers of SCOOP serve one search; start one for each seed")
            if (chosen.workers or chosen.hostfile) and not chosen.leader:
                from toolbox.backends.scoop_launch import launch

                with refusing(ValueError):
                    return launch(__file__, arguments, chosen.workers, chosen.hostfile)
            # Its launcher put the leader's folder before what the person wrote.
            written = arguments[2 if chosen.leader else 0 :]
            chosen.command = shlex.join(["python", "run_search.py", *written])
        from toolbox.work import heartbeat

        with stopping_on_signals(chosen.leader), heartbeat:
            status = run_command(name, arguments[1:]) if name else run_search(chosen)
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except SearchStopped as error:
        print(f"error: {error}", file=sys.stderr)
        lost, status = True, 1
    except KeyboardInterrupt as error:
        ended = isinstance(error, job_limit.JobEnds)
        why, status = ("its job ends", job_limit.STATUS) if ended else ("interrupted", 130)
        kept = "" if name else ": everything finished is in the archive; the same command goes on"
        print(f"{why}{kept}", file=sys.stderr)
    if "scoop" in sys.modules and sys.modules["scoop"].IS_RUNNING:
        from toolbox.backends.scoop_launch import leave

        leave(status, chosen.leader, lost)
        return 0
    return status


def run_search(chosen: argparse.Namespace) -> int:
    """Search; the exit status.  Raises Refused and SearchStopped."""
    from deap_nas.commands.search import run
    from deap_nas.readiness import NotReady
    from toolbox.stopped import NothingMeasured, SearchStopped

    try:
        with not_ended():
            return run(chosen)
    except (NotReady, NothingMeasured):
        raise
    except SearchStopped as error:
        raise SearchStopped(
            f"{error}; everything finished is in the archive and the same command goes on"
        ) from error


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run what is not a search; the exit status.  Raises Refused."""
    command = importlib.import_module(COMMANDS[name])
    parser = OneLineParser(
        prog=f"run_search.py {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    chosen = parser.parse_intermixed_args(arguments)
    with refusing(ValueError), not_ended():
        return int(command.run(chosen))


@contextmanager
def stopping_on_signals(leader: Path | None) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM is a KeyboardInterrupt, the next one kills; the end of a
    cluster's job is a JobEnds.

    leader: the folder of the launcher that started this process as the leading one of SCOOP.  It
    passes the first signal on and kills at the second, and a cluster sends each to every process.
    """
    signals = (signal.SIGINT, signal.SIGTERM)
    ending = threading.Event()

    def stop(number: int, frame: object) -> NoReturn:
        for sent in signals:
            signal.signal(sent, signal.SIG_IGN if leader else signal.SIG_DFL)
        raise job_limit.JobEnds if ending.is_set() else KeyboardInterrupt

    def end() -> None:
        ending.set()
        os.kill(os.getpid(), signal.SIGTERM)

    def listen() -> None:
        for sent in signals:  # also where a shell had it ignored
            signal.signal(sent, stop)

    def swallowed(unraisable: Any) -> None:
        """Python drops what is raised in a finalizer: an interrupt there has to come again."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            others(unraisable)
            return
        listen()
        again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGTERM))
        again.daemon = True
        again.start()

    listen()
    others, sys.unraisablehook = sys.unraisablehook, swallowed
    if leader:
        from toolbox.backends.scoop_launch import follow

        follow(leader)
    with ExitStack() as stack:
        stack.callback(setattr, sys, "unraisablehook", others)
        with refusing(ValueError):
            stack.enter_context(job_limit.stopping_before(end))
        yield


def console() -> NoReturn:
    """The installed command `deap-nas`."""
    sys.exit(main())


if __name__ == "__main__":
    # SCOOP shows a traceback for any SystemExit of its leading process, so 0 is not raised.
    if status := main():
        sys.exit(status)
elif __name__ == "SCOOP_WORKER":  # so SCOOP imports it in each of its workers
    from toolbox.backends.station import end_with_the_broker

    end_with_the_broker()
