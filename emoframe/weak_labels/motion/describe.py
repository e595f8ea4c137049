"""What the signals show, in the codebooks' words: units with times, and what was not measured.

Decided here: a unit's confidence says how well its points were measured, and not how likely a
person would call it so. What few frames tell is less sure, since a single wrong one makes it; so is
what is told of points on which a hand lies. Of what nobody measured it is said that it was not,
since silence would read as absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emoframe.labelling import Unit
from emoframe.weak_labels.motion.body import body_signals
from emoframe.weak_labels.motion.events import Span, spans
from emoframe.weak_labels.motion.face import face_signals
from emoframe.weak_labels.motion.hands import SIDES, hand_of, head_signals, under_hands
from emoframe.weak_labels.motion.head import FACE, head_of
from emoframe.weak_labels.motion.signals import SIGNALS, Signal
from emoframe.weak_labels.motion.thresholds import Thresholds, Watch
from emoframe.weak_labels.motion.track import Track

Codes = Mapping[str, Mapping[str, str]]
BRIEF_S = 0.3
"""Seconds below which the times of an event need another digit."""
FEW_FRAMES = 5
"""Of an event, below which its confidence is lower, in proportion."""
WHOLE = 0.95
"""Share of the frames from which on something counts as measured throughout."""


def signals_of(track: Track, thresholds: Thresholds) -> list[Signal]:
    """Measure every signal of a clip."""
    with np.errstate(invalid="ignore", divide="ignore"):  # what is missing is NaN throughout
        measure = thresholds.measure
        head = head_of(track, measure)
        hands = [hand_of(track, side, measure) for side in SIDES]
        hidden = under_hands(hands, head, head.place[:, FACE:], measure.cover_reach)
        return [
            *face_signals(track, head, measure, hidden),
            *head_signals(track, head, hands, thresholds),
            *body_signals(track, thresholds.measure),
        ]


def units_of(
    track: Track,
    signals: Sequence[Signal],
    thresholds: Thresholds,
    codes: Codes,
    length_s: float = np.inf,
) -> list[Unit]:
    """Find every event and name it, in the order of time.

    Args:
        track: Clock and shots.
        signals: What was measured.
        thresholds: When a signal is an event.
        codes: Name of each code by codebook; events of no code in them are left out.
        length_s: Length of the clip in seconds: no event goes beyond.
    """
    found = [
        unit
        for watch in thresholds.events
        for signal in signals
        if signal.name == watch.signal
        for span in spans(signal.value, track, watch, thresholds.measure.hold_s)
        for unit in _named(span, signal, watch, track, codes, length_s)
    ]
    return sorted(found, key=lambda one: (one.start_s, one.end_s, one.system, one.code, one.side))


def _named(
    span: Span, signal: Signal, watch: Watch, track: Track, codes: Codes, length_s: float
) -> list[Unit]:
    start_s, last_s = track.time_s[[span.first, span.last]].tolist()
    end_s = max(last_s, min(last_s + track.step_s, length_s))
    here = slice(span.first, span.last + 1)
    known = np.isfinite(signal.value[here])
    quality = np.where(known, signal.quality[here], 0).mean() * min(1, known.sum() / FEW_FRAMES)
    digits = 2 if end_s - start_s < BRIEF_S else 1
    evidence = _words(signal, watch, here)
    evidence += f" from {start_s:.{digits}f} s to {end_s:.{digits}f} s"
    evidence += _counted(span, watch) + _inferred(signal, here)
    units: list[Unit] = []
    for code in watch.codes:
        system, _, number = code.partition(" ")
        name = codes.get(system, {}).get(number)
        if name is not None:
            times = round(start_s, 3), round(end_s, 3), round(float(quality), 2)
            units.append(Unit(system, number, name, *times, signal.side, evidence=evidence))
    return units


def _words(signal: Signal, watch: Watch, here: slice) -> str:
    """Fill in the side, and where it was for most of the time."""
    where = ""
    if signal.choices:
        first = 0
        if signal.choice is not None:
            reached = _reached(signal, watch, here)
            first = int(np.bincount(signal.choice[here][reached]).argmax())
        where = signal.choices[first]
    return watch.words.format(side=signal.side, where=where)


def _reached(signal: Signal, watch: Watch, here: slice) -> np.ndarray:
    """Say in which frames of an event the signal is beyond `on`."""
    values = signal.value[here]
    with np.errstate(invalid="ignore"):
        return values >= watch.on if watch.on > watch.off else values <= watch.on


def _counted(span: Span, watch: Watch) -> str:
    if watch.swings:
        return f", {span.count} swings"
    return f", {span.count} times" if span.count > 1 else ""


def _inferred(signal: Signal, here: slice) -> str:
    if signal.inferred is None or not signal.inferred[here].mean() > 0.5:
        return ""
    return ", told by the forearm since the hand itself was not found"


def unmeasured(signals: Sequence[Signal], thresholds: Thresholds) -> str:
    """Say in sentences what was measured never, or only for a part of the time."""
    watched = {watch.signal for watch in thresholds.events if SIGNALS[watch.signal]}
    shares: dict[str, float] = {}
    for signal in signals:
        if signal.name in watched:
            part = SIGNALS[signal.name].format(side=signal.side)
            share = float(np.isfinite(signal.value).mean()) if len(signal.value) else 0.0
            shares[part] = min(share, shares.get(part, 1.0))
    never = [part for part, share in shares.items() if share == 0]
    partly = [f"{part} {share:.0%}" for part, share in shares.items() if 0 < share < WHOLE]
    sentences = []
    if never:
        sentences.append(f"Not measured at all: {', '.join(never)}.")
    if partly:
        sentences.append(f"Measured for a part of the frames: {', '.join(partly)}.")
    return " ".join(sentences)
