"""Validation is cut by subject; what would fool the user is refused before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emoframe import api
from emoframe.core.errors import ComponentError, DataError
from emoframe.learning.clips import check_keypoints, collate
from emoframe.learning.data import check_clips, check_refs, prepare, rehearse
from emoframe.learning.split import cut_validation
from emoframe.records import Keypoints, SampleRef, View
from emoframe.skeleton import SkeletonLayout

LAYOUT = SkeletonLayout(name="two", joints=("a", "b"))


def refs(count: int, subjects: int | None = None, classes: int = 2) -> list[SampleRef]:
    return [
        SampleRef(f"i{n}", n % classes, None if subjects is None else f"s{n % subjects}")
        for n in range(count)
    ]


def test_no_subject_is_in_training_and_validation() -> None:
    train, val = cut_validation(refs(60, subjects=15), 0.2, 0)
    assert not {r.subject for r in train} & {r.subject for r in val}
    assert len(train) + len(val) == 60
    assert {r.label for r in val} == {0, 1}


def test_one_unknown_subject_does_not_scatter_the_known_ones() -> None:
    train, val = cut_validation([*refs(60, subjects=15), SampleRef("x", 0)], 0.2, 0)
    assert not {r.subject for r in train} & {r.subject for r in val} - {None}


def test_a_cut_that_takes_a_class_away_is_refused() -> None:
    items = [SampleRef(f"i{n}", int(n // 10 == 0), f"s{n // 10}") for n in range(40)]
    with pytest.raises(DataError, match="too few subjects show each class"):
        for seed in range(10):
            cut_validation(items, 0.5, seed)


def test_without_subjects_the_cut_is_stratified() -> None:
    _, val = cut_validation(refs(50), 0.2, 0)
    assert sorted(r.label for r in val) == [0] * 5 + [1] * 5  # type: ignore[type-var]


def test_the_cut_is_a_function_of_its_seed() -> None:
    cuts = [cut_validation(refs(60, subjects=15), 0.2, seed)[1] for seed in (1, 1, 2)]
    assert cuts[0] == cuts[1] != cuts[2]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (refs(20, classes=1), "one class"),
        (refs(4), "rarest class has 2"),
        (refs(40, subjects=3), "there are 3 training subjects"),
        ([*refs(20), SampleRef("x")], "1 of 21 training items have no label"),
    ],
)
def test_a_split_that_cannot_be_cut_is_refused(items: list[SampleRef], says: str) -> None:
    with pytest.raises(DataError, match=says):
        cut_validation(items, 0.2, 0)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        ([], [], "no training item"),
        ([SampleRef("a", 0)], [SampleRef("a")], "stands for 2 items"),
        ([SampleRef("a", 0, video=Path("v"))], [SampleRef("b", video=Path("v"))], "the video 'v'"),
        ([SampleRef("a", 2)], [], "label 2 is outside the classes 0 to 1"),
        ([SampleRef("a", -1)], [], "outside the classes"),
        ([SampleRef("a", 0)], [SampleRef("b", 1)], "test labels are sealed"),
        ([SampleRef("a", 0, "s")], [SampleRef("b", None, "s")], "in train and in test"),
    ],
)
def test_items_that_contradict_one_another_are_refused(
    train: list[SampleRef], test: list[SampleRef], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        check_refs(train, test, ("no", "yes"))


def keypoints(frames: int = 3, joints: int = 2, nan: bool = False) -> Keypoints:
    xy = np.zeros((frames, joints, 2), np.float32)
    if nan:
        xy[1, 1] = np.nan
    valid = np.ones((frames, joints), bool)
    return Keypoints(xy, valid * 1.0, valid, np.arange(frames) / 25.0, "two")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (keypoints(frames=0), "has no frame"),
        (keypoints(joints=3), "has 3 joints, and the layout 'two' has 2"),
        (keypoints(nan=True), "joint b of frame 1 is marked valid and is NaN"),
    ],
)
def test_keypoints_that_pretend_are_refused(bad: Keypoints, says: str) -> None:
    with pytest.raises(DataError, match=says):
        check_keypoints(bad, LAYOUT, "item")


def test_bad_items_are_found_before_training_begins(tiny: list[str]) -> None:
    data = prepare(api.load("quickstart", tiny))
    check_clips(data)
    data.train.loaders["keypoints"] = lambda ref: keypoints()
    with pytest.raises(DataError, match=f"{len(data.train)} items cannot be used"):
        check_clips(data)


def test_a_part_that_cannot_work_is_named_before_training(tiny: list[str]) -> None:
    class Broken(torch.nn.Module):
        def forward(self, **batch: object) -> None:
            raise ZeroDivisionError("no")

    with pytest.raises(ComponentError, match=r"first batch: ZeroDivisionError.*check_component"):
        rehearse(Broken(), prepare(api.load("quickstart", tiny)))


def test_a_batch_is_padded_and_masked(tiny: list[str]) -> None:
    data = prepare(api.load("quickstart", [*tiny, "view.keypoints.frames=100"]))
    samples = [data.train[0], data.train[1]]
    short, _ = data.train.sample(data.train.refs[0], View())
    object.__setattr__(short, "inputs", {k: v[:5] for k, v in short.inputs.items()})
    object.__setattr__(short, "masks", {k: v[:5] for k, v in short.masks.items()})
    object.__setattr__(short, "times", {k: v[:5] for k, v in short.times.items()})
    batch = collate([short, *samples])
    assert batch["inputs"]["keypoints"].shape == (3, 24, 137, 11)
    assert not batch["masks"]["keypoints"][0, 5:].any()
    assert not batch["inputs"]["keypoints"][0, 5:].any()


def test_training_views_change_with_the_epoch_and_validation_views_do_not(tiny: list[str]) -> None:
    data = prepare(api.load("quickstart", tiny))

    def view(clips: object, epoch: int) -> np.ndarray:
        clips.epoch = epoch  # type: ignore[attr-defined]
        return clips[0].times["keypoints"]  # type: ignore[index]

    assert not np.array_equal(view(data.train, 0), view(data.train, 1))
    assert np.array_equal(view(data.train, 1), view(data.train, 1))
    assert np.array_equal(view(data.val, 0), view(data.val, 1))


def test_shuffled_labels_are_the_same_labels_on_other_items(tiny: list[str]) -> None:
    plain = prepare(api.load("quickstart", tiny))
    control = prepare(api.load("quickstart", [*tiny, "train.shuffle_labels=true"]))
    before, after = (
        {ref.id: ref.label for clips in (data.train, data.val) for ref in clips.refs}
        for data in (plain, control)
    )
    assert before != after
    assert sorted(before.values()) == sorted(after.values())
    assert plain.hash == control.hash
