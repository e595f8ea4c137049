"""Small models of the real classes, never trained, saved as transformers saves any."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emoframe_transformers.hub import library

from emoframe.records import Frames

VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_ratio": 2}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 16,
    "projection_dim": 24,
}
TEXT = {k: TOWER[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers")} | {
    "num_attention_heads": 4,
    "vocab_size": 50,
    "projection_dim": 24,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
RESNET = {
    "embedding_size": 16,
    "hidden_sizes": [16, 24, 32, 40],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": ["stage2", "stage3", "stage4"],
}
DETR = {
    "encoder_in_channels": [24, 32, 40],
    "encoder_hidden_dim": 32,
    "d_model": 32,
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 4,
    "decoder_in_channels": [32, 32, 32],
    "decoder_ffn_dim": 32,
    "num_queries": 84,  # every place in a picture of 64 pixels, so that none is chosen by a hair
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "num_denoising": 0,
}
COCO = {0: "person", 1: "cat", 2: "dog"}


def build(kind: str) -> Any:
    """Make a small model with random weights of one class."""
    import torch

    tf = library()
    torch.manual_seed(0)
    if kind == "dinov2":
        return tf.Dinov2Model(tf.Dinov2Config(**VIT, image_size=518, patch_size=14))
    if kind == "registers":
        config = tf.Dinov2WithRegistersConfig(
            **VIT, image_size=518, patch_size=14, num_register_tokens=4
        )
        model = tf.Dinov2WithRegistersModel(config)
        torch.nn.init.normal_(model.embeddings.register_tokens, std=3)
        return model
    if kind == "patch16":
        return tf.Dinov2Model(tf.Dinov2Config(**VIT, image_size=224, patch_size=16))
    if kind == "clip":
        return tf.CLIPModel(tf.CLIPConfig(text_config=TEXT, vision_config=TOWER, projection_dim=24))
    if kind == "xclip":
        vision = TOWER | {"num_frames": 4, "mit_hidden_size": 24, "mit_intermediate_size": 24}
        vision |= {"mit_num_hidden_layers": 1, "mit_num_attention_heads": 4}
        return tf.XCLIPModel(
            tf.XCLIPConfig(
                text_config=TEXT,
                vision_config=vision,
                projection_dim=24,
                prompt_num_attention_heads=4,
            )
        )
    return detector(kind)


def detector(kind: str) -> Any:
    """Make a small RT-DETR; `animals` is one that knows no persons."""
    import torch

    tf = library()
    names = {0: "bird", 1: "cat", 2: "dog"} if kind == "animals" else COCO
    family = "RTDetr" if kind == "rt_detr" else "RTDetrV2"
    config = getattr(tf, f"{family}Config")(
        backbone_config=tf.RTDetrResNetConfig(**RESNET),
        id2label=names,
        label2id={name: number for number, name in names.items()},
        **DETR,
    )
    model = getattr(tf, f"{family}ForObjectDetection")(config)
    for layer in model.modules():  # as released, its signal fades to 1e-8 without training
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    for layer in model.model.decoder.class_embed:
        torch.nn.init.normal_(layer.weight, std=0.3)
    return model


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Folder of a small model, made when it is first asked for."""
    folders: dict[str, Path] = {}

    def folder(kind: str) -> str:
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            build(kind).save_pretrained(folders[kind])
        return str(folders[kind])

    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Makes every connection fail, and lists those that were tried."""
    tried: list[object] = []

    def refuse(*args: object, **_: object) -> None:
        tried.append(args)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    return tried


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models and an empty cache of the library; returns the latter."""
    from huggingface_hub import constants

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture(scope="session")
def pictures() -> Callable[..., Frames]:
    """Makes frames of noise."""

    def frames(count: int, side: int, height: int | None = None) -> Frames:
        shape = (count, height or side, side, 3)
        rgb = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
        index = np.arange(count)
        return Frames(rgb, index / 25, index)

    return frames
