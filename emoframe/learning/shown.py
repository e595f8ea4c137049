"""Which clip each item of a data set shows, and how a labeler gets to see it.

Decided here: a clip is known by its content, so items that show the same video are one clip, and a
video that is in no data set is a clip like any other. What is handed on of an item is its video and
its keypoints; its label stays behind, except for `gold`, which only a labeler that is simulated is
given, and of training items alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
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
from emoframe.weak_labels.asking.inquiry import Asked
from emoframe.weak_labels.shown.clips import clip_key, opened

VIDEO = "video"
"""What the label store calls the data set of videos that are in none."""


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
    """Finds what the items of an experiment's data set show, or videos that are in none.

    Args:
        experiment: Says where keypoints come from.
        dataset: Its data set.
        videos: Files in place of the items, each called by its path.
    """

    def __init__(
        self, experiment: Experiment, dataset: Dataset, videos: Sequence[Path] = ()
    ) -> None:
        self.experiment, self.dataset = experiment, dataset
        self.name = VIDEO if videos else name_of(experiment, dataset)
        self._videos = [SampleRef(str(video), video=video) for video in videos]
        self._keypoints = (
            _extracted(experiment) if videos else _loader(experiment, dataset, self.name)
        )

    def shown(self, splits: Sequence[Split], limit: int | None = None) -> Shown:
        """Return the clips of the videos, else of the items of some splits: the first `limit`."""
        items = (ref for split in splits for ref in self.dataset.samples(split))
        return self._shown(self._videos or items, limit)

    def gold(self) -> dict[str, int]:
        """Return the label of each training clip, by its key; `shown` tells which are lost.

        Generated data also know the class of training items that nobody labelled.
        """
        train = self.dataset.samples("train")
        told = getattr(self.dataset, "hidden_labels", dict)() if self.dataset.synthetic else {}
        labels = {ref.id: told.get(ref.id) if ref.label is None else ref.label for ref in train}
        found = ((key, labels[item]) for item, key in self._shown(train).items.items())
        return {key: label for key, label in found if label is not None}

    def check(self, refs: Iterable[SampleRef], labeler: Any, show: Show) -> None:
        """See that a labeler can be shown any of some clips at all.

        Raises:
            DataError: It reads what none of them has; told once, rather than of each.
        """
        refs = list(refs)
        if labeler.reads_video and refs and not any(map(_video, refs)):
            raise self._no_video(refs[0])
        first = ""
        for ref in refs:
            if not _reads(ref, labeler, show, pictures=True):
                return
            try:
                self._read(ref)
            except DataError as error:
                first = first or str(error)
            else:
                return
        if first:
            raise DataError(f"the keypoints of none of {len(refs)} clips are there; {first}")

    def asked(
        self, key: str, ref: SampleRef, labeler: Any, show: Show, samples: Sequence[int]
    ) -> Asked:
        """Say how a clip is opened for a labeler, with what it reads and no more."""
        whole, glimpse = (
            partial(self._opened, key, ref, labeler, show, pictures=pictures)
            for pictures in (True, False)
        )
        return Asked(ref.id, key, tuple(samples), whole, glimpse)

    def _shown(self, refs: Iterable[SampleRef], limit: int | None = None) -> Shown:
        found = Shown()
        for ref in refs:
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

    def _key(self, ref: SampleRef) -> str:
        """Return the key of an item's clip; a video that is not here is known by the store."""
        perception = self.experiment.perception
        if ref.video is None:
            return clip_key(None, self._read(ref))
        if not ref.video.is_file() and perception is not None and not self._videos:
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
        video = _video(ref)
        if labeler.reads_video and video is None:
            raise self._no_video(ref)
        reads = _reads(ref, labeler, show, pictures=pictures)
        keypoints = self._read(ref) if reads else None
        with opened(video, show, keypoints, pictures=labeler.reads_video and pictures) as clip:
            if clip.key != key and video is not None:
                raise DataError(f"{video}: has changed since it was hashed; run again")
            yield replace(clip, key=key)  # keypoints stand for a video that is elsewhere

    def _no_video(self, ref: SampleRef) -> DataError:
        return DataError(
            f"{ref.id}: this labeler looks at videos, and there is none here "
            f"({ref.video or 'the data set names none'})"
        )


def _video(ref: SampleRef) -> Path | None:
    """Return the file of an item, if it is here."""
    return ref.video if ref.video and ref.video.is_file() else None


def _reads(ref: SampleRef, labeler: Any, show: Show, *, pictures: bool) -> bool:
    """Say whether the keypoints of an item are needed."""
    hides = bool(show.draw) or show.faces == "blur" or show.background == "mask"
    looks = labeler.reads_video and pictures
    return labeler.reads_keypoints or (looks and hides) or _video(ref) is None


def _extracted(experiment: Experiment) -> Loader | None:
    """Return where the keypoints of a video come from that is in no data set."""
    perception = experiment.perception
    if perception is None or perception.pose_estimator is None:
        return None
    return from_store(perception, OWN_POSES)


def _loader(experiment: Experiment, dataset: Dataset, name: str) -> Loader | None:
    """Return where keypoints come from: as for the model, else what there is."""
    perception, source = experiment.perception, experiment.features.get("keypoints", "")
    brought = dataset.layout is not None
    if brought and (source == DATASET or perception is None):
        return from_dataset(dataset, "keypoints")
    if perception is not None and perception.pose_estimator is not None:
        return from_store(perception, OWN_POSES, name)
    return from_dataset(dataset, "keypoints") if brought else None
