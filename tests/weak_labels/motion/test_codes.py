"""Every code that the rules know is told when it happens, and not when something near it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Act = Callable[[Any], Any]


def codes(told: Any, person: Any) -> list[str]:
    """Return the codes that are told of a clip, each once, and check that all is in its time."""
    found, step_s = told.units(person.keypoints()), person.time[1]
    assert all(0 <= unit.start_s < unit.end_s <= person.time[-1] + step_s for unit in found)
    return sorted({f"{unit.system} {unit.code}" for unit in found})


def cover(p: Any) -> Any:
    """Both hands before the face: fingers on eyes and nose, palms on the cheeks."""
    for side, eye in (("right", 39), ("left", 42)):
        p.touch(side, p.at(eye) - 12j, toward=1j)
    return p


HAPPENS: dict[str, tuple[Act, str]] = {
    "FACS 1": (lambda p: p.brows(0.1, 0), ""),
    "FACS 2": (lambda p: p.brows(0, 0.08), ""),
    "FACS 12": (lambda p: p.corners(0.08, 0.05), ""),
    "FACS 24": (lambda p: p.press(0.6), "IMIGUE 29"),
    "FACS 25": (lambda p: p.lips_apart(0.08), ""),
    "FACS 26": (lambda p: p.lips_apart(0.22), "FACS 25"),
    "FACS 27": (lambda p: p.lips_apart(0.35), "FACS 25, FACS 26"),
    "FACS 43": (lambda p: p.lids(0.1), ""),
    "FACS 45": (lambda p: p.lids(0.1, 2, 2.3), ""),
    "FACS 51": (lambda p: p.turn(yaw=30), ""),
    "FACS 52": (lambda p: p.turn(yaw=-30), ""),
    "FACS 53": (lambda p: p.turn(pitch=25), "IMIGUE 28"),
    "FACS 54": (lambda p: p.turn(pitch=-25), ""),
    "FACS 55": (lambda p: p.turn(roll=20), ""),
    "FACS 56": (lambda p: p.turn(roll=-20), ""),
    "FACS 84": (lambda p: p.swing(2, yaw=8), ""),
    "FACS 85": (lambda p: p.swing(2, pitch=7), ""),
    "IMIGUE 4": (lambda p: p.touch("left", 320 + 88j), ""),
    "IMIGUE 5": (lambda p: p.touch("right", p.at(19) - 15j), ""),
    "IMIGUE 6": (cover, ""),
    "IMIGUE 7": (lambda p: p.touch("left", p.at(45)), ""),
    "IMIGUE 8": (lambda p: p.touch("right", p.at(31)), ""),
    "IMIGUE 9": (lambda p: p.touch("left", p.at(16) + 6), ""),
    "IMIGUE 11": (lambda p: p.touch("right", p.at(8), toward=-0.6 + 0.8j), ""),
    "IMIGUE 12": (lambda p: p.touch("left", 320 + 208j), ""),
    "IMIGUE 17": (lambda p: p.fold(), ""),
    "IMIGUE 20": (lambda p: p.lean(0.5), ""),
    "IMIGUE 23": (lambda p: p.arms((225 + 310j, 310 + 385j), (415 + 310j, 330 + 385j)), ""),
    "IMIGUE 28": (lambda p: p.turn(pitch=25), "FACS 53"),
    "IMIGUE 29": (lambda p: p.press(0.6), "FACS 24"),
    "IMIGUE 31": (lambda p: p.shrug(0.05, 2), ""),
}
"""What somebody does for each code, and which other codes are true along with it."""

NEARLY: dict[str, tuple[Act, ...]] = {
    "FACS 1": (lambda p: p.brows(0.02, 0), lambda p: p.brows(0.1, 0, 2, 2.1)),
    "FACS 2": (lambda p: p.brows(0, 0.02), lambda p: p.brows(0.1, 0)),
    "FACS 12": (lambda p: p.corners(0.08, 0), lambda p: p.corners(0.02, 0.05)),
    "FACS 24": (lambda p: p.press(0.1), lambda p: p.press(0.6).corners(0.08, 0)),
    "FACS 25": (lambda p: p.lips_apart(0.02),),
    "FACS 26": (lambda p: p.lips_apart(0.12),),
    "FACS 27": (lambda p: p.lips_apart(0.22),),
    "FACS 43": (lambda p: p.lids(0.1, 2, 2.3), lambda p: p.lids(0.6)),
    "FACS 45": (lambda p: p.lids(0.1), lambda p: p.lids(0.6, 2, 2.3)),
    "FACS 51": (lambda p: p.turn(yaw=8), lambda p: p.turn(yaw=30, end=2.2)),
    "FACS 52": (lambda p: p.turn(yaw=-8), lambda p: p.turn(yaw=30)),
    "FACS 53": (lambda p: p.turn(pitch=6), lambda p: p.turn(pitch=-25)),
    "FACS 54": (lambda p: p.turn(pitch=-6), lambda p: p.turn(pitch=25)),
    "FACS 55": (lambda p: p.turn(roll=5), lambda p: p.turn(roll=-20)),
    "FACS 56": (lambda p: p.turn(roll=-5), lambda p: p.turn(roll=20)),
    "FACS 84": (lambda p: p.swing(0.5, yaw=8), lambda p: p.swing(2, yaw=2)),
    "FACS 85": (lambda p: p.swing(0.5, pitch=7), lambda p: p.swing(2, pitch=1.5)),
    "IMIGUE 4": (lambda p: p.touch("left", 320 + 50j), lambda p: p.touch("left", 420 + 88j)),
    "IMIGUE 5": (lambda p: p.touch("right", p.at(19) - 15j, 2, 2.2),),
    "IMIGUE 6": (lambda p: p.touch("right", p.at(2)),),
    "IMIGUE 7": (
        lambda p: p.touch("left", p.at(45) + 25),
        lambda p: p.touch("left", p.at(45), 2, 2.1),
        lambda p: p.touch("left", p.at(30)),
        lambda p: p.touch("left", p.at(45)).hide(slice(95, 116)).hide([6, 7]),
    ),
    "IMIGUE 8": (lambda p: p.touch("right", p.at(31) - 60), lambda p: p.touch("right", p.at(36))),
    "IMIGUE 9": (lambda p: p.touch("left", p.at(16) + 25),),
    "IMIGUE 11": (lambda p: p.touch("right", p.at(8) + 30j, toward=-0.6 + 0.8j),),
    "IMIGUE 12": (lambda p: p.touch("left", 380 + 208j), lambda p: p.touch("left", 320 + 260j)),
    "IMIGUE 17": (
        lambda p: p.arms((225 + 310j, 290 + 318j), (415 + 310j, 350 + 322j)),
        lambda p: p.arms((225 + 310j, 395 + 318j), (415 + 310j, 245 + 460j)),
        lambda p: p.fold(2, 2.3),
    ),
    "IMIGUE 20": (lambda p: p.lean(0.08), lambda p: p.turn(yaw=30)),
    "IMIGUE 23": (
        lambda p: p.arms((225 + 310j, 280 + 385j), (415 + 310j, 360 + 385j)),
        lambda p: p.fold(),
    ),
    "IMIGUE 28": (lambda p: p.turn(pitch=6),),
    "IMIGUE 29": (lambda p: p.press(0.1),),
    "IMIGUE 31": (lambda p: p.shrug(0.05, 0.5), lambda p: p.shrug(0.01, 2), lambda p: p.lean(0.5j)),
}
"""What is near each code and is not it: too little, too short, too slow, or something else."""


def test_these_tests_know_every_code_that_the_rules_know(told: Any) -> None:
    known = {code for watch in told.thresholds.events for code in watch.codes}
    assert set(HAPPENS) == set(NEARLY) == known
    assert all(code.split()[1] in told.codes[code.split()[0]] for code in known)


def test_of_somebody_who_sits_still_nothing_is_told(person: Any, told: Any) -> None:
    assert codes(told, person()) == []


@pytest.mark.parametrize("code", HAPPENS)
def test_what_happens_is_told_and_nothing_else(code: str, person: Any, told: Any) -> None:
    act, along = HAPPENS[code]
    assert codes(told, act(person())) == sorted({code, *filter(None, along.split(", "))})


@pytest.mark.parametrize(
    ("code", "n"), [(c, n) for c, acts in NEARLY.items() for n in range(len(acts))]
)
def test_what_is_only_near_it_is_not_told(code: str, n: int, person: Any, told: Any) -> None:
    assert code not in codes(told, NEARLY[code][n](person()))


@pytest.mark.parametrize("in_turn", [False, True])
def test_shoulders_are_seen_to_shake_together_and_in_turn(
    in_turn: bool, person: Any, told: Any
) -> None:
    assert codes(told, person().shrug(0.05, 2, in_turn)) == ["IMIGUE 31"]
