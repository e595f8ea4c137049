"""Augmentation changes a clip as a whole, and the same way each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from emoframe.core.errors import ConfigError
from emoframe.learning.augment import Augmentation, Reference, check_mirror, in_space, in_time
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

    def change(xy: Any, known: Any, reference: Any) -> Any:
        return in_space(xy, known, reference, settings, layout, generator)

    return keypoint_features(keypoints, KeypointView(), frames, change)


def clips(settings: Augmentation) -> Clips:
    view = ViewSettings(keypoints=KeypointView(frames=20, augment=settings))
    experiment = Experiment(dataset={"type": "planted"}, view=view)
    return Clips(
        [SampleRef("a", 0)], {"keypoints": lambda _: clip()}, FACE, experiment, training=True
    )


def seen(settings: Augmentation, view: View) -> Any:
    return clips(settings).sample(SampleRef("a", 0), view)[0].inputs["keypoints"]


@pytest.mark.parametrize("view", [View(1, 2, 0, True), View(1, 2, 1, True)])
def test_a_view_is_a_function_of_its_numbers(view: View) -> None:
    one = seen(ALL, view)
    np.testing.assert_array_equal(one, seen(ALL, view))
    for other in (replace(view, epoch=3), replace(view, seed=5), replace(view, index=7)):
        assert not np.array_equal(one, seen(ALL, other))


def test_evaluation_is_not_augmented() -> None:
    for index in (0, 3):
        view = View(0, 0, index)
        np.testing.assert_array_equal(seen(Augmentation(), view), seen(ALL, view))


def test_workers_keep_nothing_that_dies_with_them() -> None:
    view = ViewSettings(keypoints=KeypointView(frames=50))
    experiment = Experiment(dataset={"type": "planted"}, view=view)
    found = Clips(
        [SampleRef("a")], {"keypoints": lambda _: clip()}, FACE, experiment, training=True
    )
    list(DataLoader(found, 1, num_workers=1, collate_fn=lambda samples: len(samples)))
    assert found._kept == {}
    found[0]
    assert list(found._kept) == [("a", 0)]


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
    same, clock = in_time(keypoints, Augmentation(), np.random.default_rng(0))
    assert same is keypoints and clock == 1


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


def walker() -> Keypoints:
    """Somebody who walks five box widths to the right, and whose box goes along and is tall."""
    still = clip()
    steps = np.linspace(0, 600, 50, dtype=np.float32)
    xy = still.xy + np.stack([steps, 0 * steps], -1)[:, None]
    box = np.stack([90 + steps, 0 * steps + 60, 210 + steps, 0 * steps + 300], -1)
    return replace(still, xy=xy, box=box)


def tall() -> Keypoints:
    """Somebody without a box who is taller than wide, at one side of the picture."""
    still = clip(box=False)
    return replace(still, xy=still.xy * np.array([0.3, 2.0], np.float32))


def mirrored(keypoints: Keypoints) -> Keypoints:
    """The same person, filmed in a mirror."""
    partner = list(FACE.mirror)
    box = keypoints.box
    if box is not None:
        box = np.stack([1000 - box[:, 2], box[:, 1], 1000 - box[:, 0], box[:, 3]], -1)
    flipped = keypoints.xy[:, partner] * np.array([-1, 1], np.float32)
    return replace(
        keypoints,
        xy=flipped + np.array([1000, 0], np.float32),
        valid=keypoints.valid[:, partner],
        box=box,
    )


@pytest.mark.parametrize("make", [clip, walker, tall])
def test_a_mirrored_clip_is_what_a_mirror_would_show(make: Any) -> None:
    keypoints = make()
    expected, mask = keypoint_features(mirrored(keypoints), KeypointView(), np.arange(50))
    got, known = moved(Augmentation(mirror=1.0), keypoints)
    np.testing.assert_array_equal(known, mask)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("make", [walker, tall])
def test_a_person_is_turned_and_scaled_about_their_own_middle(make: Any) -> None:
    keypoints = make()
    x, mask = keypoint_features(keypoints, KeypointView(), np.arange(50))
    for settings in (Augmentation(rotation_deg=20), Augmentation(scale=0.2)):
        got, _ = moved(settings, keypoints)
        assert 1e-3 < np.abs(got - x)[mask][:, :2].max() < 0.5


@pytest.mark.parametrize("settings", [Augmentation(rotation_deg=20), Augmentation(scale=0.2)])
def test_coordinates_and_offsets_tell_the_same_story(settings: Augmentation) -> None:
    still = clip()
    keypoints = replace(still, valid=np.ones_like(still.valid))
    x, _ = moved(settings, keypoints)
    step = 8
    np.testing.assert_allclose(x[step:, :, 2:4], x[step:, :, :2] - x[:-step, :, :2], atol=1e-4)


def test_dropped_joints_are_masked_in_every_frame_and_one_always_stays() -> None:
    for seed in range(20):
        keypoints = clip()
        xy = np.where(keypoints.valid[..., None], keypoints.xy, 0)
        low, size = keypoints.box[:, :2], keypoints.box[:, 2:] - keypoints.box[:, :2]
        _, known, _ = in_space(
            xy, keypoints.valid, Reference(low, size, low + size / 2),
            Augmentation(joint_dropout=0.9), FACE, np.random.default_rng(seed),
        )  # fmt: skip
        for joint in range(3):
            same = np.array_equal(known[:, joint], keypoints.valid[:, joint])
            assert same or not known[:, joint].any()
        assert known.any()


def test_speed_changes_the_clock_and_a_crop_the_window() -> None:
    keypoints = clip()
    same, clock = in_time(keypoints, Augmentation(speed=0.5), np.random.default_rng(3))
    assert same is keypoints
    assert 1 / 1.5 <= clock <= 1.5 and clock != 1
    cropped = [
        in_time(keypoints, Augmentation(crop=0.5), np.random.default_rng(n))[0] for n in range(50)
    ]
    lengths = {len(window) for window in cropped}
    assert 25 <= min(lengths) < max(lengths) <= 50
    assert len(in_time(clip(frames=1), ALL, np.random.default_rng(0))[0]) == 1


def test_on_a_clock_of_half_speed_a_lag_spans_half_the_frames() -> None:
    keypoints = replace(clip(), valid=np.ones((50, 3), bool))
    slow, _ = keypoint_features(keypoints, KeypointView(), np.arange(50), clock=2.0)
    usual, _ = keypoint_features(keypoints, KeypointView(lags_s=(0.16, 0.32, 0.48)), np.arange(50))
    np.testing.assert_array_equal(slow, usual)


def test_a_window_without_a_joint_is_not_taken() -> None:
    keypoints = clip()
    keypoints.valid[:40] = False
    for seed in range(30):
        window, _ = in_time(keypoints, Augmentation(crop=0.1), np.random.default_rng(seed))
        assert window.valid.any()


def test_a_faster_clock_makes_no_gap_of_a_dropped_frame() -> None:
    keypoints = clip()
    kept = np.delete(np.arange(50), 20)
    holed = replace(
        keypoints, xy=keypoints.xy[kept], valid=np.ones((49, 3), bool),
        confidence=keypoints.confidence[kept], time_s=keypoints.time_s[kept],
        box=keypoints.box[kept],
    )  # fmt: skip
    x, _ = keypoint_features(holed, KeypointView(lags_s=(0.32,)), np.arange(49), clock=1.4)
    assert x[25, :, -1].all()


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
