"""A linear ranker: which of two networks is better, by a score that is linear in their features.

RankNet (Burges et al., 2005) with a linear score is a logistic regression on the differences of
pairs (Herbrich, Graepel & Obermayer, 1999).  It is convex, so the same networks give the same
ranker.
"""

from collections.abc import Callable

import numpy
from threadpoolctl import threadpool_limits

MOST = 300  # networks; there are half as many pairs as the square of it
FOLDS = 5


def fitted(features: numpy.ndarray, losses: numpy.ndarray, regularization: float) -> numpy.ndarray:
    """Weights (features,) by which `features @ weights` ranks as `losses` (networks,) do.

    Minimizes the mean over pairs of log(1 + exp(-margin)) plus regularization / 2 times the squared
    weights.  Of more than 300 networks the better half of them is taken as it is, and the rest
    evenly from the others.
    """
    order = numpy.argsort(losses, kind="stable")
    if len(order) > MOST:
        best, rest = order[: MOST // 2], order[MOST // 2 :]
        order = numpy.r_[best, rest[numpy.linspace(0, len(rest) - 1, MOST // 2).astype(int)]]
    from sklearn.linear_model import LogisticRegression  # it takes a second to import

    features, losses = features[order], losses[order]
    worse, better = numpy.nonzero(losses[:, None] > losses[None, :])
    if not len(worse):
        return numpy.zeros(features.shape[1])
    pairs = features[worse] - features[better]
    sign = numpy.where(numpy.arange(len(pairs)) % 2, 1.0, -1.0)  # it wants two classes
    model = LogisticRegression(
        C=1 / (regularization * len(pairs)), fit_intercept=False, solver="newton-cholesky"
    )
    with threadpool_limits(1):  # the cores are the trainings'; and threads change the last digits
        weights: numpy.ndarray = model.fit(pairs * sign[:, None], sign).coef_[0]
    return weights


def cross_validated_tau(
    fit: Callable[[numpy.ndarray, numpy.ndarray], numpy.ndarray],
    features: numpy.ndarray,
    losses: numpy.ndarray,
) -> float:
    """Kendall's tau between losses and the rankers of `fit` that did not see them, a mean of five;
    one that is not defined counts as 0."""
    from scipy.stats import kendalltau  # it takes half a second to import

    fold = numpy.arange(len(losses)) % FOLDS
    taus = []
    for left_out in range(FOLDS):
        seen = fold != left_out
        weights = fit(features[seen], losses[seen])
        taus.append(kendalltau(features[~seen] @ weights, losses[~seen]).statistic)
    return float(numpy.nan_to_num(taus).mean())
