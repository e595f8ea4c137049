"""The detector `rtdetr`: persons in frames, by a model whose code and weights are Apache-2.0.

Decided here: the library's own processor scales the frames and its own post-processing reads the
boxes, both on the device. A model is tried once when it loads, so that a size which it cannot take
is a sentence before the first video. There is no bfloat16: its 8 bits put a box off by pixels.
"""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le, MultipleOf

from emoframe import ComponentError
from emoframe.records import Boxes
from emoframe_transformers.checkpoint import Checkpoint, Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames

PERSON = "person"
CLASSES = {"rt_detr": "RTDetrForObjectDetection", "rt_detr_v2": "RTDetrV2ForObjectDetection"}


class RtDetr:
    """Finds persons with RT-DETR or RT-DETRv2, which need no non-maximum suppression.

    Source: https://arxiv.org/abs/2304.08069, https://arxiv.org/abs/2407.17140.

    Args:
        weights: Folder of a checkpoint, or published name.
        conf: Least confidence of a box, in [0, 1].
        imgsz: Side in pixels of the square that frames are scaled to, proportions not kept.
        batch: Frames computed together.
        precision: Number format of the computation.
        device: Where it computes: `cpu`, `cuda:0`, ...
    """

    not_in_key = ("weights", "batch")

    def __init__(
        self,
        *,
        weights: str = "PekingU/rtdetr_v2_r50vd",
        conf: Annotated[float, Ge(0), Le(1)] = 0.5,
        imgsz: Annotated[int, Ge(32), MultipleOf(32)] = 640,
        batch: Annotated[int, Ge(1)] = 8,
        precision: Literal["float32", "float16"] = "float32",
        device: str = "cpu",
    ) -> None:
        self.weights = weights
        self.conf = conf
        self.imgsz = imgsz
        self.batch = batch
        self.precision: Precision = precision
        self.device = device
        self.checkpoint = Checkpoint("detector rtdetr", weights, CLASSES)

    def detect(self, frames: Frames) -> list[Boxes]:
        """Find the persons in each frame.

        Args:
            frames: A chunk of T frames.

        Returns:
            T `Boxes` in source pixels; empty where nobody is seen.

        Raises:
            ComponentError: The weights are not here, cannot be used, or know no persons.
        """
        found: list[Boxes] = []
        for start in range(0, len(frames), self.batch):
            found += self._predict(frames.rgb[start : start + self.batch])
        return found

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file of the weights, fetched if need be.

        Raises:
            ComponentError: A file is not here and cannot be downloaded.
        """
        return self.checkpoint.fingerprint()

    def _predict(self, rgb: NDArray[np.uint8]) -> list[Boxes]:
        """Ask the model about one batch."""
        model, processor, person = self._loaded
        results = self._ask(model, processor, rgb)
        return [_boxes(result, person, rgb.shape[1:3]) for result in results]

    def _ask(self, model: Any, processor: Any, rgb: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """Return what the model sees, whatever it is, in pixels of the pictures."""
        torch = importlib.import_module("torch")
        pictures = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device).permute(0, 3, 1, 2)
        size = {"height": self.imgsz, "width": self.imgsz}
        pixels = processor(images=pictures, size=size, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            output = model(pixels.to(model.dtype))
            output.logits, output.pred_boxes = output.logits.float(), output.pred_boxes.float()
            return processor.post_process_object_detection(
                output, threshold=self.conf, target_sizes=[rgb.shape[1:3]] * len(rgb)
            )

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        """Load model and processor, and find the number of the class `person`."""
        names: dict[int, str] = self.checkpoint.config.id2label
        people = [number for number, name in names.items() if name.lower() == PERSON]
        if not people:
            known = ", ".join(list(names.values())[:5])
            raise ComponentError(
                f"detector rtdetr: the weights {self.weights!r} find no persons but {known}, ...; "
                "give weights that were trained on a class 'person', such as those trained on COCO"
            )
        model = self.checkpoint.load(self.precision, self.device)
        processor = self.checkpoint.processor("RTDetrImageProcessor")
        black = np.zeros((1, 64, 64, 3), np.uint8)
        self.checkpoint.attempt(lambda: self._ask(model, processor, black))
        return model, processor, people[0]


def _boxes(result: dict[str, Any], person: int, size: tuple[int, ...]) -> Boxes:
    """Turn what was found in one picture of (height, width) `size` into a record."""
    persons = result["labels"] == person
    xyxy = result["boxes"][persons].cpu().numpy().clip(0, [*size[::-1]] * 2)
    return Boxes(xyxy.astype(np.float32).reshape(-1, 4), result["scores"][persons].cpu().numpy())
