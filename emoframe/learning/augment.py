"""Augmentation of keypoint clips: what a training view changes, as one part of the config.

Decided here: a clip is changed as a whole, before features are computed, so that coordinates and
offsets tell the same story. Geometry is one affine map per clip in the clip's own unit, measured in
boxes: the box goes where its middle goes and keeps its size, or turning, scale and shift would be
normalised away again. Speed changes the clock, not the frames: a lag of 0.32 s then spans more
frames or fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from emoframe.core.errors import ConfigError, Problem
from emoframe.records import Keypoints
from emoframe.skeleton import SkeletonLayout


class Reference(NamedTuple):
    """What the coordinates of each frame are measured against, (T, dims) each, NaN without a box.

    Attributes:
        origin: Where coordinates are 0.
        size: By what they are divided.
        centre: The middle of the person.
    """

    origin: NDArray[Any]
    size: NDArray[Any]
    centre: NDArray[Any]


@dataclass(frozen=True)
class Augmentation:
    """What training may do to a clip; the defaults do nothing. Drawn once per clip and view.

    Attributes:
        crop: Least share of the clip that a random window keeps.
        speed: Largest factor by which a clip is made faster or slower, less one.
        rotation_deg: Largest angle in the picture plane; in 3-D, standard deviation about each
            axis, in degrees.
        scale: Largest relative change of size.
        shift: Largest shift along each axis, in box sizes.
        noise: Standard deviation of noise on each coordinate, in box sizes.
        joint_dropout: Chance that a joint is masked for the whole clip.
        mirror: Chance that left and right change places, by the layout's partner table.
    """

    crop: Annotated[float, Gt(0), Le(1)] = 1.0
    speed: Annotated[float, Ge(0), Le(1)] = 0.0
    rotation_deg: Annotated[float, Ge(0), Le(180)] = 0.0
    scale: Annotated[float, Ge(0), Lt(1)] = 0.0
    shift: Annotated[float, Ge(0), Le(1)] = 0.0
    noise: Annotated[float, Ge(0), Le(1)] = 0.0
    joint_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    mirror: Annotated[float, Ge(0), Le(1)] = 0.0


def check_mirror(settings: Augmentation, layout: SkeletonLayout) -> None:
    """Refuse to mirror a layout that does not say what is left and what is right.

    Raises:
        ConfigError: It is asked for.
    """
    if settings.mirror and layout.mirror == tuple(range(layout.num_joints)):
        raise ConfigError(
            [
                Problem(
                    "view.keypoints.augment.mirror",
                    f"is {settings.mirror:g}, and the layout {layout.name!r} names no left/right "
                    "partners; give the data set a `mirror` table or set it to 0",
                )
            ]
        )


def in_time(
    keypoints: Keypoints, settings: Augmentation, generator: np.random.Generator
) -> tuple[Keypoints, float]:
    """Return a random window of a clip, and how many seconds one of its seconds becomes.

    A clip whose window would hold no joint is kept whole.
    """
    total = len(keypoints)
    kept = max(1, round(total * generator.uniform(settings.crop, 1)))
    start = int(generator.integers(0, total - kept + 1))
    clock = float((1 + settings.speed) ** generator.uniform(-1, 1))
    window = slice(start, start + kept)
    if kept == total or not keypoints.valid[window].any():
        return keypoints, clock
    part = replace(
        keypoints,
        xy=keypoints.xy[window],
        confidence=keypoints.confidence[window],
        valid=keypoints.valid[window],
        time_s=keypoints.time_s[window],
        box=None if keypoints.box is None else keypoints.box[window],
        cut=None if keypoints.cut is None else keypoints.cut[window],
    )
    return part, clock


def in_space(
    xy: NDArray[Any],
    known: NDArray[np.bool_],
    reference: Reference,
    settings: Augmentation,
    layout: SkeletonLayout,
    generator: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[Any]]:
    """Move the joints of a clip and mask some.

    Args:
        xy: Coordinates (T, V, dims), zero where they are not known.
        known: Where they are, (T, V).
        reference: Where the box of each frame is.
        settings: How much.
        layout: Names the partners for mirroring.
        generator: Draws everything.

    Returns:
        New coordinates, where they are known, and the new origin of each frame.
    """
    dims = xy.shape[-1]
    matrix = _turn(dims, settings.rotation_deg, generator)
    matrix = matrix * (1 + settings.scale * generator.uniform(-1, 1))
    shift = settings.shift * generator.uniform(-1, 1, dims)
    mirrored = generator.random() < settings.mirror
    kept = generator.random(xy.shape[1]) >= settings.joint_dropout
    size, centre = _middle(reference.size), _middle(reference.centre)
    if mirrored:
        partner = list(layout.mirror)
        xy, known = xy[:, partner], known[:, partner]
        matrix = matrix * np.where(np.arange(dims) == 0, -1, 1)[:, None]
    xy = xy @ matrix.astype(xy.dtype) + (centre - centre @ matrix + shift * size).astype(xy.dtype)
    away = reference.centre - centre
    origin = (reference.origin + away @ matrix - away).astype(reference.origin.dtype)
    if settings.noise:
        noise = generator.standard_normal(xy.shape, np.float32)
        xy = xy + noise * (settings.noise * size).astype(np.float32)
    # a clip without any joint would be no clip
    return xy, known & kept if (known & kept).any() else known, origin


def _middle(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the median over frames, (dims,); 0 where no frame has a box."""
    there = values[np.isfinite(values).all(-1)]
    return np.median(there, 0).astype(float) if len(there) else np.zeros(values.shape[-1])


def _turn(dims: int, degrees: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return a random rotation matrix, to be multiplied from the right."""
    if dims == 3:
        return Rotation.from_rotvec(
            generator.normal(0, degrees, 3) if degrees else np.zeros(3), degrees=True
        ).as_matrix()
    angle = np.deg2rad(degrees * generator.uniform(-1, 1))
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
