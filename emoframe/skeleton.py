"""Keypoint layouts as data: the names of the joints, their groups, edges and left/right partners.

A layout holds numbers and no behaviour, so that a data set or a plugin brings its own without
code. Decided here: a layout that names no group has one group, `all`; right and left are always
the subject's own; the 70 face edges of OpenPose are left in their 11 separate pieces, because that
very gap is what the paper's per-frame MLP is argued from (W2S-21).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from emoframe.core.errors import ComponentError, DataError, suggest
from emoframe.core.plugins import loaded
from emoframe.skeleton_maps import (
    COCO_17_TO_OPENPOSE_137,
    MEDIAPIPE_TO_OPENPOSE_137,
    WHOLEBODY_133_TO_OPENPOSE_137,
    JointMap,
    partners,
)

__all__ = [
    "COCO_17_TO_OPENPOSE_137",
    "MEDIAPIPE_TO_OPENPOSE_137",
    "OPENPOSE_137",
    "WHOLEBODY_133_TO_OPENPOSE_137",
    "JointMap",
    "SkeletonLayout",
    "layout",
    "partners",
]

Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SkeletonLayout:
    """What the V joints of a keypoint array are, and how they hang together.

    Attributes:
        name: What `Keypoints.layout` calls it.
        joints: The V names, each once, in the order of the array.
        edges: Pairs of joints that a graph network joins.
        groups: Joints that one encoder sees together, by name, read-only; where none is given,
            there is one, `all`.
        mirror: For each joint its left/right partner, itself where it has none; all themselves
            where nothing is given.

    Raises:
        DataError: A joint, edge, group or partner that cannot be.
    """

    name: str
    joints: tuple[str, ...]
    edges: Edges = ()
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    mirror: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Fill in what was left out and refuse what contradicts itself."""
        everyone = tuple(range(self.num_joints))
        groups = dict(self.groups) or {"all": everyone}
        object.__setattr__(self, "groups", MappingProxyType(groups))
        object.__setattr__(self, "mirror", self.mirror or everyone)
        self._check_joints()
        self._check_edges()
        self._check_groups()
        self._check_mirror()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to loader workers: a read-only mapping cannot be pickled as it is."""
        return type(self), (self.name, self.joints, self.edges, dict(self.groups), self.mirror)

    @property
    def num_joints(self) -> int:
        """Number of joints V."""
        return len(self.joints)

    def group(self, name: str) -> tuple[int, ...]:
        """Return the joints of a group, as indices into the layout.

        Raises:
            DataError: There is no such group.
        """
        if name not in self.groups:
            known = ", ".join(self.groups)
            raise DataError(
                f"layout {self.name!r} has no group {name!r}{suggest(name, [*self.groups])} "
                f"(its groups are {known})"
            )
        return self.groups[name]

    def group_edges(self, name: str) -> Edges:
        """Return the edges inside a group, renumbered to its local joints 0, 1, ...

        Edges that leave the group are dropped.

        Raises:
            DataError: There is no such group.
        """
        local = {joint: n for n, joint in enumerate(self.group(name))}
        return tuple((local[a], local[b]) for a, b in self.edges if a in local and b in local)

    def _check_joints(self) -> None:
        if not self.joints:
            raise DataError(f"layout {self.name!r} has no joints; name at least one")
        twice = _repeated(self.joints)
        if twice:
            raise DataError(
                f"layout {self.name!r}: the joint name {twice[0]!r} is used more than once; "
                "each joint needs a name of its own"
            )

    def _check_edges(self) -> None:
        for edge in self.edges:
            if len(edge) != 2 or self._strangers(edge) or edge[0] == edge[1]:
                raise DataError(
                    f"layout {self.name!r}: edge {edge} does not join two different joints of "
                    f"0 to {self.num_joints - 1}"
                )

    def _check_groups(self) -> None:
        for name, joints in self.groups.items():
            wrong = self._strangers(joints) or _repeated(joints)
            if wrong:
                raise DataError(
                    f"layout {self.name!r}: group {name!r} lists joint {wrong[0]}; a group lists "
                    f"joints of 0 to {self.num_joints - 1}, each once"
                )
            if not name.isidentifier():
                raise DataError(
                    f"layout {self.name!r}: group {name!r} must be named by letters, digits and "
                    "underscores, since it becomes a config key"
                )
            if not joints:
                raise DataError(f"layout {self.name!r}: group {name!r} is empty; leave it out")

    def _check_mirror(self) -> None:
        if len(self.mirror) != self.num_joints or self._strangers(self.mirror):
            raise DataError(
                f"layout {self.name!r}: mirror must name one joint of 0 to {self.num_joints - 1} "
                f"for each of the {self.num_joints} joints, got {len(self.mirror)} numbers"
            )
        for joint, partner in enumerate(self.mirror):
            if self.mirror[partner] != joint:
                raise DataError(
                    f"layout {self.name!r}: mirror says that the partner of joint {joint} is "
                    f"{partner}, and that the partner of {partner} is {self.mirror[partner]}; "
                    "partners must name each other"
                )

    def _strangers(self, joints: Iterable[Any]) -> list[Any]:
        """Return what is not the number of a joint."""
        return [
            j for j in joints if not (isinstance(j, int | np.integer) and 0 <= j < self.num_joints)
        ]


def layout(name: str) -> SkeletonLayout:
    """Return the layout that a pose estimator or a keypoint file names.

    Raises:
        ComponentError: Nobody offers it, or two plugins mean different things by it.
    """
    known, source = {OPENPOSE_137.name: OPENPOSE_137}, {OPENPOSE_137.name: "emoframe"}
    for plugin, offered in loaded().results("emoframe_layouts"):
        for given in offered:
            if known.setdefault(given.name, given) != given:
                raise ComponentError(
                    f"the layout {given.name!r} is declared by {source[given.name]} and, "
                    f"differently, by {plugin.distribution}; remove one of them"
                )
            source.setdefault(given.name, plugin.distribution)
    if name not in known:
        raise ComponentError(
            f"there is no skeleton layout {name!r}{suggest(name, [*known])} "
            f"(known: {', '.join(known)}); a plugin brings its own by the hook emoframe_layouts"
        )
    return known[name]


def _repeated(items: Iterable[Any]) -> list[Any]:
    return [item for item, count in Counter(items).items() if count > 1]


def _chain(*joints: int) -> Edges:
    return tuple(pairwise(joints))


def _run(first: int, last: int) -> Edges:
    return _chain(*range(first, last + 1))


def _shift(edges: Edges, by: int) -> Edges:
    return tuple((a + by, b + by) for a, b in edges)


def _numbered(**counts: int) -> tuple[str, ...]:
    return tuple(f"{part}_{n}" for part, count in counts.items() for n in range(count))


_BODY = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
)
_FACE = (
    *_numbered(jaw=17, right_brow=5, left_brow=5, nose_bridge=4, nostril=5),
    *_numbered(right_eye_rim=6, left_eye_rim=6, outer_lip=12, inner_lip=8),
    "right_pupil",
    "left_pupil",
)
_HAND = (
    "wrist",
    *(f"{f}_{n}" for f in ("thumb", "index", "middle", "ring", "pinky") for n in range(1, 5)),
)

# OpenPose's own numbers: BODY_25, then FACE_70 and HAND_21 counted from their first point.
_BODY_EDGES = (
    *_chain(0, 1, 8),
    *_chain(1, 2, 3, 4),
    *_chain(1, 5, 6, 7),
    *_chain(8, 9, 10, 11, 22, 23),
    *_chain(8, 12, 13, 14, 19, 20),
    *_chain(0, 15, 17),
    *_chain(0, 16, 18),
    *((14, 21), (11, 24)),
)
_FACE_EDGES = (
    *(edge for ends in ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35)) for edge in _run(*ends)),
    *(
        edge
        for first, last in ((36, 41), (42, 47), (48, 59), (60, 67))
        for edge in (*_run(first, last), (last, first))
    ),
)
_HAND_EDGES = tuple(edge for n in range(1, 21, 4) for edge in _chain(0, n, n + 1, n + 2, n + 3))

# fmt: off
_BODY_MIRROR = (
    0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21,
)
_FACE_MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1),
    *range(64, 59, -1), 67, 66, 65, 69, 68,
)
# fmt: on

OPENPOSE_137 = SkeletonLayout(
    name="openpose_137",
    joints=(
        *_BODY.split(),
        *_FACE,
        *(f"left_hand_{joint}" for joint in _HAND),
        *(f"right_hand_{joint}" for joint in _HAND),
    ),
    edges=(
        *_BODY_EDGES,
        *_shift(_FACE_EDGES, 25),
        *_shift(_HAND_EDGES, 95),
        *_shift(_HAND_EDGES, 116),
    ),
    groups={
        "body": tuple(range(25)),
        "face": tuple(range(25, 95)),
        "hands": tuple(range(95, 137)),
    },
    mirror=(
        *_BODY_MIRROR,
        *(25 + n for n in _FACE_MIRROR),
        *range(116, 137),
        *range(95, 116),
    ),
)
"""OpenPose's 137 points in the paper's order and groups (W2S-12, W2S-13, W2S-19).

BODY_25 at 0, FACE_70 (iBUG-68 and the pupils) at 25, the left hand at 95, the right hand at 116.
OpenPose numbers the points of face and hands; where it gives no name, the part and a count from
OpenPose's first point of it stand for one. Source: OpenPose's output documentation.
"""
