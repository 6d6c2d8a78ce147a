"""What a search tells to MLflow and to trackio: one run each, begun anew when it is continued.

Parameters are the declaration's, metrics those of each generation, and the report is kept as an
artifact when the search has ended.  A tracker that fails once the search has begun is told nothing
more, with a warning: no search ends because of it.
"""

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from toolbox.archive import Record
from toolbox.measure import one_line

LONGEST_PARAMETER = 500  # letters, of MLflow's older servers
MOST_AT_ONCE = 100  # parameters, of MLflow

log = logging.getLogger(__name__)
MakeReport = Callable[[], Path]  # writes the report of the search; its page


def flattened(table: Mapping[str, Any], key: str = "") -> dict[str, str | int | float | bool]:
    """A declaration's values by their dotted keys; what is no number is text.

    >>> flattened({"seed": 3, "algorithm": {"use": "nsga2", "sizes": [1, 2]}})
    {'seed': 3, 'algorithm.use': 'nsga2', 'algorithm.sizes': '[1, 2]'}
    """
    found: dict[str, str | int | float | bool] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{key}{name}.")
        else:
            found[key + name] = value if isinstance(value, int | float) else str(value)
    return found


class Tracker(Protocol):
    """A run of a tracker that has been begun."""

    def metrics(self, values: Mapping[str, float], generation: int) -> None: ...

    def artifacts(self, folder: Path) -> None: ...

    def end(self, stopped: str) -> None:
        """stopped: why the search ended; empty if it was interrupted."""


class Tracked:
    """The event log of a tracker.  make_report: called once, after the search has ended."""

    def __init__(self, name: str, tracker: Tracker, make_report: MakeReport):
        self._name, self._tracker, self._make_report = name, tracker, make_report
        self._works, self._stopped = True, ""

    def network(self, record: Record) -> None:
        """Generations are tracked, not single networks."""

    def generation(self, row: Mapping[str, Any]) -> None:
        values = {n: float(v) for n, v in row.items() if n != "generation" and v is not None}
        self._tell(self._tracker.metrics, values, row["generation"])

    def stopped(self, reason: str) -> None:
        self._stopped = reason

    def close(self) -> None:
        if self._stopped:
            self._tell(self._keep_report)
        self._tell(self._tracker.end, self._stopped)

    def _keep_report(self) -> None:
        self._tracker.artifacts(self._make_report().parent)

    def _tell(self, tell: Callable[..., None], *what: Any) -> None:
        if not self._works:
            return
        try:
            tell(*what)
        except Exception as error:  # whatever a server or a full disk does
            self._works = False
            log.warning("%s hears nothing more of this search: %s", self._name, one_line(error))


class MlflowRun:
    """A run of MLflow.

    It is kept where the environment variable MLFLOW_TRACKING_URI says, or else in `home`.
    """

    def __init__(
        self,
        client: Callable[[str], Any],
        home: Path,
        folder: Path,
        parameters: Mapping[str, Any],
    ):
        from mlflow.entities import Param

        experiment, name = folder.parent.name, folder.name
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.absolute()}/mlflow.db"
        self._client = client(uri)
        known = self._client.get_experiment_by_name(experiment)
        if known is None:
            own = None if "MLFLOW_TRACKING_URI" in os.environ else home.absolute() / "mlartifacts"
            where = None if own is None else own.as_uri()
            number = self._client.create_experiment(experiment, artifact_location=where)
        else:
            number = known.experiment_id
        tags = {"run_folder": str(folder.absolute())}
        for earlier in self._client.search_runs([number]):
            if earlier.data.tags.get("run_folder") == tags["run_folder"]:
                self._client.delete_run(earlier.info.run_id)
        self._run = self._client.create_run(number, run_name=name, tags=tags).info.run_id
        params = [Param(k, str(v)[:LONGEST_PARAMETER]) for k, v in parameters.items()]
        for start in range(0, len(params), MOST_AT_ONCE):
            self._client.log_batch(self._run, params=params[start : start + MOST_AT_ONCE])

    def metrics(self, values: Mapping[str, float], generation: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, generation) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def artifacts(self, folder: Path) -> None:
        self._client.log_artifacts(self._run, str(folder), artifact_path="report")

    def end(self, stopped: str) -> None:
        if stopped:
            self._client.set_tag(self._run, "stopped", stopped)
        self._client.set_terminated(self._run, "FINISHED" if stopped else "KILLED")


class TrackioRun:
    """A run of trackio, kept where it keeps its projects."""

    def __init__(self, trackio: Any, folder: Path, parameters: Mapping[str, Any]):
        self._trackio, self._name = trackio, folder.name
        project, place = folder.parent.name, str(folder.absolute())
        with _silently():
            with contextlib.suppress(ValueError):  # there is no such project yet
                for earlier in list(trackio.Api().runs(project)):
                    if (earlier.config or {}).get("run_folder") == place:
                        earlier.delete()
            self._run = trackio.init(
                project=project,
                name=folder.name,
                config={"run_folder": place, **parameters},
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def metrics(self, values: Mapping[str, float], generation: int) -> None:
        with _silently():
            self._run.log(dict(values), step=generation)

    def artifacts(self, folder: Path) -> None:
        with _silently():
            self._trackio.log_artifact(str(folder), name=f"{self._name}-report", type="report")

    def end(self, stopped: str) -> None:
        with _silently():
            self._trackio.finish()


@contextlib.contextmanager
def _silently() -> Iterator[None]:
    """What trackio prints would stand among a search's own lines."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def mlflow_runs() -> Callable[[Path, Path, Mapping[str, Any]], Tracker]:
    """What begins a run of MLflow: of the folder of all runs, the run folder and the parameters.

    Raises ValueError, one line, without the package.
    """
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise _missing("mlflow") from error
    for name in ("mlflow", "alembic", "sqlalchemy", "git"):
        logging.getLogger(name).setLevel(logging.WARNING)

    def begun(home: Path, folder: Path, parameters: Mapping[str, Any]) -> Tracker:
        with _refusing("mlflow"):
            return MlflowRun(MlflowClient, home, folder, parameters)

    return begun


def trackio_runs() -> Callable[[Path, Path, Mapping[str, Any]], Tracker]:
    """What begins a run of trackio, as `mlflow_runs`."""
    try:
        import trackio
    except ImportError as error:
        raise _missing("trackio") from error
    for name in ("trackio", "httpx", "httpcore", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.WARNING)

    def begun(home: Path, folder: Path, parameters: Mapping[str, Any]) -> Tracker:
        with _refusing("trackio"):
            return TrackioRun(trackio, folder, parameters)

    return begun


TRACKERS = {"mlflow": mlflow_runs, "trackio": trackio_runs}


def _missing(name: str) -> ValueError:
    return ValueError(
        f"--{name}: the package {name} is not installed; pip install 'deap-nas[{name}]'"
    )


@contextlib.contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn whatever a tracker raises when a run begins into one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"--{name}: no run can be begun there: {one_line(error)}") from error
