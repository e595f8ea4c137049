"""Features say what was measured, on the dense timeline, and never invent movement."""

from __future__ import annotations

import numpy as np
import pytest

from emoframe.core.errors import ConfigError
from emoframe.learning.features import (
    KeypointView,
    channels,
    keypoint_features,
    rng,
    sample_frames,
)
from emoframe.records import Keypoints, View

FPS = 25.0


def clip(xy: np.ndarray, **more: object) -> Keypoints:
    """Keypoints of a clip whose NaNs are masked."""
    valid = np.isfinite(xy).all(-1)
    time = np.arange(len(xy)) / FPS
    fields: dict[str, object] = {"time_s": time, **more}
    return Keypoints(xy.astype(np.float32), valid * 1.0, valid, layout="any", **fields)  # type: ignore[arg-type]


def walk(frames: int = 60, joints: int = 4, dims: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, joints, dims)).cumsum(0) * 10 + 300


def boxes(frames: int, size: float = 200.0) -> np.ndarray:
    return np.tile(np.array([100, 50, 100 + size, 50 + 2 * size], np.float32), (frames, 1))


DEFAULT = KeypointView()


def features(keypoints: Keypoints, view: KeypointView = DEFAULT) -> tuple[np.ndarray, np.ndarray]:
    return keypoint_features(keypoints, view, np.arange(len(keypoints)))


def test_channels_are_coordinates_then_offsets_then_validity() -> None:
    xy, box = walk(), boxes(60)
    x, mask = features(clip(xy, box=box, cut=np.zeros(60, bool)))
    assert x.shape == (60, 4, 11)
    assert channels(2, 3) == 11
    assert mask.all()
    np.testing.assert_allclose(x[..., :2], (xy - [100, 50]) / [200, 400], rtol=1e-4)
    # the paper's lags: 8, 16 and 24 frames at 25 per second
    for n, lag in enumerate((8, 16, 24)):
        np.testing.assert_allclose(
            x[lag:, :, 2 + 2 * n : 4 + 2 * n], (xy[lag:] - xy[:-lag]) / [200, 400], atol=1e-5
        )
        assert (x[lag:, :, 8 + n] == 1).all()
        assert (x[:lag, :, 8 + n] == 0).all()
        assert (x[:lag, :, 2 + 2 * n : 4 + 2 * n] == 0).all()


def test_offsets_are_taken_before_sampling() -> None:
    whole, _ = features(clip(walk()))
    some = np.array([30, 45, 59])
    x, _ = keypoint_features(clip(walk()), KeypointView(), some)
    np.testing.assert_array_equal(x, whole[some])


def test_lags_are_seconds_on_the_source_timeline() -> None:
    xy = walk()
    x, _ = features(clip(xy, time_s=np.arange(60) / 10.0))
    extent = (xy.max((0, 1)) - xy.min((0, 1))).max()
    np.testing.assert_allclose(x[3:, :, 2:4], (xy[3:] - xy[:-3]) / extent, atol=1e-5)


def test_a_missing_joint_is_masked_and_its_offsets_are_unknown() -> None:
    xy = walk()
    xy[30, 2] = np.nan
    x, mask = features(clip(xy))
    assert not mask[30, 2]
    assert (x[30, 2] == 0).all()
    assert x[38, 2, 8] == 0  # the frame 8 later has no partner
    assert x[38, 1, 8] == 1
    assert np.isfinite(x).all()


@pytest.mark.parametrize("how", ["cut", "no box", "hole in time"])
def test_no_offset_spans_a_break(how: str) -> None:
    xy, box, cut, time = walk(), boxes(60), np.zeros(60, bool), np.arange(60) / FPS
    if how == "cut":
        cut[30] = True
    elif how == "no box":
        box[29] = np.nan
    else:
        time[30:] += 0.08  # two frames are missing
    x, _ = features(clip(xy, box=box, cut=cut, time_s=time))
    crossing = slice(30, 36)
    assert (x[crossing, :, 8:] == 0).all()
    assert (x[45, :, 8] == 1).all()
    if how == "no box":
        assert (x[29] == 0).all()


@pytest.mark.parametrize("steps", [[1 / 30, 2 / 30], [0.0, 0.08], [0.04, 0.04, 0.08]])
def test_a_variable_frame_rate_is_no_gap(steps: list[float]) -> None:
    time = np.concatenate([[0], np.cumsum(np.resize(steps, 59))])
    x, _ = features(clip(walk(), time_s=time))
    assert (x[-1, :, 8:] == 1).all()


def test_pixel_offsets_do_not_move_when_only_the_box_does() -> None:
    still = np.full((60, 3, 2), 200.0) + np.arange(3)[None, :, None]
    box = boxes(60)
    box[:, [0, 2]] += np.random.default_rng(0).normal(size=(60, 1)) * 5
    pixel, _ = features(clip(still, box=box))
    jitter, _ = features(clip(still, box=box), KeypointView(offset_space="box"))
    assert (pixel[..., 2:8] == 0).all()
    assert (jitter[24:, :, 2:8] != 0).any()


def test_without_a_box_one_scale_serves_all_axes_in_three_dimensions() -> None:
    xy = walk(dims=3)
    x, _ = features(clip(xy))
    assert x.shape[-1] == 3 + 9 + 3
    assert x[..., :3].min() == 0
    assert x[..., :3].max() == pytest.approx(1)
    spans = np.ptp(x[..., :3], axis=(0, 1)) / np.ptp(xy, axis=(0, 1))
    np.testing.assert_allclose(spans, spans[0], rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_clip_shorter_than_every_lag_has_coordinates_only(frames: int) -> None:
    x, mask = features(clip(walk(frames)))
    assert mask.all()
    assert (x[..., 2:] == 0).all()


def test_a_clip_in_which_nothing_was_measured_is_all_zero_and_masked() -> None:
    x, mask = features(clip(np.full((10, 3, 2), np.nan)))
    assert not mask.any()
    assert not x.any()


def test_sampling_is_stratified_sorted_and_fixed_at_evaluation() -> None:
    middle = sample_frames(1000, 100, None)
    np.testing.assert_array_equal(middle, np.arange(100) * 10 + 5)
    drawn = sample_frames(1000, 100, rng(View(training=True), "a"))
    assert ((drawn // 10) == np.arange(100)).all()
    np.testing.assert_array_equal(sample_frames(7, 100, None), np.arange(7))


def test_randomness_is_a_function_of_seed_epoch_sample_and_view() -> None:
    def draw(*view: int, item: str = "a") -> float:
        return float(rng(View(*view), item).random())

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert (
        len({draw(1, 2, 3), draw(0, 2, 3), draw(1, 0, 3), draw(1, 2, 0), draw(1, 2, 3, item="b")})
        == 5
    )


@pytest.mark.parametrize(
    "lags", [(0.0,), (-0.1, 0.2), (0.3, 0.3), (float("nan"),), (float("inf"),)]
)
def test_lags_that_are_none_are_refused(lags: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="lags_s"):
        KeypointView(lags_s=lags)
