"""What a comparison of two estimators promises: known noise is measured, and masks hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.evidence.labels.agreement import (
    MEASURES,
    compare_keypoints,
    interval,
    summarise,
    told,
)
from emoframe.evidence.pictures.plausibility import bone_variation, jitter, on_wrist, parts_of
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout

FRAMES, WIDTH, HEIGHT = 60, 100.0, 200.0
PARTS = {part.name: part for part in parts_of(OPENPOSE_137)}
LEFT, RIGHT = PARTS["left hand"], PARTS["right hand"]


def person() -> Keypoints:
    """Make someone who walks evenly, each hand on its own wrist, in a box of 100 x 200."""
    rng = np.random.default_rng(0)
    pose = rng.uniform(0, 100, (137, 2))
    pose[7], pose[4] = (90, 100), (10, 100)  # left and right body wrist
    for hand, wrist in ((LEFT, 7), (RIGHT, 4)):
        pose[list(hand.joints)] = pose[wrist] + rng.uniform(-5, 5, (21, 2))
        pose[hand.joints[0]] = pose[wrist]
    xy = (pose + np.arange(FRAMES)[:, None, None] * [2.0, 1.0]).astype(np.float32)
    box = np.tile(np.float32([0, 0, WIDTH, HEIGHT]), (FRAMES, 1))
    ones = np.ones((FRAMES, 137), np.float32)
    return Keypoints(xy, ones, ones > 0, np.arange(FRAMES) / 25, "openpose_137", box)


def shaken(someone: Keypoints, size: float, joints: tuple[int, ...]) -> Keypoints:
    xy = someone.xy.copy()
    xy[:, joints] += np.random.default_rng(1).normal(0, size, (FRAMES, len(joints), 2))
    return replace(someone, xy=xy)


def numbers(a: Keypoints, b: Keypoints) -> dict[tuple[str, str, str], float]:
    table = compare_keypoints(a, b, OPENPOSE_137)
    return {(m, part, of): x for m, part, of, x in table.itertuples(index=False)}


def test_hands_are_parts_of_their_own_and_know_their_wrists() -> None:
    assert list(PARTS) == ["body", "face", "left hand", "right hand"]
    assert (LEFT.root, LEFT.wrist, LEFT.other) == (95, 7, 4)
    assert (RIGHT.root, RIGHT.wrist, RIGHT.other) == (116, 4, 7)
    assert len(LEFT.bones) == 20
    assert [part.name for part in parts_of(SkeletonLayout("two", ("a", "b")))] == ["all"]


def test_even_motion_is_no_jitter_and_noise_has_its_own_size() -> None:
    still, cut = person(), np.zeros(FRAMES, bool)
    assert jitter(still.xy, still.valid, cut, PARTS["body"]) == pytest.approx(0, abs=1e-4)
    noisy = shaken(still, 3.0, PARTS["body"].joints)
    found = jitter(noisy.xy, noisy.valid, cut, PARTS["body"])
    assert found == pytest.approx(3.0 * np.sqrt(2), rel=0.05)


def test_a_hand_that_shakes_with_its_root_does_not_jitter() -> None:
    someone, cut = person(), np.zeros(FRAMES, bool)
    shake = np.random.default_rng(2).normal(0, 5, (FRAMES, 1, 2))
    someone.xy[:, list(LEFT.joints)] += shake
    assert jitter(someone.xy, someone.valid, cut, LEFT) == pytest.approx(0, abs=1e-4)


def test_a_jump_at_a_cut_is_no_jitter() -> None:
    someone, cut = person(), np.zeros(FRAMES, bool)
    someone.xy[30:] += 50
    assert jitter(someone.xy, someone.valid, cut, PARTS["face"]) > 5
    cut[30] = True
    assert jitter(someone.xy, someone.valid, cut, PARTS["face"]) == pytest.approx(0, abs=1e-4)


def test_bones_vary_by_their_standard_deviation_over_their_mean() -> None:
    someone = person()
    assert bone_variation(someone.xy, someone.valid, LEFT) == pytest.approx(0, abs=1e-4)
    scale = np.where(np.arange(FRAMES) % 2, 0.8, 1.2)[:, None, None]
    found = bone_variation(someone.xy * scale, someone.valid, LEFT)
    assert found == pytest.approx(0.2, abs=1e-4)


def test_a_hand_nearer_to_the_wrong_wrist_is_swapped() -> None:
    someone = person()
    swapped = someone.xy.copy()
    swapped[:15, LEFT.joints], swapped[:15, RIGHT.joints] = (
        someone.xy[:15, RIGHT.joints],
        someone.xy[:15, LEFT.joints],
    )
    for hand in (LEFT, RIGHT):
        found = on_wrist(swapped, someone.valid, hand, WIDTH)
        assert found["swaps"] == pytest.approx(15 / FRAMES)
        assert found["root_distance"] == pytest.approx(0.8 * 15 / FRAMES)
    assert on_wrist(someone.xy, someone.valid, PARTS["body"], WIDTH) == {}


def test_folded_hands_are_not_counted_as_swapped() -> None:
    someone = person()
    someone.xy[:, 4] = someone.xy[:, 7] + [3, 0]  # wrists within the margin of 5
    assert np.isnan(on_wrist(someone.xy, someone.valid, LEFT, WIDTH)["swaps"])


def test_a_source_agrees_with_itself() -> None:
    found = numbers(person(), person())
    for part in PARTS:
        assert found["distance", part, "together"] == 0
        assert found["pck", part, "together"] == found["valid_in_both", part, "together"] == 1
        assert found["jitter", part, "second - first"] == 0
    assert {measure for measure, _, _ in found} == set(MEASURES)


def test_distance_is_in_box_widths_and_pck_in_the_longer_side() -> None:
    for shift, share in ((9.9, 1.0), (10.1, 0.0)):
        moved = replace(person(), xy=person().xy + np.float32([shift, 0]))
        found = numbers(person(), moved)
        assert found["distance", "face", "together"] == pytest.approx(shift / WIDTH, rel=1e-3)
        assert found["pck", "face", "together"] == share


def test_what_a_mask_hides_changes_nothing_and_counts_in_the_visible_share_alone() -> None:
    a, b = person(), shaken(person(), 1.0, tuple(range(137)))
    hidden = b.valid.copy()
    hidden[20:30, LEFT.joints] = False
    told_apart = []
    for rubbish in (np.nan, np.inf, -1e9):
        xy = np.where(hidden[..., None], b.xy, np.float32(rubbish))
        told_apart.append(numbers(a, replace(b, xy=xy, valid=hidden)))
    for other in told_apart[1:]:
        assert other == pytest.approx(told_apart[0])
    assert told_apart[0]["visible", "left hand", "second"] == pytest.approx(50 / 60)
    assert told_apart[0]["visible", "left hand", "first"] == 1
    assert told_apart[0]["jitter", "left hand", "first"] == pytest.approx(0, abs=1e-4)


def test_a_hand_that_one_never_sees_has_no_number_but_its_visible_share() -> None:
    blind = person()
    blind.valid[:, LEFT.joints] = False
    found = numbers(person(), blind)
    known = {measure for measure, part, _ in found if part == "left hand"}
    assert known == {"visible", "valid_in_both"}


def test_other_layouts_and_other_frames_are_refused() -> None:
    with pytest.raises(DataError, match="same layout"):
        compare_keypoints(person(), replace(person(), layout="other"), OPENPOSE_137)
    short = replace(person(), time_s=np.arange(3) / 25)
    with pytest.raises(DataError, match="60 frames and the second 3"):
        compare_keypoints(person(), short, OPENPOSE_137)


def test_each_video_weighs_the_same_and_one_has_no_interval() -> None:
    near, far = (
        compare_keypoints(person(), replace(person(), xy=person().xy + np.float32(x)), OPENPOSE_137)
        for x in (0, 4)
    )
    rows = summarise([near, far, far, far]).set_index(["measure", "part"])
    found = rows.loc[("distance", "body"), "together"]
    assert found.value == pytest.approx(3 / 4 * 4 * np.sqrt(2) / WIDTH, rel=1e-3)
    assert found.low < found.value < found.high
    assert rows.loc[("distance", "body"), "videos"] == 4
    alone = summarise([far]).set_index(["measure", "part"]).loc[("distance", "body"), "together"]
    assert told(alone) == "0.0566 (one video)"
    assert told(interval([1.0, 1.0, 1.0])) == "1.000 (all 3 the same)"
