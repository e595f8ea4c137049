"""Planted rationales: sentences in a labeler's manner, of which some tell of the class.

Decided here: every cue is of one of two sorts, and how many are of each is all that a text tells. A
cue is of the second sort where the planted amount is above its threshold; as many thresholds lie
below 0 as above, and one at 0, so that with two classes who sees which sort is in the majority
knows as much as who knows the amount. No sentence names a class or says who won, unless there is a
verdict: the deliberate leak.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CUES = (
    (
        "the {side} hand goes to the forehead", "two fingers rub the {side} eyelid",
        "the lips are pressed together", "the {side} palm covers the mouth",
        "both shoulders sink", "the {side} thumb scratches the neck",
    ),
    (
        "the chin is lifted", "the {side} fist is clenched", "the corners of the mouth rise",
        "the back straightens", "the {side} arm is stretched out", "the cheeks tighten",
    ),
)  # fmt: skip
"""What tells of the class, in two sorts."""
ELSE = (
    "the head turns to the {side}", "the {side} forearm rests on the table", "there is a blink",
    "the gaze wanders to the {side}", "the torso sways a little", "a few words are spoken",
    "the {side} brow moves", "the head nods", "the microphone is touched", "a breath is taken",
)  # fmt: skip
"""What does not."""
LASTING = ("", " briefly", " for about half a second", " for a while", " twice", " once more")
OPENINGS = (
    "One person sits at a table and is seen from the front.",
    "The person speaks into a microphone.",
    "The upper body of one person is visible throughout.",
)
CUE_COUNTS, ELSE_COUNTS = (7, 9, 11), (3, 4, 5, 6, 7, 8)
"""How many cues a text has, and how many other movements, by chance."""
REACH = 2.0
"""Standard deviations beyond the outermost classes at which the last thresholds lie."""


def rationale(
    generator: np.random.Generator, amount: float, outermost: float, length_s: float, verdict: str
) -> str:
    """Return what somebody might write who saw a video.

    Args:
        generator: The video's own.
        amount: What the text tells of its class.
        outermost: Mean amount of the last class.
        length_s: Of the video, in seconds.
        verdict: The last sentence; empty for none.
    """
    reach = REACH + outermost
    thresholds = np.linspace(-reach, reach, CUE_COUNTS[generator.integers(len(CUE_COUNTS))])
    tables = [CUES[int(above)] for above in amount > thresholds]
    tables += [ELSE] * ELSE_COUNTS[generator.integers(len(ELSE_COUNTS))]
    order = generator.permutation(len(tables)).tolist()
    times = np.sort(generator.random(len(tables)) * length_s).tolist()
    drawn = generator.random((len(tables), 4)).tolist()
    sentences = map(_sentence, (tables[n] for n in order), times, drawn)
    opening = OPENINGS[generator.integers(len(OPENINGS))]
    return " ".join([opening, *sentences, *([verdict] if verdict else [])])


def _sentence(table: Sequence[str], time_s: float, drawn: Sequence[float]) -> str:
    """Write of one movement of a table, drawn by four numbers in [0, 1)."""
    movement = table[int(drawn[0] * len(table))].format(side="left" if drawn[1] < 0.5 else "right")
    movement += LASTING[int(drawn[2] * len(LASTING))]
    tenths = int(10 * time_s)
    at = f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
    if drawn[3] < 0.5:
        return f"At {at} {movement}."
    return f"{movement[0].upper()}{movement[1:]} at {at}."
