"""Planted videos hold exactly the truth that was planted, and nothing else tells the class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

import emoframe
from emoframe.core.errors import ConfigError, DataError
from emoframe.learning.datasets.planted import WORLDS, Planted
from emoframe.learning.datasets.planted_events import AlongEdge, CrossPart
from emoframe.learning.datasets.planted_figure import FACE, face_joints, raised
from emoframe.learning.datasets.planted_motion import SWAY, RealTracks, Synthetic
from emoframe.skeleton import OPENPOSE_137
from emoframe.testing import check_component, check_dataset

TOLD = sorted(set(WORLDS) - {"null"})


def planted(**params: Any) -> Planted:
    return emoframe.build("dataset", "planted", **params)


PUBLISHED = {
    "cross_part": ("80dfafaada06a19c", 2238.34),
    "along_edge": ("ba582683cab4eb0f", 2238.88),
    "static_posture": ("672af990839987b6", 2239.26),
    "slow": ("c5037231931824bc", 2238.18),
    "null": ("aac4ed1262967a35", 2237.09),
}
"""Of what the figures in docs/keypoints.md were made: a hash, and a weighted sum of coordinates."""


def moved(**params: Any) -> Iterator[tuple[Planted, str, np.ndarray[Any, Any]]]:
    """Yield how far the joints of each training video are moved by what is planted, (T, 137, 2)."""
    loud, still = planted(**params | {"amplitude": 50.0}), planted(**params | {"amplitude": 0.0})
    for ref in loud.samples("train"):
        one, other = loud.load(ref)["keypoints"], still.load(ref)["keypoints"]
        np.testing.assert_array_equal(one.valid, other.valid)
        yield loud, ref.id, np.nan_to_num(one.xy - other.xy)


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_keeps_the_contract(world: str) -> None:
    check_dataset(planted(world=world, train=20, test=10, frames=64, videos_per_subject=2))
    check_component("dataset", "planted")


@pytest.mark.parametrize("world", WORLDS)
def test_what_published_figures_were_made_of_is_unchanged(world: str) -> None:
    dataset = planted(world=world)
    train, test = dataset.samples("train"), dataset.samples("test")
    told = [train, test, sorted(dataset.test_labels().items()), dataset.fingerprint()]
    digest = hashlib.sha256(repr(told).encode())
    for ref in [*train[:3], *test[:3]]:
        valid = dataset.load(ref)["keypoints"].valid
        digest.update(valid.tobytes() + dataset.event_frames(ref.id).tobytes())
    xy = dataset.load(test[1])["keypoints"].xy
    # no hash of coordinates, since a matrix product rounds in another way on another processor
    total = np.nansum(np.cos(np.arange(xy.size)).reshape(xy.shape) * xy)
    assert (digest.hexdigest()[:16], total) == (
        PUBLISHED[world][0],
        pytest.approx(PUBLISHED[world][1], abs=0.05),
    )


@pytest.mark.parametrize("world", WORLDS)
def test_the_truth_says_when_the_face_is_moved_and_nothing_else_is(world: str) -> None:
    for dataset, item, shift in moved(world=world, train=6, frames=128, events=(1.0, 4.0)):
        told = np.zeros(128, bool)
        for first, length, _ in dataset.event_frames(item).tolist():
            told[first : first + length] = True
        seen = (np.abs(shift) > 0.01).any((1, 2))
        assert not (seen & ~told).any()
        assert (seen.sum() > 0) == (told.sum() > 0)
        assert not np.delete(shift, range(FACE.start, FACE.stop), axis=1).any()


def test_an_event_is_shorter_than_half_a_second() -> None:
    for world in ("cross_part", "along_edge"):
        dataset = planted(world=world)
        rows = np.concatenate([dataset.event_frames(r.id) for r in dataset.samples("test")])
        assert rows[:, 1].min() >= 6
        assert rows[:, 1].max() < 12
        assert set(rows[:, 2].tolist()) == {0, 1}
        assert (rows[:, 0] + rows[:, 1]).max() <= 512


def test_the_default_event_is_no_larger_than_the_sway() -> None:
    dataset = planted()
    generator = np.random.default_rng(0)
    sway = [Synthetic(512).keypoints(generator).xy[:, 52].std(0) for _ in range(50)]
    assert dataset.amplitude <= SWAY
    assert np.mean(sway) == pytest.approx(np.hypot(SWAY, 2), rel=0.05)


def test_the_parts_of_cross_part_are_not_joined() -> None:
    part = {joint: n for n, joints in enumerate(CrossPart.PARTS) for joint in joints}
    joined = [e for e in OPENPOSE_137.group_edges("face") if {*e} <= set(part)]
    assert [edge for edge in joined if part[edge[0]] != part[edge[1]]] == []


def test_parts_that_move_alone_do_so_as_often_in_every_class() -> None:
    dataset = planted(test=2000)
    alone: dict[int, list[int]] = {0: [], 1: []}
    for item, label in dataset.test_labels().items():
        alone[label].append(int((dataset.event_frames(item)[:, 2] == 1).sum()))
    assert np.mean(alone[0]) == pytest.approx(np.mean(alone[1]), rel=0.05)


def test_a_wave_runs_over_neighbours_and_a_decoy_over_strangers() -> None:
    world, generator = AlongEdge((3.0, 9.0), 512), np.random.default_rng(0)
    edges = {frozenset(edge) for edge in OPENPOSE_137.group_edges("face")}
    for _ in range(200):
        wave = world._joints(generator, wave=True)
        assert all(frozenset(pair) in edges for pair in pairwise(wave))
        decoy = world._joints(generator, wave=False)
        assert len(set(wave)) == len(set(decoy)) == 4
        assert not any(frozenset((a, b)) in edges for a in decoy for b in decoy)


def test_no_joint_alone_tells_the_class_along_edges() -> None:
    world = AlongEdge((3.0, 9.0), 512)
    total = np.zeros((2, 2, 70))
    for label in (0, 1):
        for n in range(1500):
            up = world.plant(np.random.default_rng([label, n]), label).up
            total[label] += np.abs(up).sum(0), up.sum(0)
    size, mean = total[:, 0] / 1500, total[:, 1] / 1500
    assert size[0].sum() == pytest.approx(size[1].sum(), rel=0.01)
    np.testing.assert_allclose(size[0], size[1], rtol=0.15)
    np.testing.assert_allclose(mean, 0, atol=0.35)


def test_nothing_depends_on_the_class_in_the_null_world() -> None:
    dataset = planted(world="null", test=2000, frames=64)
    counts: dict[int, list[list[int]]] = {0: [], 1: []}
    for item, label in dataset.test_labels().items():
        kinds = dataset.event_frames(item)[:, 2]
        counts[label].append([int((kinds == kind).sum()) for kind in (0, 1)])
    np.testing.assert_allclose(np.mean(counts[0], 0), np.mean(counts[1], 0), rtol=0.06)


def mouths(dataset: Planted, split: Any) -> np.ndarray[Any, Any]:
    """How high the mouth sits in each video of a split."""
    upper_lip = list(face_joints("outer_lip_2", "outer_lip_3", "outer_lip_4"))
    return np.array(
        [raised(dataset.load(r)["keypoints"])[:, upper_lip].mean() for r in dataset.samples(split)]
    )


@pytest.mark.parametrize("world", ["null", "cross_part"])
def test_posture_leans_with_the_label_in_train_only(world: str) -> None:
    dataset = planted(world=world, train=600, test=600, frames=16, confound=2.0)
    own = np.array([ref.label for ref in dataset.samples("train")])
    sealed = np.array(list(dataset.test_labels().values()))
    assert abs(np.corrcoef(mouths(dataset, "train"), own)[0, 1]) > 0.4
    assert abs(np.corrcoef(mouths(dataset, "test"), sealed)[0, 1]) < 0.1


def test_training_subjects_lean_to_one_label_and_folds_by_subject_still_exist() -> None:
    refs = planted().samples("train")
    labels = np.array([ref.label for ref in refs])
    subjects = np.array([ref.subject for ref in refs])
    assert np.bincount(labels).tolist() == [120, 80]
    shares = np.array([labels[subjects == s].mean() for s in np.unique(subjects)])
    assert np.mean(np.abs(shares - 0.5)) > 0.25
    assert all(len(np.unique(subjects[labels == k])) > 10 for k in (0, 1))
    for train, val in StratifiedGroupKFold(5).split(labels, labels, subjects):
        assert len(np.unique(labels[train])) == len(np.unique(labels[val])) == 2


def test_the_test_split_is_balanced_whatever_the_shares() -> None:
    dataset = planted(events=(2.0, 5.0, 9.0), shares=(3.0, 2.0, 1.0), test=300)
    assert np.bincount(list(dataset.test_labels().values())).tolist() == [100, 100, 100]
    labels = [ref.label for ref in dataset.samples("train") if ref.label is not None]
    assert np.bincount(labels).tolist() == [100, 67, 33]


@pytest.mark.parametrize("world", TOLD)
def test_who_knows_the_truth_scores_nine_in_ten(world: str) -> None:
    assert planted(world=world, test=3000).oracle_accuracy() == pytest.approx(0.90, abs=0.03)


@pytest.mark.parametrize("world", TOLD)
def test_who_sees_the_points_and_knows_the_form_is_about_as_good(world: str) -> None:
    found = planted(world=world, train=100, test=100).ceilings()
    assert set(found) == {"oracle", "matched filter"}
    assert 0.75 < found["matched filter"] <= found["oracle"] + 0.05


def test_nobody_beats_chance_in_the_null_world() -> None:
    found = planted(world="null", train=100, test=300).ceilings()
    assert found["oracle"] == 0.5
    assert found["matched filter"] == pytest.approx(0.5, abs=0.09)


def test_a_judge_without_amplitude_to_see_is_at_chance() -> None:
    dataset = planted(world="static_posture", train=60, test=200, frames=64, amplitude=0.0)
    assert dataset.matched_filter_accuracy() == pytest.approx(0.5, abs=0.12)


def test_a_video_depends_on_the_seed_and_on_nothing_else() -> None:
    one, same, other = planted(seed=1), planted(seed=1), planted(seed=2)
    refs = one.samples("train")
    other.load(other.samples("train")[7])
    for ref in (refs[3], refs[0], refs[3]):
        first, again = one.load(ref)["keypoints"], same.load(ref)["keypoints"]
        np.testing.assert_array_equal(first.xy, again.xy)
        np.testing.assert_array_equal(one.event_frames(ref.id), same.event_frames(ref.id))
        assert not np.array_equal(first.xy, other.load(ref)["keypoints"].xy, equal_nan=True)


def test_legs_are_masked_and_hands_are_lost_for_long() -> None:
    dataset = planted()
    keypoints = dataset.load(dataset.samples("train")[0])["keypoints"]
    assert not keypoints.valid[:, [10, 11, 13, 14, *range(19, 25)]].any()
    assert np.isnan(keypoints.xy[~keypoints.valid]).all()
    assert not keypoints.confidence[~keypoints.valid].any()
    hand = keypoints.valid[:, 95:116]
    assert 0.5 < hand.mean() < 0.95
    assert np.diff(hand[:, 0].astype(int)).astype(bool).sum() < 30
    assert keypoints.valid[:, FACE].all()


@pytest.fixture
def real(shared: Path) -> Path:
    return shared / "data" / "openpose_137.pose"


@pytest.mark.parametrize("world", WORLDS)
def test_events_are_injected_into_real_tracks(world: str, real: Path) -> None:
    params = {"train": 12, "test": 4, "frames": 200, "videos_per_subject": 2}
    check_dataset(planted(world=world, real_tracks=real, **params))
    scale = RealTracks(real, 200).scale
    tallest = 0.0
    for _, _, shift in moved(world=world, real_tracks=real, events=(3.0, 9.0), **params):
        tallest = max(tallest, float(np.abs(shift).max()))
    assert 0.4 < scale < 0.8
    assert tallest > 0.9 * 50 * scale


def test_a_real_track_keeps_its_jitter_and_its_gaps_to_and_fro(real: Path) -> None:
    source = RealTracks(real, 250)
    keypoints = source.keypoints(np.random.default_rng(0))
    total = len(source.track)
    assert total < 250
    assert len(keypoints) == 250
    first = next(
        n for n in range(total) if np.array_equal(keypoints.valid[0], source.track.valid[n])
    )
    assert 0 <= first < total
    assert np.isnan(keypoints.xy[~keypoints.valid]).all()
    assert np.diff(keypoints.time_s) == pytest.approx(np.diff(source.track.time_s)[0])
    once = np.nanmax(np.abs(np.diff(source.track.xy, axis=0)))
    assert np.nanmax(np.abs(np.diff(keypoints.xy, axis=0))) <= once + 1e-3
    assert len(RealTracks(real, 20).keypoints(np.random.default_rng(0))) == 20


def test_a_run_knows_which_track_it_was(real: Path) -> None:
    assert planted().fingerprint() != planted(amplitude=5.0).fingerprint()
    assert planted().protocol == "planted:cross_part"
    assert planted(real_tracks=real).protocol == "planted:cross_part:openpose_137"
    assert len(planted(real_tracks=real).fingerprint()["real_tracks"]) == 64


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"events": (3.0,)}, "two or more classes"),
        ({"events": (3.0, -1.0)}, "none below 0"),
        ({"shares": (1.0,)}, "one share above 0 for each"),
        ({"shares": (1.0, 0.0)}, "one share above 0 for each"),
        ({"events": (2.0, 5.0, 9.0)}, r"events names 3 classes; give one share"),
        ({"frames": 10}, "an event takes up to 11"),
        ({"world": "slow", "events": (1.0, 2.0, 3.0), "shares": (1.0,) * 3}, "has two classes"),
    ],
)
def test_a_world_that_cannot_be_is_refused(params: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        planted(**params)


@pytest.mark.parametrize(
    "params", [{"amplitude": -1.0}, {"world": "flat"}, {"confound": -0.5}, {"frames": 0}]
)
def test_a_parameter_out_of_bounds_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        planted(**params)


def test_a_track_that_is_none_is_refused(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "track.npz").write_bytes(b"numbers")
    (tmp_path / "empty").mkdir()
    faceless = shared / "media" / "openpose_json" / "du_wohn_wo"
    for path, says in (
        (tmp_path / "absent.pose", "there is no such file"),
        (tmp_path / "track.npz", "takes a .pose file or a folder"),
        (tmp_path / "empty", "holds no file called"),
        (faceless, "no face was measured"),
    ):
        dataset = planted(real_tracks=path)
        with pytest.raises(DataError, match=says):
            dataset.load(dataset.samples("train")[0])["keypoints"]
