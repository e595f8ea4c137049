"""What the detector `rtdetr` promises: persons as boxes, or a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from emoframe_transformers.rtdetr import RtDetr

from emoframe.core.errors import ComponentError
from emoframe.interfaces import Detector
from emoframe.records import Boxes, Frames
from emoframe.testing import check_part

Weights = Callable[[str], str]
Pictures = Callable[..., Frames]


def detect(folder: str, frames: Frames, **settings: Any) -> list[Boxes]:
    return RtDetr(weights=folder, imgsz=64, **{"conf": 0.0, **settings}).detect(frames)


@pytest.mark.parametrize("kind", ["rt_detr", "rt_detr_v2"])
def test_it_keeps_the_contract_of_its_kind(kind: str, weights: Weights) -> None:
    part = RtDetr(weights=weights(kind), conf=0.0, imgsz=64)
    assert isinstance(part, Detector)
    check_part("detector", part)


@pytest.mark.parametrize("kind", ["rt_detr", "rt_detr_v2"])
def test_boxes_are_those_of_the_library_in_source_pixels(
    kind: str, weights: Weights, pictures: Pictures
) -> None:
    frames = pictures(2, 80, 60)
    processor = transformers.RTDetrImageProcessor(size={"height": 64, "width": 64})
    model: Any = transformers.AutoModelForObjectDetection.from_pretrained(weights(kind))
    with torch.no_grad():
        output = model(**processor(images=list(frames.rgb), return_tensors="pt"))
    expected = processor.post_process_object_detection(output, 0.0, [(60, 80)] * 2)
    found = detect(weights(kind), frames)
    assert any(len(boxes) for boxes in found)
    for boxes, other in zip(found, expected, strict=True):
        persons = other["labels"] == 0
        xyxy = other["boxes"][persons].numpy().clip(0, [80, 60, 80, 60])
        np.testing.assert_allclose(boxes.xyxy, xyxy, atol=1e-3)
        np.testing.assert_allclose(boxes.score, other["scores"][persons].numpy(), atol=1e-5)
        assert boxes.xyxy.dtype == boxes.score.dtype == np.float32


def test_the_batch_changes_nothing(weights: Weights, pictures: Pictures) -> None:
    one, three = (detect(weights("rt_detr_v2"), pictures(5, 64), batch=n) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_allclose(a.xyxy, b.xyxy, atol=1e-2)


def test_half_precision_gives_about_the_same_boxes(weights: Weights, pictures: Pictures) -> None:
    exact, half = (
        detect(weights("rt_detr_v2"), pictures(1, 64), precision=p)[0]
        for p in ("float32", "float16")
    )
    assert half.xyxy.dtype == np.float32
    assert not np.array_equal(half.score, exact.score)
    nearest = np.abs(half.xyxy[None] - exact.xyxy[:3, None]).max(-1).argmin(1)
    np.testing.assert_allclose(half.xyxy[nearest], exact.xyxy[:3], atol=0.5)
    np.testing.assert_allclose(half.score[nearest], exact.score[:3], atol=0.15)  # it is untrained


def test_a_threshold_that_nobody_reaches_gives_empty_boxes(
    weights: Weights, pictures: Pictures
) -> None:
    found = detect(weights("rt_detr_v2"), pictures(3, 64), conf=1.0)
    assert [boxes.xyxy.shape for boxes in found] == [(0, 4)] * 3


def test_a_model_that_knows_no_persons_is_refused(weights: Weights, pictures: Pictures) -> None:
    with pytest.raises(ComponentError, match="find no persons but bird, cat, dog"):
        detect(weights("animals"), pictures(1, 64))


def test_a_size_that_the_model_cannot_take_is_refused(weights: Weights, pictures: Pictures) -> None:
    with pytest.raises(ComponentError, match="cannot be used: Sizes of tensors must match"):
        RtDetr(weights=weights("rt_detr_v2"), imgsz=80).detect(pictures(1, 64))
