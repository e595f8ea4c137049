"""The teacher whose errors planted texts may share: the labeler `simulated`, asked beforehand.

Decided here: it is the labeler itself that is asked, with the same clip, and not a second one that
draws alike, so that a text and the weak label of the same settings err together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoframe.core.registry import create
from emoframe.labelling import Prompt, Question, Show
from emoframe.records import Keypoints
from emoframe.weak_labels.shown.clips import opened


class Teacher:
    """The labeler `simulated`.

    Args:
        accuracy: Its `accuracy`.
        seed: Its `seed`.
        classes: Names of the classes.
    """

    def __init__(self, accuracy: float, seed: int, classes: Sequence[str]) -> None:
        self.accuracy, self.seed = accuracy, seed
        self.prompt = Prompt("planted", "", "", {}, tuple(classes))

    def says(self, keypoints: Keypoints, label: int) -> int:
        """Return the class that its first answer about a video names.

        Args:
            keypoints: Of the video, for which they stand.
            label: Its true class.
        """
        node = {"type": "simulated", "accuracy": self.accuracy, "seed": self.seed}
        with opened(None, Show(), keypoints, pictures=False) as clip:
            labeler = create("vlm_labeler", node, {"gold": {clip.key: label}})
            answer = json.loads(labeler.ask(Question(clip, self.prompt)).text)
        return int(np.argmax([row["confidence"] for row in answer["confidences"]]))

    def said_for(self, share: float) -> NDArray[np.float64]:
        """Return how often each class stands in for a true one, (K, K), a row for each true one.

        Args:
            share: How often what it says is taken for the truth.
        """
        count = len(self.prompt.classes)
        wrong = share * (1 - self.accuracy) / (count - 1)
        return np.where(np.eye(count) > 0, 1 - wrong * (count - 1), wrong)
