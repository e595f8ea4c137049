"""The Recognizer wires whatever parts it is given, and what is masked changes nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from emoframe import api
from emoframe.core.errors import ConfigError, DataError
from emoframe.core.registry import registry
from emoframe.core.schema import plain
from emoframe.learning.branches import KeypointNorm, Wiring
from emoframe.learning.clips import collate
from emoframe.learning.data import Data, prepare
from emoframe.learning.experiment import Branch, Model
from emoframe.learning.features import KeypointView, keypoint_features
from emoframe.learning.model import Recognizer
from emoframe.learning.temporal_encoders.transformer import time_code
from emoframe.records import Goal, Keypoints, Sample
from emoframe.skeleton import SkeletonLayout


def build(tiny: list[str], *more: str) -> tuple[Recognizer, dict[str, Any], Data]:
    experiment = api.load("quickstart", [*tiny, *more])
    data = prepare(experiment)
    torch.manual_seed(0)
    model = Recognizer(experiment.model, data.wiring).eval()
    return model, collate([data.train[n] for n in range(3)]), data


def test_each_layout_group_has_parts_of_its_own(tiny: list[str]) -> None:
    face = "model.branches.keypoints.per_group.face.keypoint_backbone"
    model, batch, _ = build(tiny, f"{face}={{type: deep_sets, hidden: 5}}")
    groups: Any = model.branches["keypoints"].groups
    assert list(groups) == ["body", "face", "hands"]
    assert type(groups["face"].backbone).__name__ == "DeepSets"
    assert groups["face"].backbone.out_dim == 5
    assert groups["hands"].backbone.missing_VC.shape == (42, 11)
    output = model(**batch)
    assert output.logits_NK.shape == (3, 2)
    assert set(output.relevance) == {"keypoints.body", "keypoints.face", "keypoints.hands"}


def test_a_graph_network_without_edges_names_the_group() -> None:
    bare = SkeletonLayout("bare", joints=("a", "b"), groups={"pair": (0, 1)})
    branch = Branch(keypoint_backbone={"type": "gcn"})
    with pytest.raises(DataError, match=r"group 'pair' of layout 'bare': .*no edge"):
        Recognizer(Model(branches={"keypoints": branch}), Wiring(bare, 2, 3, (1, 1)))


def test_groups_can_be_chosen_and_unknown_ones_are_refused(tiny: list[str]) -> None:
    model, _, _ = build(tiny, "model.branches.keypoints.groups=[hands]")
    assert list(model.branches["keypoints"].groups) == ["hands"]  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="there is no group 'hand'; did you mean 'hands'"):
        build(tiny, "model.branches.keypoints.groups=[hand]")


def test_masked_joints_and_padded_frames_change_no_prediction(tiny: list[str]) -> None:
    model, batch, _ = build(tiny)
    before = model(**batch).logits_NK
    x, mask = batch["inputs"]["keypoints"], batch["masks"]["keypoints"]
    x[..., :2] = torch.where(mask[..., None], x[..., :2], torch.randn_like(x[..., :2]) * 100)
    torch.testing.assert_close(model(**batch).logits_NK, before)
    for name in ("inputs", "masks", "times"):
        value = batch[name]["keypoints"]
        batch[name]["keypoints"] = torch.cat([value, torch.zeros_like(value[:, :5])], 1)
    torch.testing.assert_close(model(**batch).logits_NK, before, atol=1e-5, rtol=1e-5)


def test_a_clip_in_which_nothing_was_measured_gives_a_number(tiny: list[str]) -> None:
    model, batch, _ = build(tiny)
    batch["masks"]["keypoints"][0] = False
    batch["inputs"]["keypoints"][0] = 0
    batch["present"]["keypoints"][0] = False
    assert torch.isfinite(model(**batch).logits_NK).all()
    assert torch.isfinite(model.train()(**batch, mode="loss")["loss"])


def test_normalisation_sees_measured_values_only() -> None:
    wiring = Wiring(SkeletonLayout(name="one", joints=("a", "b")), 2, 1, (1, 1))
    norm = KeypointNorm(wiring, 2, momentum=1.0).train()
    x = torch.randn(4, 50, 2, 5) * 3 + 7
    mask = torch.rand(4, 50, 2) > 0.4
    x[..., 4] = (torch.rand(4, 50, 2) > 0.5).float() * mask
    norm(x, mask)
    measured = x[..., :2][mask[:, :, 0]][:, 0, :]
    mean, var = norm.statistics()
    np.testing.assert_allclose(mean[0, :2], measured.mean(0), rtol=1e-4)
    np.testing.assert_allclose(var[0, :2], measured.var(0, unbiased=False), rtol=1e-3)
    offsets = x[:, :, 1, 2:4][x[:, :, 1, 4] == 1]
    np.testing.assert_allclose(mean[1, 2:], offsets.mean(0), rtol=1e-4)
    out = norm.eval()(x, mask)
    assert not out[..., :2][~mask].any()
    assert torch.equal(out[..., 4], x[..., 4])


def test_a_joint_that_is_seldom_seen_is_not_blown_up() -> None:
    wiring = Wiring(SkeletonLayout(name="one", joints=("a",)), 2, 0, (1, 1))
    norm = KeypointNorm(wiring, 1).train()
    for _ in range(200):
        mask = torch.zeros(2, 10, 1, dtype=torch.bool)
        mask[0, 0] = True
        norm(torch.randn(2, 10, 1, 2), mask)
    _, var = norm.statistics()
    assert ((var > 0.3) & (var < 3)).all()


def test_a_joint_that_is_long_unseen_keeps_its_statistics() -> None:
    norm = KeypointNorm(Wiring(SkeletonLayout(name="two", joints=("a", "b")), 2, 0, (1, 1)), 2)
    x = torch.randn(2, 50, 2, 2) * 0.1 + 0.5
    seen = torch.ones(2, 50, 2, dtype=torch.bool)
    norm(x, seen)
    mean, var = (value[1].clone() for value in norm.statistics())
    seen[..., 1] = False
    for _ in range(500):
        norm(x, seen)
    torch.testing.assert_close(norm.statistics()[0][1], mean)
    torch.testing.assert_close(norm.statistics()[1][1], var)


def test_layers_do_not_begin_as_copies_of_one_another(tiny: list[str]) -> None:
    model, _, _ = build(tiny, "model.branches.keypoints.temporal_encoder.layers=2")
    layers = model.branches["keypoints"].groups["face"].encoder.layers  # type: ignore[index,union-attr]
    assert not torch.equal(layers[0].out.weight, layers[1].out.weight)


def test_evaluation_and_training_without_dropout_agree(tiny: list[str]) -> None:
    off = [
        "model.branches.keypoints.keypoint_backbone.dropout=0.0",
        "model.branches.keypoints.temporal_encoder.dropout=0.0",
        "model.fusion_head.dropout=0.0",
    ]
    model, batch, _ = build(tiny, *off)
    with torch.inference_mode():
        fast = model(**batch).logits_NK
    slow = model(**batch).logits_NK
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


def test_positions_follow_time_and_not_the_frame_number() -> None:
    slow, fast = torch.arange(10)[None] / 10.0, torch.arange(20)[None] / 20.0
    torch.testing.assert_close(time_code(slow, 8), time_code(fast, 8)[:, ::2])
    assert time_code(slow, 7).shape == (1, 10, 7)


ODD = SkeletonLayout(
    "odd",
    joints=("a", "b", "c", "d"),
    edges=((0, 1), (1, 2)),
    groups={"three": (0, 1, 2), "one": (3,)},
)
"""A layout with a group of a single joint, which no edge reaches."""

PARTS = [
    (kind, name)
    for kind in ("keypoint_backbone", "temporal_encoder", "pooling", "loss")
    for name in registry(kind).names()
]


def awkward_batch() -> dict[str, Any]:
    """A whole clip, one without any joint of a group, one valid frame, and two empty frames."""
    generator = np.random.default_rng(0)
    samples: list[Sample] = []
    for frames, valid in ((9, 9), (9, 9), (9, 1), (2, 2)):
        xy = generator.normal(size=(frames, 4, 2)).astype(np.float32)
        seen = np.zeros((frames, 4), bool)
        seen[:valid] = True
        if len(samples) == 1:
            seen[:, 3] = False
        if frames == 2:
            seen[:] = [[True, False, False, False], [False] * 4]
        keypoints = Keypoints(xy, seen.astype(np.float32), seen, np.arange(frames) / 25, "odd")
        x, mask = keypoint_features(keypoints, KeypointView(), np.arange(frames))
        by_name = {"keypoints": keypoints.time_s}
        samples.append(
            Sample(str(len(samples)), {"keypoints": x}, {"keypoints": mask}, by_name,
                   {"keypoints": True}, Goal.of(len(samples) % 2, 2))
        )  # fmt: skip
    return collate(samples)


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_no_part_stumbles_over_short_masked_or_lonely_clips(
    kind: str, name: str, tiny: list[str]
) -> None:
    part = {"type": name, **plain(registry(kind).offer(name).component.example)}
    experiment = api.load("quickstart", tiny)
    branch, loss = experiment.model.branches["keypoints"], experiment.model.loss
    branch, loss = (branch, part) if kind == "loss" else (replace(branch, **{kind: part}), loss)
    torch.manual_seed(0)
    model = Recognizer(
        replace(experiment.model, branches={"keypoints": branch}, loss=loss),
        Wiring(ODD, 2, 3, (3, 2), noise_matrix=((0.8, 0.2), (0.3, 0.7))),
    )
    value = model(**awkward_batch(), mode="loss")["loss"]
    value.backward()
    assert torch.isfinite(value)
    broken = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.isnan().any()]
    assert not broken


def test_commands_do_not_wait_for_libraries_that_nothing_uses() -> None:
    code = "import emoframe.api, sys; print({'transformers', 'peft'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
