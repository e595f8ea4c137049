"""A view of frame features keeps order, gap and times, and is a function of its draw."""

from __future__ import annotations

import numpy as np
import pytest

from emoframe.learning.frames import FrameView, frame_features, sample_tokens
from emoframe.records import Features

PAPER = FrameView()


def chosen(total: int, view: FrameView, step_s: float = 0.04, seed: int | None = 0) -> np.ndarray:
    generator = None if seed is None else np.random.default_rng(seed)
    return sample_tokens(np.arange(total) * step_s, view, generator)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_long_clip_gives_as_many_tokens_as_asked_for_six_frames_apart(seed: int | None) -> None:
    found = chosen(8741, PAPER, seed=seed)  # the mean length of the paper's videos
    assert len(found) == 800
    assert np.diff(found).min() >= 6
    assert found[0] >= 0 and found[-1] < 8741
    assert np.abs(found - np.linspace(0, 8740, 800)).max() < 40  # all over the clip


def test_a_clip_that_just_fits_is_taken_at_the_gap() -> None:
    assert np.array_equal(chosen(4795, PAPER), np.arange(800) * 6)


@pytest.mark.parametrize(("total", "gap"), [(4794, 5), (2000, 2), (1000, 1), (801, 1)])
def test_a_shorter_clip_gives_as_many_with_a_smaller_gap(total: int, gap: int) -> None:
    found = chosen(total, PAPER)
    assert len(found) == 800
    assert np.diff(found).min() >= gap
    assert found[-1] < total


@pytest.mark.parametrize("total", [1, 2, 800])
def test_a_short_clip_is_taken_whole(total: int) -> None:
    assert np.array_equal(chosen(total, PAPER), np.arange(total))


def test_an_encoder_that_saw_every_sixth_frame_has_kept_the_gap_already() -> None:
    found = chosen(1600, PAPER, step_s=0.24)
    assert len(found) == 800
    assert np.diff(found).min() == 1


def test_training_draws_anew_and_evaluation_does_not() -> None:
    assert not np.array_equal(chosen(9000, PAPER, seed=0), chosen(9000, PAPER, seed=1))
    assert np.array_equal(chosen(9000, PAPER, seed=None), chosen(9000, PAPER, seed=None))


@pytest.mark.parametrize("total", [1, 5])
def test_a_view_may_have_a_single_token(total: int) -> None:
    found = chosen(total, FrameView(frames=1), seed=None)
    assert found.tolist() == [total // 2]


def test_tokens_without_a_clock_are_chosen_all_the_same() -> None:
    assert len(sample_tokens(np.zeros(9), FrameView(frames=4), None)) == 4


def test_what_was_not_computed_is_masked_and_never_shown() -> None:
    x = np.full((4, 2), np.nan, np.float16)
    x[1:3] = 1
    features = Features(x, np.array([False, True, True, False]), np.arange(4.0))
    seen, mask = frame_features(features, np.array([0, 2]))
    assert seen.dtype == np.float32
    assert mask.tolist() == [False, True]
    assert seen.tolist() == [[0, 0], [1, 1]]
