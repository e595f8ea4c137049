"""Augmentation changes a clip as a whole, and the same way each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emoframe.core.errors import ConfigError
from emoframe.learning.augment import Augmentation, check_mirror, in_space, in_time
from emoframe.learning.clips import Clips
from emoframe.learning.experiment import Experiment, ViewSettings
from emoframe.learning.features import KeypointView, keypoint_features
from emoframe.records import Keypoints, SampleRef, View
from emoframe.skeleton import SkeletonLayout

FACE = SkeletonLayout("face", ("nose", "left", "right"), ((0, 1), (0, 2)), mirror=(0, 2, 1))
SOLID = SkeletonLayout("solid", ("a", "b", "c"))
ALL = Augmentation(
    crop=0.6, speed=0.3, rotation_deg=20, scale=0.2, shift=0.1, noise=0.01, joint_dropout=0.3,
    mirror=0.5,
)  # fmt: skip


def clip(dims: int = 2, frames: int = 50, box: bool = True) -> Keypoints:
    generator = np.random.default_rng(1)
    xy = generator.uniform(100, 200, (frames, 3, dims)).astype(np.float32)
    valid = generator.random((frames, 3)) > 0.1
    boxes = np.tile(np.array([90, 90, 210, 210], np.float32), (frames, 1))
    return Keypoints(
        xy, valid.astype(np.float32), valid, np.arange(frames) / 25, "face", boxes if box else None
    )


def moved(settings: Augmentation, keypoints: Keypoints, layout: SkeletonLayout = FACE) -> Any:
    frames = np.arange(len(keypoints))
    generator = np.random.default_rng(0)

    def change(xy: Any, known: Any, box: Any) -> Any:
        return in_space(xy, known, box, settings, layout, generator)

    return keypoint_features(keypoints, KeypointView(), frames, change)


def clips(settings: Augmentation) -> Clips:
    view = ViewSettings(keypoints=KeypointView(frames=20, augment=settings))
    experiment = Experiment(dataset={"type": "planted"}, view=view)
    return Clips(
        [SampleRef("a", 0)], {"keypoints": lambda _: clip()}, FACE, experiment, training=True
    )


@pytest.mark.parametrize("view", [View(1, 2, 0, True), View(1, 2, 1, True)])
def test_a_view_is_a_function_of_its_numbers(view: View) -> None:
    ref = SampleRef("a", 0)
    one, same = clips(ALL).sample(ref, view), clips(ALL).sample(ref, view)
    np.testing.assert_array_equal(one.inputs["keypoints"], same.inputs["keypoints"])
    for other in (replace(view, epoch=3), replace(view, seed=5), replace(view, index=7)):
        assert not np.array_equal(
            one.inputs["keypoints"], clips(ALL).sample(ref, other).inputs["keypoints"]
        )


def test_evaluation_is_not_augmented() -> None:
    ref = SampleRef("a", 0)
    for index in (0, 3):
        plain = clips(Augmentation()).sample(ref, View(0, 0, index))
        asked = clips(ALL).sample(ref, View(0, 0, index))
        np.testing.assert_array_equal(plain.inputs["keypoints"], asked.inputs["keypoints"])


def test_what_looks_the_same_each_time_is_computed_once() -> None:
    loads: list[str] = []

    def load(ref: SampleRef) -> Keypoints:
        loads.append(ref.id)
        return clip()

    for settings, frames, training, times in (
        (Augmentation(), 50, True, 1), (Augmentation(), 20, True, 2), (ALL, 50, True, 2),
        (ALL, 20, False, 1),
    ):  # fmt: skip
        view = ViewSettings(keypoints=KeypointView(frames=frames, augment=settings))
        experiment = Experiment(dataset={"type": "planted"}, view=view)
        loads.clear()
        found = Clips([SampleRef("a")], {"keypoints": load}, FACE, experiment, training=training)
        first = found[0]
        found.epoch = 1
        again = found[0]
        assert len(loads) == times, (settings, frames, training)
        same = np.array_equal(first.inputs["keypoints"], again.inputs["keypoints"])
        assert same == (times == 1)


def test_the_default_changes_nothing() -> None:
    keypoints = clip()
    x, mask = keypoint_features(keypoints, KeypointView(), np.arange(50))
    again, same = moved(Augmentation(), keypoints)
    np.testing.assert_allclose(again, x, atol=1e-5)
    np.testing.assert_array_equal(same, mask)
    assert in_time(keypoints, Augmentation(), np.random.default_rng(0)) is keypoints


def test_a_shift_moves_coordinates_and_leaves_offsets() -> None:
    keypoints = clip()
    x, mask = keypoint_features(keypoints, KeypointView(), np.arange(50))
    shifted, _ = moved(Augmentation(shift=0.2), keypoints)
    gap = (shifted - x)[mask]
    assert np.ptp(gap[:, :2], axis=0).max() < 1e-5
    assert 0 < np.abs(gap[:, :2]).max() <= 0.2 + 1e-6
    np.testing.assert_allclose(shifted[..., 2:], x[..., 2:], atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_rotation_keeps_distances(dims: int) -> None:
    keypoints = clip(dims, box=False)
    x, mask = keypoint_features(keypoints, KeypointView(), np.arange(50))
    turned, _ = moved(Augmentation(rotation_deg=30), keypoints)
    both = mask[:, 1] & mask[:, 2]

    def distance(features: Any) -> Any:
        return np.linalg.norm(features[both, 1, :dims] - features[both, 2, :dims], axis=-1)

    np.testing.assert_allclose(distance(turned), distance(x), rtol=1e-3)
    assert np.abs(turned - x)[mask].max() > 0.01


def test_a_mirror_exchanges_partners_and_is_its_own_inverse() -> None:
    keypoints = clip()
    x, mask = keypoint_features(keypoints, KeypointView(), np.arange(50))
    seen, known = moved(Augmentation(mirror=1.0), keypoints)
    np.testing.assert_array_equal(known, mask[:, [0, 2, 1]])
    np.testing.assert_allclose(seen[mask[:, 1], 2, 0], 1 - x[mask[:, 1], 1, 0], atol=1e-5)
    np.testing.assert_allclose(seen[mask[:, 1], 2, 1], x[mask[:, 1], 1, 1], atol=1e-5)
    np.testing.assert_allclose(seen[mask[:, 1], 2, 2], -x[mask[:, 1], 1, 2], atol=1e-5)


def test_dropped_joints_are_masked_in_every_frame_and_one_always_stays() -> None:
    for seed in range(20):
        keypoints = clip()
        xy = np.where(keypoints.valid[..., None], keypoints.xy, 0)
        box = (keypoints.box[:, :2], keypoints.box[:, 2:] - keypoints.box[:, :2])
        _, known = in_space(
            xy, keypoints.valid, box, Augmentation(joint_dropout=0.9), FACE,
            np.random.default_rng(seed),
        )  # fmt: skip
        for joint in range(3):
            same = np.array_equal(known[:, joint], keypoints.valid[:, joint])
            assert same or not known[:, joint].any()
        assert known.any()


def test_speed_changes_the_clock_and_a_crop_the_window() -> None:
    keypoints = clip()
    fast = in_time(keypoints, Augmentation(speed=0.5), np.random.default_rng(3))
    factor = fast.time_s[-1] / keypoints.time_s[-1]
    assert 1 / 1.5 <= factor <= 1.5 and factor != 1
    np.testing.assert_array_equal(fast.xy, keypoints.xy)
    lengths = {
        len(in_time(keypoints, Augmentation(crop=0.5), np.random.default_rng(n))) for n in range(50)
    }
    assert 25 <= min(lengths) < max(lengths) <= 50
    assert len(in_time(clip(frames=1), ALL, np.random.default_rng(0))) == 1


def test_a_frame_without_a_box_stays_masked() -> None:
    keypoints = clip()
    keypoints.box[5] = np.nan
    x, mask = moved(ALL, keypoints)
    assert np.isfinite(x).all()
    assert not mask[5].any()


def test_mirroring_needs_partners() -> None:
    check_mirror(ALL, FACE)
    check_mirror(replace(ALL, mirror=0.0), SOLID)
    with pytest.raises(ConfigError, match="names no left/right partners"):
        check_mirror(ALL, SOLID)
