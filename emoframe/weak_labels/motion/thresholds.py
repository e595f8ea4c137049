"""Reads `motion.yaml`: every number that decides what counts as a movement, in one place.

Decided here: what is measured in pixels anywhere else is in body units in that file; an event is
one entry, so that the codes known are those listed there, and leaving one out is deleting a line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import model_validator

from emoframe.core.errors import suggest
from emoframe.weak_labels.motion.signals import SIGNALS
from emoframe.weak_labels.yaml_files import Plain, Words, read_file

SHIPPED = Path(__file__).parents[1] / "motion.yaml"
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]


class Measure(Plain):
    """How signals are measured; units are those that `motion.yaml` states.

    Attributes:
        hold_s: Longest gap in seconds through which what held before and after is held.
        baseline_s: Seconds of measurement that a shot needs for a baseline of its own.
        least_baseline_s: Seconds below which there is no baseline at all.
        smooth_s: Width of the running mean over angles and places.
        least_face_points: Points of the face that must be seen for its axes to be measured.
        face_hold_s: How far in seconds scale and tilt of a hidden face are carried.
        nose_depth: How far the tip of the nose lies before the ears, in face heights.
        most_turn: Largest turn in degrees at which brows, lids and lips are measured.
        lids_quantile: Quantile over the clip that is taken for open eyes.
        mouth_quantile: Quantile over the clip that is taken for the width of the mouth at rest.
        smile_lift: Least rise of the corners over the middle of the lips in a smile.
        lips_closed: Largest gap of closed lips.
        lips_wide: Widening of the mouth beyond which thin lips are stretched and not pressed.
        fingers_ahead: Where the outer joints of fingers are when a hand was not found, tips last:
            shares of the forearm beyond the wrist.
        cover_reach: Distance within which a hand lies on a landmark of the face.
        torso_s: Seconds over which the way of the torso is measured.
        posture_s: Seconds between the middles of the means whose distance is a shift of posture.
        arm_reach: Distance within which a wrist is on the other forearm, in shoulder widths.
        palm_ahead: Where the palm is when a hand was not found, as a share of the forearm.
    """

    hold_s: Positive
    baseline_s: Positive
    least_baseline_s: Positive
    smooth_s: Positive
    least_face_points: Annotated[int, Ge(3)]
    face_hold_s: Positive
    nose_depth: Positive
    most_turn: Positive
    lids_quantile: Share
    mouth_quantile: Share
    smile_lift: float
    lips_closed: Positive
    lips_wide: float
    fingers_ahead: tuple[float, float, float]
    cover_reach: Positive
    torso_s: Positive
    posture_s: Positive
    arm_reach: Positive
    palm_ahead: Positive


class Watch(Plain):
    """When a signal is an event.

    Attributes:
        codes: What it is called: `SYSTEM CODE`, one or more.
        signal: Name of the signal.
        on: It must come up to this; where `on` is below `off`, come down to it.
        off: It lasts while the signal is on this side of it.
        words: What is said of it; `{side}` is the hand's side, `{where}` the place.
        least_s: Shortest stretch in seconds.
        most_s: Longest event in seconds.
        join_s: Stretches that are less far apart in seconds are one event, which counts them.
        swings: Least number of swings to and fro, each as large as `on`; 0 for a level.
        swing_s: Longest time in seconds of one swing.
    """

    codes: tuple[str, ...]
    signal: str
    words: Words
    on: float
    off: float = 0.0
    least_s: Annotated[float, Ge(0)] = 0.0
    most_s: Positive = float("inf")
    join_s: Annotated[float, Ge(0)] = 0.0
    swings: Annotated[int, Ge(0)] = 0
    swing_s: Positive = 1.0

    @model_validator(mode="after")
    def _hysteresis(self) -> Watch:
        if not self.swings and self.on == self.off:
            raise ValueError("on and off must differ, so that it does not flicker at one level")
        return self

    @model_validator(mode="after")
    def _names(self) -> Watch:
        for code in self.codes:
            if len(code.split()) != 2:
                raise ValueError(f"{code!r} must be a codebook and a code, as in 'FACS 12'")
        if self.signal not in SIGNALS:
            known = ", ".join(SIGNALS)
            raise ValueError(
                f"there is no signal {self.signal!r}{suggest(self.signal, [*SIGNALS])} ({known})"
            )
        try:
            self.words.format(side="", where="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"words may hold {{side}} and {{where}}, not {error}") from error
        return self


class Thresholds(Plain):
    """The whole file.

    Attributes:
        measure: How signals are measured.
        events: When they are events.
    """

    measure: Measure
    events: tuple[Watch, ...]


def load_thresholds(path: Path | None = None) -> Thresholds:
    """Read the shipped file, or the user's own.

    Raises:
        DataError: It cannot be read or does not hold what it should; it says where.
    """
    return read_file(Thresholds, path or SHIPPED, "file of thresholds")
