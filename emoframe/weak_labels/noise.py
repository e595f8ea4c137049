"""How often a labeler says what, given what is true: measured once, kept in the label store.

`emoframe labels agree` measures it on training items; losses that correct for noise read it here.

Decided here: what is kept are counts, so that everything else follows from them for any prior. The
prior of the classes shifts between the splits of a data set, P(weak | true) is taken to stay: so
accuracy, P(true | weak) and confidences are recomputed for a prior that the user states, and never
read off the training items. An abstention is an answer, with a column of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError, suggest
from emoframe.weak_labels.exchange.names import find_labeler, find_prompt
from emoframe.weak_labels.plain import read_json
from emoframe.weak_labels.rows import Measure
from emoframe.weak_labels.store import LabelStore

NOISE = "noise_matrix"
"""What the store calls such a measure."""


@dataclass(frozen=True)
class NoiseMatrix:
    """P(weak | true) of a prompt and a labeler, and what it was measured on.

    Attributes:
        dataset: On whose training items.
        prompt: `Prompt.hash`.
        labeler: `LabelerRecord.key`.
        classes: Names of the K classes.
        counts: Items by true class (K rows) and weak label (K columns, then abstentions).
        low: Lower end of the 95 % interval of each share; None where it is not measurable.
        high: Upper end.
        method: How the intervals were computed.
        subjects: Number of subjects; 0 where they are unknown.
        at: When, UTC.
        simulated: Whether no model ever saw the clips.
        stamped: Whether the prompt was first used after test had been opened.
    """

    dataset: str
    prompt: str
    labeler: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    low: tuple[tuple[float | None, ...], ...]
    high: tuple[tuple[float | None, ...], ...]
    method: str
    subjects: int
    at: str
    simulated: bool = False
    stamped: bool = False

    @property
    def n(self) -> dict[str, int]:
        """Number of items by their true class."""
        return {name: sum(row) for name, row in zip(self.classes, self.counts, strict=True)}

    def shares(self, smooth: float = 0.0) -> NDArray[np.float64]:
        """Return P(weak | true), (K, K + 1); the last column are abstentions.

        Args:
            smooth: Added to each count: 1 is the mean under a uniform prior (Beta(1, 1) for two
                outcomes), for losses that divide by it.

        Raises:
            DataError: There is nothing to divide by: a class without an item.
        """
        counts = np.array(self.counts, float) + smooth
        if not counts.sum(1).all():
            name = self.classes[int(np.argmin(counts.sum(1)))]
            raise DataError(f"P(weak | {name}) is not measurable: no training item is {name}")
        return counts / counts.sum(1, keepdims=True)

    def transition(self) -> NDArray[np.float64]:
        """Return P(weak | true) of items that got a label, (K, K), smoothed: for forward losses."""
        counts = np.array(self.counts, float)[:, :-1] + 1
        return counts / counts.sum(1, keepdims=True)

    def accuracy(self, prior: NDArray[np.float64]) -> float:
        """Return how often a label that is given is right where classes have this prior, (K,)."""
        joint = prior[:, None] * self.shares()[:, :-1]
        return float(np.trace(joint) / joint.sum()) if joint.sum() else float("nan")

    def posterior(self, prior: NDArray[np.float64], smooth: float = 0.0) -> NDArray[np.float64]:
        """Return P(true | weak), (K + 1, K): a row per weak label, the last for abstentions.

        NaN in the rows of what was never said; with `smooth` there is none.
        """
        joint = (prior[:, None] * self.shares(smooth)).T
        total = joint.sum(1, keepdims=True)
        return np.divide(joint, total, out=np.full_like(joint, np.nan), where=total > 0)


def keep_noise(store: LabelStore, matrix: NoiseMatrix) -> None:
    """Store a measurement; the last one of a prompt and a labeler counts."""
    content = json.dumps(asdict(matrix), sort_keys=True)
    named = (matrix.dataset, matrix.prompt, matrix.labeler)
    store.add_measure(Measure(*named, NOISE, content, matrix.at))


def noise_matrix(
    store: LabelStore, prompt: str, labeler: str, dataset: str | None = None
) -> NoiseMatrix:
    """Return what was measured last.

    Args:
        store: The label store.
        prompt: Name of the prompt, `name@hash`, its hash, or the beginning of that.
        labeler: Type of the labeler, `type@key`, its source, its key, or the beginning of that.
        dataset: On whose training items; None for the last of any.

    Raises:
        DataError: Nothing was measured, or there is no such prompt or labeler.
    """
    prompt, labeler = find_prompt(store, prompt).hash, find_labeler(store, labeler).key
    found = store.measures(NOISE, prompt, labeler, dataset)
    if not found:
        raise DataError(
            f"{store.path}: P(weak | true) was never measured for prompt {prompt[:12]} and labeler "
            f"{labeler[:12]}{f' on {dataset}' if dataset else ''}; run emoframe labels agree"
        )
    return read_json(NoiseMatrix, found[-1].content, f"noise matrix of {prompt[:12]}")


def prior_of(given: Mapping[str, float], classes: Sequence[str]) -> NDArray[np.float64]:
    """Return a prior over classes, (K,), of which the share of one may be left out.

    Raises:
        DataError: A class is unknown, too many are left out, or they make no prior.
    """
    if strange := sorted(set(given) - set(classes)):
        raise DataError(
            f"prior: {strange[0]!r} is no class{suggest(strange[0], list(classes))}; there are "
            f"{', '.join(classes)}"
        )
    left = [name for name in classes if name not in given]
    rest = 1.0 - sum(given.values())
    wrong = any(not 0 <= share <= 1 for share in given.values())
    if wrong or len(left) > 1 or rest < -1e-6 or (not left and abs(rest) > 1e-6):
        raise DataError(
            f"prior: {dict(given)} is none over {', '.join(classes)}; give a share of 0 to 1 for "
            "each class, as in win=0.54; that of one may be left out, and together they make 1"
        )
    return np.array([given.get(name, max(rest, 0.0)) for name in classes])
