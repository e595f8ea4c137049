"""The records of weak labelling: what a labeler is asked, what it answers, what is made of it.

A labeler only carries a question to a model and brings the text back. Rendering what is shown,
retrying, counting money, parsing and storing are done once, in `emoframe.weak_labels`, for all.
Public, as `emoframe.records` is: the author of a `vlm_labeler` needs this page and
`emoframe.interfaces`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from emoframe.core.errors import EmoframeError
from emoframe.records import Frames, Keypoints

Finish = Literal["stop", "length", "blocked", "refused", "empty"]
"""How a model ended: by itself, at its token limit, by a filter, by declining, with nothing."""
Status = Literal["ok", "blocked", "unparsable", "refused", "quota", "error"]
"""How a question ended. `quota` and `error` brought no answer and may be asked again."""
Mark = Literal["box", "landmarks", "body"]


@dataclass(frozen=True)
class Show:
    """What of a clip a model gets to see. Sound is never shown, nor names, nor metadata.

    Attributes:
        draw: Marks drawn into the pictures: the person's `box`, numbered face `landmarks`, the
            `body` with its keypoints (after SoVTP).
        faces: `blur` hides every face.
        background: `mask` hides all but the person's box.
        frames: `one` leaves a single picture, the middle one.
    """

    draw: tuple[Mark, ...] = ()
    faces: Literal["show", "blur"] = "show"
    background: Literal["show", "mask"] = "show"
    frames: Literal["all", "one"] = "all"


@dataclass(frozen=True)
class Prompt:
    """What a model is asked of every clip: the same words, whoever is seen and whatever is true.

    Attributes:
        name: What the file is called.
        system: The system instruction.
        text: The question, and the form of the answer in words.
        schema: JSON Schema of the answer.
        classes: Names of the classes that the answer must judge, in the order of the data set.
        codes: Name of each code by codebook: what may be seen.
        rules: Each prior rule by its number, such as `R1`.
        show: What of the clip is shown along.
    """

    name: str
    system: str
    text: str
    schema: Mapping[str, Any]
    classes: tuple[str, ...]
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    show: Show = field(default_factory=Show)

    @property
    def hash(self) -> str:
        """Sha256 in hex over everything that reaches the model; the name is left out."""
        content = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Clip:
    """One video as a labeler gets it.

    Attributes:
        key: Sha256 in hex of the video's bytes; of the keypoints where there is no video. It
            stands for the video in every name that leaves the machine.
        path: A silent file named by hashes that shows what the prompt says; None where there is
            no video.
        duration_s: Length in seconds.
        fps: Frames per second of the source.
        size: Width and height in pixels; (0, 0) where there is no video.
        frames: Decodes so many frames of `path`, evenly spaced, fewer where it has fewer.
        keypoints: The person's keypoints, for labelers that read them.
    """

    key: str
    path: Path | None
    duration_s: float
    fps: float
    size: tuple[int, int]
    frames: Callable[[int], Frames]
    keypoints: Keypoints | None = None


@dataclass(frozen=True)
class Question:
    """One thing to ask.

    Attributes:
        clip: About whom.
        prompt: What.
        sample: Counts answers to the same question, from 0, for self-consistency.
    """

    clip: Clip
    prompt: Prompt
    sample: int = 0


@dataclass(frozen=True)
class Usage:
    """Tokens of one call.

    Attributes:
        input: Of the question, pictures included; those read from a cache too.
        output: Of the answer.
        thoughts: Of reasoning, where it is billed as output beside the answer.
        cached: Those of `input` that came from a cache.
    """

    input: int = 0
    output: int = 0
    thoughts: int = 0
    cached: int = 0


@dataclass(frozen=True)
class Reply:
    """What came back, unjudged.

    Attributes:
        text: The answer as it was sent; may be cut or empty.
        finish: How the model ended.
        reason: The model's own word for it where it did not just stop, such as `SAFETY`.
        usage: Tokens as billed.
        model: The exact version that answered.
        response_id: The service's name for the answer; empty where it gives none.
        thoughts: Reasoning that was given along.
        extra: More to keep, plain data.
    """

    text: str
    finish: Finish = "stop"
    reason: str = ""
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    response_id: str = ""
    thoughts: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class CallError(EmoframeError):
    """A call that brought no answer; the message is the reason, a sentence without any key.

    Attributes:
        retry: Whether the same call may succeed a little later: a busy server (408, 429, 5xx), a
            time-out, a lost connection.
        paid: Whether the server may have done the work all the same, as after a time-out.
        status: What the question ends as if it is not tried again.
        after_s: Seconds that the server asked to wait; None where it did not say.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry: bool = False,
        paid: bool = False,
        status: Status = "error",
        after_s: float | None = None,
    ) -> None:
        """Keep what decides whether to try again."""
        self.retry, self.paid, self.after_s = retry, paid, after_s
        self.status: Status = status
        super().__init__(reason)


@dataclass(frozen=True)
class Unit:
    """One thing that was seen.

    Attributes:
        system: Codebook, such as `FACS` or `IMIGUE`.
        code: Code in it.
        name: What it is called there.
        start_s: Begin in seconds from the start of the clip.
        end_s: End in seconds.
        confidence: In [0, 1].
        side: Of the person, not of the picture.
        intensity: A to E as in FACS; empty where it was not judged.
        emotions: What it may go along with.
        evidence: What was seen, in words.
    """

    system: str
    code: str
    name: str
    start_s: float
    end_s: float
    confidence: float
    side: Literal["left", "right", "both", ""] = ""
    intensity: Literal["A", "B", "C", "D", "E", ""] = ""
    emotions: tuple[str, ...] = ()
    evidence: str = ""


@dataclass(frozen=True)
class Evidence:
    """Why a class may be right.

    Attributes:
        label: Name of the class.
        text: The argument.
        units: Indices into the units that it cites.
        rules: Numbers of the prior rules that it cites, such as `R1`.
        weight: How strong it is, in [0, 1].
    """

    label: str
    text: str
    units: tuple[int, ...] = ()
    rules: tuple[str, ...] = ()
    weight: float = 0.0


@dataclass(frozen=True)
class Correction:
    """A place where the model found its own argument to break a rule.

    Attributes:
        rule: Number of the rule.
        evidence: Index of the evidence.
        text: What was changed.
    """

    rule: str
    evidence: int
    text: str


@dataclass(frozen=True)
class WeakLabel:
    """What was made of one answer.

    Attributes:
        classes: Names of the K classes.
        confidence: Of each class as stated, in [0, 1]; they need not sum to 1. None where it
            judged none.
        label: Index of the most confident class; None for an abstention, ties included.
        rationale: What was seen, argued and corrected, with the verdict, as one text.
        rationale_no_verdict: The same without confidences, arguments for a class, and its names.
        units: What was seen, in the order of time.
        evidence: Arguments for the classes.
        corrections: What reflection changed.
        notes: What the parser had to mend, a sentence each.
        simulated: Whether no model ever saw the clip.
    """

    classes: tuple[str, ...]
    confidence: tuple[float, ...] | None
    label: int | None
    rationale: str
    rationale_no_verdict: str
    units: tuple[Unit, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    corrections: tuple[Correction, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False
