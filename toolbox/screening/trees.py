"""A ranker of many trees, which learns what no kernel foresees."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy

from toolbox.screening.encoding import Encoded

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

TREES = 20


@dataclass
class Trees:
    """Extremely randomized trees (Geurts, Ernst & Wehenkel, 2006), each on a bootstrap sample."""

    _model: "ExtraTreesRegressor" = field(init=False)

    def fit(self, networks: Encoded, losses: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Learn losses (networks,); the mean and the standard deviation of what is expected of
        each by the trees that have not seen it."""
        from sklearn.ensemble import ExtraTreesRegressor  # it takes a second to import

        self._model = ExtraTreesRegressor(
            TREES, bootstrap=True, min_samples_leaf=2, max_features=0.7, random_state=len(networks)
        )
        columns = _columns(networks)
        self._model.fit(columns, losses)
        total, times = numpy.zeros(len(losses)), numpy.zeros(len(losses))
        for tree, sample in zip(
            self._model.estimators_, self._model.estimators_samples_, strict=True
        ):
            unseen = numpy.ones(len(losses), dtype=bool)
            unseen[sample] = False
            if unseen.any():
                total[unseen] += tree.tree_.predict(columns[unseen])[:, 0]
                times[unseen] += 1
        expected = total / numpy.maximum(times, 1)
        wrong_by = max(float(((losses - expected) ** 2).mean()), 1e-9) ** 0.5
        return expected, numpy.full(len(losses), wrong_by)

    def predict(self, networks: Encoded) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The mean and the standard deviation of the trees' losses, (networks,) each."""
        columns = _columns(networks)
        found = numpy.array([t.tree_.predict(columns)[:, 0] for t in self._model.estimators_])
        return found.mean(axis=0), found.std(axis=0)


def _columns(networks: Encoded) -> numpy.ndarray:
    return numpy.hstack([networks.choices, networks.numbers]).astype(numpy.float32)
