"""Layouts contradict themselves nowhere, and maps put each point where its name says."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from scipy.spatial import procrustes

from emoframe.core.errors import ComponentError, DataError
from emoframe.skeleton import (
    COCO_17_TO_OPENPOSE_137,
    MEDIAPIPE_TO_OPENPOSE_137,
    OPENPOSE_137,
    WHOLEBODY_133_TO_OPENPOSE_137,
    JointMap,
    SkeletonLayout,
    layout,
    partners,
)

ARM = {"name": "arm", "joints": ("shoulder", "elbow", "wrist")}
MAPS = [MEDIAPIPE_TO_OPENPOSE_137, WHOLEBODY_133_TO_OPENPOSE_137, COCO_17_TO_OPENPOSE_137]


def index(name: str) -> int:
    return OPENPOSE_137.joints.index(name)


def named_edges(group: str) -> set[frozenset[str]]:
    names = [OPENPOSE_137.joints[j] for j in OPENPOSE_137.group(group)]
    return {frozenset((names[a], names[b])) for a, b in OPENPOSE_137.group_edges(group)}


def pieces(group: str) -> int:
    size, edges = len(OPENPOSE_137.group(group)), np.array(OPENPOSE_137.group_edges(group))
    adjacency = np.zeros((size, size))
    adjacency[edges[:, 0], edges[:, 1]] = 1
    return connected_components(adjacency, directed=False)[0]


def test_openpose_137_has_the_groups_of_the_paper() -> None:
    assert OPENPOSE_137.num_joints == 137
    assert {g: len(OPENPOSE_137.group(g)) for g in OPENPOSE_137.groups} == {
        "body": 25,
        "face": 70,
        "hands": 42,
    }
    assert sorted(j for g in OPENPOSE_137.groups for j in OPENPOSE_137.group(g)) == [*range(137)]


def test_openpose_137_has_the_published_number_of_edges_and_none_between_groups() -> None:
    counts = {g: len(OPENPOSE_137.group_edges(g)) for g in OPENPOSE_137.groups}
    assert counts == {"body": 24, "face": 63, "hands": 40}
    assert len(OPENPOSE_137.edges) == sum(counts.values())
    assert len(set(map(frozenset, OPENPOSE_137.edges))) == len(OPENPOSE_137.edges)


def test_body_and_each_hand_are_one_piece_and_the_face_is_eleven() -> None:
    assert (pieces("body"), pieces("hands"), pieces("face")) == (1, 2, 11)


def test_edges_join_the_joints_that_anatomy_joins() -> None:
    body = named_edges("body")
    for pair in (
        "neck nose",
        "left_elbow left_wrist",
        "right_ear right_eye",
        "left_ankle left_heel",
    ):
        assert frozenset(pair.split()) in body
    assert frozenset(("left_hand_wrist", "left_hand_thumb_1")) in named_edges("hands")
    assert frozenset(("inner_lip_7", "inner_lip_0")) in named_edges("face")


def test_partners_are_named_left_and_right() -> None:
    swap = {"left": "right", "right": "left"}
    for joint, partner in enumerate(OPENPOSE_137.mirror):
        side, _, rest = OPENPOSE_137.joints[joint].partition("_")
        if side in swap and not rest.startswith(("brow", "eye_rim")):
            assert OPENPOSE_137.joints[partner] == f"{swap[side]}_{rest}"


def test_mirroring_keeps_every_edge() -> None:
    edges = set(map(frozenset, OPENPOSE_137.edges))
    mirror = OPENPOSE_137.mirror
    assert {frozenset((mirror[a], mirror[b])) for a, b in OPENPOSE_137.edges} == edges


def test_the_mirror_of_a_real_face_is_a_face(shared: Path) -> None:
    from emoframe.perception.keypoint_files import read_pose_file

    keypoints = read_pose_file(shared / "data" / "openpose_137.pose")
    face = np.nanmean(keypoints.xy[:, 25:95], axis=0)
    partner = np.array(OPENPOSE_137.mirror[25:95]) - 25
    flipped = face * [-1, 1]
    assert procrustes(face, flipped[partner])[2] < 0.01
    for a, b in enumerate(partner):
        if a != b:
            broken = partner.copy()
            broken[[a, b]] = broken[[b, a]]
            right = np.square(face - flipped[partner] - (face - flipped[partner]).mean(0)).sum()
            wrong = np.square(face - flipped[broken] - (face - flipped[broken]).mean(0)).sum()
            assert wrong > right, OPENPOSE_137.joints[a + 25]


def test_a_layout_without_groups_is_one_group() -> None:
    arm = SkeletonLayout(**ARM, edges=((0, 1), (1, 2)))
    assert dict(arm.groups) == {"all": (0, 1, 2)}
    assert arm.group_edges("all") == ((0, 1), (1, 2))
    assert arm.mirror == (0, 1, 2)


def test_edges_that_leave_a_group_are_dropped_and_the_rest_renumbered() -> None:
    arm = SkeletonLayout(**ARM, edges=((0, 1), (1, 2)), groups={"lower": (2, 1), "upper": (0,)})
    assert arm.group_edges("lower") == ((1, 0),)
    assert arm.group_edges("upper") == ()


def test_an_unknown_group_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no group 'hand'; did you mean 'hands'"):
        OPENPOSE_137.group("hand")


def test_groups_cannot_be_changed_and_a_layout_can_be_pickled() -> None:
    with pytest.raises(TypeError):
        OPENPOSE_137.groups["body"] = ()  # pyright: ignore[reportIndexIssue]
    assert pickle.loads(pickle.dumps(OPENPOSE_137)) == OPENPOSE_137 == copy.deepcopy(OPENPOSE_137)
    assert hash(OPENPOSE_137) == hash(copy.deepcopy(OPENPOSE_137))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"joints": ()}, "has no joints"),
        ({"joints": ("a", "b", "a")}, "'a' is used more than once"),
        ({"edges": ((0, 3),)}, r"edge \(0, 3\) does not join two different joints of 0 to 2"),
        ({"edges": ((-1, 0),)}, r"edge \(-1, 0\)"),
        ({"edges": ((1, 1),)}, r"edge \(1, 1\)"),
        ({"edges": ((0, 1, 2),)}, r"edge \(0, 1, 2\)"),
        ({"groups": {"g": (0, 3)}}, "group 'g' lists joint 3"),
        ({"groups": {"g": (0, 0)}}, "group 'g' lists joint 0"),
        ({"groups": {"g": ()}}, "group 'g' is empty"),
        ({"groups": {"g": ("wrist",)}}, "group 'g' lists joint wrist"),
        ({"mirror": (0, 1)}, "one joint of 0 to 2 for each of the 3 joints, got 2"),
        ({"mirror": (0, 1, 3)}, "mirror must name one joint of 0 to 2"),
        ({"mirror": (1, 2, 0)}, "partner of joint 0 is 1, and that the partner of 1 is 2"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(
    wrong: dict[str, tuple[int, ...]], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        SkeletonLayout(**(ARM | wrong))


def test_layouts_are_found_by_name() -> None:
    assert layout("openpose_137") == OPENPOSE_137
    with pytest.raises(ComponentError, match="did you mean 'openpose_137'"):
        layout("openpose_135")


@pytest.mark.parametrize("joint_map", MAPS, ids=lambda m: m.source)
def test_a_mapped_point_is_the_mean_of_its_sources(joint_map: JointMap) -> None:
    xy = np.random.default_rng(0).normal(size=(2, joint_map.num_source, 2))
    seen = np.ones((2, joint_map.num_source), np.bool_)
    mapped, confidence, valid = joint_map.apply(xy, seen * 0.8, seen)
    shoulders, neck = [index("left_shoulder"), index("right_shoulder")], index("neck")
    np.testing.assert_allclose(mapped[:, neck], mapped[:, shoulders].mean(1), rtol=1e-5)
    assert confidence[0, neck] == pytest.approx(0.8)
    assert mapped.shape == (2, 137, 2)
    assert valid[:, neck].all()


@pytest.mark.parametrize("joint_map", MAPS, ids=lambda m: m.source)
def test_what_was_not_measured_is_masked_and_never_zero(joint_map: JointMap) -> None:
    xy = np.ones((1, joint_map.num_source, 3))
    seen = np.ones((1, joint_map.num_source), np.bool_)
    left = joint_map.sources[index("left_shoulder")][0]
    seen[0, left], xy[0, left] = False, np.nan
    mapped, confidence, valid = joint_map.apply(xy, seen * 1.0, seen)
    assert not valid[0, [index("left_shoulder"), index("neck")]].any()
    assert valid[0, index("right_shoulder")]
    assert np.isnan(mapped[~valid]).all()
    assert (confidence[~valid] == 0).all()
    assert (mapped[valid] == 1).all()


def test_mediapipe_has_no_small_toes() -> None:
    empty = [n for n, points in enumerate(MEDIAPIPE_TO_OPENPOSE_137.sources) if not points]
    assert [OPENPOSE_137.joints[n] for n in empty] == ["left_small_toe", "right_small_toe"]


def test_coco_17_is_a_body_without_feet_and_the_rest_stays_masked() -> None:
    names = ["left_wrist", "right_wrist", "left_eye", "right_ear", "left_ankle", "right_hip"]
    sources = COCO_17_TO_OPENPOSE_137.sources
    assert [sources[index(name)] for name in names] == [(9,), (10,), (1,), (4,), (15,), (12,)]
    assert (sources[index("neck")], sources[index("mid_hip")]) == ((5, 6), (11, 12))
    xy = np.random.default_rng(0).normal(size=(1, 17, 2))
    _, _, valid = COCO_17_TO_OPENPOSE_137.apply(xy, np.ones((1, 17)), np.ones((1, 17), np.bool_))
    assert np.flatnonzero(valid[0]).tolist() == [*range(19)]


def test_wholebody_pupils_are_eye_centres_at_half_the_confidence() -> None:
    xy = np.random.default_rng(0).normal(size=(1, 133, 2))
    seen = np.ones((1, 133), np.bool_)
    mapped, confidence, _ = WHOLEBODY_133_TO_OPENPOSE_137.apply(xy, seen * 0.6, seen)
    rim = [index(f"right_eye_rim_{n}") for n in range(6)]
    np.testing.assert_allclose(mapped[0, index("right_pupil")], mapped[0, rim].mean(0), rtol=1e-5)
    assert confidence[0, index("right_pupil")] == pytest.approx(0.3)


def test_left_stays_left() -> None:
    mediapipe = MEDIAPIPE_TO_OPENPOSE_137.sources
    wholebody = WHOLEBODY_133_TO_OPENPOSE_137.sources
    expected = {
        "left_wrist": ((15,), (9,)),
        "right_wrist": ((16,), (10,)),
        "left_eye": ((2,), (1,)),
        "right_ear": ((8,), (4,)),
        "left_pupil": ((33 + 473,), tuple(range(65, 71))),
        "left_hand_wrist": ((33 + 478,), (91,)),
        "right_hand_pinky_4": ((552,), (132,)),
        "left_heel": ((29,), (19,)),
    }
    assert {n: (mediapipe[index(n)], wholebody[index(n)]) for n in expected} == expected


def test_points_of_another_set_are_refused() -> None:
    with pytest.raises(DataError, match="coco_wholebody_133 has 133 points, the array has 137"):
        WHOLEBODY_133_TO_OPENPOSE_137.apply(
            np.zeros((1, 137, 2)), np.zeros((1, 137)), np.ones((1, 137), np.bool_)
        )


def test_a_map_to_points_that_do_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match=r"source points of 0 to 1 \(wrong: \[2\]\)"):
        JointMap("two", 2, "arm", ((0,), (2,)), (1.0, 1.0))


def test_names_tell_left_from_right() -> None:
    assert partners(["nose", "left_eye", "right_eye"]) == (0, 2, 1)
    assert partners(["neck", "r_knee", "l_knee", "r_hip"]) == (0, 2, 1, 3)
    assert partners(["LElbow", "RElbow", "Lip"]) == (1, 0, 2)
    assert partners(["hand_left", "hand_right", "leftover"]) == (1, 0, 2)
    assert partners(OPENPOSE_137.joints[:19]) == OPENPOSE_137.mirror[:19][:9] + (
        12, 13, 14, 9, 10, 11, 16, 15, 18, 17,
    )  # fmt: skip
