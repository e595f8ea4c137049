"""YOLO for emoframe: what this plugin offers, as data; ultralytics is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the detector `yolo` and the pose estimator `yolo_pose`."""
    return [
        Component(
            kind="detector",
            name="yolo",
            target="emoframe_ultralytics.yolo:Yolo",
            needs=("ultralytics", "torch"),
            example={"weights": "yolo11n.pt", "conf": 0.25},
            paper="https://docs.ultralytics.com/models/yolo11/",
            license="AGPL-3.0-or-later",
            weights_license="AGPL-3.0",
        ),
        Component(
            kind="pose_estimator",
            name="yolo_pose",
            target="emoframe_ultralytics.yolo_pose:YoloPose",
            needs=("ultralytics", "torch"),
            example={"weights": "yolo11n-pose.pt", "conf": 0.25},
            paper="https://docs.ultralytics.com/tasks/pose/; https://arxiv.org/abs/2204.06806 "
            "(YOLO-Pose)",
            license="AGPL-3.0-or-later",
            weights_license="AGPL-3.0",
        ),
    ]
