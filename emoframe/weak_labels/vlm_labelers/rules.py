"""A labeler without network and weights: it says what the keypoints do, by written rules.

It is what everybody has without a key, and its text is a branch of its own. Decided here: it
describes and does not judge, so every answer of it abstains; it uses the codes of the prompt's
codebooks alone, so that its words are those that a model would be asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from emoframe.core.errors import DataError
from emoframe.core.files import file_hash
from emoframe.labelling import CallError, Question, Reply, Unit, Usage
from emoframe.weak_labels.motion.describe import signals_of, units_of, unmeasured
from emoframe.weak_labels.motion.thresholds import SHIPPED, Thresholds, load_thresholds
from emoframe.weak_labels.motion.track import track_of

NOTE = "Told by rules from keypoints, without any judgement; what is not listed may have happened."
NO_UNITS = "This prompt asks for no units, so nothing is listed; choose one such as `cot`."
NO_CODES = "The rules know none of the codes of these codebooks, so nothing is listed."
COUNTED = "The clip's times could not be used, so its frames were counted."


class Rules:
    """Describes what the keypoints do, with times, in the words of the prompt's codebooks.

    It finds hands on the parts of the head, folded arms, held hands, movements of torso, shoulders
    and head, brows, lids and lips; see `motion.yaml`. Confidences of its units say how well the
    points were measured.

    Args:
        thresholds: A YAML file in place of the shipped `motion.yaml`.
    """

    uploads, simulated, reads_keypoints, reads_video, model = False, False, True, False, ""
    not_in_key = ("thresholds",)

    def __init__(self, *, thresholds: Path | None = None) -> None:
        self.thresholds = thresholds

    def ask(self, question: Question) -> Reply:
        """Describe a clip; no time out, no cost, always the same answer.

        Raises:
            CallError: The clip has no keypoints, or such as are not understood.
        """
        keypoints = question.clip.keypoints
        if keypoints is None:
            raise CallError(
                "the labeler rules reads keypoints, and this clip has none; run emoframe extract "
                "with a pose_estimator first"
            )
        try:
            track = track_of(keypoints, question.clip.fps)
        except DataError as error:
            raise CallError(str(error)) from error
        signals = signals_of(track, self._rules)
        prompt, length_s = question.prompt, question.clip.duration_s
        units = units_of(track, signals, self._rules, prompt.codes, length_s)
        notes = [NOTE, unmeasured(signals, self._rules)]
        notes += [COUNTED] * track.counted
        if not prompt.codes:
            notes.append(NO_UNITS)
        elif not self._knows(prompt.codes):
            notes.append(NO_CODES)
        return Reply(_answer(units, " ".join(filter(None, notes)), prompt.schema))

    def tokens(self, question: Question) -> Usage:
        """Return nothing: it costs none."""
        return Usage()

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of the thresholds.

        Raises:
            DataError: There is no such file.
        """
        try:
            return {"thresholds": file_hash(self.thresholds or SHIPPED)}
        except OSError as error:
            raise DataError(f"the thresholds of rules cannot be read: {error}") from error

    def _knows(self, codes: Mapping[str, Mapping[str, str]]) -> bool:
        asked = {f"{system} {code}" for system, book in codes.items() for code in book}
        return any(asked.intersection(event.codes) for event in self._rules.events)

    @cached_property
    def _rules(self) -> Thresholds:
        return load_thresholds(self.thresholds)


def _answer(units: Sequence[Unit], note: str, schema: Mapping[str, Any]) -> str:
    """Write the common answer, of which a prompt may ask for a part."""
    rows = [
        {
            "system": unit.system, "code": unit.code, "name": unit.name,
            "start_s": unit.start_s, "end_s": unit.end_s, "confidence": unit.confidence,
            "side": unit.side or "none", "intensity": "none", "emotions": [],
            "evidence": unit.evidence,
        }
        for unit in units
    ]  # fmt: skip
    whole = {
        "units": rows, "evidence": [], "corrections": [], "confidences": [], "abstain": True,
        "note": note,
    }  # fmt: skip
    asked = schema.get("properties", whole)
    return json.dumps({key: value for key, value in whole.items() if key in asked})
