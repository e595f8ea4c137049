"""A signal: one number per frame that a rule watches, and how well it was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emoframe.weak_labels.motion.track import Floats

SIGNALS = {
    "turn": "the head's pose", "nod": "the head's pose", "tilt": "the head's tilt",
    "brows_inner": "the inner brows", "brows_outer": "the outer brows", "lids": "the eyelids",
    "lip_gap": "the lips", "lip_corners": "the lips", "lips_thin": "the lips",
    **dict.fromkeys(("hand_eyes", "hand_ears"), "the {side} hand at eyes and ears"),
    **dict.fromkeys(
        ("hand_forehead", "hand_jaw", "hand_parts", "hand_head", "hand_neck"),
        "the {side} hand at the rest of head and neck",
    ),
    "cover": "hands over the face", "arms_folded": "the arms", "palms": "both hands together",
    "shoulder_height": "the shoulders", "shoulder_tilt": "the shoulders",
    "torso_way": "", "posture": "",
}  # fmt: skip
"""Every signal by its name, and what it is of, in words; empty where another says so.

The way of the torso needs time before and after, so its share would read as if less was seen.
"""
Side = Literal["left", "right", ""]


@dataclass(frozen=True)
class Signal:
    """One measurement over time.

    Attributes:
        name: What `motion.yaml` calls it.
        value: In degrees, body units or ratios as that file states; NaN where not measured, (T,).
        quality: How well it was measured, in [0, 1], (T,): confidences of the points, lowered
            where a place was inferred.
        side: Of the person, for a hand.
        choices: What can be where, such as `right eye`; empty where there is one.
        choice: Which of them in each frame, (T,); None where there is one.
        inferred: True where a hand was told by the forearm alone, (T,); None: nowhere.
    """

    name: str
    value: Floats
    quality: Floats
    side: Side = ""
    choices: tuple[str, ...] = ()
    choice: NDArray[np.int64] | None = None
    inferred: NDArray[np.bool_] | None = None
