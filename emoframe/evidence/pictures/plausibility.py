"""What must hold for any body, whoever measured it: how well keypoints keep to it (W2S-43).

Bones keep their length, nobody trembles at the frame rate, and a hand hangs on its own wrist. None
of it needs a truth, and none of it proves one: a skeleton that never moves is perfect here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.skeleton import SkeletonLayout

    Floats = NDArray[np.floating]
    Bools = NDArray[np.bool_]

MARGIN = 0.05
"""Box widths by which a hand must lie nearer to the wrong wrist than to its own to be swapped."""
LEAST_FRAMES = 10
"""Frames in which a bone must be seen before its length can be said to vary."""


@dataclass(frozen=True)
class Part:
    """A part of the body that is judged by itself: a layout group, or one hand.

    Attributes:
        name: Its name.
        joints: Its joints.
        bones: Edges inside of it.
        root: The hand's own wrist; None where it is no hand.
        wrist: The body's wrist of the same side; None where the layout has none.
        other: The body's wrist of the other side; None where the layout has none.
    """

    name: str
    joints: tuple[int, ...]
    bones: tuple[tuple[int, int], ...]
    root: int | None = None
    wrist: int | None = None
    other: int | None = None


def parts_of(joints: SkeletonLayout) -> list[Part]:
    """Return each layout group, its hands apart: `hands` become `left hand` and `right hand`.

    Hands are found by the names of their joints, `left_hand_...` with the root `left_hand_wrist`
    and the body's `left_wrist`, as `openpose_137` calls them.
    """
    index = {name: joint for joint, name in enumerate(joints.joints)}
    hands = {
        side: tuple(j for name, j in index.items() if name.startswith(f"{side}_hand_"))
        for side in ("left", "right")
    }
    taken = {joint for members in hands.values() for joint in members}
    found = {
        name: tuple(joint for joint in members if joint not in taken)
        for name, members in joints.groups.items()
    }
    parts = [Part(name, own, _inside(joints, own)) for name, own in found.items() if own]
    for side, other in (("left", "right"), ("right", "left")):
        if hands[side]:
            places = (index.get(f"{n}_wrist") for n in (f"{side}_hand", side, other))
            bones = _inside(joints, hands[side])
            parts.append(Part(f"{side} hand", hands[side], bones, *places))
    return parts


def bone_variation(xy: Floats, valid: Bools, part: Part) -> float:
    """Return the median over bones of standard deviation / mean of the length over time.

    Args:
        xy: Coordinates, (T, V, 2 or 3).
        valid: Where they were measured, (T, V).
        part: Whose bones; those seen in fewer than `LEAST_FRAMES` frames are left out.
    """
    ratios = []
    for a, b in part.bones:
        seen = valid[:, a] & valid[:, b]
        length = np.linalg.norm(xy[seen, a] - xy[seen, b], axis=-1)
        if seen.sum() >= LEAST_FRAMES and length.mean() > 0:
            ratios.append(length.std() / length.mean())
    return float(np.median(ratios)) if ratios else np.nan


def jitter(xy: Floats, valid: Bools, cut: Bools, part: Part) -> float:
    """Return the size of the movement that is as fast as the frames, in the unit of `xy`.

    sqrt(mean |p(t-1) - 2 p(t) + p(t+1)|^2 / 6) over joints and frames, with p relative to the
    hand's root where there is one. Uniform motion gives zero, and independent noise of standard
    deviation s in each of D coordinates s sqrt(D), that of the root added.

    Args:
        xy: Coordinates, (T, V, 2 or 3).
        valid: Where they were measured, (T, V).
        cut: First frames after a cut, (T,); no triple spans one.
        part: Whose joints.
    """
    own = [joint for joint in part.joints if joint != part.root]
    points, seen = xy[:, own], valid[:, own]
    if part.root is not None:
        points, seen = points - xy[:, [part.root]], seen & valid[:, [part.root]]
    whole = seen[:-2] & seen[1:-1] & seen[2:] & ~(cut[1:-1] | cut[2:])[:, None]
    bend = (points[:-2] - 2 * points[1:-1] + points[2:])[whole]
    return float(np.sqrt((bend**2).sum(-1).mean() / 6)) if len(bend) else np.nan


def on_wrist(xy: Floats, valid: Bools, part: Part, width: float) -> dict[str, float]:
    """Return how a hand hangs on the body: `swaps`, a share, and `root_distance`, in box widths.

    `swaps` are frames in which the hand's root lies more than `MARGIN` box widths nearer to the
    other side's body wrist than to its own, of those in which the wrists are further apart than
    that. `root_distance` is the mean distance of the hand's root to the body's wrist.

    Args:
        xy: Coordinates, (T, V, 2 or 3).
        valid: Where they were measured, (T, V).
        part: The hand; what is none has neither number.
        width: Width of the box in the unit of `xy`.
    """
    if part.root is None or part.wrist is None or part.other is None:
        return {}
    seen = valid[:, [part.root, part.wrist, part.other]].all(axis=1)
    root, wrist, other = (xy[seen, joint] / width for joint in (part.root, part.wrist, part.other))
    own, wrong = distance(root, wrist), distance(root, other)
    apart = distance(wrist, other) > MARGIN
    held = valid[:, [part.root, part.wrist]].all(axis=1)
    held_at = distance(xy[held, part.root], xy[held, part.wrist]) / width
    return {
        "swaps": mean(own[apart] - wrong[apart] > MARGIN),
        "root_distance": mean(held_at),
    }


def distance(a: Floats, b: Floats) -> Floats:
    """Return the distance of points, (..., D) to (...)."""
    return np.linalg.norm(a - b, axis=-1)


def mean(values: Floats | Bools) -> float:
    """Return the mean; not a number where there is no value."""
    return float(values.mean()) if len(values) else np.nan


def _inside(joints: SkeletonLayout, own: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple((a, b) for a, b in joints.edges if a in own and b in own)
