"""What do shared weights save, at the same final test accuracy (reference D)?

    python -m benchmarks.sharing {cifar10,fashion_mnist} [--seeds 1] [--first-seed 1]
        [--folder runs/sharing] [--minutes 110] [--workers 2] [--out FILE.md]

The same random search combined with evolution twice: with each network trained alone, and with
networks scored by the weights of a supernet, which has to pass its gate first; where the gate
refuses it, the search goes on without, to see what that leads to.  What each returns is trained
three times on all official training images from scratch, and what the supernet found also from the
weights that it inherits, and tested.  Told are the processor seconds of each search, those that
passed before its first network among them, and of the search without shared weights also what it
had cost when it had a network that is as good on the test images as the other search's (found by
bisection, as if its incumbents only got better).  No search sees a test image.

A piece of at most --minutes ends cleanly, and the same command goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mean

from benchmarks.race import (
    TRAININGS,
    UNFINISHED,
    Finish,
    Found,
    Lane,
    Piece,
    Reference,
    Scores,
    accuracy_alone,
    cell,
    in_pieces,
    incumbents,
    spread,
)
from benchmarks.result_file import keep, machine, parser_of
from deap_nas.commands.retrain import inheriting
from problems.supernets.gate import Off


@dataclass(frozen=True)
class Size:
    """Overrides of both declarations, of the one without and of the one with shared weights, and
    the epochs of all official training images by which what they found is scored."""

    both: tuple[str, ...]
    alone: tuple[str, ...]
    shared: tuple[str, ...]
    final_epochs: int


# About half an hour on two cores each, with the scores.
SIZES = {
    "fashion_mnist": Size(
        both=(
            "problem.dataset.limit=8000",
            "problem.dataset.validation=2000",
            "problem.training.epochs=5",
        ),
        alone=("algorithm.population=12", "algorithm.generations=20", "stop.evaluations=40"),
        shared=(
            "algorithm.population=24",
            "algorithm.generations=40",
            "stop.evaluations=300",
            "problem.supernet.training.epochs=16",
            "problem.gate.networks=20",
        ),
        final_epochs=5,
    ),
    "cifar10": Size(
        both=(
            "problem.dataset.limit=4000",
            "problem.dataset.validation=2000",
            "problem.training.epochs=5",
        ),
        alone=("algorithm.population=12", "algorithm.generations=20", "stop.evaluations=30"),
        shared=(
            "algorithm.population=24",
            "algorithm.generations=40",
            "stop.evaluations=200",
            "problem.supernet.training.epochs=16",
            "problem.gate.networks=16",
        ),
        final_epochs=3,
    ),
}
WITHOUT_GATE = "problem.gate=off"
HEADER = (
    "| search | when | networks | before the first, processor s | in all | found | params | "
    "test accuracy, from scratch | from inherited weights |",
    "|---|---|---|---|---|---|---|---|---|",
)


def before_the_first(found: Found) -> float:
    """Processor seconds of a search until its first network was known."""
    return Found.of(found.lane, next(iter(found.lane.finished.archive))).cost.processor


def search_on(lane: Lane, workers: int, until: float) -> bool:
    """Whether a search has ended by then; without its gate, if that refuses it."""
    try:
        return lane.run(workers, until)
    except SystemExit as error:
        if WITHOUT_GATE in lane.overrides or not str(error.code).endswith(": status 1"):
            raise
        lane.overrides = (*lane.overrides, WITHOUT_GATE)
        return lane.run(workers, until)


def row(name: str, found: Found, tested: list[float], inherited: list[float] | None) -> str:
    return (
        f"| {found.lane.name} | {name} | {found.trainings} | {before_the_first(found):,.0f} | "
        f"{found.cost.processor:,.0f} | {cell(found.record.architecture)} | "
        f"{int(found.record.measurement['params']):,} | {spread(tested)} | "
        f"{spread(inherited) if inherited else '-'} |"
    )


def rows(
    images: str, alone: Lane, shared: Lane, scores: Scores, inherited: Scores
) -> Iterator[str]:
    """Lines on two searches with one seed, as far as what they found is scored."""
    ended = [Found.of(lane, incumbents(lane.finished)[-1], ended=True) for lane in (alone, shared)]
    tested = [scores.of([one.record.architecture]) for one in ended]
    if tested[0]:
        yield row("ended", ended[0], tested[0][ended[0].record.architecture], None)
    if not tested[1]:
        return
    found = ended[1].record.architecture
    begun = inherited.of([found])
    refused = isinstance(getattr(shared.finished.problem, "gate", None), Off)
    name = "ended, though the gate had refused" if refused else "ended"
    yield row(name, ended[1], tested[1][found], begun and begun[found])
    for name, accuracy in (("scratch", tested[1][found]), ("inherited", begun and begun[found])):
        if accuracy:
            target = replace(reference_of(images), target=mean(accuracy))
            if reached := Finish.of(alone, target, scores).reached:
                known = scores.of([reached.record.architecture])
                assert known
                said = f"as good as the other from {name}"
                yield row(said, reached, known[reached.record.architecture], None)


def reference_of(images: str) -> Reference:
    return Reference(
        published=f"lightweight_{images}.toml",
        best=f"lightweight_shared_{images}.toml",
        value=accuracy_alone,
        target=0.0,
        scored=(f"problem.training.epochs={SIZES[images].final_epochs}",),
    )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("images", choices=("cifar10", "fashion_mnist"))
    in_pieces(parser, seeds=1, folder="runs/sharing")
    arguments = parser.parse_args()
    piece = Piece.begin(arguments, arguments.images)
    reference, size = reference_of(arguments.images), SIZES[arguments.images]
    recipe = reference.recipe
    lines = [
        f"# What shared weights save on {arguments.images}",
        "",
        f"{machine()}; {piece.workers} workers.  Searches with {' '.join(size.both)}; alone "
        f"with {' '.join(size.alone)}; with shared weights {' '.join(size.shared)}.  Test "
        f"accuracy: {TRAININGS} trainings of {size.final_epochs} epochs of all "
        f"{recipe.dataset.official_train_images:,} training images.",
        "",
        *HEADER,
    ]
    wanting = False
    for seed in piece.seeds:
        alone = Lane(reference.published, seed, piece.folder, (*size.both, *size.alone))
        shared = Lane(reference.best, seed, piece.folder, (*size.both, *size.shared))
        if not all(search_on(lane, piece.workers, piece.until) for lane in (alone, shared)):
            wanting = True
            break
        scores = piece.scores(recipe, "scores")
        begun = inheriting(shared.finished, shared.finished.problem.prepared())
        begun = replace(begun, training=recipe.training, dataset=recipe.dataset)
        inherited = piece.scores(begun, f"inherited-{seed}")
        lines += rows(arguments.images, alone, shared, scores, inherited)
        wanting = wanting or scores.wanting or inherited.wanting
    if wanting:
        lines += UNFINISHED
    print("\n".join(lines))
    keep(lines, arguments.out)


if __name__ == "__main__":
    main()
