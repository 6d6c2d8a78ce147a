"""Which genes an objective hangs on: a functional ANOVA of what the evaluated networks foretell.

A Gaussian process (scikit-learn's) learns from the networks of a search where a genome would stand
among them; the variance of that place over the whole space is then shared out among genes and pairs
of genes (Hutter, Hoos & Leyton-Brown, 2014; total effects: Jansen, 1999).  It learns places and not
values, because a search comes back to good networks again and again: few values far below them
would decide everything.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import prod
from typing import TYPE_CHECKING

import numpy
from threadpoolctl import threadpool_limits

from toolbox.archive import Record
from toolbox.genes import is_ordered
from toolbox.judge import Judge
from toolbox.space import Space

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

FEWEST = 20  # networks that anything is said of
LEAST_TAU = 0.2  # between what is foretold of networks that were left out and what they reached
MOST_LEARNT = 400  # networks that the model learns; of more an even share of all places
SAMPLE = 2000  # genomes that the variance is taken over, if the space has more than ENUMERATED
ENUMERATED = 10_000
DRAWS_FOR_ONE = 50  # until a genome breaks no rule of the space
CHANGED = 600  # genomes in which a part is changed, for its total effect
MOST_GENES_IN_PAIRS = 30


@dataclass(frozen=True, eq=False)
class Foretelling:
    """Where genomes stand among the networks that were learnt: 0 the best of them, 1 the worst.

    tau: Kendall's, between that place and what is believed of each network from all the others.
    """

    space: Space
    model: "GaussianProcessRegressor"
    networks: int
    tau: float

    def places(self, genomes: Sequence[Sequence[int]]) -> numpy.ndarray:
        """(genomes,) the place that is foretold of each."""
        canonical = [self.space.canonical(list(genome)) for genome in genomes]
        with threadpool_limits(1):
            found: numpy.ndarray = self.model.predict(_encoded(self.space, canonical))
        return found


def foretelling(
    space: Space,
    judge: Judge,
    records: Sequence[Record],
    objective: int,
    fewest: int = FEWEST,
    least_tau: float = LEAST_TAU,
) -> Foretelling | str:
    """What the feasible records foretell of one objective; why they foretell nothing, in words."""
    sound = [record for record in records if judge.feasible(record)]
    if len(sound) < fewest:
        return f"{len(sound)} networks are too few; {fewest} are needed"
    losses = judge.losses(sound)[:, objective]
    order = numpy.argsort(losses, kind="stable")
    if losses[order[0]] == losses[order[-1]]:
        return "all networks are equal in it"
    if len(order) > MOST_LEARNT:
        order = order[numpy.linspace(0, len(order) - 1, MOST_LEARNT).astype(int)]
    order = numpy.sort(order)
    genomes = [space.canonical(list(sound[place].genome)) for place in order]
    model, tau = _fitted(_encoded(space, genomes), losses[order], len(space.genes))
    if tau < least_tau:
        return (
            f"{len(sound)} networks do not tell yet: what they foretell of each other agrees too "
            f"little with what was measured (Kendall's tau {tau:.2f}; {least_tau} is needed)"
        )
    return Foretelling(space, model, len(sound), tau)


def _fitted(
    columns: numpy.ndarray, losses: numpy.ndarray, genes: int
) -> tuple["GaussianProcessRegressor", float]:
    """A model of the places of losses, and its tau by leaving out each network in turn."""
    from scipy.linalg import cho_solve
    from scipy.stats import kendalltau, rankdata
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    places = (rankdata(losses) - 0.5) / len(losses)
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(
        numpy.sqrt(genes / 2), (0.2, 20 * numpy.sqrt(genes))
    ) + WhiteKernel(0.1, (1e-3, 1e1))
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings(), threadpool_limits(1):
        # That a scale or a noise is at its bound is no fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(columns, places)
        inverse = cho_solve((model.L_, True), numpy.eye(len(places)))
    scaled = (places - places.mean()) / places.std()
    unseen = scaled - numpy.ravel(model.alpha_) / inverse.diagonal()
    return model, float(numpy.nan_to_num(kendalltau(unseen, places).statistic))


def _encoded(space: Space, genomes: Sequence[Sequence[int]]) -> numpy.ndarray:
    """(genomes, columns): of each choice 1 where it is taken, and of each gene whose choices have
    an order where it stands in it, from 0 to the square root of 2, as far as two choices are apart.
    """
    table = numpy.array(genomes, dtype=int)
    columns = []
    for place, gene in enumerate(space.genes):
        taken, last = table[:, [place]], len(gene.choices) - 1
        columns.append((taken == range(last + 1)).astype(float))
        if last and is_ordered(gene):
            columns.append(taken * numpy.sqrt(2) / last)
    return numpy.hstack(columns)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Genomes of a space, each network with the same probability as by `uniform_random`.

    genomes: (genomes, genes) canonical, so that "layer1" is always the first layer, but for the
    inert genes, which are drawn anew and so tell nothing.  whole: they are each network of the
    space once, and no gene is ever inert.
    """

    space: Space
    genomes: numpy.ndarray
    whole: bool

    @classmethod
    def of(cls, space: Space) -> "Sampled":
        """A sample of a space, always the same; fewer genomes where most break its rules."""
        draw = numpy.random.default_rng(0)
        sizes = [len(gene.choices) for gene in space.genes]
        if prod(sizes) <= ENUMERATED:
            everything = (list(genome) for genome in product(*map(range, sizes)))
            legal = [genome for genome in everything if not space.violation(genome)]
            found = [_with_inert_genes_drawn(space, genome, draw) for genome in legal]
            return cls(space, numpy.array(found, int).reshape(-1, len(sizes)), found == legal)
        found = []
        for _ in range(DRAWS_FOR_ONE * SAMPLE):
            genome = draw.integers(sizes).tolist()
            if not space.violation(genome):
                found.append(_with_inert_genes_drawn(space, genome, draw))
                if len(found) == SAMPLE:
                    break
        return cls(space, numpy.array(found, int).reshape(-1, len(sizes)), False)

    @cached_property
    def sizes(self) -> list[int]:
        return [len(gene.choices) for gene in self.space.genes]


def _with_inert_genes_drawn(
    space: Space, genome: list[int], draw: numpy.random.Generator
) -> list[int]:
    canonical = list(space.canonical(list(genome)))
    drawn = list(canonical)
    for place, gene in enumerate(space.genes):
        choice = int(draw.integers(len(gene.choices)))
        changed = [*drawn[:place], choice, *drawn[place + 1 :]]
        if choice != drawn[place] and list(space.canonical(changed)) == canonical:
            drawn = changed
    return drawn


@dataclass(frozen=True)
class Share:
    """How much of an objective's variance over the space hangs on some genes, as shares of 1.

    name: of the gene, the pair or the part.  alone: what they tell without the others; of a pair,
    what it tells beyond its genes.  in_all: with every way in which they act together with others;
    None where it is not computed.  best, worst: the choices of a gene that do best and worst in the
    mean over the others.
    """

    name: str
    alone: float | None = None
    in_all: float | None = None
    best: str = ""
    worst: str = ""


@dataclass(frozen=True)
class Importance:
    """What an objective hangs on, the most important first.

    told: how far the model can be trusted.  parts: what the space names as belonging together, such
    as layers; none where each is a single gene.
    """

    genes: Sequence[Share]
    pairs: Sequence[Share]
    parts: Sequence[Share]
    told: Foretelling


def importance(told: Foretelling, sampled: Sampled) -> Importance | str:
    """The shares of genes, pairs and parts; why there are none, in words."""
    genomes, sizes = sampled.genomes, sampled.sizes
    if len(genomes) < FEWEST:
        return "too few random genomes are networks of this space"
    space = sampled.space
    names = [gene.name for gene in space.genes]
    places = told.places(genomes.tolist())
    variance = places.var()
    if variance < 1e-12:
        return "it hangs on no gene"
    alone: list[float] = []
    means: list[numpy.ndarray] = []
    for column, size in zip(genomes.T, sizes, strict=True):
        share, of_choices = _between(column, size, places, sampled.whole)
        alone.append(float(share / variance))
        means.append(of_choices)
    total = {
        positions: min(1.0, float(_total(told, sampled, places, positions) / variance))
        for positions in dict.fromkeys([*((gene,) for gene in range(len(names))), *_parts(space)])
    }
    genes = []
    for place, gene in enumerate(space.genes):
        known = numpy.nan_to_num(means[place], nan=numpy.inf)
        best, worst = int(known.argmin()), int(numpy.nan_to_num(means[place], nan=-1).argmax())
        said = (str(gene.choices[best]), str(gene.choices[worst])) if best != worst else ("", "")
        genes.append(Share(gene.name, alone[place], max(alone[place], total[place,]), *said))
    considered = sorted(range(len(names)), key=lambda gene: -total[gene,])[:MOST_GENES_IN_PAIRS]
    pairs = []
    for a, b in combinations(sorted(considered), 2):
        both = genomes[:, a] * sizes[b] + genomes[:, b]
        share, _ = _between(both, sizes[a] * sizes[b], places, sampled.whole)
        beyond = max(0.0, float(share / variance) - alone[a] - alone[b])
        pairs.append(Share(f"{names[a]} and {names[b]}", beyond))
    parts = [
        Share(
            _part_name([names[gene] for gene in positions]),
            None,
            max(total[positions], *(alone[gene] for gene in positions)),
        )
        for positions in _parts(space)
    ]
    return Importance(
        sorted(genes, key=lambda one: -(one.alone or 0)),
        sorted(pairs, key=lambda one: -(one.alone or 0)),
        sorted(parts, key=lambda one: -(one.in_all or 0)),
        told,
    )


def _between(
    labels: numpy.ndarray, size: int, places: numpy.ndarray, exact: bool
) -> tuple[float, numpy.ndarray]:
    """The variance of the means of places by label, and these means, NaN where a label is missing.

    exact: the places are all that there are; of a sample the means vary by chance too, which is
    taken off.
    """
    counts = numpy.bincount(labels, minlength=size)
    sums = numpy.bincount(labels, weights=places, minlength=size)
    means = numpy.divide(sums, counts, out=numpy.full(size, numpy.nan), where=counts > 0)
    spread = numpy.nansum(counts * (means - places.mean()) ** 2) / len(places)
    if not exact:
        used = int((counts > 0).sum())
        within = max(0.0, places.var() - spread)
        spread = max(0.0, spread - within * (used - 1) / max(1, len(places) - used))
    return float(spread), means


def _total(
    told: Foretelling, sampled: Sampled, places: numpy.ndarray, positions: tuple[int, ...]
) -> float:
    """Half the mean square by which places move when some genes are drawn anew."""
    draw = numpy.random.default_rng(0)
    count = min(CHANGED, len(places))
    rows = draw.choice(len(places), count, replace=False)
    others = draw.integers(len(places), size=count)
    changed = sampled.genomes[rows].copy()
    changed[:, positions] = sampled.genomes[others][:, positions]
    legal = [n for n, g in enumerate(changed.tolist()) if not sampled.space.violation(g)]
    if not legal:
        return 0.0
    moved = told.places(changed[legal].tolist()) - places[rows[legal]]
    return float((moved**2).mean() / 2)


def _parts(space: Space) -> list[tuple[int, ...]]:
    """The groups of several genes, but not all of them, that a space says belong together."""
    groups = [tuple(group) for kind in space.parts.values() for group in kind]
    groups += [tuple(range(slot.start, slot.stop)) for slot in space.slots]
    return [g for g in dict.fromkeys(groups) if 1 < len(g) < len(space.genes)]


def _part_name(names: Sequence[str]) -> str:
    """What genes have in common before the dot, or all of their names.

    >>> _part_name(["layer1.kind", "layer1.kernel"]), _part_name(["depth", "width"])
    ('layer1', 'depth, width')
    """
    first = {name.partition(".")[0] for name in names}
    return first.pop() if len(first) == 1 and "." in names[0] else ", ".join(names)
