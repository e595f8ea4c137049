"""From everybody in each frame to one person through the video.

A pure function of what `emoframe.perception.people` kept, so that no setting decodes or detects
again. It goes from what is sure to what is not: shots end where the picture changes all at once;
within a shot, boxes that overlap and look alike from frame to frame are one person, a tracklet;
tracklets of any shot that look alike and never meet are one person too. One of these people is
followed; where only others are seen, nobody is.

Decided here:
    * In doubt it is somebody else: a frame of another person is worse than a frame less. People
      who are dressed alike and never seen together are taken for one; colours cannot tell.
    * A short gap is bridged by a straight line between its two ends, which are both known, rather
      than by the last box, which would jump at the end; not where somebody else stands in it.
    * Where every box is the whole picture (the detector `whole_frame`), it says nothing of who is
      in it: nobody is refused by appearance, and shots are cut all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Le
from scipy.ndimage import median_filter, rank_filter
from scipy.optimize import linear_sum_assignment

from emoframe.perception.people import LAGS, LOOK, Seen
from emoframe.records import Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

POLICY = {
    "prominent": "the person with the largest sum over the video of box area times nearness to "
    "the middle",
    "first": "the largest and most central person where somebody is first seen",
}
"""How each setting of `person` chooses, in words."""
FOLLOWED = "; the same by overlap within a shot and by colours across gaps and cuts, others masked"
NEIGHBOURS = 9
"""Frames on either side that a change is held against."""
ANCHOR = 12
"""A tracklet is what its first frames look like; its latest would drift along with a fade."""
FORBIDDEN = 1e3
"""Cost of a pair that cannot be the same person; above any sum of costs of those that can."""


@dataclass(frozen=True)
class CropSettings:
    """How one person is chosen, followed and cut out.

    Attributes:
        person: Who is followed: `prominent`, with the largest sum over time of area and nearness
            to the middle; `first`, the largest and most central where somebody is first seen.
        min_score: Boxes of a lower detector score are passed over.
        min_overlap: Least overlap (IoU) with the last box to be the same person.
        min_likeness: Least likeness of colours, the cosine of two looks, to be the same person.
        carry_frames: Longest gap in frames within a shot that is bridged between its two ends.
        cut_change: Least change of the picture at a shot cut, in grey levels of 255.
        cut_ratio: Least change at a shot cut over what is usual in the frames around.
        smooth_frames: Length in frames of the running median over the box; 1 leaves it as it is.
        pad: Margin on each side, as a share of the box's width and height.
    """

    person: Literal["prominent", "first"] = "prominent"
    min_score: Annotated[float, Ge(0), Le(1)] = 0.25
    min_overlap: Annotated[float, Ge(0), Le(1)] = 0.1
    min_likeness: Annotated[float, Ge(0), Le(1)] = 0.82
    carry_frames: Annotated[int, Ge(0)] = 12
    cut_change: Annotated[float, Ge(0), Le(255)] = 10.0
    cut_ratio: Annotated[float, Ge(1)] = 2.5
    smooth_frames: Annotated[int, Ge(1)] = 25
    pad: Annotated[float, Ge(0)] = 0.1


def follow(seen: Seen, settings: CropSettings) -> Track:
    """Follow one person through a video.

    Args:
        seen: Everybody in every frame.
        settings: How to choose and follow.

    Returns:
        One box per frame, smoothed, padded and clipped to the picture; NaN where the person is not.
    """
    shot = _shots(seen.change, settings)
    number = np.cumsum(shot, dtype=np.int64)
    flash = _flashes(seen.change, settings)
    everybody = _sightings(seen, flash, settings.min_score)
    people = _people(list(_tracklets(everybody, number, settings)), settings.min_likeness)
    box = np.full((len(shot), 4), np.nan, np.float32)
    if people:
        mine = _chosen(people, everybody, np.array(seen.size), settings.person)
        box[everybody.frame[mine]] = everybody.box[mine]
        _bridge(box, number, settings.carry_frames, everybody, mine)
    valid = np.isfinite(box).all(axis=1)
    begins = valid & (shot | np.diff(valid, prepend=False))
    track_id = np.where(valid, np.cumsum(begins) - 1, -1)
    for start, length in zip(np.flatnonzero(begins), np.bincount(track_id[valid]), strict=True):
        part = box[start : start + length]
        smooth = median_filter(part, size=(settings.smooth_frames, 1), mode="nearest")
        part[:] = _padded(smooth, settings.pad, seen.size)
    policy = POLICY[settings.person] + FOLLOWED
    return Track(box, begins & (track_id > 0), seen.time_s, policy, None, track_id, shot)


def _shots(change: NDArray[np.float32], settings: CropSettings) -> NDArray[np.bool_]:
    """Find the first frame of each shot but the first, (T,).

    In the spirit of PySceneDetect's AdaptiveDetector: a change counts if it stands out from those
    around it, which those of a pan or a fade do not. What differs here: each of the pictures from
    the cut on must differ from each of those before it, so a flash is none; and what is usual is
    the third largest change around, not the mean: two more cuts nearby do not raise it, and the
    first step of a pan does not look like a cut, even of one that moves in every third frame only.
    """
    later = np.pad(change, ((0, LAGS - 1), (0, 0)), constant_values=np.inf)
    pairs = [later[s : s + len(change), k] for k in range(LAGS) for s in range(k + 1)]
    new = np.min(pairs, axis=0)
    around = np.arange(-NEIGHBOURS, NEIGHBOURS + 1) != 0
    usual = rank_filter(new, -3, footprint=around, mode="constant")
    return (new >= settings.cut_change) & (new >= settings.cut_ratio * usual)


def _flashes(change: NDArray[np.float32], settings: CropSettings) -> NDArray[np.bool_]:
    """Find the frames, one or two at a time, after which the picture is what it was, (T,)."""
    flash = np.zeros(len(change), np.bool_)
    jump, begun = change[:, 0], np.zeros(len(change), np.bool_)
    for frames in range(1, LAGS):
        after = np.pad(change[frames:, frames], (0, frames), constant_values=np.inf)[: len(change)]
        begins = (jump >= settings.cut_change) & (jump >= settings.cut_ratio * after) & ~begun
        begun |= begins
        for n in range(frames):
            flash[n:] |= begins[: len(change) - n]
    return flash


class _Sightings(NamedTuple):
    """The N usable boxes of a video, frame by frame."""

    frame: NDArray[np.intp]
    box: NDArray[np.float32]
    look: NDArray[np.uint8]


def _sightings(seen: Seen, flash: NDArray[np.bool_], min_score: float) -> _Sightings:
    """Leave out doubtful boxes, and those in a flash, which shows nobody's colours."""
    frame, place = np.nonzero(seen.score >= min_score)
    whole = (seen.box[frame, place] == np.array([0, 0, *seen.size], np.float32)).all()
    if not whole:
        clear = ~flash[frame]
        frame, place = frame[clear], place[clear]
    look = seen.look[frame, place]
    return _Sightings(frame, seen.box[frame, place], np.ones_like(look) if whole else look)


@dataclass(eq=False)
class _Tracklet:
    """One person from frame to frame in one shot."""

    box: NDArray[np.float32]
    frames: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    anchor: Any = 0.0
    total: Any = 0.0

    def take(self, number: int, frame: int, box: NDArray[Any], look: NDArray[Any]) -> None:
        self.members.append(number)
        self.frames.append(frame)
        self.box, self.total = box, self.total + look
        if len(self.members) <= ANCHOR:
            self.anchor = self.total


def _tracklets(
    everybody: _Sightings, shot: NDArray[np.int64], settings: CropSettings
) -> Iterator[_Tracklet]:
    """Join sightings from frame to frame, the best pairs of all, within shots."""
    open_ones: list[_Tracklet] = []
    for frame, group in groupby(range(len(everybody.frame)), everybody.frame.__getitem__):
        numbers = list(group)
        boxes, looks = everybody.box[numbers], _unit(everybody.look[numbers])
        oldest = frame - settings.carry_frames - 1
        over = [t for t in open_ones if t.frames[-1] < oldest or shot[t.frames[-1]] < shot[frame]]
        yield from over
        open_ones = [tracklet for tracklet in open_ones if tracklet not in over]
        joined = _pairs(open_ones, boxes, looks, settings)
        for n, number in enumerate(numbers):
            if n not in joined:
                open_ones.append(_Tracklet(boxes[n]))
            open_ones[joined.get(n, -1)].take(number, int(frame), boxes[n], looks[n])
    yield from open_ones


def _pairs(
    tracklets: list[_Tracklet],
    boxes: NDArray[np.float32],
    looks: NDArray[np.float32],
    settings: CropSettings,
) -> dict[int, int]:
    """Say which tracklet each box goes on with; those that go on with none are left out."""
    if not tracklets:
        return {}
    overlap = _overlap(np.stack([tracklet.box for tracklet in tracklets]), boxes)
    likeness = _unit(np.stack([tracklet.anchor for tracklet in tracklets])) @ looks.T
    same = (overlap >= settings.min_overlap) & (likeness >= settings.min_likeness)
    rows, columns = linear_sum_assignment(np.where(same, 2 - overlap - likeness, FORBIDDEN))
    return {int(n): int(t) for t, n in zip(rows, columns, strict=True) if same[t, n]}


def _people(tracklets: list[_Tracklet], min_likeness: float) -> list[list[int]]:
    """Join tracklets into people, the longest first; return the sightings of each."""
    people: list[list[_Tracklet]] = []
    looks = np.zeros((len(tracklets), LOOK))
    for tracklet in sorted(tracklets, key=lambda t: (-len(t.members), t.members)):
        likeness = _unit(looks[: len(people)]) @ _unit(tracklet.total)
        likeness[[_meet(known, tracklet) for known in people]] = -1
        best = int(likeness.argmax()) if people else 0
        if not people or likeness[best] < min_likeness:
            best = len(people)
            people.append([])
        people[best].append(tracklet)
        looks[best] += tracklet.total
    return [[number for tracklet in known for number in tracklet.members] for known in people]


def _meet(known: list[_Tracklet], other: _Tracklet) -> bool:
    """Say whether somebody was seen while the other was: then they are two."""
    first, last = other.frames[0], other.frames[-1]
    return any(t.frames[0] <= last and first <= t.frames[-1] for t in known)


def _chosen(
    people: list[list[int]], everybody: _Sightings, size: NDArray[np.int64], how: str
) -> list[int]:
    """Return the sightings of the person to follow."""
    low, high = everybody.box[:, :2], everybody.box[:, 2:]
    off = np.linalg.norm((low + high) / 2 - size / 2, axis=1) / np.linalg.norm(size / 2)
    prominence = np.prod(high - low, axis=1) * np.clip(1 - off, 0, 1)
    if how == "first":
        prominence[everybody.frame > everybody.frame[0]] = -1
        return next(known for known in people if int(prominence.argmax()) in known)
    return max(people, key=lambda known: float(prominence[known].sum()))


def _bridge(
    box: NDArray[np.float32],
    shot: NDArray[np.int64],
    carry: int,
    everybody: _Sightings,
    mine: list[int],
) -> None:
    """Draw straight lines through short gaps, but not through other people, in place."""
    index, valid = np.arange(len(box)), np.isfinite(box).all(axis=1)
    known = np.flatnonzero(valid)
    after = known[np.minimum(np.searchsorted(known, index), len(known) - 1)]
    before = known[np.maximum(np.searchsorted(known, index, side="right") - 1, 0)]
    gap = ~valid & (before < index) & (index < after) & (after - before - 1 <= carry)
    gap = np.flatnonzero(gap & (shot[before] == shot[after]))
    for n in range(4):
        box[gap, n] = np.interp(gap, known, box[known, n])
    others = np.setdiff1d(np.flatnonzero(np.isin(everybody.frame, gap)), mine)
    frame, theirs = everybody.frame[others], everybody.box[others]
    middle = (box[frame, :2] + box[frame, 2:]) / 2
    box[frame[((theirs[:, :2] <= middle) & (middle <= theirs[:, 2:])).all(axis=1)]] = np.nan


def _unit(look: NDArray[Any]) -> NDArray[np.float32]:
    look = np.asarray(look, np.float32)
    return look / np.linalg.norm(look, axis=-1, keepdims=True)


def _overlap(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of each of A boxes with each of B, (A, B)."""
    one, two = first[:, None], second[None]
    low, high = np.maximum(one[..., :2], two[..., :2]), np.minimum(one[..., 2:], two[..., 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(box[..., 2:] - box[..., :2], axis=-1) for box in (one, two)]
    return common / (areas[0] + areas[1] - common)


def _padded(box: NDArray[np.float32], pad: float, size: tuple[int, int]) -> NDArray[np.float32]:
    margin = (box[:, 2:] - box[:, :2]) * pad
    grown = np.concatenate([box[:, :2] - margin, box[:, 2:] + margin], axis=1)
    return np.clip(grown, 0, np.tile(size, 2)).astype(np.float32)
