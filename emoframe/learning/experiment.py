"""What a config file may say: the sections of an experiment, as frozen dataclasses.

These are the schema. The checker reads types, defaults and the descriptions below from here, so a
key that is not here does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from emoframe.core.errors import ConfigError, Problem
from emoframe.core.schema import Part
from emoframe.learning.features import KeypointView
from emoframe.perception.crop import CropSettings

KeypointBackbone = Annotated[dict[str, Any], Part("keypoint_backbone")]
TemporalEncoder = Annotated[dict[str, Any], Part("temporal_encoder")]
Pooling = Annotated[dict[str, Any], Part("pooling")]


@dataclass(frozen=True)
class GroupParts:
    """Parts of one layout group that differ from its branch.

    Attributes:
        keypoint_backbone: Replaces the branch's backbone for this group.
        temporal_encoder: Replaces the branch's temporal encoder for this group.
        pooling: Replaces the branch's pooling for this group.
    """

    keypoint_backbone: KeypointBackbone | None = None
    temporal_encoder: TemporalEncoder | None = None
    pooling: Pooling | None = None


@dataclass(frozen=True)
class Branch:
    """One input on its way to one vector: backbone, temporal encoder, pooling, projection.

    Each layout group gets parts of its own, built from the same blocks; their vectors are
    concatenated and projected (W2S-19 to W2S-23).

    Attributes:
        keypoint_backbone: Turns the joints of a frame into a vector.
        temporal_encoder: Relates the vectors of a clip to one another.
        pooling: Sums the clip up.
        out_dim: Width of the projection that the fusion head sees.
        groups: Layout groups to use; null takes all of the layout.
        per_group: Parts that differ for a group, by its name.
    """

    keypoint_backbone: KeypointBackbone = field(default_factory=lambda: {"type": "mlp"})
    temporal_encoder: TemporalEncoder = field(default_factory=lambda: {"type": "transformer"})
    pooling: Pooling = field(default_factory=lambda: {"type": "mean"})
    out_dim: Annotated[int, Gt(0)] = 256
    groups: list[str] | None = None
    per_group: dict[str, GroupParts] = field(default_factory=lambda: {})

    def parts(self, group: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return the backbone, temporal encoder and pooling of one group."""
        own = self.per_group.get(group, GroupParts())
        return (
            own.keypoint_backbone or self.keypoint_backbone,
            own.temporal_encoder or self.temporal_encoder,
            own.pooling or self.pooling,
        )


@dataclass(frozen=True)
class Model:
    """The network.

    Attributes:
        branches: One branch per input, by the input's name.
        fusion_head: Joins the vectors of the branches.
        loss: Says how wrong an output is.
    """

    branches: dict[str, Branch] = field(default_factory=lambda: {"keypoints": Branch()})
    fusion_head: Annotated[dict[str, Any], Part("fusion_head")] = field(
        default_factory=lambda: {"type": "concat_residual"}
    )
    loss: Annotated[dict[str, Any], Part("loss")] = field(
        default_factory=lambda: {"type": "cross_entropy"}
    )


@dataclass(frozen=True)
class Train:
    """How the weights are found. Epochs are selected by validation loss, never by test.

    Attributes:
        epochs: Most epochs to train.
        batch_size: Clips per step.
        lr: Peak learning rate of AdamW, reached after the warm-up, then cosine to zero.
        weight_decay: Decay of AdamW.
        warmup: Share of all steps in which the learning rate rises.
        grad_clip: Largest norm of the gradient.
        patience: Epochs without a lower validation loss after which training stops.
        val_fraction: Share of the training subjects (or clips) that validation takes.
        amp: Mixed precision; needs a GPU.
        workers: Processes that load data.
    """

    epochs: Annotated[int, Gt(0)] = 30
    batch_size: Annotated[int, Gt(0)] = 16
    lr: Annotated[float, Gt(0)] = 1e-4
    weight_decay: Annotated[float, Ge(0)] = 0.05
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.05
    grad_clip: Annotated[float, Gt(0)] = 1.0
    patience: Annotated[int, Gt(0)] = 10
    val_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    amp: Literal["off", "float16", "bfloat16"] = "off"
    workers: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True)
class Perception:
    """How videos become keypoints, once, in a store.

    Attributes:
        store: Folder of the feature store.
        detector: Finds everybody in each frame.
        crop: How one person is chosen and followed.
        pose_estimator: Measures that person's keypoints.
    """

    store: Path = Path("store")
    detector: Annotated[dict[str, Any], Part("detector")] = field(
        default_factory=lambda: {"type": "whole_frame"}
    )
    crop: CropSettings = field(default_factory=CropSettings)
    pose_estimator: Annotated[dict[str, Any], Part("pose_estimator")] = field(
        default_factory=lambda: {"type": "mediapipe"}
    )


@dataclass(frozen=True)
class ViewSettings:
    """How a clip is sampled into the model's inputs.

    Attributes:
        keypoints: Sampling and offsets of keypoints.
    """

    keypoints: KeypointView = field(default_factory=KeypointView)


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a result.

    Attributes:
        dataset: Names the items, their labels and their subjects.
        features: Where each input of the model comes from: `dataset` where the data set brings it
            along, else the name of a stage of the store.
        perception: How the store is filled; null where the data set brings everything along.
        view: How a clip is sampled.
        model: The network.
        train: How its weights are found.
        seed: Decides every random number.
    """

    dataset: Annotated[dict[str, Any], Part("dataset")]
    features: dict[str, str] = field(default_factory=lambda: {"keypoints": "dataset"})
    perception: Perception | None = None
    view: ViewSettings = field(default_factory=ViewSettings)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        """Check what spans sections."""
        problems = [*_unfed(self.model.branches, self.features), *self._unstored()]
        if problems:
            raise ConfigError(problems)

    def _unstored(self) -> list[Problem]:
        """Find inputs whose stage no perception section fills."""
        stage = self.perception.pose_estimator["type"] if self.perception else None
        allowed = "'dataset'" + (
            f" or {stage!r}, the pose estimator of `perception`" if stage else ""
        )
        return [
            Problem(
                f"features.{name}",
                f"must be {allowed}; got {source!r}"
                + ("" if stage else "; add a `perception` section to use a store"),
            )
            for name, source in self.features.items()
            if source not in ("dataset", stage)
        ]


def _unfed(branches: Mapping[str, Branch], features: Mapping[str, str]) -> list[Problem]:
    """Find branches that no input feeds."""
    if not branches:
        return [Problem("model.branches", "needs at least one branch")]
    known = ", ".join(features)
    return [
        Problem(f"model.branches.{name}", f"there is no input {name!r}; `features` has {known}")
        for name in branches
        if name not in features
    ]
