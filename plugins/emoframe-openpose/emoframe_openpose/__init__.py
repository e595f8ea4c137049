"""OpenPose for emoframe: what this plugin offers, as data. OpenPose itself is the user's own."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]

TERMS = "OpenPose licence: academic or non-profit, non-commercial research only"
PAPER = "https://arxiv.org/abs/1812.08008 (OpenPose); https://arxiv.org/abs/1704.07809 (hands)"


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the pose estimators `openpose` and `openpose_json`."""
    return [
        Component(
            kind="pose_estimator",
            name="openpose",
            target="emoframe_openpose.program:OpenPose",
            example={"net_resolution": [-1, 368]},
            paper=PAPER,
            license=TERMS,
            weights_license=TERMS,
        ),
        Component(
            kind="pose_estimator",
            name="openpose_json",
            target="emoframe_openpose.results:OpenPoseJson",
            example={"folder": "openpose_json"},
            paper=PAPER,
            license=f"Apache-2.0; the results that it reads are under the {TERMS}",
        ),
    ]
