"""MediaPipe for emoframe: what this plugin offers, as data; mediapipe is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the pose estimator `mediapipe`."""
    return [
        Component(
            kind="pose_estimator",
            name="mediapipe",
            target="emoframe_mediapipe.holistic:MediaPipe",
            needs=("mediapipe",),
            example={"min_visibility": 0.5},
            paper="https://arxiv.org/abs/2006.10204 (BlazePose); https://arxiv.org/abs/2006.10962 "
            "(attention mesh); https://arxiv.org/abs/2006.10214 (hands)",
            license="Apache-2.0",
            weights_license="Apache-2.0",
        )
    ]
