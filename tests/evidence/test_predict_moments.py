"""The moments that a run is said to hang on are those that its answer hangs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from emoframe import Component, api
from emoframe.core.config import Config, check
from emoframe.core.plugins import Offer, loaded
from emoframe.evidence.prediction import moments
from emoframe.evidence.prediction.inputs import Given
from emoframe.evidence.prediction.notes import notes
from emoframe.evidence.prediction.standing import Calibration
from emoframe.learning.data import prepare
from emoframe.learning.experiment import Experiment, ViewSettings
from emoframe.learning.features import KeypointView
from emoframe.learning.frames import FrameView
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import Run
from emoframe.learning.scope import scope_of
from emoframe.records import Features, Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout

FRAMES, FPS = 64, 20
RAW = Calibration(None, 0, "")


class Raised:
    """A hand that is raised for a moment in class 1, and a body that keeps still."""

    classes = ("rest", "raise")
    layout = SkeletonLayout("arm", joints=("hand", "body", "foot"))
    protocol = "raised"
    synthetic = False

    def samples(self, split: str) -> list[SampleRef]:
        """Return forty training items of twenty people, and four test items."""
        numbers = range(40) if split == "train" else range(40, 44)
        labelled = split == "train"
        return [SampleRef(f"i{n}", n % 2 if labelled else None, f"s{n // 2}") for n in numbers]

    def test_labels(self) -> Mapping[str, int]:
        """Return the labels of the test items."""
        return {f"i{n}": n % 2 for n in range(40, 44)}

    def load(self, ref: SampleRef) -> Mapping[str, Keypoints]:
        """Make an item; the moment is a random one."""
        number = int(ref.id[1:])
        start = int(np.random.default_rng(crc32(ref.id.encode())).integers(4, FRAMES - 12))
        return {"keypoints": clip(number, start if number % 2 else None)}


def clip(seed: int, start: int | None) -> Keypoints:
    """Make keypoints in which the hand is raised for eight frames."""
    xy = np.random.default_rng(seed).normal(0, 0.02, (FRAMES, 3, 2)).astype(np.float32)
    xy[:, 2] += 2
    if start is not None:
        xy[start : start + 8, 0, 1] += 1
    valid = np.ones((FRAMES, 3), bool)
    return Keypoints(xy, valid * 1.0, valid, np.arange(FRAMES) / FPS + 5.0, "arm")


@pytest.fixture(scope="module", params=["mean", "attention"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run that has learned to see the hand."""
    part = Component(kind="dataset", name="raised", target=f"{__name__}:Raised")
    loaded().add(Offer(part, "tests", Raised))
    branch = {
        "keypoint_backbone": {"type": "mlp", "hidden": 16, "dropout": 0.0},
        "temporal_encoder": {"type": "transformer", "dim": 8, "layers": 1, "heads": 1},
        "pooling": {"type": request.param},
        "out_dim": 8,
    }
    raw = {
        "dataset": {"type": "raised"},
        "view": {"keypoints": {"lags_s": [0.1]}},
        "model": {"branches": {"keypoints": branch}},
        "train": {"epochs": 15, "batch_size": 8, "lr": 0.01, "patience": 15},
    }
    experiment = check(Experiment, Config(raw))
    yield api.train(experiment, tmp_path_factory.mktemp("raised") / "run")
    loaded().offers.pop(("dataset", "raised"))


def given(keypoints: Keypoints) -> Given:
    return Given(SampleRef("v"), {"keypoints": keypoints}, {})


def test_the_window_in_which_it_happened_comes_first(run: Run) -> None:
    for start in (8, 30, 48):
        whole, windows = moments.occlusion(run, given(clip(100 + start, start)), RAW, 1)
        assert whole.predicted == 1
        assert len(windows) == 16
        first = moments.strongest(windows)[0]
        lasts = 5 + start / FPS, 5 + (start + 8) / FPS
        assert first.start_s < lasts[1] and first.end_s > lasts[0]
        told = moments.said("raise", windows, {})[0]
        assert f"Without {first.start_s:.2f} to {first.end_s:.2f} s P(raise) falls" in told


def test_a_change_is_what_the_run_says_without_the_window(run: Run) -> None:
    found = given(clip(7, 20))
    whole, windows = moments.occlusion(run, found, RAW, 1)
    assert whole.probability == pytest.approx(predict_clips(run, found.clips(run))[0].probability)
    for one in windows[::5]:
        rest = {"keypoints": moments.without(found.inputs["keypoints"], one.start_s, one.end_s)}
        other = predict_clips(run, replace(found, inputs=rest).clips(run))[0].probability
        assert one.probability == pytest.approx(other, abs=1e-6)
        assert one.change == pytest.approx(whole.probability[1] - other[1], abs=1e-6)


def test_weights_are_told_on_the_clock_of_the_video_or_to_be_alike(run: Run) -> None:
    found = given(clip(3, 40))
    spans = moments.cut(found.inputs, run.experiment.view)
    told = moments.weights(run, found, spans)
    assert list(told) == ["keypoints.all"]
    shares = told["keypoints.all"]
    if run.experiment.model.branches["keypoints"].pooling == {"type": "mean"}:
        assert shares is None
        assert "weighs all moments alike" in moments.said("raise", [quiet()], told)[-1]
        return
    assert shares is not None
    known = np.array(shares, float)
    assert known.mean() == pytest.approx(1)
    assert np.ptp(known) > 0.01


def quiet() -> moments.Window:
    return moments.Window(0.0, 1.0, (0.5, 0.5), 0.0)


def test_what_was_never_seen_is_no_moment(run: Run) -> None:
    keypoints = clip(5, 10)
    keypoints.valid[32:] = False
    _, windows = moments.occlusion(run, given(keypoints), RAW, 1)
    assert [one.change is None for one in windows] == [False] * 8 + [True] * 8
    assert all(one.start_s < 5 + 32 / FPS for one in moments.strongest(windows))
    assert moments.said("raise", windows, {})[-1] == "In 8 of 16 windows nothing was measured."


def test_texts_and_single_frames_have_no_moments() -> None:
    one = Features(np.ones((1, 2), np.float32), np.ones(1, bool), np.zeros(1))
    assert moments.cut({"text": "calm", "frames": one}, ViewSettings()) == []
    assert moments.strongest([]) == []
    assert "tell moments apart" in moments.said("raise", [], {})[0]


def test_windows_hold_every_frame_once() -> None:
    keypoints = clip(0, None)
    later = Features(np.ones((5, 2), np.float32), np.ones(5, bool), np.linspace(6, 9, 5))
    inputs = {"keypoints": keypoints, "frames": later}
    spans = moments.cut(inputs, ViewSettings())
    inside = [(start <= keypoints.time_s) & (keypoints.time_s < end) for start, end in spans]
    assert (np.sum(inside, 0) == 1).all()
    assert spans[0][0] == 5.0
    assert spans[-1][1] > 9.0
    few = ViewSettings(keypoints=KeypointView(frames=9), frames=FrameView(frames=3))
    assert len(moments.cut(inputs, few)) == 4


def test_a_video_unlike_those_of_training_is_told_in_words(run: Run) -> None:
    keypoints = clip(1, 4)
    seen = prepare(run.experiment)
    kept = replace(run, card={**run.card, "scope": scope_of(seen)})
    assert kept.card["scope"]["clips"] == len(seen.train)
    assert notes(kept, given(keypoints)) == []
    slow = replace(keypoints, time_s=keypoints.time_s * 2)
    assert notes(kept, given(slow)) == [
        "keypoints: 6.3 s are longer than 99 % of the 32 training clips (at most 3.1 s).",
        "keypoints: 10 per second, where the 32 training clips have 20.",
    ]
    keypoints.valid[:16] = False
    most = "than in 99 % of the 32 training clips"
    assert notes(kept, given(keypoints)) == [
        "keypoints: in 25 % of the frames nobody was measured.",
        f"keypoints: 25 % without anybody are more {most} (at most 0 %).",
        f"keypoints: 75 % of the points of all were measured, less {most} (at least 100 %).",
    ]
    lacking = Given(SampleRef("v"), {"text": "calm"}, {"keypoints": "v: nobody was found"})
    (told,) = notes(kept, lacking)
    assert told.startswith("There is no 'keypoints' (v: nobody was found); the model was told")
    assert told.endswith(
        "which no training clip ever did, so that it has not learned what to make of that."
    )


def test_of_an_older_run_it_is_said_that_nothing_is_known(run: Run) -> None:
    card = {key: value for key, value in run.card.items() if key != "scope"}
    (said,) = notes(replace(run, card=card), given(clip(1, 4)))
    assert said.startswith("Nothing is known of how long")


def test_the_frame_that_is_shown_of_a_moment_shows_the_person(tmp_path: Path) -> None:
    keypoints = clip(1, 4)
    keypoints.valid[:] = False
    keypoints.valid[[3, 20, 44]] = True
    window = moments.Window(5.0, 5.0 + 30 / FPS, (0.5, 0.5), 0.1)
    assert moments.frame_of(keypoints, window) == 20
    assert moments.frame_of(keypoints, replace(window, start_s=5.2, end_s=5.4)) in range(4, 8)
