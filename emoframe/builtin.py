"""The parts shipped with emoframe, as a plugin like any other: a table of dotted paths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emoframe.core.component import Component
from emoframe.core.hookspecs import hookimpl

if TYPE_CHECKING:
    from emoframe.skeleton import SkeletonLayout

W2S = "https://arxiv.org/abs/2602.08057"
LEARNING = "emoframe.learning"


COMPONENTS = (
    Component(
        kind="detector",
        name="whole_frame",
        target="emoframe.perception.detectors.whole_frame:WholeFrame",
    ),
    Component(
        kind="pose_estimator",
        name="merge",
        target="emoframe.perception.pose_estimators.merge:Merge",
        example={
            "body": {"type": "mediapipe"},
            "face": {"type": "mediapipe"},
            "hands": {"type": "mediapipe"},
        },
    ),
    Component(
        kind="frame_encoder",
        name="hog",
        target="emoframe.perception.frame_encoders.hog:HOG",
        needs=("scikit-image",),
        example={"size": 32, "cells": 4},
        paper="https://doi.org/10.1109/CVPR.2005.177",
    ),
    Component(
        kind="text_encoder",
        name="tfidf",
        target=f"{LEARNING}.text_encoders.tfidf:Tfidf",
        example={"max_features": 16},
        paper="https://doi.org/10.1016/0306-4573(88)90021-0",
    ),
    Component(
        kind="vlm_labeler",
        name="recorded",
        target="emoframe.weak_labels.vlm_labelers.recorded:Recorded",
        example={"path": "answers.jsonl"},
    ),
    Component(
        kind="vlm_labeler",
        name="simulated",
        target="emoframe.weak_labels.vlm_labelers.simulated:Simulated",
        example={"accuracy": 0.644, "abstain": 0.1},
    ),
    Component(
        kind="vlm_labeler",
        name="rules",
        target="emoframe.weak_labels.vlm_labelers.rules:Rules",
    ),
    Component(
        kind="keypoint_backbone",
        name="mlp",
        target=f"{LEARNING}.keypoint_backbones.mlp:MLP",
        example={"hidden": 16, "layers": 2, "dropout": 0.0},
        paper=W2S,
    ),
    Component(
        kind="keypoint_backbone",
        name="gcn",
        target=f"{LEARNING}.keypoint_backbones.gcn:GCN",
        example={"channels": 8, "hidden": 16, "dropout": 0.0},
        paper="https://arxiv.org/abs/1609.02907",
    ),
    Component(
        kind="keypoint_backbone",
        name="gin",
        target=f"{LEARNING}.keypoint_backbones.gin:GIN",
        example={"channels": 8, "hidden": 16, "dropout": 0.0},
        paper="https://arxiv.org/abs/1810.00826",
    ),
    Component(
        kind="keypoint_backbone",
        name="gat",
        target=f"{LEARNING}.keypoint_backbones.gat:GAT",
        example={"channels": 8, "heads": 2, "hidden": 16, "dropout": 0.0},
        paper="https://arxiv.org/abs/1710.10903",
    ),
    Component(
        kind="temporal_encoder",
        name="transformer",
        target=f"{LEARNING}.temporal_encoders.transformer:Transformer",
        example={"dim": 16, "layers": 1, "heads": 2, "dropout": 0.0},
        paper=W2S,
    ),
    Component(
        kind="temporal_encoder",
        name="patch_transformer",
        target=f"{LEARNING}.temporal_encoders.patch_transformer:PatchTransformer",
        example={"patch": 3, "dim": 16, "layers": 1, "heads": 2, "dropout": 0.0},
        paper=W2S,
    ),
    Component(kind="pooling", name="mean", target=f"{LEARNING}.pooling.mean:Mean", paper=W2S),
    Component(
        kind="pooling",
        name="attention",
        target=f"{LEARNING}.pooling.attention:Attention",
        example={"hidden": 8},
        paper="https://arxiv.org/abs/1802.04712",
    ),
    Component(
        kind="fusion_head",
        name="concat_residual",
        target=f"{LEARNING}.fusion_heads.concat_residual:ConcatResidual",
        example={"dropout": 0.0},
        paper=W2S,
    ),
    Component(
        kind="fusion_head",
        name="gated",
        target=f"{LEARNING}.fusion_heads.gated:Gated",
        example={"dim": 16, "gate": "softmax", "dropout": 0.0},
        paper="https://arxiv.org/abs/1702.01992",
    ),
    Component(
        kind="fusion_head",
        name="cross_attention",
        target=f"{LEARNING}.fusion_heads.cross_attention:CrossAttention",
        example={"dim": 16, "heads": 2, "dropout": 0.0},
        paper=W2S,
    ),
    Component(
        kind="loss",
        name="cross_entropy",
        target=f"{LEARNING}.losses.cross_entropy:CrossEntropy",
        example={"label_smoothing": 0.1, "balanced": True},
    ),
    Component(
        kind="loss",
        name="focal",
        target=f"{LEARNING}.losses.focal:Focal",
        example={"gamma": 2.0, "label_smoothing": 0.1, "balanced": True},
        paper="https://arxiv.org/abs/1708.02002",
    ),
    Component(
        kind="loss",
        name="gce",
        target=f"{LEARNING}.losses.gce:GCE",
        example={"q": 0.7, "balanced": True},
        paper="https://arxiv.org/abs/1805.07836",
    ),
    Component(
        kind="loss",
        name="forward_correction",
        target=f"{LEARNING}.losses.forward_correction:ForwardCorrection",
        paper="https://arxiv.org/abs/1609.03683",
    ),
    Component(
        kind="loss",
        name="contrastive",
        target=f"{LEARNING}.losses.contrastive:Contrastive",
        example={"temperature": 0.1},
        paper="https://arxiv.org/abs/2004.11362",
    ),
    Component(
        kind="dataset",
        name="sequences",
        target=f"{LEARNING}.datasets.sequences:Sequences",
        example={"path": "sequences.npz"},
    ),
    Component(
        kind="dataset",
        name="vectors",
        target=f"{LEARNING}.datasets.vectors:Vectors",
        example={"path": "vectors.npz"},
    ),
    Component(
        kind="dataset",
        name="manifest",
        target=f"{LEARNING}.datasets.manifest:Manifest",
        example={"path": "videos.csv"},
    ),
    Component(
        kind="dataset",
        name="imigue",
        target=f"{LEARNING}.datasets.imigue:Imigue",
        example={"root": "imigue", "protocol": "miga_emotion"},
    ),
    Component(
        kind="dataset",
        name="planted",
        target=f"{LEARNING}.datasets.planted:Planted",
        example={"train": 20, "test": 10, "frames": 64, "videos_per_subject": 2},
    ),
)
"""Every part of the distribution `emoframe`, in the order of the data."""


@hookimpl
def emoframe_components() -> list[Component]:
    """Return every part of the distribution `emoframe`."""
    return list(COMPONENTS)


@hookimpl
def emoframe_configs() -> list[Path]:
    """Return the folder of the shipped configs: in the wheel, or beside the checked-out package."""
    here = Path(__file__).parent
    return [folder for folder in (here / "configs", here.parent / "configs") if folder.is_dir()]


@hookimpl
def emoframe_layouts() -> list[SkeletonLayout]:
    """Return the layouts that emoframe ships."""
    from emoframe.skeleton import OPENPOSE_137  # numpy is loaded only when a layout is wanted

    return [OPENPOSE_137]
