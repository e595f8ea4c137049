"""Everything that is wrong with a copy of iMiGUE, found before anything runs on it.

Decided here: a copy may hold skeletons only or videos only, and MiGA's packaging has no test
labels, so neither is a problem; the two skeleton files that are empty in the release itself are
none either. Of each source the first frame is read, and converted skeletons are held against the
hash that was noted when they were written. A copy may hold nothing but those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from emoframe.core.errors import DataError
from emoframe.learning.datasets.imigue_files import Tree, find_files, show_ids
from emoframe.learning.datasets.imigue_labels import COLUMNS, Labels, read_labels, table
from emoframe.learning.datasets.imigue_protocols import (
    Protocol,
    ProtocolName,
    divide,
    read_protocol,
    shortfalls,
)
from emoframe.learning.datasets.imigue_skeletons import (
    CONVERTED,
    EMPTY_IN_RELEASE,
    Form,
    Skeletons,
)
from emoframe.perception.video import probe

VIDEOS, SUBJECTS = 359, 72


def check(root: Path, converted: Path | None = None) -> list[str]:
    """Verify layout, label file, ids, files and splits of a copy of iMiGUE.

    Args:
        root: Its folder.
        converted: Folder of converted skeletons; null for `emoframe_npy` in `root`.

    Returns:
        A sentence per problem; none where all is well.

    Raises:
        ComponentError: Its skeletons are xlsx, and openpyxl is not installed.
    """
    try:
        tree = find_files(root)
    except DataError as error:
        return [str(error)]
    forms = [Skeletons(tree, form, converted or root / CONVERTED) for form in get_args(Form)]
    problems = [*tree.problems, *_layout(tree, forms)]
    for skeletons in forms:
        problems += _skeletons(skeletons)
    problems += _videos(tree)
    try:
        labels = read_labels(tree)
    except DataError as error:
        return [*problems, str(error)]
    return [
        *problems, *_columns(tree), *labels.problems, *labels.gesture_problems,
        *_ids(tree, labels, forms), *_splits(labels),
    ]  # fmt: skip


def _layout(tree: Tree, forms: Sequence[Skeletons]) -> Iterator[str]:
    if not tree.ids and not any(skeletons.ids for skeletons in forms):
        yield (
            f"{tree.root}: holds neither skeletons nor videos; expected folders such as "
            "mg_skeleton_only/0001/0001_2.xlsx, imigue_skeleton_train/0001/0001_light_hand.csv or "
            "imigue_rgb_train/0001/0001.mp4; only features that were extracted elsewhere can be "
            "used with it (`keypoints: none`)"
        )


def _columns(tree: Tree) -> Iterator[str]:
    for path in tree.labels:
        lacking = [column for column in COLUMNS if column not in table(path, ())[0]]
        if lacking:
            yield f"{path}: lacks the columns {', '.join(lacking)} of the release"


def _skeletons(skeletons: Skeletons) -> Iterator[str]:
    """Read the first rows of each file that would be read."""
    for video in sorted(skeletons.ids):
        file = skeletons.file(video)
        try:
            width = skeletons.find_width(video)
        except DataError as error:
            yield str(error)
            continue
        if width is None and video not in EMPTY_IN_RELEASE:
            yield (
                f"{file}: holds no frame; in the release only videos "
                f"{show_ids(EMPTY_IN_RELEASE)} are empty, copy it again"
            )
        elif width not in (None, skeletons.width):
            yield f"{file}: has {width} columns, not {skeletons.width}"
        elif file == skeletons.npy(video) and skeletons.is_changed(video):
            yield f"{file}: is not what was converted; delete it and convert or copy it again"


def _videos(tree: Tree) -> Iterator[str]:
    """Decode the first frame of each video."""
    for path in tree.videos.values():
        try:
            probe(path)
        except DataError as error:
            yield str(error)


def _ids(tree: Tree, labels: Labels, forms: Sequence[Skeletons]) -> Iterator[str]:
    """Hold labels and files against one another; no file at all of a sort is fine."""
    known = set(labels.outcome)
    if not labels.tells_test:  # MiGA's packaging does not tell the labels of its test videos
        known |= read_protocol("miga_emotion").test or set()
    sorts: Mapping[str, Iterable[int]] = {
        **{f"{skeletons.form} skeleton": skeletons.ids for skeletons in forms},
        "mp4": tree.videos,
    }
    for sort, files in sorts.items():
        lacking = known - set(files)
        if files and lacking:
            yield f"{sort} missing of {len(lacking)} of {len(known)} videos: {show_ids(lacking)}"
    if not labels.tells_test:
        return
    bare = tree.ids.union(*(skeletons.ids for skeletons in forms)) - known
    if bare:
        yield f"no row in the label file for {len(bare)} videos with files: {show_ids(bare)}"
    nobody = known - set(labels.subject)
    if nobody:
        yield f"no subject_id for {len(nobody)} of {len(known)} videos: {show_ids(nobody)}"
    people = len(set(labels.subject.values()))
    if (len(known), people) != (VIDEOS, SUBJECTS):
        yield (
            f"the label file names {len(known)} videos and {people} subjects; the release has "
            f"{VIDEOS} and {SUBJECTS}"
        )


def _splits(labels: Labels) -> Iterator[str]:
    """Hold each protocol that these labels allow against what it counts and promises."""
    for name in get_args(ProtocolName):
        protocol = read_protocol(name)
        if not labels.subject and name != "miga_emotion":
            continue  # MiGA's packaging serves its own protocol only
        try:
            splits = divide(protocol, labels)
        except DataError as error:
            yield f"protocol {name}: {error}"
            continue
        yield from _split(protocol, labels, splits)


def _split(
    protocol: Protocol, labels: Labels, splits: tuple[list[int], list[int]]
) -> Iterator[str]:
    subjects = [{labels.subject[v] for v in videos if v in labels.subject} for videos in splits]
    for sentence in shortfalls(protocol, labels, splits):
        yield f"protocol {protocol.name}: {sentence}"
    both = subjects[0] & subjects[1]
    if protocol.subject_disjoint and both:
        yield (
            f"protocol {protocol.name} promises that no subject is on both sides, and subject "
            f"{min(both)} is ({len(both)} such subjects)"
        )
