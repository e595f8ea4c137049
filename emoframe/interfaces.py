"""The one page that the author of a plugin reads: the Protocol of every kind.

A part need not inherit from anything; it has these methods and is declared as a `Component`. Its
constructor takes keyword-only, annotated, plain-data parameters (the signature is the config
schema) and, by name, the wiring numbers of its kind that it wants. Weights load on the first call.

A part of perception may have `fingerprint() -> dict[str, str]`, hashes of the weights that it
loads, and name in `not_in_key` the parameters that do not decide its results: how fast it works
(`batch`), or where something lies whose hash is in the fingerprint. Both go into the stage's key.

Letters of the shape suffixes, here and in the code:
    N clips, T frames, S tokens, V joints, C channels, D features, K classes, B boxes.
Masks are true where data is valid. What a mask hides must not change any result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

    from emoframe.labelling import Question, Reply, Usage
    from emoframe.records import (
        Boxes,
        Features,
        Frames,
        Input,
        Keypoints,
        Output,
        SampleRef,
        Target,
        Track,
    )
    from emoframe.skeleton import SkeletonLayout

Split = Literal["train", "test"]


@runtime_checkable
class Detector(Protocol):
    """Finds everybody in each frame. Wiring: `device`."""

    def detect(self, frames: Frames) -> list[Boxes]:
        """Return one `Boxes` per frame, in source pixels; an empty one where nobody is seen."""
        ...


@runtime_checkable
class PoseEstimator(Protocol):
    """Measures the keypoints of one person. Wiring: `device`.

    Attributes:
        layout: Name of the skeleton layout of what it returns.
    """

    layout: str

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        State such as smoothing is opened afresh at each call: one call is one video. A joint that
        was not measured is masked, never zero; a frame in which `track` has no box is all masked.
        """
        ...


@runtime_checkable
class FrameEncoder(Protocol):
    """Turns pictures of one person into vectors. Wiring: `device`.

    It is given every `every`-th frame of a video in which the person has a box, each cut out and
    letterboxed: scaled to a square of `size` pixels with its proportions kept, the rest filled
    with a flat colour. It may have `module() -> torch.nn.Module`, so that it can be fine-tuned.

    Attributes:
        size: Side in pixels of the square pictures that it takes.
        every: It encodes each n-th frame of the video.
        span: Number of consecutive such frames that make up one vector; 1 for a picture encoder.
        reads_keypoints: Whether it needs the person's keypoints, which are then extracted before.
        out_dim: D.
    """

    size: int
    every: int
    span: int
    reads_keypoints: bool
    out_dim: int

    def encode(self, frames: Frames, keypoints: Keypoints | None) -> Features:
        """Return one `Features` of T / `span` tokens for T square pictures, T a multiple of it.

        `keypoints` are those of the given frames, in pixels of the given pictures; None unless
        `reads_keypoints`. What was not computed is masked, never zero.
        """
        ...


@runtime_checkable
class VLMLabeler(Protocol):
    """Asks a model what it sees in a clip, or stands in for one.

    Wiring: `device`; `gold`, the label of each training clip by `Clip.key`, which only a labeler
    that is `simulated` is given. `ask` is called from several threads at once.

    It may also have: `release(clip)`, called when nothing more is asked about a clip, to delete
    what was uploaded of it; `close()`; and, where the service works through many questions later
    at a lower price, `submit(name, questions) -> str`, `find(name) -> str | None` (the job of that
    name, if the service knows it) and `collect(job) -> list[Reply | CallError] | None` (in the
    order of the questions; None while it is not done). `not_in_key` and `fingerprint` are as for
    parts of perception.

    Attributes:
        uploads: Whether anything of a clip leaves this machine.
        simulated: Whether no model ever sees the clip.
        reads_keypoints: Whether it needs `Clip.keypoints`.
        reads_video: Whether it needs `Clip.path`.
        model: What the price table calls the model; empty where nothing is charged.
    """

    uploads: bool
    simulated: bool
    reads_keypoints: bool
    reads_video: bool
    model: str

    def ask(self, question: Question) -> Reply:
        """Put one question, once, without retrying.

        Raises:
            CallError: There is no answer; it says whether to try again. It shows no key.
        """
        ...

    def tokens(self, question: Question) -> Usage:
        """Return the most tokens that the question can cost, without any call."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """A module that turns texts into vectors.

    It may have `fit(texts)`, called once with the training texts; what that finds is part of its
    state. A text may be empty or very long.

    Attributes:
        out_dim: D.
    """

    out_dim: int

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return z_ND, one vector per text."""
        ...


@runtime_checkable
class KeypointBackbone(Protocol):
    """A module that turns the joints of one frame into one vector.

    Wiring: `num_joints` V, `in_channels` C, `edges` (pairs of joints of this group).
    `x_NTVC` holds coordinates, then offsets lag by lag, then one 0/1 validity channel per lag.

    Attributes:
        out_dim: D.
    """

    out_dim: int

    def __call__(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> torch.Tensor:
        """Return h_NTD; values under a false mask change nothing."""
        ...


@runtime_checkable
class TemporalEncoder(Protocol):
    """A module that relates the vectors of a clip to one another. Wiring: `in_dim`.

    Attributes:
        out_dim: D of its tokens.
    """

    out_dim: int

    def __call__(
        self, h_NTD: torch.Tensor, time_NT: torch.Tensor, mask_NT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tokens h_NSD, their start and end in seconds span_NS2, and mask_NS."""
        ...


@runtime_checkable
class Pooling(Protocol):
    """A module that sums a clip up. Wiring: `in_dim`."""

    def __call__(
        self, h_NSD: torch.Tensor, mask_NS: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return z_ND and weight_NS, each token's share in it; zero where the mask is false."""
        ...


@runtime_checkable
class FusionHead(Protocol):
    """A module that joins the vectors of the branches. Wiring: `in_dims`, D by branch.

    Attributes:
        out_dim: D of the fused vector.
    """

    out_dim: int

    def __call__(
        self, z: dict[str, torch.Tensor], present: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return z_ND; `present` holds one mask_N per branch, false where that input is missing."""
        ...


@runtime_checkable
class Loss(Protocol):
    """A module that says how wrong an output is.

    Wiring: `num_classes` K, `class_counts`, `noise_matrix` (rows P(weak label | class), or None).
    """

    def __call__(self, output: Output, target: Target) -> torch.Tensor:
        """Return a scalar: the mean over samples weighted by `target.weight_N`."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Names the items, their labels and their subjects, and loads what it brings along.

    It may say more: `fingerprint() -> dict`, what beside names, labels and subjects decides the
    data; `subject_disjoint = False` where its protocol has people in both splits; and, where it is
    generated, `ceilings() -> dict[str, float]`, what those score on test who know the truth.

    Attributes:
        classes: Names of the K classes; a label is an index into them.
        layout: Layout of the keypoints that `load` returns; None where it returns none.
        protocol: Name of the evaluation protocol; those of different ones never share a table.
        synthetic: True where the data is generated; predictions of such a run are marked.
    """

    classes: Sequence[str]
    layout: SkeletonLayout | None
    protocol: str
    synthetic: bool

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split in a fixed order. Items of `test` carry no label."""
        ...

    def load(self, ref: SampleRef) -> Mapping[str, Input]:
        """Return the inputs that it brings along, by name; empty where they are extracted."""
        ...

    def test_labels(self) -> Mapping[str, int]:
        """Return the label of each test item. Only `evidence.metrics.open_test` may ask."""
        ...


PROTOCOLS: dict[str, type[Any]] = {
    "detector": Detector,
    "pose_estimator": PoseEstimator,
    "frame_encoder": FrameEncoder,
    "vlm_labeler": VLMLabeler,
    "text_encoder": TextEncoder,
    "keypoint_backbone": KeypointBackbone,
    "temporal_encoder": TemporalEncoder,
    "pooling": Pooling,
    "fusion_head": FusionHead,
    "loss": Loss,
    "dataset": Dataset,
}
"""The Protocol of each kind."""
