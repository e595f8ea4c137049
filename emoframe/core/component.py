"""A component is data: a kind, a name, and where its code lives.

Nothing is imported until a part is used, so that listing what is installed costs no start-up time
and a part with a missing package can still be listed, explained and documented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emoframe.core.errors import ComponentError


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of part: a registry, a folder, a config key, a page of the docs, all spelled alike.

    Attributes:
        name: The word itself.
        doc: What such a part does, in one line.
        call: How it is called, with shapes (legend in `emoframe.interfaces`).
        wiring: Names of the numbers that the model passes at build time if the constructor asks.
        module: Whether the part is a `torch.nn.Module`.
    """

    name: str
    doc: str
    call: str
    wiring: tuple[str, ...] = ()
    module: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "detector",
            "finds everybody in each frame",
            "detect(frames: Frames) -> list[Boxes]",
            ("device",),
        ),
        Kind(
            "pose_estimator",
            "measures the keypoints of one person through a video",
            "estimate(chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]",
            ("device",),
        ),
        Kind(
            "frame_encoder",
            "turns pictures of one person into vectors",
            "encode(frames: Frames, keypoints: Keypoints or None) -> Features",
            ("device",),
        ),
        Kind(
            "vlm_labeler",
            "asks a model what it sees in a clip, or stands in for one",
            "ask(question: Question) -> Reply",
            ("device", "gold"),
        ),
        Kind(
            "text_encoder",
            "turns texts into vectors",
            "(texts: list[str]) -> z_ND",
            module=True,
        ),
        Kind(
            "keypoint_backbone",
            "turns the joints of one frame into one vector",
            "(x_NTVC, mask_NTV) -> h_NTD",
            ("num_joints", "in_channels", "edges"),
            module=True,
        ),
        Kind(
            "temporal_encoder",
            "relates the vectors of a clip to one another",
            "(h_NTD, time_NT, mask_NT) -> (h_NSD, span_NS2, mask_NS)",
            ("in_dim",),
            module=True,
        ),
        Kind(
            "pooling",
            "sums a clip up in one vector",
            "(h_NSD, mask_NS) -> (z_ND, weight_NS)",
            ("in_dim",),
            module=True,
        ),
        Kind(
            "fusion_head",
            "joins the vectors of the branches",
            "(z: dict[str, z_ND], present: dict[str, mask_N]) -> z_ND",
            ("in_dims",),
            module=True,
        ),
        Kind(
            "loss",
            "says how wrong an output is",
            "(output: Output, target: Target) -> scalar",
            ("num_classes", "class_counts", "noise_matrix"),
            module=True,
        ),
        Kind(
            "dataset",
            "names the items, their labels and their subjects",
            "samples(split) -> list[SampleRef]; load(ref) -> dict[str, Input]",
        ),
    )
}
"""Every kind, in the order of the data. A kind is added when two real parts of it exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One registered part, declared without importing its code.

    Attributes:
        kind: One of `KINDS`.
        name: How configs and commands call it: lower case letters, digits and underscores.
        target: Where the class is, as `package.module:Class`.
        needs: Packages to install before it works, as pip names.
        example: Parameters that build a small working instance; the contract tests use them.
        paper: Where the method is described.
        license: Licence of the code that runs.
        weights_license: Licence of the weights it loads; empty where it loads none.
    """

    kind: str
    name: str
    target: str
    needs: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=lambda: {})
    paper: str = ""
    license: str = "Apache-2.0"
    weights_license: str = ""

    def __post_init__(self) -> None:
        """Refuse a declaration that could never work."""
        label = f"{self.kind} {self.name!r}"
        if self.kind not in KINDS:
            raise ComponentError(f"{label}: no such kind; the kinds are {', '.join(KINDS)}")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ComponentError(
                f"{label}: a name is lower case letters, digits and underscores, as in 'my_part'"
            )
        if not re.fullmatch(r"[\w.]+:\w+", self.target):
            raise ComponentError(
                f"{label}: target {self.target!r} is not of the form 'package.module:Class'"
            )
