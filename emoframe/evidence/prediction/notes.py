"""In what a video is unlike those that a run learned from, in sentences.

Decided here: a number counts as unlike where it lies outside of what the training clips showed (see
`emoframe.learning.scope`), and for a rate also if the training clips had one within a twentieth of
it. Nothing is refused for that; whoever reads the answer must know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emoframe.evidence.prediction.inputs import Given
from emoframe.learning.run import Run
from emoframe.learning.scope import NOBODY, RATE, SECONDS, VALID, numbers, timed
from emoframe.records import Keypoints

SCOPE = "scope"
"""Where the record of a run keeps what its training clips were like."""
CLOSE, SLACK = 0.05, 1e-4
"""How much a rate may be off, relatively; what rounding may be off by."""


def notes(run: Run, given: Given) -> list[str]:
    """Return what is missing of a video, and in what it is unlike the training clips."""
    return [*_missing(run, given), *_unseen(given), *_unlike(run, given)]


def _missing(run: Run, given: Given) -> Iterator[str]:
    lacked = _inputs(run)
    for name, reason in given.absent.items():
        known = lacked.get(name)
        before = ""
        if known is not None:
            before = (
                f", as in {known['absent']:.0%} of the training clips"
                if known["absent"]
                else ", which no training clip ever did, so that it has not learned what to make of"
                " that"
            )
        yield f"There is no {name!r} ({reason}); the model was told that it lacks it{before}."


def _unseen(given: Given) -> Iterator[str]:
    for name, found in timed(given.inputs).items():
        share = numbers(found, None)[NOBODY]
        if share:
            what = "frames nobody" if isinstance(found, Keypoints) else "tokens nothing"
            yield f"{name}: in {_share(share)} of the {what} was measured."


def _unlike(run: Run, given: Given) -> Iterator[str]:
    scope = run.card.get(SCOPE)
    if scope is None:
        yield (
            "Nothing is known of how long, how fast or how well measured the training clips were: "
            "the run is older than the record of it. Whether this video is like them is not known."
        )
        return
    clips = f"the {scope['clips']} training clips"
    for name, found in timed(given.inputs).items():
        ranges = _inputs(run).get(name, {})
        for number, value in numbers(found, run.wiring.layout).items():
            low, high = ranges.get(number, (value, value))
            if said := _said(number, value, low, high, clips):
                yield f"{name}: {said}."


def _inputs(run: Run) -> Mapping[str, Any]:
    return run.card.get(SCOPE, {}).get("inputs", {})


def _said(number: str, value: float, low: float, high: float, clips: str) -> str:
    """Say that a number lies outside of a range; nothing where it does not."""
    slack = CLOSE * value if number == RATE else SLACK
    if low - slack <= value <= high + slack:
        return ""
    most, end = value > high, "at most" if value > high else "at least"
    if number == SECONDS:
        what, edge = ("longer", high) if most else ("shorter", low)
        return f"{value:.1f} s are {what} than 99 % of {clips} ({end} {edge:.1f} s)"
    if number == RATE:
        usual = f"{low:.3g}" if high - low < CLOSE * low else f"{low:.3g} to {high:.3g}"
        return f"{value:.3g} per second, where {clips} have {usual}"
    if number == NOBODY and most:
        end += f" {_share(high)}"
        return f"{_share(value)} without anybody are more than in 99 % of {clips} ({end})"
    if number.startswith(VALID) and not most:  # better measured than usual is no worse
        points = f"{_share(value)} of the points of {number.removeprefix(VALID)} were measured"
        return f"{points}, less than in 99 % of {clips} ({end} {_share(low)})"
    return ""


def _share(value: float) -> str:
    """Write a share in per cent, never as none where it is some."""
    return f"{100 * value:.0f} %" if value >= 0.01 or not value else "less than 1 %"
