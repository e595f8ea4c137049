"""Which clip each item of a data set shows, and how a labeler gets to see it.

Decided here: a clip is known by its content, so items that show the same video are one clip. What
is handed on of an item is its video and its keypoints; its label stays behind, except for `gold`,
which only a labeler that is simulated is given, and of training items alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from emoframe.core.errors import DataError, EmoframeError
from emoframe.interfaces import Dataset, Split
from emoframe.labelling import Clip, Show
from emoframe.learning.clips import Loader
from emoframe.learning.experiment import Experiment
from emoframe.learning.inputs import DATASET, OWN_POSES
from emoframe.learning.sources import from_dataset, from_store, name_of
from emoframe.perception.entries import find_hash
from emoframe.records import Keypoints, SampleRef
from emoframe.weak_labels.asking.ask import Asked
from emoframe.weak_labels.shown.clips import clip_key, opened


@dataclass
class Shown:
    """The clips of some items of a data set.

    Attributes:
        items: Key of the clip that each item shows.
        clips: The first item that shows each clip, by its key.
        lost: Why an item shows no clip, by its id.
    """

    items: dict[str, str] = field(default_factory=dict[str, str])
    clips: dict[str, SampleRef] = field(default_factory=dict[str, SampleRef])
    lost: dict[str, str] = field(default_factory=dict[str, str])


class Shower:
    """Finds what the items of an experiment's data set show.

    Args:
        experiment: Says where keypoints come from.
        dataset: Its data set.
    """

    def __init__(self, experiment: Experiment, dataset: Dataset) -> None:
        self.experiment, self.dataset = experiment, dataset
        self.name = name_of(experiment, dataset)
        self._keypoints = _loader(experiment, dataset, self.name)

    def shown(self, splits: Sequence[Split], limit: int | None = None) -> Shown:
        """Return the clips of the items of some splits, the first `limit` of them."""
        found = Shown()
        for ref in (ref for split in splits for ref in self.dataset.samples(split)):
            try:
                key = self._key(ref)
            except EmoframeError as error:
                found.lost[ref.id] = str(error)
                continue
            if key not in found.clips and limit is not None and len(found.clips) >= limit:
                break
            found.items[ref.id] = key
            found.clips.setdefault(key, ref)
        return found

    def gold(self) -> dict[str, int]:
        """Return the label of each training clip, by its key; `shown` tells which are lost."""
        found = self.shown(("train",))
        labels = {ref.id: ref.label for ref in self.dataset.samples("train")}
        told = ((key, labels[item]) for item, key in found.items.items())
        return {key: label for key, label in told if label is not None}

    def asked(
        self, key: str, ref: SampleRef, labeler: Any, show: Show, samples: Sequence[int]
    ) -> Asked:
        """Say how a clip is opened for a labeler, with what it reads and no more."""
        whole, glimpse = (
            partial(self._opened, key, ref, labeler, show, pictures=pictures)
            for pictures in (True, False)
        )
        return Asked(ref.id, key, tuple(samples), whole, glimpse)

    def _key(self, ref: SampleRef) -> str:
        """Return the key of an item's clip; a video that is not here is known by the store."""
        perception = self.experiment.perception
        if ref.video is None:
            return clip_key(None, self._read(ref))
        if not ref.video.is_file() and perception is not None:
            return find_hash(perception.store, self.name, ref.id, file=ref.video.name)
        return clip_key(ref.video, None)

    def _read(self, ref: SampleRef) -> Keypoints:
        if self._keypoints is None:
            raise DataError(
                f"{ref.id}: there are no keypoints of it; add a `perception` section and run "
                "emoframe extract, or take a data set that brings them along"
            )
        return self._keypoints(ref)

    @contextmanager
    def _opened(
        self, key: str, ref: SampleRef, labeler: Any, show: Show, *, pictures: bool
    ) -> Iterator[Clip]:
        video = ref.video if ref.video and ref.video.is_file() else None
        if labeler.reads_video and video is None:
            raise DataError(
                f"{ref.id}: this labeler looks at videos, and there is none here "
                f"({ref.video or 'the data set names none'})"
            )
        looks = labeler.reads_video and pictures
        hides = bool(show.draw) or show.faces == "blur" or show.background == "mask"
        reads = labeler.reads_keypoints or (looks and hides) or video is None
        keypoints = self._read(ref) if reads else None
        with opened(video, show, keypoints, pictures=looks) as clip:
            if clip.key != key and video is not None:
                raise DataError(f"{video}: has changed since it was hashed; run again")
            yield replace(clip, key=key)  # keypoints stand for a video that is elsewhere


def _loader(experiment: Experiment, dataset: Dataset, name: str) -> Loader | None:
    """Return where keypoints come from: as for the model, else what there is."""
    perception, source = experiment.perception, experiment.features.get("keypoints", "")
    brought = dataset.layout is not None
    if brought and (source == DATASET or perception is None):
        return from_dataset(dataset, "keypoints")
    if perception is not None and perception.pose_estimator is not None:
        return from_store(perception, OWN_POSES, name)
    return from_dataset(dataset, "keypoints") if brought else None
