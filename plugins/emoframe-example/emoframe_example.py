"""What the plugin offers, as data; `emoframe_deep_sets.py` is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl


@hookimpl
def emoframe_components() -> list[Component]:
    """Return the parts of this plugin."""
    return [
        Component(
            kind="keypoint_backbone",
            name="deep_sets",
            target="emoframe_deep_sets:DeepSets",
            example={"hidden": 8},
            paper="https://arxiv.org/abs/1703.06114",
        )
    ]
