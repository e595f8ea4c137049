"""iMiGUE: athletes after a match, as its authors or the MiGA challenge hand it out.

Decided here: what the release itself lacks, such as the skeletons of videos 347 and 348, is left
out and told in `left_out`; what a copy lacks is refused, because a protocol whose test set shrank
in silence is another protocol. The labels of test live in `_sealed` and leave it by `test_labels`
alone. Facts of the release: specs 2.1 to 2.3.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from emoframe.core.errors import DataError
from emoframe.interfaces import Split
from emoframe.learning.datasets.imigue_files import Tree, find_files, show_ids
from emoframe.learning.datasets.imigue_labels import Labels, read_labels
from emoframe.learning.datasets.imigue_protocols import Folds, ProtocolName, divide, read_protocol
from emoframe.learning.datasets.imigue_skeletons import CONVERTED, Form, Skeletons
from emoframe.perception.video import video_hash
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout


@dataclass
class _Items:
    """Both splits; the labels of test lie apart from its items."""

    refs: dict[Split, list[SampleRef]] = field(default_factory=lambda: {"train": [], "test": []})
    left_out: dict[str, str] = field(default_factory=dict)
    lacking: dict[int, str] = field(default_factory=dict)


class Imigue:
    """The videos of iMiGUE with the outcome of the match, or their micro-gestures.

    The classes `lose` and `win` are what was annotated: the outcome of the match that the athlete
    speaks about, a proxy for hidden emotion and no more. The files come from the data set's
    authors under an agreement; see `protocols/imigue/terms.yaml`.

    Attributes:
        left_out: Why an item of the protocol is not among the samples, by id.
        subject_disjoint: Whether the protocol promises that no subject is in train and in test.

    Args:
        root: Folder of the release, in the original layout or MiGA's, whatever its folders are
            called.
        protocol: Which split. `cvpr2021_emotion`: 102 and 100 videos, subjects may be on both
            sides. `miga_emotion`: the challenge's 104 test videos; train is every other labelled
            one, the official 245 and the 10 of the official validation set. `subject_fold`: one of
            `folds` folds, by subject and stratified. `micro_gesture`: clips of 32 classes, 37
            subjects against 35; needs `openpose_137` skeletons, converted.
        keypoints: Which skeletons of the release: `openpose_137` (xlsx), `light_35` (MiGA's CSV),
            or `none`, where features come from the videos by way of the store.
        converted: Folder of converted skeletons; null for `emoframe_npy` in `root`.
        fps: Frames per second of the skeletons.
        folds: Number of folds of `subject_fold`.
        fold: Which of them is test, from 0.
        fold_seed: Deals the subjects out over the folds.
        allow_missing: Leave out what this copy lacks (and tell in `left_out`) instead of refusing;
            the result is then not the protocol's.
    """

    synthetic = False

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
        self._rule, self._folds = read_protocol(protocol), Folds(folds, fold, fold_seed)
        self._converted = converted or root / CONVERTED
        self.classes = tuple(self._rule.classes.values())
        self.subject_disjoint = self._rule.subject_disjoint

    @property
    def protocol(self) -> str:
        """The protocol's name, and what is not whole of it."""
        deal = f"/folds={self._folds.count},seed={self._folds.seed}"
        lacks = "/incomplete" if self._items.lacking else ""
        return f"imigue:{self._rule.name}{deal if self._rule.divides == 'folds' else ''}{lacks}"

    @property
    def layout(self) -> SkeletonLayout | None:
        """Layout of the skeletons."""
        return self._skeletons.layout if self._skeletons else None

    @property
    def left_out(self) -> dict[str, str]:
        """Why an item of the protocol is not among the samples, by id."""
        return dict(self._items.left_out)

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
        if self._skeletons is None:
            return {}
        video, *span = (int(part) for part in ref.id.split("/"))
        return {"keypoints": self._skeletons.keypoints(video, self.fps, *span[:2])}

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels, of those test items of which they are known."""
        ids = {ref.id for ref in self.samples("test")}
        return {item: label for item, label in self._sealed().items() if item in ids}

    def fingerprint(self) -> dict[str, str]:
        """Return what tells this data from other: protocol, label files, skeletons or videos."""
        videos = sorted(
            {int(ref.id.split("/")[0]) for refs in self._items.refs.values() for ref in refs}
        )
        content = self._skeletons.fingerprint if self._skeletons else self._video_hash
        whole = hashlib.sha256(repr([(v, content(v)) for v in videos]).encode()).hexdigest()
        files = self._tree.labels or self._tree.miga_labels
        return {
            "protocol": self._rule.hash,
            "labels": " ".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
            "keypoints": self.keypoints,
            "content": whole,
        }

    @functools.cached_property
    def _tree(self) -> Tree:
        tree = find_files(self.root)
        _refuse(tree.problems)
        return tree

    @functools.cached_property
    def _labels(self) -> Labels:
        labels = read_labels(self._tree)
        _refuse(labels.problems)
        return labels

    @functools.cached_property
    def _skeletons(self) -> Skeletons | None:
        if self.keypoints == "none":
            return None
        return Skeletons(self._tree, self.keypoints, self._converted)

    @functools.cached_property
    def _items(self) -> _Items:
        """Divide the videos; what the release lacks is left out, what the copy lacks refused."""
        items = _Items()
        train, test = divide(self._rule, self._labels, self._folds)
        for video in train:
            self._add(items, "train", video)
        for video in test:
            self._add(items, "test", video)
        for video in sorted(self._tree.ids - {*train, *test}):
            if video not in self._labels.outcome:
                items.left_out[f"{video:04d}"] = "no row of the label file is about it"
        if items.lacking and not self.allow_missing:
            video, why = next(iter(items.lacking.items()))
            raise DataError(
                f"{self.root}: protocol {self._rule.name!r} needs {len(items.lacking)} videos that "
                f"this copy does not have whole ({show_ids(items.lacking)}); {video:04d}: {why}; "
                "complete the copy, or set `allow_missing: true` and do not call it the protocol"
            )
        return items

    def _add(self, items: _Items, split: Split, video: int) -> None:
        """Add the items of one video to a split, or say why not."""
        name = f"{video:04d}"
        why = self._lacks(split, video)
        if why:
            items.lacking[video] = items.left_out[name] = why
        elif self._skeletons and self._skeletons.find_width(video) is None:
            items.left_out[name] = "its skeleton file holds no frame"
        elif self._rule.divides == "subjects":
            self._add_gestures(items, split, video)
        else:
            items.refs[split].append(self._ref(split, name, video, self._outcome(video)))

    def _add_gestures(self, items: _Items, split: Split, video: int) -> None:
        """Add the clips of one video; their ids name frames and never the class."""
        assert self._skeletons is not None  # the constructor has checked this
        total = len(self._skeletons.table(video))
        for name, (start, code) in self._gestures.get(video, {}).items():
            if start >= total:
                items.left_out[name] = f"the skeleton file ends before it, after {total} frames"
            else:
                items.refs[split].append(self._ref(split, name, video, code, clip=True))

    def _ref(
        self, split: Split, name: str, video: int, label: int | None, *, clip: bool = False
    ) -> SampleRef:
        subject = self._labels.subject.get(video)
        return SampleRef(
            name,
            label if split == "train" else None,
            None if subject is None else str(subject),
            None if clip else self._tree.videos.get(video),
        )

    def _lacks(self, split: Split, video: int) -> str:
        """Say what this copy lacks of a video; nothing where it is whole."""
        clips = self._rule.divides == "subjects"
        if split == "train" and not clips and video not in self._labels.outcome:
            return "no label file names its match outcome"
        if self._skeletons is None:
            return "" if video in self._tree.videos else "there is no mp4 of it"
        file = self._skeletons.file(video)
        if file is None:
            return f"there is no {self.keypoints} skeleton of it"
        if clips and file.suffix != ".npy":
            return "its skeleton must be converted first (emoframe data convert)"
        return ""

    @functools.cached_property
    def _gestures(self) -> dict[int, dict[str, tuple[int, int]]]:
        """First frame and class of each clip, by video and id; a repeated span gets a number."""
        codes = [int(code) for code in self._rule.classes]
        count: Counter[str] = Counter()
        found: dict[int, dict[str, tuple[int, int]]] = {}
        for gesture in self._labels.gestures:
            span = f"{gesture.video:04d}/{gesture.start}/{gesture.end}"
            count[span] += 1
            name = span if count[span] == 1 else f"{span}/{count[span]}"
            clips = found.setdefault(gesture.video, {})
            clips[name] = gesture.start, codes.index(gesture.code)
        return found

    def _outcome(self, video: int) -> int | None:
        outcome = self._labels.outcome.get(video)
        return None if outcome is None else [*self._rule.classes].index(outcome)

    def _sealed(self) -> dict[str, int]:
        """Return the labels of the test items, for `test_labels` only."""
        _, test = divide(self._rule, self._labels, self._folds)
        if self._rule.divides == "subjects":
            clips = [clip for video in test for clip in self._gestures.get(video, {}).items()]
            return {name: code for name, (_, code) in clips}
        labels = {f"{video:04d}": self._outcome(video) for video in test}
        return {item: label for item, label in labels.items() if label is not None}

    def _video_hash(self, video: int) -> str:
        return video_hash(self._tree.videos[video])


def _refuse(problems: Sequence[str]) -> None:
    """Raise the first problem, with the number of all."""
    if problems:
        more = f" ({len(problems)} such problems)" if len(problems) > 1 else ""
        raise DataError(f"{problems[0]}{more}; run `emoframe data check` on the folder to see all")
