"""What was not measured is no movement and no rest: it is said, and never read as zero."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.records import Keypoints
from emoframe.weak_labels.motion.track import track_of

FACE, LEFT_HAND = slice(25, 95), slice(95, 116)
HEAD = [0, 15, 16, 17, 18, *range(25, 95)]
EYE = list(range(25 + 42, 25 + 48))


def rubbing(person: Any, **more: Any) -> Any:
    one = person()
    return one.touch("left", one.at(45), **more)


def test_what_a_mask_hides_changes_nothing(person: Any, told: Any) -> None:
    hidden = rubbing(person).hide(LEFT_HAND, 3).hide(FACE, 4).keypoints()
    garbage = np.where(hidden.valid[..., None], hidden.xy, np.float32(330))
    nothing = np.where(hidden.valid[..., None], hidden.xy, np.float32(np.nan))
    assert told.units(hidden) == told.units(replace(hidden, xy=garbage))
    assert told.units(hidden) == told.units(replace(hidden, xy=nothing))


def test_a_missing_hand_touches_nothing_though_it_would_lie_on_the_face_at_zero(
    person: Any, told: Any
) -> None:
    still = person().hide(LEFT_HAND).hide([6, 7]).keypoints()
    here = still.xy - still.xy[:1, 25 + 45]  # the eye lies at 0, 0, as what is missing does
    found = replace(still, xy=np.where(still.valid[..., None], here, np.float32(0)))
    assert told.units(found) == []
    assert "Not measured at all: the left hand at eyes and ears" in told.unmeasured(found)


def test_an_eye_that_the_hand_hides_is_where_the_rest_of_the_face_says(
    person: Any, told: Any
) -> None:
    whole, hidden = rubbing(person), rubbing(person).hide(EYE, 1.8, 4.2)
    expected, found = (told.of("IMIGUE 7", one.keypoints()) for one in (whole, hidden))
    assert [unit.side for unit in found] == ["left"]
    assert found[0].start_s == pytest.approx(expected[0].start_s, abs=0.081)
    assert found[0].evidence.startswith("left hand at the left eye")


def test_a_face_of_which_only_the_nose_is_left_keeps_its_scale_at_lower_confidence(
    person: Any, told: Any
) -> None:
    one = rubbing(person, start=2, end=2.8).hide([p for p in HEAD if p != 0], 1.8, 3)
    plain = rubbing(person, start=2, end=2.8)
    (found,), (expected,) = (
        told.of("IMIGUE 7", one.keypoints()),
        told.of("IMIGUE 7", plain.keypoints()),
    )
    assert found.confidence == pytest.approx(expected.confidence / 2, abs=0.02)


def test_a_face_that_is_gone_for_long_has_nothing_touched(person: Any, told: Any) -> None:
    assert told.of("IMIGUE 7", rubbing(person).hide(HEAD).keypoints()) == []


def test_a_hand_that_was_not_found_is_told_by_its_forearm_and_that_is_said(
    person: Any, told: Any
) -> None:
    (unit,) = told.of("IMIGUE 7", rubbing(person, found=False).keypoints())
    assert unit.confidence < 0.45
    assert "told by the forearm since the hand itself was not found" in unit.evidence


def test_without_a_face_no_face_is_told_of_and_that_is_said(person: Any, told: Any) -> None:
    one = person().brows(0.1, 0.1).lips_apart(0.3).turn(yaw=30).lids(0.1).hide(HEAD)
    keypoints = one.fold().keypoints()
    assert {unit.system for unit in told.units(keypoints)} == {"IMIGUE"}
    text = told.unmeasured(keypoints)
    for part in ("the head's pose", "brows", "the eyelids", "the lips", "left hand at eyes"):
        assert part in text.split("Measured")[0], part
    assert "the arms" not in text


def test_the_body_alone_tells_of_a_hand_at_an_eye_at_lower_confidence(
    person: Any, told: Any
) -> None:
    one = person()
    one.touch("left", complex(one.z[0, 16])).hide(FACE)
    (unit,) = told.units(one.keypoints())
    assert (unit.system, unit.code, unit.confidence) == ("IMIGUE", "7", 0.45)
    assert unit.evidence.startswith("left hand at the left eye")
    assert "left hand at the rest of head and neck" in told.unmeasured(one.keypoints())


def test_what_was_seen_for_a_part_is_said_with_its_share(person: Any, told: Any) -> None:
    assert "the lips 50%" in told.unmeasured(person().hide(FACE, 3).keypoints())
    assert told.unmeasured(person().keypoints()) == ""


def test_a_short_gap_is_bridged_and_a_long_one_divides(person: Any, told: Any) -> None:
    brief = told.of("FACS 51", person().turn(yaw=30, end=5).hide(FACE, 3, 3.4).keypoints())
    longer = told.of("FACS 51", person().turn(yaw=30, end=5).hide(FACE, 3, 4).keypoints())
    assert [unit.end_s - unit.start_s for unit in brief] == [pytest.approx(3.1, abs=0.1)]
    assert brief[0].confidence == pytest.approx(0.9 * (1 - 0.4 / 3.1), abs=0.03)
    assert len(longer) == 2
    assert longer[0].end_s <= 3.05
    assert longer[1].start_s >= 3.95


def test_nothing_spans_a_cut(person: Any, told: Any) -> None:
    keypoints = person(12).turn(yaw=30, start=4, end=8).keypoints()
    cut = np.zeros(len(keypoints), bool)
    cut[150] = True  # at 6 s
    found = told.of("FACS 51", replace(keypoints, cut=cut))
    assert all(unit.end_s <= 6.01 or unit.start_s >= 5.99 for unit in found)
    assert found


def test_each_long_shot_has_a_baseline_of_its_own(person: Any, told: Any) -> None:
    keypoints = person(12).turn(yaw=30, start=6, end=20).keypoints()
    keypoints.xy[150:] *= 1.7  # another camera, from the side and nearer
    cut = np.arange(300) == 150
    assert told.of("FACS 51", replace(keypoints, cut=cut)) == []


def test_an_outlier_does_not_move_the_baseline(person: Any, told: Any) -> None:
    one = person().brows(0.1, 0)
    one.z[5:20, 45:49] -= 200j
    assert any(unit.start_s > 1 for unit in told.of("FACS 1", one.keypoints()))


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_the_shortest_clips_have_nothing_told(frames: int, person: Any, told: Any) -> None:
    whole = rubbing(person).keypoints()
    few = replace(
        whole, xy=whole.xy[60 : 60 + frames], confidence=whole.confidence[60 : 60 + frames],
        valid=whole.valid[60 : 60 + frames], time_s=whole.time_s[60 : 60 + frames],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert told.units(few) == []
        assert "Not measured at all" in told.unmeasured(few)


@pytest.mark.parametrize("times", [np.nan, 0.0])
def test_times_that_cannot_be_used_are_counted(times: float, person: Any, told: Any) -> None:
    keypoints = rubbing(person).keypoints()
    lost = replace(keypoints, time_s=np.full(len(keypoints), times))
    assert told.units(lost) == told.units(keypoints)
    assert track_of(lost, fps=np.nan).counted


def test_a_clip_in_which_nothing_was_measured_is_no_mistake(person: Any, told: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keypoints = person().hide(slice(0, 137)).keypoints()
        assert told.units(keypoints) == []
        assert "Measured for" not in told.unmeasured(keypoints)


def test_another_layout_is_refused_with_a_sentence(person: Any, told: Any) -> None:
    with pytest.raises(DataError, match=r"layout 'coco_17'.*'openpose_137'"):
        track_of(replace(person().keypoints(), layout="coco_17"))


def test_twenty_minutes_take_about_a_second(person: Any, told: Any) -> None:
    keypoints = rubbing(person).keypoints()
    frames = np.resize(np.arange(len(keypoints)), 20 * 60 * 25)
    xy, confidence = keypoints.xy[frames], keypoints.confidence[frames]
    valid, clock = keypoints.valid[frames], np.arange(len(frames)) / 25
    start = time.process_time()
    told.units(Keypoints(xy, confidence, valid, clock, keypoints.layout))
    assert time.process_time() - start < 6  # about 2 on a slow core; a loop over frames takes 60


def test_the_lips_of_a_face_in_profile_are_not_measured(person: Any, told: Any) -> None:
    keypoints = person().turn(yaw=65).lips_apart(0.22, 2.5, 3.5).keypoints()
    assert told.of("FACS 26", person().lips_apart(0.22, 2.5, 3.5).keypoints())
    assert not told.of("FACS 26", keypoints)
    assert "the lips 6" in told.unmeasured(keypoints)


def test_a_forearm_tells_of_one_part_only(person: Any, told: Any) -> None:
    one = person()  # its fingers would reach from the chin over the mouth to the nose
    one.touch("right", one.at(30), toward=1j, found=False)
    found = told.units(one.keypoints())
    assert [(unit.system, unit.code, unit.side) for unit in found] == [("IMIGUE", "8", "right")]


def test_what_lies_under_a_hand_is_told_with_less_confidence(person: Any, told: Any) -> None:
    """An estimator goes on to place the brows there, and then it guesses."""
    seen = person().brows(0.1, 0.1)
    covered = person().brows(0.1, 0.1)
    covered.touch("left", covered.at(24), toward=1j)
    (plain,), (under,) = (told.of("FACS 2", one.keypoints()) for one in (seen, covered))
    assert plain.confidence == pytest.approx(0.9, abs=0.02)
    assert under.confidence < 0.8
    assert (under.start_s, under.end_s) == (plain.start_s, plain.end_s)


def test_what_few_frames_tell_is_told_with_less_confidence(person: Any, told: Any) -> None:
    """A hand at the eye for two frames at 10 a second may be a hand in the wrong place once."""
    whole = rubbing(person, start=2, end=2.5).keypoints()
    sparse = replace(
        whole, xy=whole.xy[::5], confidence=whole.confidence[::5], valid=whole.valid[::5],
        time_s=whole.time_s[::5],
    )  # fmt: skip
    (plain,), (few,) = (told.of("IMIGUE 7", one) for one in (whole, sparse))
    assert plain.confidence == pytest.approx(0.9, abs=0.02)
    assert 0.3 <= few.confidence <= 0.9 * 4 / 5
