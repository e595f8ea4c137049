"""From a signal to events: where it holds, with begin and end.

Decided here: an event is a stretch beyond `off` that reaches `on` somewhere (hysteresis in both
directions of time, so that a clip played backwards has the same events); a gap of at most `hold_s`
is bridged where the signal held before and after, a longer one ends the event and starts another;
an event lasts from its first frame to the end of its last one; no event spans a cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from emoframe.weak_labels.motion.thresholds import Watch
from emoframe.weak_labels.motion.track import Bools, Floats, Track

TOUCHING = 1e-6
"""Seconds by which durations may miss their bounds, for sums of times that are not exact."""


@dataclass(frozen=True)
class Span:
    """An event as frames of the clip.

    Attributes:
        first: First frame.
        last: Last frame.
        count: How often it happened in between: stretches that were joined, or swings.
    """

    first: int
    last: int
    count: int


def spans(values_T: Floats, track: Track, watch: Watch, hold_s: float) -> list[Span]:
    """Find the events of a signal.

    Args:
        values_T: The signal, NaN where not measured.
        track: Clock and shots.
        watch: When it is an event.
        hold_s: Longest gap in seconds that is bridged.
    """
    if watch.swings:
        return list(_swings(values_T, track, watch, hold_s))
    sign = 1 if watch.on > watch.off else -1
    with np.errstate(invalid="ignore"):
        high, held = sign * values_T >= sign * watch.on, sign * values_T >= sign * watch.off
    held |= _bridged(held, np.isfinite(values_T), track, hold_s)
    found = [(a, b) for a, b in _runs(held, track.shot) if high[a : b + 1].any()]
    kept = [run for run in found if _length(*run, track) >= watch.least_s - TOUCHING]
    joined = _joined(kept, track, watch)
    return [one for one in joined if _length(one.first, one.last, track) <= watch.most_s + TOUCHING]


def _length(first: int, last: int, track: Track) -> float:
    return float(track.time_s[last] - track.time_s[first] + track.step_s)


def _runs(held: Bools, shot: NDArray[Any]) -> list[tuple[int, int]]:
    """Return first and last frame of each stretch within a shot."""
    if not held.any():
        return []
    fresh = np.r_[True, np.diff(shot) != 0]
    before = np.r_[False, held[:-1]] & ~fresh
    after = np.r_[held[1:], False] & ~np.r_[fresh[1:], True]
    starts, ends = np.flatnonzero(held & ~before), np.flatnonzero(held & ~after)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _bridged(held: Bools, known: Bools, track: Track, hold_s: float) -> Bools:
    """Return the gaps that are short enough and have the signal hold on both sides."""
    filled = np.zeros(len(held), bool)
    for a, b in _runs(~known, track.shot):
        sides = a - 1, b + 1
        if a == 0 or b + 1 == len(held) or not held[[*sides]].all():
            continue
        gap_s = track.time_s[b + 1] - track.time_s[a - 1] - track.step_s
        if gap_s <= hold_s + TOUCHING and track.shot[a - 1] == track.shot[b + 1]:
            filled[a : b + 1] = True
    return filled


def _joined(runs: list[tuple[int, int]], track: Track, watch: Watch) -> Iterator[Span]:
    """Join what follows within `join_s` in the same shot."""
    open_: Span | None = None
    for a, b in runs:
        if open_ is not None:
            near = track.time_s[a] - track.time_s[open_.last] - track.step_s < watch.join_s
            if near and track.shot[a] == track.shot[open_.last]:
                open_ = Span(open_.first, b, open_.count + 1)
                continue
            yield open_
        open_ = Span(a, b, 1)
    if open_ is not None:
        yield open_


def _swings(values_T: Floats, track: Track, watch: Watch, hold_s: float) -> Iterator[Span]:
    """Find where a signal goes to and fro: swings of at least `on`, each within `swing_s`."""
    known = np.isfinite(values_T)
    whole = known | _bridged(known, known, track, hold_s)
    for a, b in _runs(whole, track.shot):
        time_s, here = track.time_s[a : b + 1], known[a : b + 1]
        values = np.interp(time_s, time_s[here], values_T[a : b + 1][here])
        tops, _ = find_peaks(values, prominence=watch.on)
        lows, _ = find_peaks(-values, prominence=watch.on)
        turns = np.sort(np.r_[tops, lows])
        if len(turns) <= watch.swings:
            continue
        is_top = np.isin(turns, tops)
        good = is_top[1:] != is_top[:-1]
        good &= np.abs(np.diff(values[turns])) >= watch.on
        good &= np.diff(time_s[turns]) <= watch.swing_s
        for first, last in _runs(good, np.zeros(len(good))):
            if last - first + 1 >= watch.swings:
                yield Span(a + int(turns[first]), a + int(turns[last + 1]), last - first + 1)
