"""RTMPose for emoframe: what this plugin offers, as data; rtmlib is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the pose estimator `rtmpose`."""
    return [
        Component(
            kind="pose_estimator",
            name="rtmpose",
            target="emoframe_rtmlib.rtmpose:RtmPose",
            needs=("rtmlib",),  # onnxruntime has two distributions: the fingerprint has its version
            example={"min_confidence": 0.3},
            paper="https://arxiv.org/abs/2303.07399 (RTMPose); https://arxiv.org/abs/2307.15880 "
            "(DWPose); https://arxiv.org/abs/2407.08634 (RTMW)",
            license="Apache-2.0",
            weights_license="Apache-2.0; trained on data sets of which some, COCO-WholeBody among "
            "them, are for non-commercial research only",
        )
    ]
