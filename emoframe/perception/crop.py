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
    * Only so many people are known again; the others are whoever they are for one tracklet. So
      thousands of stray boxes cost no more than time in proportion.
    * Where every box is the whole picture (the detector `whole_frame`), it says nothing of who is
      in it: nobody is refused by appearance, and shots are cut all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from scipy.ndimage import median_filter, rank_filter
from scipy.optimize import linear_sum_assignment

from emoframe.perception.people import LAGS, LOOK, Seen, Sightings, sightings, unit
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
KNOWN = 128
"""Most people who are known again, those who are seen longest at a time; more are strays."""


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


def follow(seen: Seen | Iterable[Seen], settings: CropSettings) -> Track:
    """Follow one person through a video.

    Args:
        seen: Everybody in every frame; or in consecutive parts of the video, at least one, each
            of which is let go but for its people when the next is asked for.
        settings: How to choose and follow.

    Returns:
        One box per frame, smoothed, padded and clipped to the picture; NaN where the person is not.
    """
    parts = [seen] if isinstance(seen, Seen) else seen
    everybody, change, time_s, size = sightings(parts, settings.min_score)
    shot = _shots(change, settings)
    number = np.cumsum(shot, dtype=np.int64)
    everybody = _clear(everybody, _flashes(change, settings), size)
    box = np.full((len(shot), 4), np.nan, np.float32)
    if len(everybody.frame):
        tracklet = _tracklets(everybody, number, settings)
        person = _people(everybody, tracklet, settings.min_likeness)
        mine = _chosen(person, everybody, np.array(size), settings.person)
        box[everybody.frame[mine]] = everybody.box[mine]
        _bridge(box, number, settings.carry_frames, everybody, mine)
    valid = np.isfinite(box).all(axis=1)
    begins = valid & (shot | np.diff(valid, prepend=False))
    track_id = np.where(valid, np.cumsum(begins) - 1, -1)
    for start, length in zip(np.flatnonzero(begins), np.bincount(track_id[valid]), strict=True):
        part = box[start : start + length]
        smooth = median_filter(part, size=(settings.smooth_frames, 1), mode="nearest")
        part[:] = _padded(smooth, settings.pad, size)
    policy = POLICY[settings.person] + FOLLOWED
    return Track(box, begins & (track_id > 0), time_s, policy, None, track_id, shot)


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


def _clear(everybody: Sightings, flash: NDArray[np.bool_], size: tuple[int, int]) -> Sightings:
    """Leave out boxes in a flash, which shows nobody's colours."""
    frame, box, look = everybody
    if (box == np.array([0, 0, *size], np.float32)).all():
        return Sightings(frame, box, np.broadcast_to(np.ones(1, np.uint8), look.shape))
    clear = ~flash[frame]
    return everybody if clear.all() else Sightings(frame[clear], box[clear], look[clear])


@dataclass(eq=False)
class _Tracklet:
    """One person from frame to frame in one shot, as far as it has come."""

    number: int
    frame: int = -1
    box: Any = None
    taken: int = 0
    total: Any = 0.0
    anchor: Any = None

    def take(self, frame: int, box: NDArray[np.float32], look: NDArray[np.float32]) -> None:
        self.frame, self.box, self.taken = frame, box, self.taken + 1
        if self.taken <= ANCHOR:
            self.total = self.total + look
            self.anchor = unit(self.total)


def _tracklets(
    everybody: Sightings, shot: NDArray[np.int64], settings: CropSettings
) -> NDArray[np.intp]:
    """Join sightings from frame to frame, the best pairs of all, within shots.

    Returns the tracklet of each sighting, (N,), numbered by their first sightings.
    """
    oldest = np.maximum(
        np.searchsorted(shot, shot), np.arange(len(shot)) - settings.carry_frames - 1
    )
    tracklet = np.empty(len(everybody.frame), np.intp)
    open_ones: list[_Tracklet] = []
    count = 0
    for frame, first, boxes, looks in everybody.by_frame():
        open_ones = [one for one in open_ones if one.frame >= oldest[frame]]
        joined = _pairs(open_ones, boxes, looks, settings)
        for n in range(len(boxes)):
            if n not in joined:
                open_ones.append(_Tracklet(count))
                count += 1
            one = open_ones[joined.get(n, -1)]
            one.take(frame, boxes[n], looks[n])
            tracklet[first + n] = one.number
    return tracklet


def _pairs(
    tracklets: list[_Tracklet],
    boxes: NDArray[np.float32],
    looks: NDArray[np.float32],
    settings: CropSettings,
) -> dict[int, int]:
    """Say which tracklet each box goes on with; those that go on with none are left out."""
    if not tracklets:
        return {}
    overlap = _overlap(np.array([one.box for one in tracklets]), boxes)
    near = np.flatnonzero((overlap >= settings.min_overlap).any(axis=1)).tolist()
    if not near:
        return {}
    overlap, likeness = overlap[near], np.array([tracklets[t].anchor for t in near]) @ looks.T
    same = (overlap >= settings.min_overlap) & (likeness >= settings.min_likeness)
    rows, columns = np.nonzero(same)
    if not len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows):
        rows, columns = linear_sum_assignment(np.where(same, 2 - overlap - likeness, FORBIDDEN))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {n: near[t] for t, n in pairs if same[t, n]}


def _people(
    everybody: Sightings, tracklet: NDArray[np.intp], min_likeness: float
) -> NDArray[np.intp]:
    """Join tracklets into people, the longest first; return the person of each sighting, (N,)."""
    person = np.empty(len(tracklet), np.intp)
    busy = np.zeros((KNOWN, everybody.frame[-1] + 1), np.bool_)
    looks, count = np.zeros((KNOWN, LOOK)), 0
    parts = np.split(np.argsort(tracklet, kind="stable"), np.cumsum(np.bincount(tracklet))[:-1])
    for members in sorted(parts, key=len, reverse=True):
        span = slice(everybody.frame[members[0]], everybody.frame[members[-1]] + 1)
        total, known = everybody.total(members), min(count, KNOWN)
        likeness = unit(looks[:known]) @ unit(total)
        likeness[busy[:known, span].any(axis=1)] = -1  # seen while the other was: they are two
        best = int(likeness.argmax()) if known else 0
        if not known or likeness[best] < min_likeness:
            best, count = count, count + 1
        if best < KNOWN:
            busy[best, span] = True
            looks[best] += total
        person[members] = best
    return person


def _chosen(
    person: NDArray[np.intp], everybody: Sightings, size: NDArray[np.int64], how: str
) -> NDArray[np.intp]:
    """Return the sightings of the person to follow."""
    low, high = everybody.box[:, :2], everybody.box[:, 2:]
    off = np.linalg.norm((low + high) / 2 - size / 2, axis=1) / np.linalg.norm(size / 2)
    prominence = np.prod(high - low, axis=1) * np.clip(1 - off, 0, 1)
    if how == "first":
        prominence[everybody.frame > everybody.frame[0]] = -1
        return np.flatnonzero(person == person[prominence.argmax()])
    return np.flatnonzero(person == np.bincount(person, prominence).argmax())


def _bridge(
    box: NDArray[np.float32],
    shot: NDArray[np.int64],
    carry: int,
    everybody: Sightings,
    mine: NDArray[np.intp],
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


def _overlap(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of each of A boxes with each of B, (A, B)."""
    one, two = first[:, None], second[None]
    low, high = np.maximum(one[..., :2], two[..., :2]), np.minimum(one[..., 2:], two[..., 2:])
    sides = [np.clip(high - low, 0, None), *(box[..., 2:] - box[..., :2] for box in (one, two))]
    common, mine, theirs = (side[..., 0] * side[..., 1] for side in sides)
    return common / (mine + theirs - common)


def _padded(box: NDArray[np.float32], pad: float, size: tuple[int, int]) -> NDArray[np.float32]:
    margin = (box[:, 2:] - box[:, :2]) * pad
    grown = np.concatenate([box[:, :2] - margin, box[:, 2:] + margin], axis=1)
    return np.clip(grown, 0, np.tile(size, 2)).astype(np.float32)
