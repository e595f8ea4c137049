"""The same movement is told alike, whoever films it: mirrored, near or far, fast or slow frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emoframe.labelling import Unit
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

SWAPPED = {"51": "52", "52": "51", "55": "56", "56": "55"}


def busy(person: Any, fps: float = 25.0) -> Any:
    """Do one thing after the other, of every sort, for 36 seconds."""
    one = person(36, fps)
    one.touch("left", one.at(45), 1, 2.5).touch("right", one.at(31), 1.5, 3)
    one.touch("left", one.at(16) + 6, 4, 5.5).touch("right", one.at(19) - 15j, 4.5, 5.5)
    one.turn(yaw=30, start=7, end=8.5).turn(roll=20, start=9.5, end=11)
    one.turn(pitch=-25, start=12, end=13).brows(0.1, 0.08, 14, 15)
    one.lips_apart(0.22, 16, 17).lids(0.1, 18, 18.3).press(0.6, 19, 20)
    one.fold(21, 23).lean(0.5, 25, 28).shrug(0.05, 2)
    one.touch("right", one.at(8), 29, 30.5, toward=-0.6 + 0.8j)
    one.touch("left", one.at(42), 31.5, 32).touch("left", one.at(42), 32.4, 33)
    return one


def mirrored(keypoints: Keypoints) -> Keypoints:
    """Return the clip as a mirror shows it: left is right."""
    swap = list(OPENPOSE_137.mirror)
    xy = keypoints.xy[:, swap] * np.array([-1, 1], np.float32) + np.array([640, 0], np.float32)
    confidence, valid = keypoints.confidence[:, swap], keypoints.valid[:, swap]
    return replace(keypoints, xy=xy, confidence=confidence, valid=valid)


def other_side(text: str) -> str:
    return text.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")


def swapped(unit: Unit) -> tuple[Any, ...]:
    code = SWAPPED.get(unit.code, unit.code) if unit.system == "FACS" else unit.code
    words = other_side(unit.evidence), other_side(unit.side)
    return unit.system, code, *words, unit.start_s, unit.end_s, unit.confidence


def check_alike(found: list[Unit], expected: list[Unit], factor: float, slack_s: float) -> None:
    """Same codes and sides, each at its time; order may differ where two begin together.

    The way of the torso is measured over a window, by which its times may be off.
    """

    def key(unit: Unit) -> tuple[str, str, str]:
        return unit.system, unit.code, unit.side

    found, expected = sorted(found, key=key), sorted(expected, key=key)
    assert [key(unit) for unit in found] == [key(unit) for unit in expected]
    for one, other in zip(found, expected, strict=True):
        slack = 3 * slack_s if one.code == "20" else slack_s
        assert one.start_s == pytest.approx(other.start_s * factor, abs=slack), one
        assert one.end_s == pytest.approx(other.end_s * factor, abs=slack), one


def test_a_busy_clip_has_something_of_every_sort(person: Any, told: Any) -> None:
    found = told.units(busy(person).keypoints())
    assert {unit.side for unit in found} == {"left", "right", ""}
    assert len({(unit.system, unit.code) for unit in found}) >= 18
    texts = [unit.evidence for unit in found]
    assert any(text.startswith("left hand at the left eye from 31.") for text in texts), texts
    assert any(text.endswith(", 2 times") for text in texts), texts
    assert [unit.start_s for unit in found] == sorted(unit.start_s for unit in found)


def test_a_mirrored_clip_gives_the_mirrored_answer(person: Any, told: Any) -> None:
    keypoints = busy(person).keypoints()
    plain = sorted(swapped(unit) for unit in told.units(keypoints))
    found = [
        (u.system, u.code, u.evidence, u.side, u.start_s, u.end_s, u.confidence)
        for u in told.units(mirrored(keypoints))
    ]
    assert sorted(found) == plain


@pytest.mark.parametrize(("factor", "shift"), [(0.25, (31, 7)), (6.5, (-900, 2000))])
def test_size_and_place_do_not_matter(
    factor: float, shift: tuple[int, int], person: Any, told: Any
) -> None:
    keypoints = busy(person).keypoints()
    moved = replace(keypoints, xy=keypoints.xy * np.float32(factor) + np.array(shift, np.float32))
    check_alike(told.units(moved), told.units(keypoints), 1, 0.081)


@pytest.mark.parametrize("fps", [10.0, 12.5, 30.0, 50.0])
def test_frames_per_second_do_not_matter(fps: float, person: Any, told: Any) -> None:
    expected = told.units(busy(person).keypoints())
    check_alike(told.units(busy(person, fps).keypoints()), expected, 1, 1.5 / min(fps, 25) + 0.05)


@pytest.mark.parametrize("factor", [0.9, 1.25])
def test_a_slower_clock_gives_the_same_at_its_times(factor: float, person: Any, told: Any) -> None:
    keypoints = busy(person).keypoints()
    slowed = replace(keypoints, time_s=keypoints.time_s * factor)
    check_alike(told.units(slowed), told.units(keypoints), factor, 0.2)


def test_a_third_coordinate_is_not_needed(person: Any, told: Any) -> None:
    keypoints = busy(person).keypoints()
    deep = np.concatenate([keypoints.xy, np.full_like(keypoints.xy[..., :1], 7)], -1)
    assert told.units(replace(keypoints, xy=deep)) == told.units(keypoints)
