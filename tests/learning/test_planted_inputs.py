"""Planted frames and texts tell of the class exactly as much as they say, and nothing else does."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import emoframe
from emoframe import api, label
from emoframe.core.errors import ConfigError
from emoframe.learning.datasets.planted import Planted
from emoframe.learning.datasets.planted_text import CUES
from emoframe.records import Features, SampleRef
from emoframe.testing import check_dataset
from emoframe.weak_labels.store import LabelStore

OUTCOME = re.compile(r"\b(win|won|winn|los[ets]|loss|victor|defeat|triumph|beat)", re.IGNORECASE)
SHORT = {"frames": 64, "videos_per_subject": 1}
"""Short videos of many subjects, so that a judge has enough to learn from."""


def planted(**params: Any) -> Planted:
    return emoframe.build("dataset", "planted", **params)


def truth(dataset: Planted, split: Any) -> np.ndarray[Any, Any]:
    sealed = dataset.test_labels()
    return np.array(
        [sealed[r.id] if r.label is None else r.label for r in dataset.samples(split)], int
    )


def mean_token(features: Features) -> np.ndarray[Any, Any]:
    return features.x[features.valid].mean(0)


def brought(dataset: Planted, split: Any, name: str) -> list[Any]:
    return [dataset.load(ref)[name] for ref in dataset.samples(split)]


def scored_by_a_judge(dataset: Planted, name: str) -> float:
    """Accuracy on test of a linear judge that was fitted on train."""
    seen = {split: brought(dataset, split, name) for split in ("train", "test")}
    judge: Any = LinearDiscriminantAnalysis(priors=[1 / len(dataset.classes)] * 2)
    if name == "text":
        words = CountVectorizer(min_df=20)
        judge = make_pipeline(words, LogisticRegression(max_iter=300, class_weight="balanced"))
    else:
        seen = {split: np.array([mean_token(f) for f in x]) for split, x in seen.items()}
    judge.fit(seen["train"], truth(dataset, "train"))
    return float(judge.score(seen["test"], truth(dataset, "test")))


def majority(text: str) -> int:
    """Which sort of cue there is more of."""
    counts = [
        sum(len(re.findall(pattern(cue), text, re.IGNORECASE)) for cue in table) for table in CUES
    ]
    return int(counts[1] > counts[0])


def pattern(cue: str) -> str:
    return re.escape(cue).replace(r"\{side\}", "(left|right)")


@pytest.mark.parametrize("world", ["cross_part", "null"])
def test_all_three_inputs_keep_the_contract(world: str) -> None:
    told = {"frame_signal": 1.0, "text_signal": 1.0, "unlabelled": 4, "leak": True}
    check_dataset(planted(world=world, train=8, test=4, frames=64, text_copies=0.5, **told))
    check_dataset(planted(train=8, test=4, frames=11, frames_every=20, frame_width=1))


def test_an_input_is_generated_when_it_is_asked_for() -> None:
    dataset = planted(train=4, test=2)
    inputs = dataset.load(SampleRef("train-00000"))
    assert list(inputs) == ["keypoints", "frames", "text"]
    assert len(inputs) == 3
    nobody = dataset.load(SampleRef("nobody-00000"))
    assert "frames" in nobody
    with pytest.raises(KeyError, match="nobody"):
        nobody["frames"]


@pytest.mark.parametrize("signal", [1.0, 2.0])
@pytest.mark.parametrize("name", ["frames", "text"])
def test_a_simple_judge_comes_near_what_can_be_known(name: str, signal: float) -> None:
    key = {"frames": "frame_signal", "text": "text_signal"}[name]
    dataset = planted(train=1200, test=1000, **SHORT, **{key: signal})
    known, sampling = norm.cdf(signal / 2), 3 * np.sqrt(0.25 / 1000)
    found = scored_by_a_judge(dataset, name)
    assert known - sampling - 0.02 < found < known + sampling
    other = {"frames": "text", "text": "frames"}[name]
    assert scored_by_a_judge(dataset, other) == pytest.approx(0.5, abs=sampling)


def test_who_knows_the_direction_and_the_cues_scores_what_the_ceilings_say() -> None:
    dataset = planted(train=4, test=400, frames=64, frame_signal=1.5, text_signal=1.0)
    found, true = dataset.ceilings(), truth(dataset, "test")
    along = [mean_token(f) @ dataset.direction > 0 for f in brought(dataset, "test", "frames")]
    counted = [majority(text) for text in brought(dataset, "test", "text")]
    assert found["oracle of frames"] == np.mean(along == true)
    assert found["oracle of text"] == np.mean(counted == true)
    assert found["oracle of frames"] == pytest.approx(norm.cdf(0.75), abs=0.07)
    assert found["oracle of all"] > max(found["oracle"], found["oracle of frames"])


def test_an_input_without_signal_has_no_ceiling() -> None:
    small: dict[str, Any] = {"train": 8, "test": 8, "frames": 16}
    assert set(planted(**small).ceilings()) == {"oracle", "matched filter"}
    told = planted(**small, text_signal=1.0).ceilings()
    assert set(told) == {"oracle", "matched filter", "oracle of text", "oracle of all"}


def test_more_classes_lie_in_a_row() -> None:
    three = {"events": (2.0, 5.0, 9.0), "shares": (1.0, 1.0, 1.0), "train": 3, "test": 900}
    dataset = planted(**three, frames=16, frame_signal=3.0, text_signal=3.0)
    known = 1 - 4 / 3 * norm.sf(1.5)
    found = {name: dataset._share(dataset._likelihood(name)) for name in ("frames", "text")}
    assert found == {name: pytest.approx(known, abs=0.04) for name in found}
    texts = brought(dataset, "test", "text")
    above = [[len(re.findall(pattern(c), t, re.IGNORECASE)) for c in CUES[1]] for t in texts]
    means = [np.sum(above, 1)[truth(dataset, "test") == k].mean() for k in range(3)]
    assert means == sorted(means)


def test_frame_features_tell_of_the_class_in_one_direction_and_a_minority_of_the_tokens() -> None:
    still, told = planted(test=20), planted(test=20, frame_signal=4.0)
    shifts = []
    for one, other in zip(
        brought(still, "test", "frames"), brought(told, "test", "frames"), strict=True
    ):
        np.testing.assert_array_equal(one.valid, other.valid)
        shift = np.nan_to_num(one.x - other.x)
        moved = np.abs(shift).max(1) > 1e-4
        assert 0 < moved.mean() < 0.3
        assert not moved[~one.valid].any()
        shifts.append(shift[moved])
    strength = np.linalg.svd(np.concatenate(shifts), compute_uv=False)
    assert strength[1] < 1e-4 * strength[0]


def test_tokens_are_of_each_nth_frame_and_some_are_masked() -> None:
    dataset = planted(train=20, frames=512, frames_every=5, frame_width=7)
    tokens = brought(dataset, "train", "frames")
    video = dataset.load(dataset.samples("train")[0])["keypoints"]
    np.testing.assert_allclose(tokens[0].time_s, video.time_s[::5])
    assert tokens[0].x.shape == (103, 7)
    for one in tokens:
        assert np.isnan(one.x[~one.valid]).all()
        assert np.isfinite(one.x[one.valid]).all()
    assert 0.8 < np.mean([one.valid.mean() for one in tokens]) < 0.95
    x = np.concatenate([one.x - np.nanmean(one.x, 0) for one in tokens])
    near, far = (np.nanmean(x[lag:] * x[:-lag]) / np.nanvar(x) for lag in (1, 8))
    assert near > 0.5 > 0.2 > far


def test_tokens_keep_the_clock_of_a_real_track(shared: Path) -> None:
    track = shared / "data" / "openpose_137.pose"
    inputs = (dataset := planted(real_tracks=track, frames=100)).load(dataset.samples("test")[0])
    np.testing.assert_allclose(inputs["frames"].time_s, inputs["keypoints"].time_s[::5])


def test_a_subject_is_known_by_its_frames_and_says_nothing_of_the_class() -> None:
    dataset = planted(train=50, frame_signal=2.0)
    means = np.array([mean_token(f) for f in brought(dataset, "train", "frames")])
    means -= np.outer(means @ dataset.direction, dataset.direction)
    people = means.reshape(-1, 5, 32)
    within, between = people.var(1).mean(), people.mean(1).var(0).mean()
    assert between > 2 * within


def test_the_inputs_are_independent_given_the_class() -> None:
    dataset = planted(test=1600, frames=64, frame_signal=1.5, text_signal=1.5)
    items = dataset.test_labels()
    rows = np.array([
        [dataset._plant(i).known, *(dataset._amount(n, i)[0] for n in ("frames", "text"))]
        for i in items
    ])  # fmt: skip
    for k in (0, 1):
        found = np.corrcoef(rows[np.array(list(items.values())) == k].T)
        assert np.abs(found - np.eye(3)).max() < 0.12


def test_nothing_beats_chance_in_the_null_world_whatever_the_signals() -> None:
    loud = {"frame_signal": 3.0, "text_signal": 3.0}
    dataset = planted(world="null", train=400, test=400, frames=64, **loud)
    words = CountVectorizer(min_df=20)
    seen = {}
    for split in ("train", "test"):
        texts = brought(dataset, split, "text")
        counts = (words.fit_transform if split == "train" else words.transform)(texts).toarray()
        tokens = [mean_token(f) for f in brought(dataset, split, "frames")]
        seen[split] = np.concatenate([counts, tokens], 1)
    probe = LogisticRegression(C=0.1, max_iter=300, class_weight="balanced")
    probe.fit(seen["train"], truth(dataset, "train"))
    right = (probe.predict(seen["test"]) == truth(dataset, "test")).reshape(-1, 5).mean(1)
    assert abs(right.mean() - 0.5) < 3 * right.std(ddof=1) / np.sqrt(len(right))
    found = dataset.ceilings()
    assert found["oracle of frames"] == found["oracle of text"] == found["oracle of all"] == 0.5


def test_a_text_names_no_class_and_no_outcome() -> None:
    for world in ("cross_part", "slow", "null"):
        dataset = planted(world=world, train=300, text_signal=2.0)
        for text in brought(dataset, "train", "text"):
            assert not OUTCOME.search(text), text
            assert not any(name in text.lower() for name in dataset.classes)


def test_a_text_tells_in_order_what_is_seen_and_when() -> None:
    dataset = planted(train=100, frames=2000)
    texts = brought(dataset, "train", "text")
    for text in texts:
        said = re.findall(r"\b(\d+):(\d\d\.\d)", text)
        times = [60 * int(minutes) + float(seconds) for minutes, seconds in said]
        assert len(times) == text.count(". ") == text.count(".") - len(times) - 1
        assert all(a <= b for a, b in pairwise(times))
        assert times[-1] <= 80
        assert "{" not in text
    assert len(set(texts)) == 100
    assert len({len(re.findall(":", text)) for text in texts}) > 4


def test_a_leak_is_in_the_text_only_where_it_is_asked_for() -> None:
    plain, leaky = planted(train=50), planted(train=50, leak=True)
    for split in ("train", "test"):
        for ref, true in zip(leaky.samples(split), truth(leaky, split), strict=True):
            text = leaky.load(ref)["text"]
            assert [k for k, name in enumerate(leaky.classes) if name in text] == [true]
            assert text.startswith(plain.load(ref)["text"])


def test_unlabelled_videos_have_people_of_their_own_and_no_label_anywhere() -> None:
    dataset = planted(train=40, unlabelled=60, frames=16, leak=False)
    refs = dataset.samples("train")
    further = refs[40:]
    assert refs[:40] == planted(train=40, frames=16).samples("train")
    assert [ref.id for ref in further[:2]] == ["more-00000", "more-00001"]
    assert len(further) == 60
    assert all(ref.label is None for ref in further)
    known = {ref.subject for ref in [*refs[:40], *dataset.samples("test")]}
    assert not known & {ref.subject for ref in further}
    assert len({ref.subject for ref in further}) == 12
    assert not {ref.id for ref in further} & set(dataset.test_labels())
    assert "more" not in repr(dataset.fingerprint())
    hidden = dataset.hidden_labels()
    assert list(hidden) == [ref.id for ref in further]
    assert np.bincount(list(hidden.values())).tolist() == [36, 24]
    assert planted().hidden_labels() == {}


def test_unlabelled_videos_are_made_like_the_labelled_ones() -> None:
    dataset = planted(train=4, unlabelled=300, frame_signal=2.0, confound=2.0, frames=16)
    hidden = dataset.hidden_labels()
    along = {
        item: mean_token(dataset.load(SampleRef(item))["frames"]) @ dataset.direction
        for item in hidden
    }
    right = [(height > 0) == hidden[item] for item, height in along.items()]
    assert np.mean(right) == pytest.approx(norm.cdf(1.0), abs=0.07)
    leaning = [dataset._lean[dataset._subject(item)] for item in hidden]
    assert np.corrcoef(leaning, list(hidden.values()))[0, 1] > 0.4


def test_everything_depends_on_the_seed_and_on_nothing_else() -> None:
    told = {"frame_signal": 1.0, "text_signal": 1.0, "unlabelled": 3, "train": 5, "test": 2}
    one, same, other = (planted(seed=seed, **told) for seed in (1, 1, 2))
    refs = one.samples("train")
    other.load(refs[0])["frames"]
    for ref in (refs[7], refs[0], refs[7]):
        first, again, strange = (d.load(ref) for d in (one, same, other))
        assert first["text"] == again["text"] != strange["text"]
        np.testing.assert_array_equal(first["frames"].x, again["frames"].x)
        assert not np.array_equal(first["frames"].x, strange["frames"].x, equal_nan=True)
    assert one.hidden_labels() == same.hidden_labels()


def test_a_run_knows_what_was_planted_and_older_runs_stay_what_they_were() -> None:
    before = {"world": "[[3.0, 9.0], 6.0, 0.5, 512, 0]"}
    assert planted().fingerprint() == before
    for change in (
        {"unlabelled": 1}, {"frame_signal": 1.0}, {"frames_every": 6}, {"frame_width": 8},
        {"text_signal": 1.0}, {"text_copies": 0.5}, {"teacher_accuracy": 0.7},
        {"teacher_seed": 1}, {"leak": True},
    ):  # fmt: skip
        ((name, value),) = change.items()
        assert planted(**change).fingerprint() == before | {name: repr(value)}


def test_a_text_that_copies_errs_as_the_simulated_labeler_does(tmp_path: Path) -> None:
    told = {"train": 30, "test": 4, "frames": 24, "text_signal": 12.0}
    teacher = {"teacher_accuracy": 0.6, "teacher_seed": 3}
    asks = [f"dataset.{k}={v}" for k, v in {**told, **teacher, "text_copies": 1.0}.items()] + [
        f"weak_labels.store={tmp_path / 'labels.sqlite'}", "weak_labels.vlm_labeler.type=simulated",
        "weak_labels.vlm_labeler.accuracy=0.6", "weak_labels.vlm_labeler.seed=3",
    ]  # fmt: skip
    label.label("planted", asks, label.Which(split="train"))
    dataset = emoframe.build("dataset", "planted", **told, **teacher, text_copies=1.0)
    with LabelStore(tmp_path / "labels.sqlite", write=False) as store:
        said = {one.key.clip: one.label for one in store.answers()}
        clips = store.items("planted")
    weak = {r.id: said[clips["planted", r.id]] for r in dataset.samples("train")}
    for ref in dataset.samples("train"):
        assert weak[ref.id] is not None
        assert majority(dataset.load(ref)["text"]) == weak[ref.id].label
    truthful = brought(planted(**told), "train", "text")
    assert [majority(text) for text in truthful] == truth(dataset, "train").tolist()
    wrong = [weak[r.id].label != r.label for r in dataset.samples("train")]
    assert 4 < sum(wrong) < 20


def test_half_of_the_texts_copy_where_half_are_to() -> None:
    told = {"train": 4, "test": 400, "frames": 11, "text_signal": 12.0, "teacher_accuracy": 0.0}
    dataset = planted(**told, text_copies=0.5)
    right = [majority(text) for text in brought(dataset, "test", "text")] == truth(dataset, "test")
    assert np.mean(right) == pytest.approx(0.5, abs=0.08)
    assert planted(**told, text_copies=1.0).ceilings()["oracle of text"] == 1.0


@pytest.mark.parametrize(
    "params",
    [
        {"unlabelled": -1}, {"frame_signal": -1.0}, {"text_signal": -0.1}, {"frames_every": 0},
        {"frame_width": 0}, {"text_copies": 1.5}, {"teacher_accuracy": 2.0},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        planted(**params)


def test_a_network_trains_on_all_three(tmp_path: Path) -> None:
    node = "{temporal_encoder: {type: transformer, dim: 8, layers: 1, heads: 2}, out_dim: 8"
    run = api.train(
        "planted",
        tmp_path / "run",
        [
            "dataset.train=40", "dataset.test=8", "dataset.videos_per_subject=2",
            "dataset.frames=64", "dataset.frame_signal=2.0", "dataset.text_signal=2.0",
            "train.epochs=1", "features.frames=dataset", "features.text=dataset",
            f"model.branches.keypoints={node}, groups: [face]}}",
            f"model.branches.frames={node}, keypoint_backbone: null}}",
            "model.branches.text={text_encoder: {type: tfidf}, out_dim: 8}",
        ],
    )  # fmt: skip
    scores = api.evaluate(run, "test", "the three planted inputs")
    assert scores.count == 8
