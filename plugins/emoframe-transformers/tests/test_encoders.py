"""What all four frame encoders promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from emoframe_transformers.clip import Clip
from emoframe_transformers.dinov2 import Dinov2
from emoframe_transformers.patch_binding import PatchBinding
from emoframe_transformers.xclip import XClip

from emoframe.core.errors import ComponentError
from emoframe.interfaces import FrameEncoder
from emoframe.records import Frames, Keypoints
from emoframe.testing import check_part

Weights = Callable[[str], str]
Pictures = Callable[..., Frames]
MAKERS: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "dinov2": (Dinov2, "dinov2", {"size": 224}),
    "cls_mean": (Dinov2, "registers", {"size": 224, "token": "cls_mean"}),
    "clip": (Clip, "clip", {}),
    "xclip": (XClip, "xclip", {}),
    "patch_binding": (PatchBinding, "dinov2", {"size": 224}),
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest, weights: Weights) -> Callable[..., Any]:
    maker, kind, settings = MAKERS[request.param]
    return lambda **more: maker(weights=weights(kind), **settings, **more)


def points(part: Any, count: int) -> Keypoints | None:
    if not part.reads_keypoints:
        return None
    xy = np.random.default_rng(1).uniform(0, part.size, (count, 137, 2)).astype(np.float32)
    valid = np.ones((count, 137), bool)
    return Keypoints(xy, valid.astype(np.float32), valid, np.arange(count) / 25, "openpose_137")


def vectors(part: Any, pictures: Pictures, tokens: int = 5) -> np.ndarray:
    count = tokens * part.span
    return part.encode(pictures(count, part.size), points(part, count)).x


def test_it_keeps_the_contract_of_its_kind(make: Callable[..., Any]) -> None:
    part = make()
    assert isinstance(part, FrameEncoder)
    check_part("frame_encoder", part)


def test_the_batch_changes_nothing(make: Callable[..., Any], pictures: Pictures) -> None:
    one, three, many = (vectors(make(batch=n), pictures) for n in (1, 3, 64))
    np.testing.assert_allclose(three, one, atol=1e-5)
    np.testing.assert_allclose(many, one, atol=1e-5)


def test_half_precision_gives_about_the_same(make: Callable[..., Any], pictures: Pictures) -> None:
    exact, half = (vectors(make(precision=p), pictures) for p in ("float32", "bfloat16"))
    assert half.dtype == np.float32
    assert np.abs(half - exact).mean() < 0.05 * np.abs(exact).mean() + 0.01
    assert not np.array_equal(half, exact)


def test_no_picture_gives_no_vector(make: Callable[..., Any], pictures: Pictures) -> None:
    part = make()
    found = part.encode(pictures(0, part.size), points(part, 0))
    assert found.x.shape[0] == len(found) == 0
    assert found.x.shape[-1] == part.out_dim


def test_pictures_of_another_size_are_refused(make: Callable[..., Any], pictures: Pictures) -> None:
    part = make()
    with pytest.raises(ComponentError, match=rf"of {part.size} pixels and was given 48 x 40"):
        part.encode(pictures(part.span, 48, 40), points(part, part.span))


def test_the_config_alone_says_the_dimensions(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = make()
    monkeypatch.setattr(part.checkpoint, "load", None)
    assert (part.out_dim, part.span) in {(32, 1), (64, 1), (24, 1), (24, 4)}


def test_the_module_can_be_trained_in_every_parameter(make: Callable[..., Any]) -> None:
    import torch

    part = make(precision="bfloat16")
    module = part.module()
    clip = (part.span,) if part.span > 1 else ()
    found = module(torch.randn(2, *clip, 3, part.size, part.size))
    assert found.shape[:2] == (2, part.out_dim)
    (found * torch.randn_like(found)).sum().backward()
    idle = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_training_the_module_changes_no_feature(
    make: Callable[..., Any], pictures: Pictures
) -> None:
    import torch

    part = make()
    before, module = vectors(part, pictures, 1), part.module()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert np.array_equal(vectors(part, pictures, 1), before)


def test_xclip_takes_as_many_frames_as_its_weights(weights: Weights, pictures: Pictures) -> None:
    part = XClip(weights=weights("xclip"))
    with pytest.raises(ComponentError, match="take 4 frames for one vector and 7 were given"):
        part.encode(pictures(7, part.size), None)


@pytest.mark.parametrize("kind", ["clip", "xclip"])
def test_it_gives_what_the_library_gives(kind: str, weights: Weights, pictures: Pictures) -> None:
    import torch
    import transformers

    part = Clip(weights=weights(kind)) if kind == "clip" else XClip(weights=weights(kind))
    frames = pictures(2 * part.span, part.size)
    mean, std = part.scale[:2]
    processor = transformers.CLIPImageProcessor(
        size={"height": 32, "width": 32}, do_center_crop=False, image_mean=mean, image_std=std
    )
    pixels = processor(images=list(frames.rgb), return_tensors="pt")["pixel_values"]
    model: Any = transformers.AutoModel.from_pretrained(weights(kind))
    with torch.no_grad():
        if kind == "clip":
            expected = model.get_image_features(pixels).pooler_output
        else:
            expected = model.get_video_features(pixels.unflatten(0, (2, -1))).pooler_output
    np.testing.assert_allclose(part.encode(frames, None).x, expected.numpy(), atol=1e-5)
