"""Search for convolutional networks: python run_search.py EXPERIMENT.toml [key=value ...]

Only this file and `deap_nas/` know both the toolbox, which evolves genomes, and the problems, which
turn a genome into a measurement.
"""

import argparse
import importlib
import logging
import platform
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from deap_nas.commands import COMMANDS

EPILOG = """\
an override addresses the declaration:
  seed=3   algorithm.generations=2   'toolbox.mutate={use="my_ops:rotate"}'

The run folder is RUNS/<experiment>/seed-<seed>/.  The same command goes on with a search that was
interrupted, and trains nothing again.

--workers and --hostfile evaluate on workers of SCOOP, here or on many machines (trusted networks
only).  A hostfile has lines of a host and how many workers run there: node1 4

The first Ctrl-C or SIGTERM stops cleanly, the second kills.

exit status: 0 done; 2 the declaration or an argument is wrong; 130 interrupted, everything
finished is in the archive; 1 anything else."""

log = logging.getLogger("run_search")


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        # With options between them, argparse calls the optional overrides required too.
        self.exit(2, f"error: {message.replace(', key=value', '')}; see {self.prog} --help\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line.  Exits with status 2 and one line if it is wrong."""
    parser = OneLineParser(
        prog="run_search.py",
        description="Evolve convolutional networks by a declaration.",
        epilog=EPILOG + "".join(f"\n\nafter it: run_search.py {name} --help" for name in COMMANDS),
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
    parser.add_argument("--leader", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"deap-nas {_version()}")
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
    """Run a search from the command line; the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] and arguments[0] in COMMANDS:
        return run_command(arguments[0], arguments[1:])
    chosen = parse(arguments)
    lost = False
    try:
        if (chosen.workers or chosen.hostfile) and not chosen.leader:
            from toolbox.backends.scoop_launch import launch

            with refusing(ValueError):
                return launch(__file__, arguments, chosen.workers, chosen.hostfile)
        with stopping_on_signals(chosen.leader):
            status = run(
                chosen.experiment,
                [*chosen.overrides, *(["toolbox.map.use=scoop"] if chosen.leader else [])],
                chosen.runs,
                retry_failed=chosen.retry_failed,
                json_lines=chosen.json,
                tensorboard=chosen.tensorboard,
                # Its launcher put the leader's folder before what the person wrote.
                command=shlex.join(
                    ["python", "run_search.py", *arguments[2 if chosen.leader else 0 :]]
                ),
            )
    except Refused as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except Stopped as error:
        print(f"error: {error}", file=sys.stderr)
        lost, status = True, 1
    except KeyboardInterrupt:
        print(
            "interrupted: everything finished is in the archive; the same command goes on",
            file=sys.stderr,
        )
        status = 130
    if "scoop" in sys.modules and sys.modules["scoop"].IS_RUNNING:
        from toolbox.backends.scoop_launch import leave

        leave(status, chosen.leader, lost)
        return 0
    return status


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run what is not a search; the exit status."""
    command = importlib.import_module(COMMANDS[name])
    parser = OneLineParser(
        prog=f"run_search.py {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    chosen = parser.parse_intermixed_args(arguments)
    sys.path.insert(0, str(Path.cwd()))  # a user's own modules, as in a search
    try:
        with refusing(ValueError), stopping_on_signals(None):
            return command.run(chosen)
    except Refused as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


@contextmanager
def stopping_on_signals(leader: Path | None) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM is a KeyboardInterrupt, the next one kills.

    leader: the folder of the launcher that started this process as the leading one of SCOOP.
    """
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: object) -> NoReturn:
        for sent in signals:
            signal.signal(sent, signal.SIG_DFL)
        raise KeyboardInterrupt

    for sent in signals:  # also where a shell had it ignored
        signal.signal(sent, stop)
    if leader:
        from toolbox.backends.scoop_launch import follow

        follow(leader)
    yield


class Stopped(Exception):
    """The search cannot go on for a reason from outside; the message is the one line to show."""


class Refused(Exception):
    """What a person wrote is wrong; the message is the one line to show."""


@contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into a refusal."""
    try:
        yield
    except kinds as error:
        raise Refused(error) from error


@contextmanager
def stopping(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into the end of the search, which can go on later."""
    try:
        yield
    except kinds as error:
        raise Stopped(
            f"{error}; everything finished is in the archive and the same command goes on"
        ) from error


@contextmanager
def failing(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into the end of the search, which would end there again."""
    try:
        yield
    except kinds as error:
        raise Stopped(error) from error


def run(
    experiment: Path,
    overrides: Sequence[str],
    runs: Path,
    retry_failed: bool = False,
    json_lines: bool = False,
    tensorboard: bool = False,
    command: str = "",
) -> int:
    """Check everything, then search; the exit status.

    command: what the person wrote, to be remembered.  Raises Refused for a user's error, Stopped
    if it cannot go on.
    """
    from rich.console import Console

    from deap_nas.readiness import NotReady, make_ready
    from deap_nas.user_folders import remember
    from problems import PROBLEMS
    from toolbox.assemble import assemble, rehearse
    from toolbox.declaration import load
    from toolbox.device_use import device_use
    from toolbox.event_log import EventLog, JsonLines, TensorBoard, tensorboard_writer
    from toolbox.judge import Judge
    from toolbox.operator_error import OperatorError
    from toolbox.problem import adapted, own
    from toolbox.progress import SearchProgress, log_to_console, log_to_file
    from toolbox.quantities import quantities_with
    from toolbox.report.tables import print_results
    from toolbox.run_folder import RunFolder
    from toolbox.search import search
    from toolbox.signature import prefixed
    from toolbox.stopped import NothingMeasured, SearchStopped

    # A user's own modules lie in the current folder or beside the declaration.
    sys.path[:0] = [str(Path.cwd()), str(experiment.parent.absolute())]
    shown = sys.stderr if json_lines else sys.stdout
    screen = Console(file=shown, width=None if shown.isatty() else 160)  # a file has no width
    log_to_console(screen)
    with refusing(ValueError):
        new_writer = tensorboard_writer() if tensorboard else None
        declaration = load(experiment, overrides, PROBLEMS)
        with prefixed("problem"):
            problem = adapted(declaration.problem.build()).prepared()
        rehearse(declaration, problem)
    most = declaration.most_evaluations
    log.info("budget: at most %s", problem.budget(most))
    if declaration.halving:
        log.info("halving: %s", declaration.halving.said(declaration.population, problem))

    with ExitStack() as stack:
        with refusing(ValueError):
            folder = stack.enter_context(RunFolder(runs, declaration))
            problem = problem.in_folder(folder.path)
            identity = declaration.identity(own(problem))
            archive = stack.enter_context(closing(folder.open_archive(identity)))
            events: list[EventLog] = [JsonLines(sys.stdout)] if json_lines else []
            judge = Judge(declaration.objectives, declaration.bounds)
            archived = [record.key for record in archive]
            quantities = quantities_with(problem.quantities)
            following = SearchProgress(
                screen, judge, declaration.generations, most, archived, events, quantities
            )
            toolbox = assemble(
                declaration,
                problem,
                archive,
                retry_failed=retry_failed,
                on_record=following.record,
            )
        stack.callback(toolbox.close)
        use = stack.enter_context(device_use(problem.gpu_uuid))
        with refusing(OSError):
            if new_writer:
                events.append(TensorBoard(folder.path / "tensorboard", new_writer))
            for event_log in events:
                stack.callback(event_log.close)
            stack.enter_context(log_to_file(folder.path / "run.log"))
            folder.write_declaration()
            remember(folder.path, declaration)
        log.info("run folder: %s (%d evaluations in its archive)", folder.path, len(archive))
        log.debug("%s", command)
        log.debug("%s", _environment())
        with stopping(SearchStopped):
            folder.begin_session(archive, command, _environment())
        with refusing(ValueError), stopping(SearchStopped, OSError), failing(NotReady):
            make_ready(declaration, toolbox, folder.path)
        with (
            following as progress,
            refusing(OperatorError),
            stopping(SearchStopped, OSError),
            failing(NothingMeasured),
        ):
            begun = time.process_time()
            for generation in search(declaration, toolbox):
                summary = use.summary()
                row = folder.write_generation(generation, summary)
                progress.generation_done(generation, summary)
                for event_log in events:
                    event_log.generation(row)
        log.debug("leading process: %.3f s of processor time", time.process_time() - begun)
        log.info("stopped: %s", generation.stopped)
        if generation.epochs:
            log.info("epochs trained for it: %s", f"{generation.epochs:,.0f}")
        for event_log in events:
            event_log.stopped(generation.stopped)
        for alias, count in toolbox.redrawn.items():
            log.info("%s: %d draws left the space or its bounds and were redrawn", alias, count)
        with stopping(OSError):
            folder.write_population(generation.population, problem.space)
            results = folder.write_results(judge, archive.networks())
        with stopping(SearchStopped):
            folder.end_session(archive, generation.stopped)
        print_results(screen, judge, archive.networks(), quantities)
        log.info("written: %s and the rest of %s", results, folder.path)
    return 0


def _environment() -> str:
    """The versions that a result depends on."""
    names = ("deap-nas", "deap", "torch", "torchvision", "numpy", "scoop")
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    return f"{versions}; Python {platform.python_version()} on {platform.platform()}"


def _version(name: str = "deap-nas") -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def console() -> NoReturn:
    """The installed command `deap-nas`."""
    sys.exit(main())


if __name__ == "__main__":
    # SCOOP shows a traceback for any SystemExit of its leading process, so 0 is not raised.
    if status := main():
        sys.exit(status)
