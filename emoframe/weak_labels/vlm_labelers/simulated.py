"""A teacher of chosen quality, for studies of how weak labels teach: no model sees anything.

It is told the true class of training clips, and errs as often, as evenly and as confidently as it
is asked to. Its answers are marked as simulated wherever they appear.

How it draws: the class from P(weak | true). Then how sure it is, r in [1/K, 1], where u in
r = 1/K + (1 - 1/K) u follows a Beta distribution of the mean that makes r as high as the accuracy
on average. Tilted by r where it is right and by 1 - r where it is wrong, both of which are Beta
again, this gives P(right | r) = r: calibrated. A temperature then bends r to what is stated, so
that the expected calibration error is known, see `Simulated.expected_ece`.

Decided here:
    * An answer is a pure function of the seed, the clip's key, its true class, and the sample. The
      errors of two samples are independent, as those of a real model are not.
    * Rows of a confusion are taken to be met equally often: who judges calibration on classes that
      are not balanced sees it off by as much.
    * Who is right less often than by chance and names what it holds most likely cannot be
      calibrated; it then states little more than chance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy.stats import beta

from emoframe.core.errors import ComponentError
from emoframe.labelling import CallError, Question, Reply, Usage

SPREAD = 4.0
"""How alike the teacher's confidences are: the sum of the Beta distribution's parameters."""
EDGE = 0.01
"""Least distance of its mean from 0 and 1, where there would be no distribution."""
LEAD = 1e-6
"""Least u, so that the class that is named is always the most likely one."""
NOTE = "Simulated: no model saw this clip."


class Simulated:
    """Draws labels that are right as often, and confidences that are right as much, as wanted.

    Args:
        accuracy: P(weak = true); errors fall evenly on the other classes.
        confusion: P(weak | true), a row for each true class, in place of `accuracy`.
        errors: `uncertain` ones are stated with less confidence than what is right, `confident`
            ones with the same, so that confidence says nothing of truth.
        temperature: Bends confidences: 1 leaves those of `uncertain` errors calibrated, less makes
            them overconfident, more underconfident.
        abstain: Share of the clips on which it abstains, whatever is true.
        seed: Of all draws.
        gold: Class of each training clip by its key.
    """

    uploads, simulated, reads_keypoints, reads_video, model = False, True, False, False, ""

    def __init__(
        self,
        *,
        accuracy: Annotated[float, Ge(0), Le(1)] = 0.644,
        confusion: list[list[float]] | None = None,
        errors: Literal["uncertain", "confident"] = "uncertain",
        temperature: Annotated[float, Gt(0)] = 1.0,
        abstain: Annotated[float, Ge(0), Le(1)] = 0.0,
        seed: int = 0,
        gold: Mapping[str, int] | None = None,
    ) -> None:
        self.accuracy, self.confusion, self.errors = accuracy, confusion, errors
        self.temperature, self.abstain, self.seed = temperature, abstain, seed
        self.gold = gold or {}
        for row in confusion or ():
            sums = len(row) == len(confusion or ()) and abs(sum(row) - 1) <= 1e-6  # NaN does not
            if not sums or min(row) < 0:
                raise ComponentError(
                    f"vlm_labeler 'simulated': confusion has a row {row}; each of its "
                    f"{len(confusion or ())} rows must hold as many probabilities, and sum to 1"
                )

    def ask(self, question: Question) -> Reply:
        """Draw an answer.

        Raises:
            CallError: The true class of the clip is not known, as that of a test clip never is, or
                the classes are others than those of `confusion`.
        """
        clip, classes = question.clip, question.prompt.classes
        true = self.gold.get(clip.key)
        if true is None or not 0 <= true < len(classes):
            raise CallError(
                "the labeler simulated knows no true class of this clip; it is told those of "
                "training clips alone, since test labels are sealed",
                status="refused",
            )
        generator = self._generator(clip.key, question.sample)
        chance, silence = generator.random(2)
        row = np.cumsum(self._rows(len(classes))[true])
        weak = min(int(np.searchsorted(row, chance * row[-1], "right")), len(classes) - 1)
        stated = self._stated(self._sure(generator, weak == true, len(classes)), len(classes))
        return Reply(self._text(question, weak, float(stated), bool(silence < self.abstain)))

    def tokens(self, question: Question) -> Usage:
        """Return nothing: it costs none."""
        return Usage()

    def expected_ece(self, classes: int) -> float:
        """Return the calibration error of the stated confidence that many answers tend to.

        The mean distance between what is stated of the named class and how often that is right,
        over balanced classes and without abstentions. Bins only add the noise of small samples.

        Args:
            classes: Number of classes K.
        """
        right, mean = self._right(classes), self._mean(classes)
        u = beta.ppf((np.arange(4000) + 0.5) / 4000, SPREAD * mean, SPREAD * (1 - mean))
        sure = _sure(u, classes)
        if self.errors == "confident":
            return float(np.abs(self._stated(sure, classes) - right).mean())
        aimed = _sure(mean, classes)
        hit, miss = right * sure / aimed, (1 - right) * (1 - sure) / (1 - aimed)
        off = np.abs(self._stated(sure, classes) - hit / (hit + miss))
        return float(np.average(off, weights=hit + miss))

    def _generator(self, key: str, sample: int) -> np.random.Generator:
        digest = hashlib.sha256(f"{self.seed} {key} {sample}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest))

    def _rows(self, classes: int) -> np.ndarray:
        """Return P(weak | true), (K, K)."""
        if self.confusion is None:
            rest = (1 - self.accuracy) / max(1, classes - 1)
            return np.where(np.eye(classes) > 0, self.accuracy, rest)
        if len(self.confusion) != classes:
            raise CallError(
                f"the labeler simulated has a confusion of {len(self.confusion)} classes, and the "
                f"data set has {classes}; give a row for each"
            )
        return np.array(self.confusion)

    def _right(self, classes: int) -> float:
        """Return how often it is right where classes are balanced."""
        return float(np.trace(self._rows(classes))) / classes

    def _mean(self, classes: int) -> float:
        """Return the mean of u."""
        chance = 1 / classes
        return float(np.clip((self._right(classes) - chance) / (1 - chance), EDGE, 1 - EDGE))

    def _sure(self, generator: np.random.Generator, right: bool, classes: int) -> float:
        """Draw how sure it is."""
        mean = self._mean(classes)
        one, other = SPREAD * mean, SPREAD * (1 - mean)
        if self.errors == "uncertain":
            tilted = 1 - 1 / classes / _sure(mean, classes)  # share of r that is due to u
            one += int(right and generator.random() < tilted)
            other += int(not right)
        return float(_sure(generator.beta(one, other), classes))

    def _stated(self, sure: float | np.ndarray, classes: int) -> np.ndarray:
        """Bend how sure it is by the temperature, as a softmax's is."""
        other = (1 - np.asarray(sure)) / (classes - 1)
        return 1 / (1 + (classes - 1) * (other / sure) ** (1 / self.temperature))

    def _text(self, question: Question, weak: int, stated: float, silent: bool) -> str:
        """Write the common answer, of which a prompt may ask for a part."""
        classes = question.prompt.classes
        other = (1 - stated) / (len(classes) - 1)
        shares = [stated if k == weak else other for k in range(len(classes))]
        rows = [{"class": name, "confidence": p} for name, p in zip(classes, shares, strict=True)]
        whole = {
            "units": [], "evidence": [], "corrections": [],
            "confidences": [] if silent else rows, "abstain": silent, "note": NOTE,
        }  # fmt: skip
        asked = question.prompt.schema.get("properties", whole)
        return json.dumps({key: value for key, value in whole.items() if key in asked})


def _sure(u: float | np.ndarray, classes: int) -> np.ndarray:
    """Turn u in [0, 1] into r between chance and certainty; a tie would be an abstention."""
    return 1 / classes + (1 - 1 / classes) * np.maximum(u, LEAD)
