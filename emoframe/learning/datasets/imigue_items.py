"""Which videos or clips of iMiGUE are the items of a protocol, which are not, and why.

Decided here: what the release itself lacks, the skeletons of videos 347 and 348, is left out and
told. What only this copy lacks is `lacking`: the protocol's size is then not what was published, so
it is refused, or stamped with what is lacking, since two copies that lack different videos are two
protocols.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from emoframe.core.errors import DataError
from emoframe.interfaces import Split
from emoframe.learning.datasets.imigue_files import Tree, show_ids
from emoframe.learning.datasets.imigue_labels import Labels
from emoframe.learning.datasets.imigue_protocols import Folds, Protocol, divide, shortfalls
from emoframe.learning.datasets.imigue_skeletons import EMPTY_IN_RELEASE, Skeletons
from emoframe.records import SampleRef

NO_FRAME = "its skeleton file holds no frame"


@dataclass
class Items:
    """Both splits, and what is not in them; the labels of test lie apart.

    Attributes:
        refs: The items of each split.
        left_out: Why an item of the protocol is not among them, by id.
        lacking: Those of `left_out` that a whole release has.
        short: A sentence for each size that is not the protocol's.
        unlisted: Why a video with files is none of the protocol's, by id.
    """

    refs: dict[Split, list[SampleRef]] = field(default_factory=lambda: {"train": [], "test": []})
    left_out: dict[str, str] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)
    short: list[str] = field(default_factory=list)
    unlisted: dict[str, str] = field(default_factory=dict)

    @property
    def stamp(self) -> str:
        """What to add to the name of the protocol; nothing where the copy is whole."""
        if not self.lacking and not self.short:
            return ""
        which = hashlib.sha256(repr([sorted(self.lacking), self.short]).encode()).hexdigest()
        return f"/incomplete,lacks={len(self.lacking)},{which[:6]}"

    def leave_out(self, name: str, why: str, *, lacking: bool) -> None:
        """Note that an item is not among the samples."""
        self.left_out[name] = why
        if lacking:
            self.lacking.add(name)

    def refuse(self, where: str) -> None:
        """Refuse a copy that is not whole.

        Raises:
            DataError: It is not.
        """
        advice = "or set `allow_missing: true` and do not call it the protocol"
        if self.lacking:
            name = next(name for name in self.left_out if name in self.lacking)
            videos = {int(name.split("/")[0]) for name in self.lacking}
            raise DataError(
                f"{where} needs {len(videos)} videos that this copy does not have whole "
                f"({show_ids(videos)}); {name}: {self.left_out[name]}; complete the copy, {advice}"
            )
        if self.short:
            raise DataError(f"{where}: {self.short[0]}; complete the label file, {advice}")


@dataclass(frozen=True)
class Copy:
    """What is read of a copy of iMiGUE under one protocol.

    Attributes:
        rule: The protocol.
        folds: Which fold is test, of protocols that go by folds.
        tree: Where the files lie.
        labels: What the label files say.
        skeletons: None where features come from the videos.
    """

    rule: Protocol
    folds: Folds
    tree: Tree
    labels: Labels
    skeletons: Skeletons | None

    @functools.cached_property
    def splits(self) -> tuple[list[int], list[int]]:
        """Ids of the videos of train and of test, whether or not their files are there."""
        return divide(self.rule, self.labels, self.folds)

    @functools.cached_property
    def gestures(self) -> Mapping[int, Mapping[str, tuple[int, int]]]:
        """First frame and class of each clip, by video and id; a repeated span gets a number."""
        codes = [int(code) for code in self.rule.classes]
        count: Counter[str] = Counter()
        found: dict[int, dict[str, tuple[int, int]]] = {}
        for gesture in self.labels.gestures:
            span = f"{gesture.video:04d}/{gesture.start}/{gesture.end}"
            count[span] += 1
            name = span if count[span] == 1 else f"{span}/{count[span]}"
            clips = found.setdefault(gesture.video, {})
            clips[name] = gesture.start, codes.index(gesture.code)
        return found

    def items(self) -> Items:
        """Divide the videos or their clips, and note what is not there."""
        items, train_test = Items(), self.splits
        for split, videos in zip(items.refs, train_test, strict=True):
            for video in videos:
                self._add(items, split, video)
        items.short = list(shortfalls(self.rule, self.labels, train_test))
        there = self.tree.ids | (self.skeletons.ids if self.skeletons else set())
        for video in sorted(there - {*train_test[0], *train_test[1]}):
            if video not in self.labels.outcome:
                items.unlisted[f"{video:04d}"] = "no row of the label file is about it"
        return items

    def sealed(self) -> dict[str, int]:
        """Return the labels of the test items, for `test_labels` only."""
        _, test = self.splits
        if self.rule.divides == "subjects":
            clips = [clip for video in test for clip in self.gestures.get(video, {}).items()]
            return {name: code for name, (_, code) in clips}
        labels = {f"{video:04d}": self._outcome(video) for video in test}
        return {item: label for item, label in labels.items() if label is not None}

    def _add(self, items: Items, split: Split, video: int) -> None:
        """Add the items of one video to a split, or say why not."""
        name, why = f"{video:04d}", self._lacks(split, video)
        if why:
            items.leave_out(name, why, lacking=True)
        elif self.skeletons and self.skeletons.find_width(video) is None:
            items.leave_out(name, NO_FRAME, lacking=video not in EMPTY_IN_RELEASE)
        elif self.rule.divides == "subjects":
            self._add_gestures(items, split, video)
        else:
            items.refs[split].append(self._ref(split, name, video, self._outcome(video)))

    def _add_gestures(self, items: Items, split: Split, video: int) -> None:
        """Add the clips of one video; their ids name frames and never the class."""
        assert self.skeletons is not None  # the data set's constructor has checked this
        total = len(self.skeletons.table(video))
        for name, (start, code) in self.gestures.get(video, {}).items():
            if start >= total:
                why = f"the skeleton file ends before it, after {total} frames"
                items.leave_out(name, why, lacking=True)
            else:
                items.refs[split].append(self._ref(split, name, video, code))

    def _ref(self, split: Split, name: str, video: int, label: int | None) -> SampleRef:
        subject = self.labels.subject.get(video)
        place = self.tree.videos.get(video)
        if self.skeletons is None and place is None:
            # the store finds by its name what was extracted elsewhere
            place = self.tree.root / f"{video:04d}.mp4"
        return SampleRef(
            name,
            label if split == "train" else None,
            None if subject is None else str(subject),
            None if self.rule.divides == "subjects" else place,
        )

    def _lacks(self, split: Split, video: int) -> str:
        """Say what this copy lacks of a video; nothing where it is whole."""
        clips = self.rule.divides == "subjects"
        told = split == "train" or self.labels.tells_test
        if told and not clips and video not in self.labels.outcome:
            return "no label file names its match outcome"
        if self.skeletons is None:  # features travel without any video
            lost = self.tree.videos and video not in self.tree.videos
            return "there is no mp4 of it" if lost else ""
        file = self.skeletons.file(video)
        if file is None:
            return f"there is no {self.skeletons.form} skeleton of it"
        if clips and file.suffix != ".npy":
            return "its skeleton must be converted first (emoframe data convert)"
        return ""

    def _outcome(self, video: int) -> int | None:
        outcome = self.labels.outcome.get(video)
        return None if outcome is None else [*self.rule.classes].index(outcome)
