"""What `merge` promises: each part's own joints, one decoding, one run of equal parts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emoframe.core.checker import Checker
from emoframe.core.component import KINDS, Component
from emoframe.core.errors import ComponentError
from emoframe.core.plugins import Offer, loaded
from emoframe.core.registry import create
from emoframe.core.schema import kind_of, parameters
from emoframe.perception.pose_estimators.merge import MOST_WAITING, Merge
from emoframe.records import Frames, Keypoints, Track
from emoframe.skeleton import OPENPOSE_137

GROUPS = {group: list(OPENPOSE_137.group(group)) for group in ("body", "face", "hands")}


class Bare:
    """A pose estimator all of whose joints are at one point.

    Args:
        at: That point's x.
        seen: Whether it measures anything.
        device: Where it computes.
    """

    layout = "openpose_137"
    log: list[str] = []

    def __init__(self, *, at: float = 0.0, seen: bool = True, device: str = "cpu") -> None:
        self.at, self.seen, self.device = at, seen, device

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        try:
            for frames in chunks:
                self.log.append(f"{self.at} on {self.device} from {frames.index[0]}")
                yield self.measured(frames, track)
                del frames
        finally:
            self.log.append(f"{self.at} closed")

    def measured(self, frames: Frames, track: Track) -> Keypoints:
        present = track.valid[frames.index]
        shape = (len(frames), OPENPOSE_137.num_joints)
        valid = np.zeros(shape, np.bool_) | (present[:, None] & self.seen)
        xy = np.where(valid[..., None], self.at, np.nan).repeat(2, axis=-1).astype(np.float32)
        confidence = np.where(valid, self.at / 10, 0).astype(np.float32)
        here = frames.index
        return Keypoints(
            xy, confidence, valid, frames.time_s, self.layout, track.box[here], track.cut[here]
        )


class Constant(Bare):
    """One that has weights."""

    def fingerprint(self) -> dict[str, str]:
        return {"weights": f"hash of {self.at}"}


class Greedy(Constant):
    """Reads the whole video before it says anything."""

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        yield from [self.measured(frames, track) for frames in chunks]


class Lazy(Constant):
    """Stops after the first chunk."""

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        yield self.measured(next(iter(chunks)), track)


class Late(Constant):
    """Gives each chunk the times of another."""

    def measured(self, frames: Frames, track: Track) -> Keypoints:
        return replace(super().measured(frames, track), time_s=frames.time_s + 1)


class Stranger(Constant):
    layout = "coco_17"


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the parts have read, in order; the parts are registered for one test."""
    monkeypatch.setattr(loaded(), "offers", dict(loaded().offers))
    monkeypatch.setattr(Bare, "log", [])
    for cls in (Bare, Constant, Greedy, Late, Lazy, Stranger, Merge):
        name = "merge" if cls is Merge else f"test_{cls.__name__.lower()}"
        target = f"{cls.__module__}:{cls.__name__}"
        component = Component(kind="pose_estimator", name=name, target=target, needs=("numpy",))
        loaded().add(Offer(component, __file__, cls))
    return Bare.log


def part(at: float, name: str = "test_constant", **more: Any) -> dict[str, Any]:
    return {"type": name, "at": at, **more}


def video(chunks: int = 3, size: int = 4) -> tuple[list[Frames], Track]:
    index = np.arange(chunks * size)
    frames = [
        Frames(np.zeros((size, 8, 8, 3), np.uint8), index[s] / 25, index[s])
        for s in (slice(n * size, (n + 1) * size) for n in range(chunks))
    ]
    box = np.tile(np.array([0, 0, 8, 8], np.float32), (len(index), 1))
    box[2] = np.nan
    return frames, Track(box, np.zeros(len(index), np.bool_), index / 25, "test")


def test_each_group_comes_from_its_part_with_its_own_confidence_and_mask() -> None:
    frames, track = video()
    merged = Merge(body=part(1.0), face=part(2.0), hands=part(3.0, seen=False))
    found = list(merged.estimate(frames, track))
    assert [len(one) for one in found] == [4, 4, 4]
    assert (found[1].xy[:, GROUPS["body"]] == 1).all()
    assert (found[1].xy[:, GROUPS["face"]] == 2).all()
    assert found[1].confidence[0, GROUPS["face"]] == pytest.approx(0.2)
    assert found[1].valid[:, GROUPS["face"]].all()
    assert not found[1].valid[:, GROUPS["hands"]].any()
    assert not found[0].valid[2].any()
    np.testing.assert_array_equal(found[1].time_s, frames[1].time_s)


def test_it_keeps_the_contract_of_a_pose_estimator() -> None:
    from emoframe.testing import check_part

    check_part("pose_estimator", Merge(body=part(9.0), face=part(10.0), hands=part(9.0)))


def test_parts_read_the_same_frames_side_by_side_and_each_chunk_is_made_once(
    log: list[str],
) -> None:
    frames, track = video(2)
    made: list[int] = []
    source = (made.append(int(one.index[0])) or one for one in frames)
    list(Merge(body=part(1.0), face=part(2.0), hands=part(3.0)).estimate(source, track))
    assert made == [0, 4]
    assert log[:6] == [f"{at} on cpu from {start}" for start in (0, 4) for at in (1.0, 2.0, 3.0)]


def test_no_more_than_the_chunk_at_work_is_alive() -> None:
    _, track = video(6)
    alive: list[weakref.ref[Any]] = []
    most = 0

    def decoded() -> Iterator[Frames]:
        nonlocal most
        for n in range(6):
            gc.collect()
            most = max(most, sum(one() is not None for one in alive))
            index = np.arange(4 * n, 4 * n + 4)
            frames = Frames(np.zeros((4, 8, 8, 3), np.uint8), index / 25, index)
            alive.append(weakref.ref(frames.rgb))
            yield frames
            del frames

    for _ in Merge(body=part(1.0), face=part(2.0), hands=part(3.0)).estimate(decoded(), track):
        pass
    assert most <= 1


def test_equal_parts_run_once(log: list[str]) -> None:
    frames, track = video(1)
    list(Merge(body=part(1.0), face=part(2.0), hands=part(1.0)).estimate(frames, track))
    assert log == ["1.0 on cpu from 0", "2.0 on cpu from 0", "1.0 closed", "2.0 closed"]


def test_parts_are_closed_when_it_is_left_half_way(log: list[str]) -> None:
    frames, track = video()
    found = Merge(body=part(1.0), face=part(2.0), hands=part(2.0)).estimate(frames, track)
    next(found)
    found.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert log[-2:] == ["2.0 closed", "1.0 closed"]


def test_the_device_reaches_the_parts(log: list[str]) -> None:
    frames, track = video(1)
    node = {"type": "merge", "body": part(1.0), "face": part(1.0), "hands": part(1.0)}
    list(create("pose_estimator", node, {"device": "cuda:0"}).estimate(frames, track))
    assert log[0] == "1.0 on cuda:0 from 0"


def test_the_fingerprint_holds_those_of_all_parts() -> None:
    merged = Merge(body=part(1.0), face=part(2.0, "test_bare"), hands=part(1.0))
    expected = {"body.weights": "hash of 1.0", "hands.weights": "hash of 1.0"}
    assert merged.fingerprint() == expected
    other = Merge(body=part(1.0), face=part(1.0), hands=part(1.0))
    assert other.fingerprint() == {**expected, "face.weights": "hash of 1.0"}


def test_the_packages_of_the_parts_are_part_of_its_stage() -> None:
    from emoframe.perception.stages import stage_part

    node = {"type": "merge", "body": part(1.0), "face": part(2.0), "hands": part(3.0)}
    versions = stage_part("pose_estimator", node).versions
    assert versions["face.numpy"] == np.__version__


def test_a_part_of_another_layout_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"for face, 'test_stranger', gives coco_17.*137"):
        Merge(body=part(1.0), face=part(1.0, "test_stranger"), hands=part(1.0))


def test_a_part_that_runs_ahead_or_stops_early_is_a_sentence() -> None:
    frames, track = video(MOST_WAITING + 1)
    ahead = Merge(body=part(1.0, "test_greedy"), face=part(2.0), hands=part(2.0))
    with pytest.raises(ComponentError, match="for body has read 4 chunks more than the one for f"):
        list(ahead.estimate(frames, track))
    short = Merge(body=part(1.0), face=part(2.0, "test_lazy"), hands=part(1.0))
    with pytest.raises(ComponentError, match=r"gave different numbers .*\{'body': 4, 'face': 0\}"):
        list(short.estimate(frames, track))


def test_a_part_that_gives_other_times_is_a_sentence() -> None:
    frames, track = video(1)
    shifted = Merge(body=part(1.0), face=part(2.0, "test_late"), hands=part(1.0))
    with pytest.raises(ComponentError, match="for face gave other times, from 1 s, for the chunk"):
        list(shifted.estimate(frames, track))


def test_what_decoding_raises_comes_through() -> None:
    frames, track = video()

    def broken() -> Iterator[Frames]:
        yield frames[0]
        raise OSError("damaged")

    found = Merge(body=part(1.0), face=part(2.0), hands=part(3.0)).estimate(broken(), track)
    next(found)
    with pytest.raises(OSError, match="damaged"):
        next(found)


def test_nested_parts_are_checked_like_any_other_and_their_defaults_filled_in() -> None:
    checker = Checker()
    node = {"type": "merge", "body": part(1.0), "face": {"type": "test_constant", "att": 2}}
    checker.part("pose_estimator", {**node, "hands": {"type": "mediapip"}}, "pose_estimator")
    problems = [str(problem) for problem in checker.problems]
    assert any("face.att: unknown; did you mean 'at'?" in text for text in problems)
    assert any("hands.type" in text for text in problems)
    filled = Checker().part("pose_estimator", {**node, "face": part(2.0), "hands": part(1.0)}, "p")
    assert filled
    assert filled["body"] == {"type": "test_constant", "at": 1.0, "seen": True}


def test_its_parameters_are_known_to_be_pose_estimators() -> None:
    known = parameters(Merge, KINDS["pose_estimator"])
    kinds = {name: kind_of(param.annotation) for name, param in known.items() if not param.wiring}
    assert kinds == dict.fromkeys(("body", "face", "hands"), "pose_estimator")
    assert all(param.doc for param in known.values())
