"""Building a labeler from its config, and the key under which its answers are stored.

Decided here: the key is made as a stage's is (`emoframe.perception.stages`), but the versions of
packages count only where the answer is computed on this machine. Who asks a service pays for the
model there, and an update of a client library must not make 359 answers be paid for again; each
answer keeps the versions that it came about with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoframe.core.registry import registry
from emoframe.perception.stages import StageKey, stage_part
from emoframe.weak_labels.rows import LabelerRecord

KIND = "vlm_labeler"


def is_simulated(node: Mapping[str, Any]) -> bool:
    """Say whether a labeler is declared to be simulated, before it is built.

    What is found out only later, as for a recording, is no reason to be given the truth.

    Raises:
        ComponentError: There is no such labeler, or it cannot be imported.
    """
    return getattr(registry(KIND).get(node["type"]), "simulated", None) is True


def built(
    node: Mapping[str, Any],
    device: str = "cpu",
    gold: Mapping[str, int] | None = None,
    pose_key: str = "",
) -> tuple[Any, LabelerRecord]:
    """Build a labeler from its config node.

    Args:
        node: `type` and parameters.
        device: Where it computes, such as `cpu` or `cuda:0`.
        gold: Class of each training clip by `Clip.key`; only a simulated labeler is given it.
        pose_key: What tells the keypoints from others; it counts where the labeler reads them.

    Returns:
        The labeler, and what the store remembers of it.

    Raises:
        ConfigError: The node does not fit the labeler's parameters.
        ComponentError: There is no such labeler, or its weights are not here.
    """
    wiring = {"gold": dict(gold or {})} if is_simulated(node) else {}
    made = stage_part(KIND, node, device, wiring=wiring)
    labeler, here = made.part, not made.part.uploads
    content = {
        "config": dict(made.config),
        "versions": dict(made.versions) if here else {},
        "fingerprint": made.fingerprint(),
        "reads": [pose_key] if labeler.reads_keypoints else [],
    }
    record = LabelerRecord(
        key=StageKey(made.name, content).key,
        config={**made.config, **{k: content[k] for k in ("fingerprint", "reads") if content[k]}},
        versions=dict(made.versions),
        model=labeler.model,
        uploads=labeler.uploads,
        simulated=labeler.simulated,
    )
    return labeler, record
