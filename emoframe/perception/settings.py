"""How videos become features: the section `perception` of a config, and `privacy` of what is shown.

Frozen dataclasses, which are the schema, see `emoframe.learning.experiment`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from emoframe.core.schema import Part
from emoframe.perception.crop import CropSettings

Faces = Literal["blur", "skeleton", "show"]


@dataclass(frozen=True)
class Perception:
    """How videos become keypoints and frame features, once, in a store.

    Attributes:
        store: Folder of the feature store.
        detector: Finds everybody in each frame.
        crop: How one person is chosen and followed.
        pose_estimator: Measures that person's keypoints; null where none are wanted.
        frame_encoders: Parts that turn pictures of that person into vectors, by the name of their
            stage in the store.
    """

    store: Path = Path("store")
    detector: Annotated[dict[str, Any], Part("detector")] = field(
        default_factory=lambda: {"type": "whole_frame"}
    )
    crop: CropSettings = field(default_factory=CropSettings)
    pose_estimator: Annotated[dict[str, Any], Part("pose_estimator")] | None = field(
        default_factory=lambda: {"type": "mediapipe"}
    )
    frame_encoders: dict[str, Annotated[dict[str, Any], Part("frame_encoder")]] = field(
        default_factory=lambda: {}
    )


@dataclass(frozen=True)
class Privacy:
    """What may leave the store.

    Attributes:
        upload: Whether a labeler may send anything of a video to a service; its data set's terms
            must allow it too.
        faces: In every picture that is written: `blur` hides the face and everybody else,
            `skeleton` draws the keypoints on a plain background, `show` hides nothing.
    """

    upload: Literal["never", "allowed"] = "never"
    faces: Faces = "blur"
