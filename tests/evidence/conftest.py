"""What the tests of label quality share: made labels, and a data set of films with a labeler."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoframe.core.config import Config, check
from emoframe.core.plugins import loaded
from emoframe.evidence.labels.labelled import Material, Row
from emoframe.labelling import Prompt, Reply, Show, Usage, WeakLabel
from emoframe.learning.experiment import Experiment
from emoframe.perception.mp4 import encode
from emoframe.perception.video import video_hash
from emoframe.weak_labels.store import Answer, LabelerRecord, QuestionKey

CLASSES = ("lose", "win")
PARTS = Path(__file__).with_name("label_parts.py")
FRAMES = 4
AT = "2026-01-01T00:00:00.000000+00:00"


def made(
    gold: Sequence[int],
    weak: Sequence[int | None],
    subjects: Sequence[str | None] | None = None,
    confidence: Sequence[tuple[float, ...] | None] | None = None,
    texts: Sequence[str] | None = None,
    classes: tuple[str, ...] = CLASSES,
    simulated: bool = False,
    name: str = "cot",
    usd: float | None = 0.01,
) -> Material:
    """Make labels by hand; by default two videos of each subject, and no confidences."""
    prompt = Prompt(name, "Look.", f"Which? {name}", {"type": "object"}, classes, show=Show())
    labeler = LabelerRecord("ab" * 32, {"type": "scripted"}, {}, "", False, simulated)
    rows = []
    for n, (true, said) in enumerate(zip(gold, weak, strict=True)):
        sure = None if confidence is None else confidence[n]
        text = texts[n] if texts else "looks down"
        label = WeakLabel(classes, sure, said, text, text, simulated=simulated)
        key = QuestionKey(f"{n:064x}", prompt.hash, labeler.key, 0)
        reply = Reply("{}", usage=Usage(100, 10))
        answer = Answer(key, "ok", "", reply, label, usd, 1, AT, AT, {})
        who = subjects[n] if subjects else f"s{n // 2}"
        rows.append(Row(f"item-{n:03d}", who, true, key.clip, (answer,)))
    return Material("films", classes, prompt, labeler, tuple(rows))


@pytest.fixture(name="made")
def made_fixture() -> Callable[..., Material]:
    """Return what makes labels, since test modules cannot import this one."""
    return made


@dataclass
class World:
    """Films of eight people on disk, and what the labeler says of each.

    Attributes:
        root: Folder of the data set, the script and the label store.
        clips: Key of each item's clip.
        gold: True class of each item.
        told: What the labeler says, by item.
    """

    root: Path
    clips: dict[str, str] = field(default_factory=dict[str, str])
    gold: dict[str, int] = field(default_factory=dict[str, int])
    subjects: dict[str, str] = field(default_factory=dict[str, str])
    told: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def write(self) -> None:
        """Write the script."""
        script = {self.clips[item]: told for item, told in self.told.items()}
        (self.root / "script.json").write_text(json.dumps(script))

    def experiment(self, prompt: str = "simple", **labeler: Any) -> Experiment:
        """Return the experiment."""
        self.write()
        node = {"type": "scripted", "script": str(self.root / "script.json"), **labeler}
        return check(Experiment, Config({
            "dataset": {"type": "films", "root": str(self.root)},
            "weak_labels": {
                "store": str(self.root / "labels.sqlite"), "vlm_labeler": node, "prompt": prompt,
            },
        }))  # fmt: skip


@pytest.fixture(scope="module")
def label_parts() -> Iterator[None]:
    """Load the data set and the labeler, and take them away again."""
    before = dict(loaded().offers)
    plugin = loaded().load_file(PARTS)
    yield
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    for key in [key for key in loaded().offers if key not in before]:
        del loaded().offers[key]


@pytest.fixture
def world(tmp_path: Path, label_parts: None) -> World:
    """Return short films on disk; see `filmed`."""
    return filmed(tmp_path)


@pytest.fixture(scope="module")
def lasting_world(tmp_path_factory: pytest.TempPathFactory, label_parts: None) -> World:
    """Return films that the tests of a module share."""
    return filmed(tmp_path_factory.mktemp("films"), people=12)


def filmed(root: Path, people: int = 8) -> World:
    """Write two short films of each of some people, and two of the test split."""
    world, rows = World(root), []
    generator = np.random.default_rng(0)
    for n in range(2 * people + 2):
        item, split = f"film-{n:02d}", "train" if n < 2 * people else "test"
        label, subject = n % 2, f"p{n // 2}"
        rgb = generator.integers(0, 255, (FRAMES, 48, 64, 3), dtype=np.uint8)
        encode(zip(rgb, (np.arange(FRAMES) / 25).tolist(), strict=True), root / f"{item}.mp4")
        rows.append({"id": item, "subject": subject, "label": label, "split": split})
        world.clips[item] = video_hash(root / f"{item}.mp4")
        world.gold[item], world.subjects[item] = label, subject
        world.told[item] = {"win": 0.7 if label else 0.3}
    (root / "films.json").write_text(json.dumps(rows))
    return world
