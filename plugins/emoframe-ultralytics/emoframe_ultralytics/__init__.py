"""YOLO for emoframe: what this plugin offers, as data; ultralytics is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the detector `yolo`."""
    return [
        Component(
            kind="detector",
            name="yolo",
            target="emoframe_ultralytics.yolo:Yolo",
            needs=("ultralytics",),
            example={"weights": "yolo11n.pt", "conf": 0.25},
            paper="https://docs.ultralytics.com/models/yolo11/",
            license="AGPL-3.0-or-later",
            weights_license="AGPL-3.0",
        )
    ]
