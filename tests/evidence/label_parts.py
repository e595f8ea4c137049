"""A small data set of films and a labeler that follows a script, as a plugin file, for the tests.

`films` reads `films.json` (id, subject, label, split) beside its videos and brings keypoints along;
`scripted` reads what it says of each clip from a file, and knows people by their clip, unless it is
shown less.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import emoframe
from emoframe.interfaces import Split
from emoframe.labelling import Question, Reply, Usage
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import OPENPOSE_137


@emoframe.component("dataset", "films")
class Films:
    """Videos in a folder.

    Args:
        root: The folder.
    """

    name, protocol, classes, synthetic, layout = (
        "films",
        "films",
        ("lose", "win"),
        True,
        OPENPOSE_137,
    )

    def __init__(self, *, root: Path) -> None:
        self.root = root

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return json.loads((self.root / "films.json").read_text())

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items."""
        return [
            SampleRef(
                row["id"], row["label"] if split == "train" else None, row["subject"],
                self.root / f"{row['id']}.mp4",
            )
            for row in self._rows
            if row["split"] == split
        ]  # fmt: skip

    def load(self, ref: SampleRef) -> dict[str, Keypoints]:
        """Return somebody who stands still."""
        joints, frames = OPENPOSE_137.num_joints, 4
        grid = np.stack([np.arange(joints) % 12 * 3 + 12, np.arange(joints) // 12 * 2 + 8], -1)
        xy = np.repeat(grid[None].astype(np.float32), frames, 0)
        seen = np.ones((frames, joints), np.float32)
        return {"keypoints": Keypoints(xy, seen, seen > 0, np.arange(frames) / 25, "openpose_137")}

    def test_labels(self) -> dict[str, int]:
        """Break: nothing that judges labels may ask."""
        raise AssertionError("the test labels were asked for")


@emoframe.component("vlm_labeler", "scripted")
class Scripted:
    """Says what a file says of a clip.

    Args:
        script: JSON: by clip key what it answers, under `win`, `person`, `event` and `result`.
        looks: Whether it looks at the video.
        simulated: Whether it never saw a clip.
        uploads: Whether it sends anything away.
    """

    reads_keypoints, model = False, ""
    not_in_key = ("script",)

    def __init__(
        self, *, script: Path, looks: bool = True, simulated: bool = False, uploads: bool = False
    ) -> None:
        self.script, self.reads_video = script, looks
        self.simulated, self.uploads = simulated, uploads

    def ask(self, question: Question) -> Reply:
        """Follow the script."""
        told = json.loads(self.script.read_text())[question.clip.key]
        name, show = question.prompt.name, question.prompt.show
        asks = name.removeprefix("probe_") if name.startswith("probe_") else "win"
        hidden = "face" if show.faces == "blur" else "still" if show.frames == "one" else ""
        value = told.get(f"{asks} {hidden}" if hidden else asks, told.get(asks))
        text = told.get("note", "The head turns away and the lips press.")
        return Reply(json.dumps(answer(question, asks, value, text)), usage=Usage(100, 10))

    def tokens(self, question: Question) -> Usage:
        """Say the most."""
        return Usage(200, 20)


def answer(question: Question, asks: str, value: Any, text: str) -> dict[str, Any]:
    """Make the answer to a question: a share of `win`, a name, or a known result."""
    first, second = question.prompt.classes
    if asks in ("person", "event"):
        sure = 0.9 if value else 0.1
        shares, abstain, name = (sure, 1 - sure), False, {"name": value or ""}
    elif value is None:
        shares, abstain, name = (0.5, 0.5), True, {}
    else:
        shares, abstain, name = (1 - value, value), False, {}
    stated = [
        {"class": one, "confidence": share}
        for one, share in zip((first, second), shares, strict=True)
    ]
    empty = {"units": [], "evidence": [], "corrections": []}
    whole = {**empty, **name, "confidences": stated, "abstain": abstain, "note": text}
    return {key: one for key, one in whole.items() if key in question.prompt.schema["properties"]}
