"""What a labeler said of the items of a data set, out of the label store.

Decided here: what is read are the answers to exactly the settings of the section `weak_labels`: the
same prompt by its hash, the same labeler by its key. The store is read once, when the first answer
is asked for, and what was read then counts until the end, so that labelling that goes on beside a
training changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from emoframe.core.errors import DataError
from emoframe.labelling import WeakLabel
from emoframe.perception.video import video_hash
from emoframe.weak_labels.asking.labelers import built
from emoframe.weak_labels.exchange.names import find_labeler, prompt_name, prompts_of
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.read import missing, weak_labels
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.store import LabelStore


class Answers:
    """The weak labels of a data set's items, by one labeler to one prompt.

    Args:
        settings: How the labels were made.
        dataset: What the label store calls the data set; empty for a video that is in none.
        classes: Names of its classes.
        pose_key: Returns what tells the keypoints that a labeler read from others; asked only where
            it reads any.

    Raises:
        EmoframeError: The settings make no prompt or no labeler.
    """

    def __init__(
        self,
        settings: WeakLabels,
        dataset: str,
        classes: Sequence[str],
        pose_key: Callable[[], str] = str,
    ) -> None:
        self.settings, self.dataset, self.classes = settings, dataset, classes
        self._asked = None if settings.labeler else self._own(pose_key)

    @property
    def prompt(self) -> str:
        """Hash of the prompt."""
        return self._keys[0]

    @property
    def labeler(self) -> str:
        """Key of the labeler."""
        return self._keys[1]

    @property
    def labels(self) -> dict[str, list[WeakLabel]]:
        """Every label of each item that has some, in the order of their samples."""
        return self._stored[0]

    @property
    def missing(self) -> dict[str, str]:
        """Why each other item has none."""
        return self._stored[1]

    @property
    def simulated(self) -> bool:
        """Whether any is by somebody who never saw the clip."""
        return any(label.simulated for labels in self.labels.values() for label in labels)

    def of_video(self, video: Path) -> list[WeakLabel]:
        """Return the labels of a video that is known by its bytes alone."""
        with self._open() as store:
            answers = store.answers(None, self.prompt, self.labeler, "ok", [video_hash(video)])
        return [one.label for one in answers if one.label is not None]

    @cached_property
    def _keys(self) -> tuple[str, str]:
        """Prompt and labeler: those of the config, or who is named in the store."""
        if self._asked:
            return self._asked
        with self._open() as store:
            record = find_labeler(store, self.settings.labeler)
            known = prompts_of(store, self.dataset, record.key)
            if len(known) == 1:
                return known[0].hash, record.key
            own = build_prompt(self.settings, self.classes).hash
            if own in {one.hash for one in known}:
                return own, record.key
        raise DataError(
            f"{self.settings.store}: {record.name} has answered "
            f"{', '.join(map(prompt_name, known)) or 'nothing'} about {self.dataset!r}; set "
            "weak_labels.prompt to one that it answered"
        )

    def _own(self, pose_key: Callable[[], str]) -> tuple[str, str]:
        """Return prompt and labeler of the config."""
        prompt = build_prompt(self.settings, self.classes).hash
        labeler, record = built(self.settings.vlm_labeler)
        if labeler.reads_keypoints:
            record = built(self.settings.vlm_labeler, pose_key=pose_key())[1]
        return prompt, record.key

    @cached_property
    def _stored(self) -> tuple[dict[str, list[WeakLabel]], dict[str, str]]:
        with self._open() as store:
            asked = (store, self.dataset, self.prompt, self.labeler)
            try:
                return weak_labels(*asked, classes=self.classes), missing(*asked)
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
