"""What feeds a branch: where an input may come from, and which parts it takes.

Checked in data that is not yet a config, so that what cannot fit is found before anything is built.
Decided here: the sort of a branch stands in its parts, where a reader sees it: a `text_encoder`
makes it one of text, `keypoint_backbone: null` one of frame features, else it is one of keypoints.
What a data set brings along is known once its data are loaded, see `emoframe.learning.clips`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from emoframe.core.errors import Problem, suggest
from emoframe.core.schema import is_mapping

Sort = Literal["keypoints", "frames", "text"]
DATASET, RATIONALE = "dataset", "rationale"
OWN_POSES = "pose_estimator"
"""What `features` calls the stage of the pose estimator, whichever that is."""
NAMED = re.compile(r"[a-z][a-z0-9_]*@[0-9a-f]{4,64}")
"""A stage and the beginning of its key."""
CURES: dict[Sort, str] = {
    "keypoints": "give its branch a `keypoint_backbone` and no `text_encoder`",
    "frames": "set its branch's `keypoint_backbone: null` and give it no `text_encoder`",
    "text": "give its branch a `text_encoder`",
}
"""What to do about a branch, by what its input is."""
NOUNS: dict[Sort, str] = {"keypoints": "keypoints", "frames": "frame features", "text": "text"}


def sort_of(branch: Mapping[str, Any]) -> Sort:
    """Return what a branch takes, from its unchecked parts."""
    if branch.get("text_encoder") is not None:
        return "text"
    return "frames" if branch.get("keypoint_backbone", {}) is None else "keypoints"


def misplaced(branch: Mapping[str, Any]) -> list[Problem]:
    """Find parts that a branch of its sort does not take or lacks, in unchecked data."""
    sort = sort_of(branch)
    parts = ("keypoint_backbone", "temporal_encoder", "pooling")
    if sort == "keypoints":
        unused: tuple[str, ...] = ()
    elif sort == "frames":
        unused = ("groups", "per_group")
    else:
        unused = (*parts, "groups", "per_group")
    return [
        *(
            Problem(key, f"has no place in a branch of {NOUNS[sort]}; take it away")
            for key in unused
            if branch.get(key)
        ),
        *(
            Problem(key, "is null, and only a branch of text goes without")
            for key in parts[1:]
            if sort != "text" and key in branch and branch[key] is None
        ),
    ]


def relations(data: Mapping[str, Any]) -> list[Problem]:
    """Find branches, inputs and sources that do not fit one another, in unchecked data."""
    model, features = data.get("model"), data.get("features", {"keypoints": DATASET})
    branches = model.get("branches") if is_mapping(model) else None
    branches = {"keypoints": {}} if branches is None else branches
    if not is_mapping(branches) or not is_mapping(features):
        return []  # the types of both are looked at elsewhere
    return [
        *_unpaired("model.branches", branches, "features", features),
        *_unpaired("features", features, "model.branches", branches),
        *_unknown(features, data.get("perception"), data.get("weak_labels")),
        *_unfit(branches, features, data.get("perception")),
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


def _unknown(features: Mapping[str, Any], perception: Any, weak_labels: Any) -> list[Problem]:
    """Find inputs whose source no section of the config makes."""
    known = [DATASET, *_stages(perception), *([RATIONALE] if is_mapping(weak_labels) else [])]
    allowed = ", ".join([*map(repr, known), "or a stage by its key, NAME@KEY"])
    more = "" if is_mapping(perception) else "; add a `perception` section to use a store"
    found: list[Problem] = []
    for name, source in features.items():
        stored = is_mapping(perception) and NAMED.fullmatch(str(source))
        if source is None or source in known or stored:
            continue
        cure = "; add a `weak_labels` section to use rationales" if source == RATIONALE else more
        text = f"must be one of {allowed}; got {source!r}{cure}"
        found.append(Problem(f"features.{name}", text))
    return found


def _unfit(
    branches: Mapping[str, Any], features: Mapping[str, Any], perception: Any
) -> list[Problem]:
    """Find branches whose parts do not take what their source is known to give."""
    sorts: dict[str, Sort] = {**_stages(perception), RATIONALE: "text"}
    found: list[Problem] = []
    for name, branch in branches.items():
        source = features.get(name)
        given = sorts.get(source) if isinstance(source, str) else None
        if given and is_mapping(branch) and sort_of(branch) != given:
            text = f"its input {source!r} is {NOUNS[given]}; {CURES[given]}"
            found.append(Problem(f"model.branches.{name}", text))
    return found


def _stages(perception: Any) -> dict[str, Sort]:
    """Name the stages that the model can read and what they hold, in unchecked data."""
    if not is_mapping(perception):
        return {}
    estimator = perception.get("pose_estimator", {"type": "mediapipe"})
    encoders = perception.get("frame_encoders")
    found: dict[str, Sort] = {}
    if is_mapping(estimator):
        found = {OWN_POSES: "keypoints", str(estimator.get("type", "mediapipe")): "keypoints"}
    for name, node in encoders.items() if is_mapping(encoders) else ():
        if node is not None:
            found[str(name)] = "frames"
    return found
