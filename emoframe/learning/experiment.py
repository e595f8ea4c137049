"""What a config file may say: the sections of an experiment, as frozen dataclasses.

These are the schema. The checker reads types, defaults and the descriptions below from here, so a
key that is not here does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, WithJsonSchema

from emoframe.core.errors import ConfigError, Problem, suggest
from emoframe.core.schema import Part, is_mapping
from emoframe.learning.features import KeypointView
from emoframe.learning.frames import FrameView
from emoframe.learning.inputs import Sort, misplaced, relations, sort_of
from emoframe.learning.stages import Stage, Train, Weak
from emoframe.learning.stages import relations as of_stages
from emoframe.perception.settings import Perception, Privacy
from emoframe.weak_labels.settings import WeakLabels

KeypointBackbone = Annotated[dict[str, Any], Part("keypoint_backbone")]
TemporalEncoder = Annotated[dict[str, Any], Part("temporal_encoder")]
Pooling = Annotated[dict[str, Any], Part("pooling")]
TextEncoder = Annotated[dict[str, Any], Part("text_encoder")]
Sources = Annotated[
    dict[str, str],
    BeforeValidator(
        lambda given: (
            {name: source for name, source in given.items() if source is not None}
            if is_mapping(given)
            else given
        )
    ),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "null"]}}),
]


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
    """One input on its way to one vector; which sort of input is said by the parts.

    Keypoints take a backbone, temporal encoder and pooling, which each layout group gets of its
    own, built from the same blocks; their vectors are concatenated and projected (W2S-19 to
    W2S-23). Frame features take the same without a backbone (`keypoint_backbone: null`; W2S-11),
    text takes a text encoder alone (W2S-27).

    Attributes:
        keypoint_backbone: Turns the joints of a frame into a vector; null where the input is frame
            features, which are vectors already.
        temporal_encoder: Relates the vectors of a clip to one another.
        pooling: Sums the clip up.
        text_encoder: Turns a text into a vector and takes the place of the other parts; null where
            the input is none.
        out_dim: Width of the projection that the fusion head sees.
        groups: Layout groups to use; null takes all of the layout.
        per_group: Parts that differ for a group, by its name.
    """

    keypoint_backbone: KeypointBackbone | None = field(default_factory=lambda: {"type": "mlp"})
    temporal_encoder: TemporalEncoder | None = field(
        default_factory=lambda: {"type": "transformer"}
    )
    pooling: Pooling | None = field(default_factory=lambda: {"type": "mean"})
    text_encoder: TextEncoder | None = None
    out_dim: Annotated[int, Gt(0)] = 256
    groups: list[str] | None = None
    per_group: dict[str, GroupParts] = field(default_factory=lambda: {})

    def __post_init__(self) -> None:
        """Leave out the defaults that a branch of text has no use for."""
        if self.text_encoder is not None:
            for name in ("keypoint_backbone", "temporal_encoder", "pooling"):
                object.__setattr__(self, name, None)

    @staticmethod
    def relations(data: Mapping[str, Any]) -> list[Problem]:
        """Find parts that a branch of this sort does not take, in unchecked data."""
        return misplaced(data)

    @property
    def sort(self) -> Sort:
        """What its input must be."""
        return sort_of(vars(self))

    def parts(self, group: str = "") -> tuple[Any, Any, Any]:
        """Return the backbone, temporal encoder and pooling, of one group if there are any."""
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
        auxiliary: A second loss, added to the first; null for none.
        auxiliary_weight: What it counts (W2S-36).
        modality_dropout: Share of the inputs of a clip that training hides at random, never all.
    """

    branches: dict[str, Branch] = field(default_factory=lambda: {"keypoints": Branch()})
    fusion_head: Annotated[dict[str, Any], Part("fusion_head")] = field(
        default_factory=lambda: {"type": "concat_residual"}
    )
    loss: Annotated[dict[str, Any], Part("loss")] = field(
        default_factory=lambda: {"type": "cross_entropy"}
    )
    auxiliary: Annotated[dict[str, Any], Part("loss")] | None = None
    auxiliary_weight: Annotated[float, Gt(0)] = 0.05
    modality_dropout: Annotated[float, Ge(0), Le(1)] = 0.0


@dataclass(frozen=True)
class TextView:
    """What of a text is read.

    Attributes:
        rationale: `full` is all that a labeler wrote, its verdict included, as in the paper;
            `no_verdict` leaves confidences, arguments for a class, and the classes' names out.
    """

    rationale: Literal["full", "no_verdict"] = "full"


@dataclass(frozen=True)
class ViewSettings:
    """How a clip is sampled into the model's inputs.

    Attributes:
        keypoints: Sampling and offsets of keypoints.
        frames: Sampling of frame features.
        text: What of a text is read.
        votes: Views of each clip that vote at evaluation, each sampled anew (W2S-34); clips that
            are shorter than a view look the same in all of them.
    """

    keypoints: KeypointView = field(default_factory=KeypointView)
    frames: FrameView = field(default_factory=FrameView)
    text: TextView = field(default_factory=TextView)
    votes: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a result.

    Attributes:
        dataset: Names the items, their labels and their subjects.
        features: Where each input of the model comes from: `dataset` where the data set brings it
            along, `pose_estimator` (or its name) or the name of a frame encoder where that makes
            it, `rationale` for what a labeler wrote. `name@key` is a stage that was made with other
            settings or elsewhere, see `emoframe store ls`. Null takes an inherited input away.
        perception: How the store is filled; null where the data set brings everything along.
        weak_labels: How a model is asked about the videos; null where none is.
        privacy: What may leave the store.
        view: How a clip is sampled.
        model: The network.
        train: How its weights are found.
        weak: What weak labels teach; null for gold labels alone.
        stages: Trainings that build on one another, in order, by their names; the last gives the
            result. Empty or null for a single one.
        folds: Parts into which the training items are cut, by subject, to judge on each part what
            was trained on the others; 0 does not cut.
        fold: Which of them is held out, from 0 on.
        folds_by: `item` cuts without regard to who is seen, so that people are on both sides: a
            control, which shows how much that flatters.
        seed: Decides every random number, the cuts included.
    """

    dataset: Annotated[dict[str, Any], Part("dataset")]
    features: Sources = field(default_factory=lambda: {"keypoints": "dataset"})
    perception: Perception | None = None
    weak_labels: WeakLabels | None = None
    privacy: Privacy = field(default_factory=Privacy)
    view: ViewSettings = field(default_factory=ViewSettings)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    weak: Weak | None = None
    stages: dict[str, Stage] = field(default_factory=lambda: {})
    folds: Annotated[int, Ge(0)] = 0
    fold: Annotated[int, Ge(0)] = 0
    folds_by: Literal["subject", "item"] = "subject"
    seed: Annotated[int, Ge(0)] = 0

    def stage(self, name: str) -> Experiment:
        """Return what is trained in one stage; the experiment itself where it has none.

        Raises:
            ConfigError: There is no such stage.
        """
        if not self.stages:
            return self
        if name not in self.stages:
            text = f"there is no stage {name!r}{suggest(name, list(self.stages))}"
            raise ConfigError([Problem("stages", f"{text} (there are {', '.join(self.stages)})")])
        stage, model = self.stages[name], self.model
        own = list(model.branches) if stage.branches is None else stage.branches
        branches = {branch: model.branches[branch] for branch in own}
        return replace(
            self,
            features={name: source for name, source in self.features.items() if name in own},
            model=replace(
                model,
                branches=branches,
                loss=stage.loss or model.loss,
                auxiliary=stage.auxiliary or model.auxiliary,
            ),
            train=replace(self.train, **stage.train),
            weak=stage.weak,
            stages={},
        )

    @staticmethod
    def relations(data: Mapping[str, Any]) -> list[Problem]:
        """Find what does not fit together across sections, in unchecked data."""
        return [*relations(data), *of_stages(data), *_folds(data)]


def _folds(data: Mapping[str, Any]) -> list[Problem]:
    """Find a fold that there is not, in unchecked data."""
    folds, fold = data.get("folds", 0), data.get("fold", 0)
    if not (isinstance(folds, int) and isinstance(fold, int)):
        return []
    if folds == 1:
        return [Problem("folds", "is 1, which leaves nothing to train on; take 0 or at least 2")]
    if fold >= max(folds, 1):
        return [Problem("fold", f"is {fold}, and with {folds} folds the last is {folds - 1}")]
    return []
