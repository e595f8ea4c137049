"""The detector `yolo`: persons in frames, by any model that ultralytics runs.

Decided here: ultralytics neither phones home nor installs packages for us, so its switches are set
before it is imported; published weights go to one folder of models instead of the current one; a
model is tried once when it loads, so that a wrong file is a sentence before the first video. An
exported model may have been built for one picture at a time, so it is given one at a time.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe import ComponentError
from emoframe.records import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames

QUIET = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ORT_DISABLE_TELEMETRY": "1",
}
PERSON = "person"


class Yolo:
    """Finds persons with a YOLO model.

    Source: https://docs.ultralytics.com/models/yolo11/ (AGPL-3.0, as are the published weights).

    Args:
        weights: Path of a model, or name of one that ultralytics publishes, such as `yolo11n.pt`.
        conf: Least confidence of a box, in [0, 1].
        imgsz: Size in pixels that the longer side is scaled to; a model that was exported for one
            size keeps that.
        batch: Frames computed together.
        device: Where it computes: `cpu`, `cuda:0`, ...
    """

    def __init__(
        self,
        *,
        weights: str = "yolo11x.pt",
        conf: float = 0.25,
        imgsz: int = 640,
        batch: int = 8,
        device: str = "cpu",
    ) -> None:
        self.weights = weights
        self.conf = conf
        self.imgsz = imgsz
        self.batch = batch
        self.device = device
        self._loaded: tuple[Any, int] | None = None

    def detect(self, frames: Frames) -> list[Boxes]:
        """Find the persons in each frame.

        Args:
            frames: A chunk of T frames.

        Returns:
            T `Boxes` in source pixels; empty where nobody is seen.

        Raises:
            ComponentError: The weights are not here, cannot be used, or know no persons.
        """
        self._loaded = self._loaded or self._load()
        model, person = self._loaded
        step = self.batch if Path(self.weights).suffix == ".pt" else 1
        found: list[Boxes] = []
        for start in range(0, len(frames), step):
            results = self._predict(model, frames.rgb[start : start + step], classes=[person])
            found += [_boxes(result) for result in results]
        return found

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of the weights, fetched if need be; of a folder nothing is said.

        Raises:
            ComponentError: The weights are not here and cannot be downloaded.
        """
        file = self._file()
        if not file.is_file():
            return {}
        with file.open("rb") as opened:
            return {"weights": hashlib.file_digest(opened, "sha256").hexdigest()}

    def _predict(self, model: Any, rgb: NDArray[np.uint8], **more: Any) -> list[Any]:
        """Ask the model about frames; ultralytics takes arrays as BGR."""
        bgr = [np.ascontiguousarray(picture[..., ::-1]) for picture in rgb]
        return model.predict(
            bgr,
            conf=self.conf,
            imgsz=self.imgsz,
            batch=len(bgr),
            device=self.device,
            verbose=False,
            **more,
        )

    def _load(self) -> tuple[Any, int]:
        """Load the model, try it on a black picture, and find the number of its class `person`."""
        file = self._file()
        if file.suffix == ".onnx" and importlib.util.find_spec("onnxruntime") is None:
            raise ComponentError(
                f'detector yolo: {file} needs onnxruntime; pip install "emoframe-ultralytics[onnx]"'
            )
        yolo = _ultralytics().YOLO
        try:
            model = yolo(file, task="detect")
            tried = self._predict(model, np.zeros((1, 64, 64, 3), np.uint8))[0]
        except Exception as error:  # whatever a wrong file makes ultralytics raise
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise ComponentError(
                f"detector yolo: the weights {file} cannot be used: {why}"
            ) from error
        classes = {name: number for number, name in tried.names.items()}
        if PERSON not in classes or tried.boxes is None:
            known = ", ".join(list(classes)[:5])
            raise ComponentError(
                f"detector yolo: the weights {file} find no persons but {known}, ...; give a "
                "detection model that was trained on a class 'person', such as yolo11n.pt"
            )
        return model, classes[PERSON]

    def _file(self) -> Path:
        """Find the weights, or fetch them when they are a published name."""
        given = Path(self.weights).expanduser()
        if given.suffix in (".yaml", ".yml"):
            raise ComponentError(
                f"detector yolo: weights={self.weights!r} describes a model without weights, which "
                "would find people at random; give a .pt or .onnx file"
            )
        if given.exists():
            return given
        kept, why = _models() / given.name, "there is no such file"
        if given.name == str(given):  # a bare name
            why = "" if kept.exists() else _download(kept)
        if not why:
            return kept
        raise ComponentError(
            f"detector yolo: the weights {self.weights!r} are not here ({why}); give weights=PATH "
            f"of a detection model of ultralytics, or its name and put the file at {kept}"
        )


def _boxes(result: Any) -> Boxes:
    """Turn one result of ultralytics into a record."""
    boxes = result.boxes.cpu().numpy()
    return Boxes(
        np.asarray(boxes.xyxy, np.float32).reshape(-1, 4), np.asarray(boxes.conf, np.float32)
    )


def _models() -> Path:
    """Name the folder that published models are kept in."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "emoframe" / "ultralytics"


def _download(file: Path) -> str:
    """Let ultralytics fetch a published model; say why it is not there then, or nothing."""
    _ultralytics()
    from ultralytics.utils.downloads import attempt_download_asset

    try:
        attempt_download_asset(file)
    except OSError as error:
        return f"the download failed: {error}"
    return "" if file.is_file() else "ultralytics publishes no such model, or was not reached"


def _ultralytics() -> Any:
    """Import ultralytics, quiet unless the user wants it otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    return importlib.import_module("ultralytics")
