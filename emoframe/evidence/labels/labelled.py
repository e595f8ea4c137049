"""What was said about the training items of an experiment, beside what is true of them.

Decided here: gold comes from the training split alone; no line of this package's judging of labels
asks for another. Items that show the same video count once, or a video that was listed twice would
count as two. Of several answers to one question the first that holds a label speaks, as it does in
training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.core.registry import create
from emoframe.interfaces import Dataset
from emoframe.labelling import Prompt, WeakLabel
from emoframe.learning.experiment import Experiment
from emoframe.learning.sources import name_of, pose_key
from emoframe.records import SampleRef
from emoframe.weak_labels.asking.consent import check_private
from emoframe.weak_labels.asking.labelers import built
from emoframe.weak_labels.exchange.listing import SIMULATED, STAMP
from emoframe.weak_labels.exchange.names import is_probe, prompt_name
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.read import in_order
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.store import Answer, LabelerRecord, LabelStore

NEVER = "never asked"


@dataclass(frozen=True)
class Row:
    """One training item and all answers to one question about it.

    Attributes:
        item: Its id.
        subject: Who is seen; None where unknown.
        gold: Index of its true class.
        clip: `Clip.key`.
        answers: In the order of their samples.
    """

    item: str
    subject: str | None
    gold: int
    clip: str
    answers: tuple[Answer, ...]

    @property
    def labels(self) -> list[WeakLabel]:
        """Every label, in the order of the samples."""
        return [one.label for one in self.answers if one.label is not None]

    @property
    def label(self) -> WeakLabel | None:
        """The label that speaks; None where there is none."""
        return next(iter(self.labels), None)

    @property
    def weak(self) -> int | None:
        """Index of the class that was named; None for an abstention and where there is no label."""
        return self.label.label if self.label else None

    @property
    def right(self) -> bool:
        """Whether the class that was named is the true one; not where none was named."""
        return self.weak == self.gold

    @property
    def status(self) -> str:
        """How asking ended."""
        if self.label is not None:
            return "ok"
        return self.answers[0].status if self.answers else NEVER


@dataclass(frozen=True)
class Material:
    """The answers of one labeler to one prompt about training items.

    Attributes:
        dataset: Name of the data set.
        classes: Names of its K classes.
        prompt: What was asked.
        labeler: Who was asked.
        rows: One per labelled training video.
        stamped: Whether the prompt was first used after the data set's test had been opened.
        twice: Items that show a video of another item, and are left out.
    """

    dataset: str
    classes: tuple[str, ...]
    prompt: Prompt
    labeler: LabelerRecord
    rows: tuple[Row, ...]
    stamped: bool = False
    twice: int = 0

    @property
    def name(self) -> str:
        """How people are told of it."""
        return f"{prompt_name(self.prompt)}, {self.labeler.name}"

    @property
    def simulated(self) -> bool:
        """Whether any label is by somebody who never saw the clip."""
        labels = (label for row in self.rows for label in row.labels)
        return self.labeler.simulated or any(one.simulated for one in labels)

    @property
    def marks(self) -> tuple[str, ...]:
        """What nobody may overlook."""
        return (*[SIMULATED] * self.simulated, *[STAMP] * self.stamped)

    def where(self, holds: Callable[[Row], bool]) -> Material:
        """Return those rows only of which something holds."""
        return replace(self, rows=tuple(row for row in self.rows if holds(row)))

    @property
    def named(self) -> Material:
        """The rows in which a class was named."""
        return self.where(lambda row: row.weak is not None)

    @property
    def answered(self) -> Material:
        """The rows with a label, abstentions included."""
        return self.where(lambda row: row.label is not None)

    @property
    def subjects(self) -> list[str | None]:
        """Who each row shows."""
        return [row.subject for row in self.rows]

    @property
    def gold(self) -> NDArray[np.int64]:
        """True class of each row, (N,)."""
        return np.array([row.gold for row in self.rows], np.int64)

    @property
    def right(self) -> NDArray[np.float64]:
        """1 for each row in which the true class was named, (N,)."""
        return np.array([row.right for row in self.rows], float)

    @property
    def majority(self) -> float:
        """Accuracy of always naming the most frequent true class of these rows; 0 without rows."""
        return float(np.bincount(self.gold).max() / len(self.rows)) if self.rows else 0.0


class TrainingItems:
    """The labelled training items of an experiment, and who is asked about them.

    Args:
        experiment: The experiment.
        to_ask: Whether the labeler will be asked: one that may not upload is refused then, before
            anything is read.

    Raises:
        EmoframeError: The data set or the labeler cannot be made, or may not be asked.
    """

    def __init__(self, experiment: Experiment, *, to_ask: bool = False) -> None:
        self.experiment = experiment
        self.settings = experiment.weak_labels or WeakLabels()
        if to_ask:
            kind, allowed = self.settings.vlm_labeler["type"], experiment.privacy.upload
            check_private(kind, self.labeler.uploads, allowed)
        self.dataset: Dataset = create("dataset", experiment.dataset)
        self.name = name_of(experiment, self.dataset)
        self.classes = tuple(self.dataset.classes)
        self.refs = [ref for ref in self.dataset.samples("train") if ref.label is not None]

    @property
    def labeler(self) -> LabelerRecord:
        """Who is asked by the config."""
        return self._built[1]

    @property
    def reads_video(self) -> bool:
        """Whether the config's labeler looks at the video."""
        return self._built[0].reads_video

    @property
    def reads_keypoints(self) -> bool:
        """Whether the config's labeler reads keypoints."""
        return self._built[0].reads_keypoints

    @cached_property
    def _built(self) -> tuple[Any, LabelerRecord]:
        """The config's labeler, built when it is asked for: stored labels may be of another one."""
        node = self.settings.vlm_labeler
        labeler, record = built(node)
        if labeler.reads_keypoints:
            record = built(node, pose_key=pose_key(self.experiment))[1]
        return labeler, record

    def prompt(self, name: str = "") -> Prompt:
        """Return a prompt by its name or file; that of the config where none is given.

        Raises:
            DataError: There is none, or it cannot be read.
        """
        settings = replace(self.settings, prompt=name) if name else self.settings
        return build_prompt(settings, self.classes)

    def material(
        self, store: LabelStore, prompt: Prompt, labeler: LabelerRecord | None = None
    ) -> Material:
        """Read what was said.

        Args:
            store: The label store.
            prompt: What was asked.
            labeler: Who was asked; None for that of the config.

        Raises:
            DataError: The store knows nothing of the data set, no training item has a label, or
                labels are of other classes.
        """
        labeler = labeler or self.labeler
        kept, clips, twice = self._shown(store)
        answers: dict[str, list[Answer]] = {}
        for one in store.answers(self.name, prompt.hash, labeler.key):
            ours = not is_probe(prompt)  # which asks for other classes
            label = in_order(one.label, self.classes) if ours and one.label else one.label
            answers.setdefault(one.key.clip, []).append(replace(one, label=label))
        rows = [
            Row(ref.id, ref.subject, ref.label, clip, tuple(answers.get(clip, ())))
            for ref, clip in zip(kept, clips, strict=True)
            if ref.label is not None
        ]
        stamped = prompt.hash in store.stamped(self.name)
        return Material(self.name, self.classes, prompt, labeler, tuple(rows), stamped, twice)

    def _shown(self, store: LabelStore) -> tuple[list[SampleRef], list[str], int]:
        """Return the items, one per video, with their clips, and how many show one again."""
        known = {item: clip for (_, item), clip in store.items(self.name).items()}
        if not self.refs or not known:
            raise DataError(
                f"{store.path}: knows no item of the data set {self.name!r}; run emoframe label"
                if self.refs
                else f"the data set {self.name!r} has no labelled training item to judge by"
            )
        kept: list[SampleRef] = []
        seen: set[str] = set()
        for ref in self.refs:
            clip = known.get(ref.id, f"of {ref.id}")  # never asked about
            if clip not in seen:
                kept.append(ref)
            seen.add(clip)
        clips = [known.get(ref.id, "") for ref in kept]
        return kept, clips, len(self.refs) - len(kept)


def asked_or_error(material: Material, store: LabelStore, told: Sequence[str] = ()) -> None:
    """See that there is something to judge.

    Raises:
        DataError: Nobody was asked this.
    """
    if not any(row.answers for row in material.rows):
        ran = " ".join(("emoframe label CONFIG --split train", *told))
        raise DataError(
            f"{store.path}: no training item of {material.dataset!r} was asked about with "
            f"{material.name}; run {ran} first"
        )
