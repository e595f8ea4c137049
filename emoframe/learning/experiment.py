"""What a config file may say: the sections of an experiment, as frozen dataclasses.

These are the schema. The checker reads types, defaults and the descriptions below from here, so a
key that is not here does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from emoframe.core.errors import Problem, suggest
from emoframe.core.schema import Part, is_mapping
from emoframe.learning.features import KeypointView
from emoframe.perception.settings import Perception, Privacy
from emoframe.weak_labels.settings import WeakLabels

KeypointBackbone = Annotated[dict[str, Any], Part("keypoint_backbone")]
TemporalEncoder = Annotated[dict[str, Any], Part("temporal_encoder")]
Pooling = Annotated[dict[str, Any], Part("pooling")]


OWN_POSES = "pose_estimator"
"""What `features` calls the stage of the pose estimator, whichever that is."""
NAMED = re.compile(r"[a-z][a-z0-9_]*@[0-9a-f]{4,64}")
"""A stage and the beginning of its key."""


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
        val_fraction: Share of the training subjects (or clips) that validation takes: one half,
            third, fourth, ...
        precision: Of the arithmetic; anything but float32 is mixed and needs a GPU.
        workers: Processes that load data.
        shuffle_labels: Train on labels that were given to items at random: a control, which must
            come out at chance.
    """

    epochs: Annotated[int, Gt(0)] = 30
    batch_size: Annotated[int, Gt(0)] = 16
    lr: Annotated[float, Gt(0)] = 1e-4
    weight_decay: Annotated[float, Ge(0)] = 0.05
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.05
    grad_clip: Annotated[float, Gt(0)] = 1.0
    patience: Annotated[int, Gt(0)] = 10
    val_fraction: Annotated[float, Gt(0), Le(0.5)] = 0.2
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    workers: Annotated[int, Ge(0)] = 0
    shuffle_labels: bool = False


@dataclass(frozen=True)
class ViewSettings:
    """How a clip is sampled into the model's inputs.

    Attributes:
        keypoints: Sampling and offsets of keypoints.
        votes: Views of each clip that vote at evaluation, each sampled anew (W2S-34); clips that
            are shorter than a view look the same in all of them.
    """

    keypoints: KeypointView = field(default_factory=KeypointView)
    votes: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a result.

    Attributes:
        dataset: Names the items, their labels and their subjects.
        features: Where each input of the model comes from: `dataset` where the data set brings it
            along, `pose_estimator` (or its name) where that measures it. `name@key` is a stage
            that was made with other settings or elsewhere, see `emoframe store ls`.
        perception: How the store is filled; null where the data set brings everything along.
        weak_labels: How a model is asked about the videos; null where none is.
        privacy: What may leave the store.
        view: How a clip is sampled.
        model: The network.
        train: How its weights are found.
        seed: Decides every random number.
    """

    dataset: Annotated[dict[str, Any], Part("dataset")]
    features: dict[str, str] = field(default_factory=lambda: {"keypoints": "dataset"})
    perception: Perception | None = None
    weak_labels: WeakLabels | None = None
    privacy: Privacy = field(default_factory=Privacy)
    view: ViewSettings = field(default_factory=ViewSettings)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    seed: Annotated[int, Ge(0)] = 0

    @staticmethod
    def relations(data: Mapping[str, Any]) -> list[Problem]:
        """Find what does not fit together across sections, in unchecked data."""
        model, features = data.get("model"), data.get("features", {"keypoints": "dataset"})
        branches = model.get("branches") if is_mapping(model) else None
        branches = {"keypoints": {}} if branches is None else branches
        if not is_mapping(branches) or not is_mapping(features):
            return []  # the types of both are looked at elsewhere
        return [
            *_unpaired("model.branches", branches, "features", features),
            *_unpaired("features", features, "model.branches", branches),
            *_unstored(features, data.get("perception")),
        ]


def _unpaired(
    path: str, names: Mapping[str, Any], other: str, known: Mapping[str, Any]
) -> list[Problem]:
    """Find branches that no input feeds, or inputs that no branch takes."""
    here = [name for name, value in names.items() if value is not None]
    there = [name for name, value in known.items() if value is not None]
    found = [
        Problem(
            f"{path}.{name}",
            f"has no partner in `{other}`{suggest(name, there)} (which has {', '.join(there)})",
        )
        for name in here
        if name not in there
    ]
    return found if here else [Problem(path, "needs at least one entry")]


def _unstored(features: Mapping[str, Any], perception: Any) -> list[Problem]:
    """Find inputs whose stage no perception section fills."""
    stages = _stages(perception) if is_mapping(perception) else []
    allowed = ", ".join([*map(repr, ["dataset", *stages]), "or a stage by its key, NAME@KEY"])
    more = "" if is_mapping(perception) else "; add a `perception` section to use a store"
    return [
        Problem(f"features.{name}", f"must be one of {allowed}; got {source!r}{more}")
        for name, source in features.items()
        if source not in ("dataset", *stages)
        and not (is_mapping(perception) and NAMED.fullmatch(str(source)))
    ]


def _stages(perception: Mapping[str, Any]) -> list[str]:
    """Name the stages that the model can read, in unchecked data."""
    estimator = perception.get("pose_estimator", {"type": "mediapipe"})
    return [OWN_POSES, estimator.get("type", "mediapipe")] if is_mapping(estimator) else []
