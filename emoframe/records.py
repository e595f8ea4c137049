"""The records that flow between the rooms.

One neutral, frozen record per thing, so that a library's own types end at the plugin that wraps it.
Arrays are numpy; masks are true where data is valid; a coordinate whose mask is false may hold
anything, NaN included, and is never read. Shape letters are explained in `emoframe.interfaces`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Frames:
    """A chunk of consecutive decoded frames.

    Attributes:
        rgb: Pixels, uint8, shape (T, H, W, 3), in RGB order.
        time_s: Presentation time of each frame in seconds, shape (T,).
        index: Number of each frame in its video, counted from 0, shape (T,).
    """

    rgb: NDArray[np.uint8]
    time_s: NDArray[np.float64]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of frames T."""
        return len(self.index)


@dataclass(frozen=True)
class Boxes:
    """Everybody that a detector saw in one frame.

    Attributes:
        xyxy: Left, top, right, bottom in source pixels, shape (B, 4).
        score: Confidence in [0, 1], shape (B,).
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of boxes B."""
        return len(self.score)


@dataclass(frozen=True)
class Track:
    """One person through a whole video: one box or none per frame.

    Attributes:
        box: Left, top, right, bottom in source pixels, NaN where the person is not seen, (T, 4).
        cut: True at the first frame after a shot cut or a change of person, shape (T,).
        time_s: Presentation time in seconds, shape (T,).
        policy: How the person was chosen, in words.
        video: The file; None where the frames come from none.
        track_id: Number of the uninterrupted stretch that a box belongs to, counted from 0; -1
            where the person is not seen, shape (T,). None where it is not known.
        shot: True at the first frame of each shot but the first, shape (T,). None: not known.
    """

    box: NDArray[np.float32]
    cut: NDArray[np.bool_]
    time_s: NDArray[np.float64]
    policy: str
    video: Path | None = None
    track_id: NDArray[np.int64] | None = None
    shot: NDArray[np.bool_] | None = None

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where the person has a box, shape (T,)."""
        return np.all(np.isfinite(self.box), axis=1)

    def crop(self, rgb: NDArray[np.uint8], index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Cut the person out of one frame.

        Args:
            rgb: The frame, shape (H, W, 3).
            index: Number of the frame in the video; its box must be valid.

        Returns:
            A view of the frame, at least one pixel in size, and the (x, y) of its top left corner.
        """
        height, width = rgb.shape[:2]
        left, top, right, bottom = self.box[index]
        x0, y0 = int(np.clip(left, 0, width - 1)), int(np.clip(top, 0, height - 1))
        x1, y1 = (
            int(np.clip(np.ceil(right), x0 + 1, width)),
            int(np.clip(np.ceil(bottom), y0 + 1, height)),
        )
        return rgb[y0:y1, x0:x1], (x0, y0)


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of one person over time.

    Attributes:
        xy: Coordinates in source pixels (or the data set's own unit), shape (T, V, 2) or (T, V, 3).
        confidence: The estimator's confidence in [0, 1], shape (T, V).
        valid: True where a coordinate was measured, shape (T, V).
        time_s: Time of each frame in seconds, shape (T,).
        layout: Name of the `SkeletonLayout` that names the V joints.
        box: The person's box per frame, NaN where unknown, shape (T, 4); None where there is none.
        cut: True at the first frame after a shot cut or a change of person, shape (T,), or None.
    """

    xy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    valid: NDArray[np.bool_]
    time_s: NDArray[np.float64]
    layout: str
    box: NDArray[np.float32] | None = None
    cut: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Number of frames T."""
        return len(self.time_s)


@dataclass(frozen=True)
class Features:
    """What a frame encoder says of one person over time.

    Attributes:
        x: One vector per token, shape (T, D), or one per token and joint, shape (T, V, D).
        valid: True where a vector was computed, shape (T,) or (T, V).
        time_s: Time of each token in seconds, the mean of its frames, shape (T,).
    """

    x: NDArray[np.floating[Any]]
    valid: NDArray[np.bool_]
    time_s: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of tokens T."""
        return len(self.time_s)


Input: TypeAlias = Keypoints | Features | str
"""What one input of the model is before it becomes tensors; a `str` is a text."""


@dataclass(frozen=True)
class SampleRef:
    """One item of a data set, without its data.

    Attributes:
        id: Unique within the data set.
        label: Index into the data set's `classes`; None where it is unknown or sealed (test).
        subject: Who is seen; None where the data set does not say.
        video: The video file; None where the data set brings its features along.
    """

    id: str
    label: int | None = None
    subject: str | None = None
    video: Path | None = None


@dataclass(frozen=True)
class View:
    """Which of the many possible samplings of a clip is wanted.

    All randomness of a sample is a pure function of these numbers and the sample's id.
    """

    seed: int = 0
    epoch: int = 0
    index: int = 0
    training: bool = False


@dataclass(frozen=True)
class Goal:
    """What one sample is to teach.

    Attributes:
        prob_K: Probability of each class, shape (K,); one-hot for a class that is named.
        weight: How much it counts, at least 0; a gold label counts 1.
        weak: Whether a teacher said so, in place of gold.
    """

    prob_K: NDArray[np.float32]
    weight: float = 1.0
    weak: bool = False

    @classmethod
    def of(cls, label: int, classes: int, weight: float = 1.0, *, weak: bool = False) -> Goal:
        """Return the goal of one class out of so many."""
        return cls(np.eye(classes, dtype=np.float32)[label], weight, weak)


@dataclass(frozen=True)
class Sample:
    """One clip as the model sees it, before batching.

    Attributes:
        id: The item's id.
        inputs: What there is of each input of the model, by name: keypoints x_TVC, frame features
            x_TD, or a text.
        masks: True where `inputs` holds data: mask_TV or mask_T; texts have none.
        times: Seconds of each of the T tokens; texts have none.
        present: False where the whole input is missing for this clip; every input has an entry.
        goal: What it is to teach; None where that is not to be known.
        row: Place of the item among the clips that it belongs to.
    """

    id: str
    inputs: Mapping[str, NDArray[Any] | str]
    masks: Mapping[str, NDArray[np.bool_]]
    times: Mapping[str, NDArray[np.float64]]
    present: Mapping[str, bool]
    goal: Goal | None = None
    row: int = 0


class Output(NamedTuple):
    """What the model says about a batch.

    A tuple, so that data parallel wrappers and device transfers carry it without being taught.

    Attributes:
        logits_NK: Unnormalised log probabilities.
        z_ND: The fused vector before the classifier.
        relevance: Per branch and group, the weight of each token in the pooling, (N, S).
        span: Start and end of each of them, in seconds from the first of the clip on, (N, S, 2).
    """

    logits_NK: torch.Tensor
    z_ND: torch.Tensor
    relevance: dict[str, torch.Tensor]
    span: dict[str, torch.Tensor] = {}


class Target(NamedTuple):
    """What a loss learns from.

    Attributes:
        prob_NK: Probability of each class; one-hot for a gold label.
        weight_N: Weight of each sample, at least 0.
        weak_N: True where the target is a weak label.
        sample_N: Row of each sample among the clips, for losses that keep state per sample.
    """

    prob_NK: torch.Tensor
    weight_N: torch.Tensor
    weak_N: torch.Tensor
    sample_N: torch.Tensor


@dataclass(frozen=True)
class Prediction:
    """What a run says about one item.

    Attributes:
        id: The item's id.
        probability: Probability of each class, the mean over views, shape (K,).
        label: Gold label where it was opened, else None.
        subject: The subject, where known.
        votes: Most probable class of each view; empty where there was one view only.
    """

    id: str
    probability: NDArray[np.float64]
    label: int | None = None
    subject: str | None = None
    votes: tuple[int, ...] = ()

    @property
    def predicted(self) -> int:
        """Index of the most probable class: the soft vote of the views."""
        return int(np.argmax(self.probability))

    @property
    def voted(self) -> int:
        """Index of the class that most views name: their hard vote; ties go by probability."""
        if not self.votes:
            return self.predicted
        count = np.bincount(self.votes, minlength=len(self.probability))
        tied = np.flatnonzero(count == count.max())
        return int(tied[np.argmax(self.probability[tied])])

    @property
    def disagreement(self) -> float:
        """Share of the views that name another class than the hard vote."""
        return float(np.mean([vote != self.voted for vote in self.votes])) if self.votes else 0.0
