"""What was extracted from each video of a data set, as numbers: one row per video, none left out.

A video that is not in the store, or could not be extracted, is a row with its reason. Labels are
never looked at, so that both splits may be. One video's keypoints are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from emoframe.core.errors import DataError
from emoframe.core.schema import plain
from emoframe.interfaces import Dataset, Split
from emoframe.learning.clips import Loader
from emoframe.learning.experiment import Experiment
from emoframe.learning.inputs import sort_of
from emoframe.learning.sources import from_dataset, from_store, name_of
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout, layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 25
"""Equal steps of confidence from 0 to 1 in which points are counted."""
COUNTS = ("frames", "no_person_frames", "cuts")


@dataclass(frozen=True)
class Item:
    """A video, or what the data set brings along of one.

    Attributes:
        ref: Names it.
        split: Where the data set has it.
    """

    ref: SampleRef
    split: Split


@dataclass(frozen=True)
class Survey:
    """What a data set's keypoints look like.

    Attributes:
        table: One row per video, see `survey`.
        parts: The layout groups.
        confidence: By part, how many measured points lie in each of `BINS` steps, (BINS,).
    """

    table: pd.DataFrame
    parts: tuple[str, ...]
    confidence: dict[str, NDArray[np.int64]]

    @property
    def measured(self) -> pd.DataFrame:
        """The rows of videos that have keypoints."""
        return self.table.loc[self.table["reason"].eq("")]

    @property
    def absent(self) -> pd.DataFrame:
        """The rows of videos that have none."""
        return self.table.loc[self.table["reason"].ne("")]

    def ordered(self) -> pd.DataFrame:
        """Return the measured rows from the least to the best measured, by the mean of parts."""
        rows = self.measured
        share = rows[[f"{part}_joints" for part in self.parts]].mean(axis=1)
        return rows.loc[share.sort_values(kind="stable").index]


def items_of(dataset: Dataset) -> list[Item]:
    """Return each video of both splits once, in the order of the data set."""
    found: dict[object, Item] = {}
    for split in get_args(Split):
        for ref in dataset.samples(split):
            found.setdefault(ref.video or ref.id, Item(ref, split))
    return list(found.values())


def source(experiment: Experiment, dataset: Dataset) -> Loader:
    """Return where the keypoints of a config come from: its store, else its data set.

    Raises:
        DataError: No input of the model is keypoints, or the perception section makes none.
    """
    branches = plain(experiment.model.branches)
    taken = [name for name in experiment.features if sort_of(branches[name]) == "keypoints"]
    if not taken:
        raise DataError(
            "no input of the model is keypoints, and there is nothing else to draw; add one to "
            "`features` and `model.branches`, see docs/branches.md"
        )
    name = taken[0]
    if experiment.perception is None:
        return from_dataset(dataset, name)
    stage = experiment.features[name]
    elsewhere = stage if "@" in stage else ""  # `name@key`: made with other settings
    return from_store(experiment.perception, elsewhere, name_of(experiment, dataset))


def joints_of(keypoints: Keypoints, dataset: Dataset) -> SkeletonLayout:
    """Return the layout of keypoints, which may be one that the data set brings along."""
    own = dataset.layout
    return own if own is not None and own.name == keypoints.layout else layout(keypoints.layout)


def survey(
    items: Sequence[Item],
    load: Loader,
    dataset: Dataset,
    on_video: Callable[[str], None] = lambda text: None,
) -> Survey:
    """Measure every video.

    Args:
        items: The videos.
        load: Fetches the keypoints of one.
        dataset: Where they are listed.
        on_video: Called after each video with its name and what became of it.

    Returns:
        A table with the columns `id`, `split`, `subject`, `video` (the file's name), `reason` (why
        there are no keypoints; empty where there are) and those of `video_numbers`.

    Raises:
        DataError: No video has keypoints.
    """
    rows: list[dict[str, Any]] = []
    confidence: dict[str, NDArray[np.int64]] = {}
    for item in items:
        ref = item.ref
        row: dict[str, Any] = {"id": ref.id, "split": item.split, "subject": ref.subject}
        row |= {"video": ref.video.name if ref.video else None, "reason": ""}
        try:
            keypoints = load(ref)
            joints = joints_of(keypoints, dataset)
            row |= video_numbers(keypoints, joints)
            for part, members in joints.groups.items():
                own = list(members)
                points = keypoints.confidence[:, own][keypoints.valid[:, own]]
                counted = np.histogram(points, BINS, (0, 1))[0]
                confidence[part] = confidence.get(part, 0) + counted
        except DataError as error:
            row["reason"] = str(error)
        rows.append(row)
        on_video(f"{ref.id}: {row['reason'] or 'ok'}")
    if not confidence:
        first = f" ({rows[0]['id']}: {rows[0]['reason']})" if rows else ""
        raise DataError(
            f"none of the {len(rows)} videos of this config has keypoints, so that there is "
            f"nothing to look at{first}"
        )
    table = pd.DataFrame(rows)
    for column in COUNTS:
        table[column] = table[column].astype("Int64")
    return Survey(table, tuple(confidence), confidence)


def video_numbers(keypoints: Keypoints, joints: SkeletonLayout) -> dict[str, Any]:
    """Measure one video; a masked point counts in nothing.

    Args:
        keypoints: What was found in it.
        joints: Their layout.

    Returns:
        `frames`: number of frames.
        `seconds`: from the first frame to the last.
        `no_person_frames`: frames without a box, or, where there are no boxes, without a point.
        `cuts`: frames at which a shot begins or the person changes.
        `PART_frames`: share of frames in which any joint of the part was measured.
        `PART_joints`: share of the part's joints that were measured, over all frames.
        `PART_confidence`: mean confidence of its measured joints; NaN where there is none.
        And the box's drift, see `box_drift`.
    """
    cut, present = _cut(keypoints), _present(keypoints)
    found: dict[str, Any] = {
        "frames": len(keypoints),
        "seconds": float(keypoints.time_s[-1] - keypoints.time_s[0]) if len(keypoints) else 0.0,
        "no_person_frames": int((~present).sum()),
        "cuts": int(cut.sum()),
        **box_drift(keypoints),
    }
    for part, members in joints.groups.items():
        valid = keypoints.valid[:, list(members)]
        sure = keypoints.confidence[:, list(members)][valid]
        found[f"{part}_frames"] = float(valid.any(axis=1).mean())
        found[f"{part}_joints"] = float(valid.mean())
        found[f"{part}_confidence"] = float(sure.mean()) if len(sure) else np.nan
    return found


def box_drift(keypoints: Keypoints) -> dict[str, float]:
    """Measure how much the box moves, which per-frame normalisation would take for movement.

    All in box widths, its median width over the video; NaN where there is no box. Frames between
    two cuts or gaps are a stretch, and none is compared with another.

    Returns:
        `box_centre_spread`: root mean square distance of the centre from its mean in the stretch.
        `box_size_spread`: the same of (width, height).
        `box_speed`: mean distance of the centre from one frame to the next, per second.
    """
    names = ("box_centre_spread", "box_size_spread", "box_speed")
    present = _present(keypoints)
    if keypoints.box is None or not present.any():
        return dict.fromkeys(names, np.nan)
    box = keypoints.box[present].astype(np.float64)
    centre, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    stretch = np.cumsum(_cut(keypoints) | np.diff(present, prepend=present[:1]))[present]
    width = float(np.median(size[:, 0]))
    together = np.diff(stretch) == 0
    steps = np.linalg.norm(np.diff(centre, axis=0), axis=1)[together]
    seconds = np.diff(keypoints.time_s[present])[together].sum()
    speed = steps.sum() / seconds / width if seconds > 0 else np.nan
    spreads = (_spread(values, stretch) / width for values in (centre, size))
    return dict(zip(names, (*spreads, float(speed)), strict=True))


def _spread(values: NDArray[np.float64], stretch: NDArray[Any]) -> float:
    """Return the root mean square distance of rows from the mean row of their stretch."""
    _, group, count = np.unique(stretch, return_inverse=True, return_counts=True)
    total = np.zeros((len(count), values.shape[1]))
    np.add.at(total, group, values)
    return float(np.sqrt(((values - (total / count[:, None])[group]) ** 2).sum(axis=1).mean()))


def _cut(keypoints: Keypoints) -> NDArray[np.bool_]:
    return np.zeros(len(keypoints), np.bool_) if keypoints.cut is None else keypoints.cut


def _present(keypoints: Keypoints) -> NDArray[np.bool_]:
    if keypoints.box is None:
        return np.any(keypoints.valid, axis=1)
    return np.all(np.isfinite(keypoints.box), axis=1)
