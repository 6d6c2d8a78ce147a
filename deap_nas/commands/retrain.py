"""Train networks of a finished search once more, and score them on the official test images.

A network is trained on the training and validation images together, by the search's recipe or an
overridden one, several times with other seeds; where recipes were searched, by its own.  This is
the only place that reads the test images: once at its start, to score each network after its
training.

No images are left to watch, so there is no early stop and the last weights are kept.  A network
runs for the number of epochs that it ran in the search (which an early stop may have cut short; one
that a halving stopped runs for all of them), or for training.epochs if that is overridden.

Of a folder of the seeds of one search it takes what they found together, and writes into that
folder: a network that several seeds found counts once, with its best measurement.

--pick RULE (several may be given; default: best for one objective, knee for several):
  best                 by the first objective
  knee                 of the front: each objective scaled to [0, 1] over the front, the least sum
                       of what is lost (minimum Manhattan distance; Chiu, Yen & Juan, 2016)
  3f2a...              a key of the archive, or its beginning
  params<=10000        the best within bounds on anything measured: <= >= < >, joined by commas;
                       knee,params<=10000 is the knee of those within

overrides: training.KEY=VALUE, dataset.limit, dataset.root, device, threads, in_flight

--inherit begins with the weights that the network inherits from the supernet of a search with
weight_sharing.

Written to DIR/KEY-RECIPE/, one folder for each network and recipe: weights and layers of each seed
(safetensors), scores (JSON), curves, per_class and confusion_matrix (CSV, PNG); and DIR/summary.csv
and .json of the picks of this command.  What has been finished is not trained again."""

import argparse
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from deap_nas.finished_run import FinishedRun
from deap_nas.output import console_on
from deap_nas.seeds_together import open_together
from toolbox.archive import Record
from toolbox.event_log import show_curves, tensorboard_writer
from toolbox.folder_lock import held
from toolbox.hooks import offers
from toolbox.quantities import as_number
from toolbox.report.picking import default_rule, pick
from toolbox.shelf import did_you_mean
from toolbox.signature import prefixed
from toolbox.whole_file import write_table, write_whole

if TYPE_CHECKING:
    from deap_nas.retraining.kept_seeds import RetrainedFolder, Seed
    from problems.image_classification import ImageClassification

log = logging.getLogger(__name__)

FOLDER = "retrained"
NEEDED = ("untrained", "blueprint", "dataset", "training")  # of a problem of networks
OTHER_OVERRIDES = ("dataset.limit", "dataset.root", "device", "threads", "in_flight")


@dataclass(frozen=True)
class Pick:
    """A network and the rules that picked it.

    epochs: that it ran in the search; None if a halving stopped it before its recipe did.  genome:
    of the network alone.  recipe: what was searched of its training, by dotted keys.
    """

    rules: tuple[str, ...]
    record: Record
    epochs: int | None
    genome: list[int]
    recipe: Mapping[str, Any]

    @property
    def name(self) -> str:
        return " = ".join(self.rules)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN_FOLDER", help="or a folder of those of several seeds"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--pick", action="append", metavar="RULE", help="see above")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: RUN_FOLDER/retrained")
    parser.add_argument(
        "--inherit",
        action="store_true",
        help="begin with the weights of the search's supernet, not from scratch",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write the curves for TensorBoard too (needs the package tensorboard)",
    )


def run(chosen: argparse.Namespace) -> int:
    """Retrain what was picked; 0, or 1 if a training diverged.  Raises ValueError."""
    from toolbox.progress import log_to_console

    screen = console_on()
    log_to_console(screen)
    if chosen.seeds < 1:
        raise ValueError(f"--seeds {chosen.seeds}: at least 1 is needed")
    new_writer = tensorboard_writer() if chosen.tensorboard else None
    finished = open_together(chosen.run_folder)
    require_networks(finished)
    picks = picked(finished, chosen.pick)
    problem, epochs = overridden(finished, chosen.overrides)
    if chosen.inherit:
        problem = inheriting(finished, problem)
    out = chosen.out or chosen.run_folder / FOLDER
    try:
        out.mkdir(parents=True, exist_ok=True)
        busy = (
            "another retraining is running in this folder; wait for it, or choose another one with "
            "--out"
        )
        with held(out, busy, "choose a folder on another disk with --out"):
            return _retrain_all(screen, picks, problem, epochs, chosen.seeds, out, new_writer)
    except KeyboardInterrupt:
        log.info("the seeds that were finished are kept in %s; the same command goes on", out)
        raise
    except OSError as error:
        if error.filename is None:
            raise
        raise ValueError(f"{error.filename}: it cannot be written: {error.strerror}") from error


def require_networks(finished: FinishedRun) -> None:
    """Raise ValueError if the run's problem makes no networks that can be trained and kept."""
    missing = [name for name in NEEDED if not offers(finished.problem, name)]
    if missing:
        raise ValueError(
            f"{finished.path}: its problem is {finished.declaration.problem.use!r}, which has no "
            f"network to train (no {', '.join(missing)}); image_classification has"
        )


def inheriting(finished: FinishedRun, problem: "ImageClassification") -> "ImageClassification":
    """The problem with a training that begins with the weights of the run's supernet.

    Raises ValueError if the run has none.
    """
    from problems.weight_sharing import WeightSharing

    searched = finished.problem
    if not isinstance(searched, WeightSharing) or not isinstance(problem, WeightSharing):
        raise ValueError(
            f"--inherit: the problem of {finished.path} is {finished.declaration.problem.use!r}, "
            "which has no shared weights; weight_sharing is needed"
        )
    if finished.declared_in != finished.path:
        raise ValueError(
            f"--inherit: each seed has a supernet of its own; name one run folder, like "
            f"{finished.declared_in}"
        )
    found = searched.found(finished.path)
    return replace(problem, supernet_file=found.supernet_file, first_weights="inherited")


def picked(finished: FinishedRun, rules: Sequence[str] | None) -> list[Pick]:
    """The networks that the rules (default: the one that fits the objectives) name, each once."""
    from problems.spaces.with_recipe import parted

    found: dict[str, Pick] = {}
    for rule in rules or [default_rule(finished.judge)]:
        record = pick(finished.judge, finished.archive.networks(), rule)
        whole = finished.archive.is_whole(record)
        ran = int(record.measurement.get("epochs", 0)) if whole else None
        new = Pick((), record, ran, *parted(finished.problem.space, record.genome))
        before = found.get(record.key, new)
        found[record.key] = replace(before, rules=tuple(dict.fromkeys([*before.rules, rule])))
    return list(found.values())


def overridden(
    finished: FinishedRun, overrides: Sequence[str]
) -> tuple["ImageClassification", int | None]:
    """The run's problem with the overrides of its recipe, prepared, and the epochs if overridden.

    Raises ValueError for an override that there is not, or that a retraining has no use for.
    """
    from problems.retraining import WATCHING
    from problems.training.recipe import Training

    recipe = [f"training.{field.name}" for field in fields(Training) if field.name not in WATCHING]
    legal = [*recipe, *OTHER_OVERRIDES]
    texts, given = [], set()
    for text in overrides:
        text = text.strip().removeprefix("problem.")
        key = text.partition("=")[0].strip()
        parts = key.split(".")
        if parts[0] == "training" and parts[1:2] and parts[1] in WATCHING:
            raise ValueError(
                f"{key}: a retraining has no validation images to watch; say training.epochs=N"
            )
        if not any(key == name or key.startswith(f"{name}.") for name in legal):
            near = f"training.{key}"
            hint = f"; did you mean {near!r}?" if near in legal else did_you_mean(key, legal)
            raise ValueError(f"{key}: it cannot be overridden; legal: {', '.join(legal)}{hint}")
        given.add(key)
        texts.append(f"problem.{text}")
    problem = finished.redeclared(texts).problem.build()
    with prefixed("problem"):
        problem = problem.prepared()
    for one in problem.training.searched:
        if f"training.{one.name}" in given:
            raise ValueError(
                f"training.{one.name} = {dict(one.declared)}: a retraining has one recipe; a value "
                "is needed"
            )
    return problem, problem.training.epochs if "training.epochs" in given else None


def _retrain_all(
    screen: Any,
    picks: Sequence[Pick],
    problem: "ImageClassification",
    epochs: int | None,
    seeds: int,
    out: Path,
    new_writer: Callable[[str], Any] | None,
) -> int:
    from deap_nas.retraining.kept_seeds import RetrainedFolder
    from deap_nas.retraining.pictures import write_report
    from problems.retraining import check_can_be_kept, official_test, unwatched
    from toolbox.work import Work

    plans = []
    for one in picks:
        own = problem.with_recipe(one.recipe) if problem.training.searched else problem
        recipe = unwatched(own.training, epochs or one.epochs or own.training.epochs)
        trained_so = replace(own, training=recipe)
        searched = one.epochs or 0
        folder = RetrainedFolder.of(out, one.record, trained_so)
        missing = [seed for seed in range(1, seeds + 1) if folder.finished(seed) is None]
        plans.append((one, trained_so, folder, missing))
        log.info(
            "%s: %s, %d of %d seeds to train x %d epochs x %s images",
            one.name,
            one.record.architecture,
            len(missing),
            seeds,
            recipe.epochs,
            f"{problem.dataset.validation + problem.dataset.train_images:,}",
        )
        if recipe.epochs < searched:
            log.warning(
                "%s: %d epochs, the search trained %d; for as many leave training.epochs out",
                *(one.name, recipe.epochs, searched),
            )
    with prefixed("problem.dataset"):
        classes = problem.dataset.class_names()
        if any(missing for *_, missing in plans):  # before hours of training: it may not be there
            test = official_test(problem)
            log.info("the official test split is read here and nowhere else: %d images", len(test))
    for one, trained_so, _, missing in plans:
        if missing:
            check_can_be_kept(trained_so, one.genome)
    rows, diverged = [], 0
    total = sum(len(missing) * plan.training.epochs for _, plan, _, missing in plans)
    with Work(screen, "epochs", total, "retraining") as work:
        for one, trained_so, folder, missing in plans:
            work.details = f"{one.name}: {one.record.architecture}"
            _retrain(one, trained_so, folder, missing, lambda seed, epoch: work.advance())
            found = [folder.finished(seed) for seed in range(1, seeds + 1)]
            results = [content for content in found if content is not None]
            diverged += seeds - len(results)
            if results:
                title = f"{one.record.architecture}\n{one.name}"
                write_report(folder.path, title, classes, results)
                if new_writer:
                    curves = {
                        f"seed-{seed}": content["curve"]
                        for seed, content in enumerate(found, start=1)
                        if content is not None
                    }
                    show_curves(folder.path / "tensorboard", new_writer, curves)
                rows.append(_row(one, results, folder, problem.measured))
                _say_if_untaught(one.name, [seed["test"] for seed in results])
    if rows:
        _summarize(screen, rows, out, problem.measured)
    return 1 if diverged else 0


def _retrain(
    one: Pick,
    problem: "ImageClassification",
    folder: "RetrainedFolder",
    seeds: Sequence[int],
    advance: Callable[[int, int], None],
) -> None:
    """Train, save, score and keep these seeds of one network; one that diverges is left out."""
    from problems.measures.measure import MeasureFailed
    from problems.networks.plan import imports_of
    from problems.retraining import official_test, retrain, scores_of
    from problems.saved_network import as_bytes, load
    from problems.training.loop import logits_of

    genome = one.genome
    blueprint = problem.blueprint(genome)
    for seed, trained in retrain(problem, genome, seeds, advance):
        if isinstance(trained, FloatingPointError):
            log.error("%s, seed %d: %s; it is left out", one.name, seed, trained)
            continue
        if isinstance(trained, Exception):
            raise trained
        test = official_test(problem)
        logits = logits_of(trained.network, test)
        folder.keep(seed, as_bytes(trained.network, blueprint))
        reloaded, _ = load(folder.weights(seed), problem.device, imports_of(blueprint.plan))
        again = logits_of(reloaded, test)
        assert again.equal(logits), f"{folder.weights(seed)} does not score as what was trained"
        scores = scores_of(again, test.labels)
        try:
            scores["measures"] = problem.numbers_of(reloaded, genome, test)
        except MeasureFailed as error:
            log.error("%s, seed %d: on the test images, %s; it is left out", one.name, seed, error)
        seconds = trained.train_seconds
        folder.finish(seed, {"test": scores, "train_seconds": seconds, "curve": trained.curve})
        log.info("%s, seed %d: test accuracy %.4f", one.name, seed, scores["accuracy"])


def _row(
    one: Pick, results: Sequence["Seed"], folder: "RetrainedFolder", names: Sequence[str]
) -> dict[str, Any]:
    """A line of the summary.  names: what the problem's own functions measure."""
    from deap_nas.retraining.pictures import spread

    record, tests = one.record, [seed["test"] for seed in results]
    accuracies = [test["accuracy"] for test in tests]
    f1 = [mean(test["f1"]) for test in tests]
    measured = [test.get("measures", {}) for test in tests]  # {} where a measure failed
    own = {
        f"test_{name}_mean": mean(found) if (found := [m[name] for m in measured if m]) else None
        for name in names
    }
    return {
        "pick": one.name,
        "key": record.key,
        "architecture": record.architecture,
        "params": record.measurement["params"],
        "search_val_accuracy": record.measurement["val_accuracy"],
        "seeds": len(results),
        "epochs": len(results[0]["curve"]),
        "test_accuracy_mean": mean(accuracies),
        "test_accuracy_std": spread(accuracies),
        "test_loss_mean": mean(test["loss"] for test in tests),
        "macro_f1_mean": mean(f1),
        "macro_f1_std": spread(f1),
        **own,
        "folder": folder.path.name,
    }


def _say_if_untaught(name: str, tests: Sequence[dict[str, Any]]) -> None:
    """Warn of trainings whose network is hardly right more often than who always answers the
    largest class: by at most two standard errors of that share of so many images."""
    support = tests[0]["support"]
    images = sum(support)
    share = max(support) / images
    most = share + 2 * math.sqrt(share * (1 - share) / images)
    if untaught := [test["accuracy"] for test in tests if test["accuracy"] <= most]:
        log.warning(
            "%s: %d of %d trainings taught nothing (test accuracy %s; the largest class has %.4f "
            "of %d images): more epochs, another learning rate or optimizer?",
            *(name, len(untaught), len(tests), ", ".join(f"{one:.4f}" for one in untaught)),
            *(share, images),
        )


def agreement(rows: Sequence[dict[str, Any]]) -> float | None:
    """Kendall's tau-b of validation accuracy in the search and mean test accuracy afterwards.

    1: the same order, -1: the reverse; None if there is no order (one network, or all equal).
    """
    from scipy.stats import kendalltau

    before = [row["search_val_accuracy"] for row in rows]
    after = [row["test_accuracy_mean"] for row in rows]
    if len(set(before)) < 2 or len(set(after)) < 2:
        return None
    return float(kendalltau(before, after).statistic)


def _summarize(
    screen: Any, rows: Sequence[dict[str, Any]], out: Path, names: Sequence[str]
) -> None:
    from rich.table import Table

    table = Table(title="Retrained", title_justify="left", box=None, pad_edge=False)
    for name in ("pick", "key", "params", "search val", "test accuracy", "macro F1", "seeds"):
        table.add_column(name, justify="left" if name in ("pick", "key") else "right")
    for name in names:
        table.add_column(f"test {name}", justify="right")
    for row in rows:
        table.add_row(
            row["pick"],
            row["key"][:8],
            as_number(row["params"]),
            f"{row['search_val_accuracy']:.4f}",
            _mean_and_spread(row["test_accuracy_mean"], row["test_accuracy_std"]),
            _mean_and_spread(row["macro_f1_mean"], row["macro_f1_std"]),
            str(row["seeds"]),
            *(_or_dash(row[f"test_{name}_mean"]) for name in names),
        )
    screen.print(table)
    summary: dict[str, Any] = {"networks": rows}
    if len(rows) > 1:
        tau = agreement(rows)
        summary["kendall_tau"] = tau
        said = "not defined, all are equal" if tau is None else f"{tau:.3f}"
        log.info("Kendall tau of search and retrained accuracy: %s (%d networks)", said, len(rows))
    write_table(out / "summary.csv", rows)
    write_whole(out / "summary.json", json.dumps(summary, indent=1))
    log.info("written: %s and the folders beside it", out / "summary.csv")


def _or_dash(value: float | None) -> str:
    return "-" if value is None else as_number(value)


def _mean_and_spread(middle: float, deviation: float | None) -> str:
    return f"{middle:.4f}" if deviation is None else f"{middle:.4f} ± {deviation:.4f}"
