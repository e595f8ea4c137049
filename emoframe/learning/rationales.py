"""The rationales of a data set's items, as an input of the model: out of the label store.

Decided here: what is read are the answers to exactly the settings of the section `weak_labels`: the
same prompt by its hash, the same labeler by its key; of several answers to one question, the first.
The store is read once, when the first text is asked for, and what was read then counts until the
end, so that labelling that goes on beside a training changes nothing in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from emoframe.core.errors import DataError
from emoframe.labelling import WeakLabel
from emoframe.learning.checks import AbsentError
from emoframe.perception.video import video_hash
from emoframe.records import SampleRef
from emoframe.weak_labels.asking.labelers import built
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.read import RationaleView, missing, weak_labels
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.store import LabelStore


class Rationales:
    """Fetches what a labeler wrote about an item, see `emoframe.learning.clips.Loader`.

    Attributes:
        prompt: Hash of the prompt.
        labeler: Key of the labeler.
    """

    def __init__(
        self,
        settings: WeakLabels,
        dataset: str,
        classes: Sequence[str],
        pose_key: Callable[[], str] = str,
        view: RationaleView = "full",
    ) -> None:
        """Name what is read; nothing is read yet.

        Args:
            settings: How the labels were made.
            dataset: What the label store calls the data set; empty for a video that is in none,
                which is known by its bytes alone.
            classes: Names of its classes.
            pose_key: Returns what tells the keypoints that a labeler read from others; asked only
                where it reads any.
            view: Whether the verdict is part of the text.

        Raises:
            EmoframeError: The settings make no prompt or no labeler.
        """
        self.settings, self.dataset, self.view = settings, dataset, view
        self.prompt = build_prompt(settings, classes).hash
        labeler, record = built(settings.vlm_labeler)
        if labeler.reads_keypoints:
            record = built(settings.vlm_labeler, pose_key=pose_key())[1]
        self.labeler = record.key

    def __call__(self, ref: SampleRef) -> str:
        """Return the rationale of an item.

        Raises:
            AbsentError: There is none; the sentence says why.
            DataError: There is no label store, or none of these settings.
        """
        labels, why = self._of_video(ref.video) if not self.dataset else self._of_item(ref.id)
        if not labels:
            raise AbsentError(
                f"{ref.id}: {str(self.settings.store)!r} has no rationale of it: it {why}; "
                "run emoframe label with this config"
            )
        return self._text(labels)

    @property
    def simulated(self) -> bool:
        """Whether any text is by somebody who never saw the clip."""
        return any(label.simulated for labels in self._labels.values() for label in labels)

    def fingerprint(self) -> dict[str, str]:
        """Return what decides the texts: prompt, labeler, and a hash over all texts of the data."""
        texts = {item: self._text(labels) for item, labels in self._labels.items()}
        content = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
        return {"prompt": self.prompt, "labeler": self.labeler, "texts": content}

    def _text(self, labels: Sequence[WeakLabel]) -> str:
        """Return what the first of several answers to one question says."""
        return labels[0].rationale if self.view == "full" else labels[0].rationale_no_verdict

    def _of_item(self, item: str) -> tuple[Sequence[WeakLabel], str]:
        return self._labels.get(item, ()), self._missing.get(item, "was never asked about")

    def _of_video(self, video: Path | None) -> tuple[Sequence[WeakLabel], str]:
        with self._open() as store:
            clips = [video_hash(video)] if video else []
            answers = store.answers(None, self.prompt, self.labeler, "ok", clips)
        found = [one.label for one in answers if one.label is not None]
        return found, "was never asked about with the settings of the run"

    @property
    def _labels(self) -> dict[str, list[WeakLabel]]:
        return self._stored[0]

    @property
    def _missing(self) -> dict[str, str]:
        return self._stored[1]

    @cached_property
    def _stored(self) -> tuple[dict[str, list[WeakLabel]], dict[str, str]]:
        """The labels of each item that has some, and why the others have none."""
        with self._open() as store:
            asked = (store, self.dataset, self.prompt, self.labeler)
            try:
                return weak_labels(*asked), missing(*asked)
            except DataError as error:
                raise DataError(
                    f"nobody was asked with these settings of `weak_labels`: {error}; run "
                    "emoframe label first"
                ) from error

    def _open(self) -> LabelStore:
        path = self.settings.store
        if not path.is_file():
            raise DataError(
                f"there is no label store {str(path)!r}; run emoframe label first, or set "
                "weak_labels.store"
            )
        return LabelStore(path, write=False)
