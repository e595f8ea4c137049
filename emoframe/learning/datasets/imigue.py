"""iMiGUE: athletes after a match, as its authors or the MiGA challenge hand it out.

Decided here: a copy that is not whole is refused unless that is allowed, because a protocol whose
test set shrank in silence is another protocol; what is whole is decided in `imigue_items`. The
labels of test live there in `sealed` and leave it by `test_labels` alone. Facts of the release:
specs 2.1 to 2.3.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from emoframe.core.errors import DataError
from emoframe.interfaces import Split
from emoframe.learning.datasets.imigue_files import find_files
from emoframe.learning.datasets.imigue_items import Copy, Items
from emoframe.learning.datasets.imigue_labels import read_labels
from emoframe.learning.datasets.imigue_protocols import (
    Folds,
    ProtocolName,
    read_protocol,
    read_terms,
)
from emoframe.learning.datasets.imigue_skeletons import CONVERTED, LAYOUTS, Form, Skeletons
from emoframe.perception.video import video_hash
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout

log = logging.getLogger(__name__)


class Imigue:
    """The videos of iMiGUE with the outcome of the match, or their micro-gestures.

    The classes `lose` and `win` are what was annotated: the outcome of the match that the athlete
    speaks about, a proxy for hidden emotion and no more. The files come from the data set's
    authors under an agreement; see `protocols/imigue/terms.yaml`.

    Attributes:
        left_out: Why an item of the protocol is not among the samples, by id.
        subject_disjoint: Whether the protocol promises that no subject is in train and in test.
        terms: What may be done with the data: `upload` and `redistribute`, each `yes`, `no` or
            `ask`, and under which agreement.

    Args:
        root: Folder of the release, in the original layout or MiGA's, whatever its folders are
            called.
        protocol: Which split. `cvpr2021_emotion`: 102 and 100 videos, subjects may be on both
            sides. `miga_emotion`: the challenge's 104 test videos; train is every other labelled
            one, the official 245 and the 10 of the official validation set. `subject_fold`: one of
            `folds` folds, by subject and stratified. `micro_gesture`: clips of 32 classes, 37
            subjects against 35; needs `openpose_137` skeletons, converted.
        keypoints: Which skeletons of the release: `openpose_137` (xlsx), `light_35` (MiGA's CSV),
            or `none`, where features come from the videos by way of the store; where the folder
            holds no mp4 at all, those are known by their names, as `0002`.
        converted: Folder of converted skeletons; null for `emoframe_npy` in `root`.
        fps: Frames per second of the skeletons.
        folds: Number of folds of `subject_fold`.
        fold: Which of them is test, from 0.
        fold_seed: Deals the subjects out over the folds.
        allow_missing: Leave out what this copy lacks (and tell in `left_out`) instead of refusing;
            the protocol's name then ends in `/incomplete` and in what is lacking.
    """

    synthetic = False
    terms: Mapping[str, str] = read_terms()

    def __init__(
        self,
        *,
        root: Path,
        protocol: ProtocolName,
        keypoints: Literal["openpose_137", "light_35", "none"] = "openpose_137",
        converted: Path | None = None,
        fps: Annotated[float, Gt(0)] = 25.0,
        folds: Annotated[int, Ge(2)] = 5,
        fold: Annotated[int, Ge(0)] = 0,
        fold_seed: Annotated[int, Ge(0)] = 0,
        allow_missing: bool = False,
    ) -> None:
        deal = Folds(folds, fold, fold_seed)
        if protocol != "subject_fold" and deal != Folds():
            raise DataError(
                f"protocol {protocol!r} has no folds; leave `folds`, `fold` and `fold_seed` out, "
                "or set `protocol: subject_fold`"
            )
        if fold >= folds:
            raise DataError(f"fold {fold} is none of the {folds} folds; they count from 0")
        if protocol == "micro_gesture" and keypoints != "openpose_137":
            raise DataError(
                "protocol 'micro_gesture' cuts clips out of the skeletons with 137 points; set "
                "`keypoints: openpose_137`"
            )
        self.root, self.fps = root, fps
        self.keypoints: Form | Literal["none"] = keypoints
        self.allow_missing = allow_missing
        self._rule, self._folds = read_protocol(protocol), deal
        self._converted = converted or root / CONVERTED
        self.classes = tuple(self._rule.classes.values())
        self.subject_disjoint = self._rule.subject_disjoint

    @property
    def protocol(self) -> str:
        """The protocol's name, and what is not whole of it."""
        by_fold = f"/folds={self._folds.count},seed={self._folds.seed}"
        deal = by_fold if self._rule.divides == "folds" else ""
        return f"imigue:{self._rule.name}{deal}{self._items.stamp}"

    @property
    def layout(self) -> SkeletonLayout | None:
        """Layout of the skeletons."""
        return None if self.keypoints == "none" else LAYOUTS[self.keypoints]

    @property
    def left_out(self) -> dict[str, str]:
        """Why an item of the protocol is not among the samples, by id."""
        return self._items.left_out | self._items.unlisted

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split, ascending by video; those of `test` without labels.

        Raises:
            DataError: The copy lacks files or labels that the protocol needs, the label file
                contradicts itself, or a file lies there twice.
        """
        return list(self._items.refs[split])

    def load(self, ref: SampleRef) -> Mapping[str, Keypoints]:
        """Return the skeleton of an item; nothing where features come from the videos.

        Raises:
            DataError: The skeleton cannot be read, or holds no frame.
        """
        if self._copy.skeletons is None:
            return {}
        video, *span = (int(part) for part in ref.id.split("/"))
        return {"keypoints": self._copy.skeletons.keypoints(video, self.fps, *span[:2])}

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels, of those test items of which they are known."""
        ids = {ref.id for ref in self.samples("test")}
        return {item: label for item, label in self._copy.sealed().items() if item in ids}

    def fingerprint(self) -> dict[str, str]:
        """Return what tells this data from other.

        Protocol, label files, the skeletons or videos that are read, and which of them are not.
        """
        refs = [ref for split in self._items.refs.values() for ref in split]
        videos = sorted({int(ref.id.split("/")[0]) for ref in refs})
        skeletons, tree = self._copy.skeletons, self._copy.tree
        content = skeletons.fingerprint if skeletons else self._video_hash
        whole = hashlib.sha256(repr([(v, content(v)) for v in videos]).encode()).hexdigest()
        files = tree.labels or tree.miga_labels
        return {
            "protocol": self._rule.hash,
            "labels": " ".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
            "keypoints": self.keypoints,
            "content": whole,
            "left_out": "; ".join(f"{name}: {why}" for name, why in self._items.left_out.items()),
            "stamp": self._items.stamp,
        }

    @functools.cached_property
    def _copy(self) -> Copy:
        tree = find_files(self.root)
        _refuse(tree.problems)
        labels = read_labels(tree)
        _refuse(labels.problems)
        if self._rule.divides == "subjects":
            _refuse(labels.gesture_problems)
        skeletons = None
        if self.keypoints != "none":
            skeletons = Skeletons(tree, self.keypoints, self._converted)
        return Copy(self._rule, self._folds, tree, labels, skeletons)

    @functools.cached_property
    def _items(self) -> Items:
        """The items; what this copy lacks is refused, and what takes hours is told."""
        items = self._copy.items()
        if not self.allow_missing:
            items.refuse(f"{self.root}: protocol {self._rule.name!r}")
        slow = self._copy.skeletons.unconverted if self._copy.skeletons else set[int]()
        if slow:
            log.warning(
                "%s: %d skeletons are read from xlsx, which takes half a minute each and every "
                "time; convert them once: emoframe data convert %s",
                *(self.root, len(slow), self.root),
            )
        return items

    def _video_hash(self, video: int) -> str:
        path = self._copy.tree.videos.get(video)
        return video_hash(path) if path else "not here"


def _refuse(problems: Sequence[str]) -> None:
    """Raise the first problem, with the number of all."""
    if problems:
        more = f" ({len(problems)} such problems)" if len(problems) > 1 else ""
        raise DataError(f"{problems[0]}{more}; run `emoframe data check` on the folder to see all")
