"""A model of ultralytics: found, fetched, tried, and asked about pictures.

Decided here: ultralytics neither phones home nor installs packages for us, so its switches are set
before it is imported; published weights go to one folder of models instead of the current one; a
model is tried once when it loads, so that a wrong file is a sentence before the first video. An
exported model may have been built for one picture at a time, so it is given one at a time. What
ultralytics does to the process's threads is undone, and its sessions keep to the share that a
worker has, see `runtime`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emoframe import ComponentError, file_hash
from emoframe_ultralytics.runtime import import_quietly, keep_to_share, runtime_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERSON = "person"
POINTS = 17
ADVICE = {
    "detect": "give a detection model that was trained on a class 'person', such as yolo11n.pt",
    "pose": f"give a pose model of a person's {POINTS} points, such as yolo11n-pose.pt",
}


@dataclass
class Model:
    """A model that is loaded when it is first asked.

    Attributes:
        part: Whose it is, as sentences say it: `detector yolo`.
        task: What it must be able to do.
        weights: Path, or name of a published model.
        conf: Least confidence of a person.
        imgsz: Size in pixels that the longer side is scaled to.
        batch: Pictures computed together.
        half: Whether it computes in half precision.
        device: Where it computes.
    """

    part: str
    task: Literal["detect", "pose"]
    weights: str
    conf: float
    imgsz: int
    batch: int
    half: bool
    device: str

    def persons(self, rgb: Sequence[NDArray[np.uint8]]) -> Iterator[Any]:
        """Yield for each picture ultralytics' result, persons only.

        Args:
            rgb: Pictures, each (H, W, 3).

        Raises:
            ComponentError: The weights are not here, cannot be used, or know no persons.
        """
        model, person = self._loaded
        step = self.batch if self.file.suffix == ".pt" else 1
        for start in range(0, len(rgb), step):
            yield from self._predict(model, rgb[start : start + step], classes=[person])

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of the weights, fetched if need be, and the version of what runs them.

        Of a folder, as some exports are, it covers the names and contents of all files in it.

        Raises:
            ComponentError: The weights are not here and cannot be downloaded.
        """
        found = {"weights": _sha256(self.file)}
        if self.file.suffix == ".onnx":
            found["onnxruntime"] = runtime_version()
        return found

    @property
    def file(self) -> Path:
        """The weights, fetched when they are a published name.

        Raises:
            ComponentError: They are not here and cannot be downloaded.
        """
        given = Path(self.weights).expanduser()
        if given.suffix in (".yaml", ".yml"):
            raise ComponentError(
                f"{self.part}: weights={self.weights!r} describes a model without weights, which "
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
            f"{self.part}: the weights {self.weights!r} are not here ({why}); give weights=PATH "
            f"of a {self.task} model of ultralytics, or its name and put the file at {kept}"
        )

    @cached_property
    def _loaded(self) -> tuple[Any, int]:
        """Load the model, try it on a black picture, and find the number of its class `person`."""
        self._check_settings()
        yolo = import_quietly().YOLO
        try:
            model = yolo(self.file, task=self.task)
            tried = self._predict(model, [np.zeros((64, 64, 3), np.uint8)])[0]
            keep_to_share(model, self.file)
        except Exception as error:  # whatever a wrong file makes ultralytics raise
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise ComponentError(
                f"{self.part}: the weights {self.file} cannot be used: {why}"
            ) from error
        classes = {name: number for number, name in tried.names.items()}
        if PERSON not in classes or tried.boxes is None:
            known = ", ".join(list(classes)[:5])
            raise self._wrong(f"find no persons but {known}, ...")
        if self.task == "pose" and not _has_points(tried):
            raise self._wrong(f"do not give {POINTS} points of a person")
        return model, classes[PERSON]

    def _check_settings(self) -> None:
        """Refuse what could not work, when it is about to: a stored result may still be read."""
        exported = self.file.suffix != ".pt"
        if self.file.suffix == ".onnx" and importlib.util.find_spec("onnxruntime") is None:
            raise ComponentError(
                f"{self.part}: {self.file} needs onnxruntime; "
                'pip install "emoframe-ultralytics[onnx]"'
            )
        if self.half and (exported or self.device == "cpu"):
            why = f"{self.file} keeps the precision that it was exported in"
            raise ComponentError(
                f"{self.part}: half=True is for .pt files on a GPU, and "
                f"{why if exported else 'this computes on the CPU'}; leave `half` out"
            )

    def _wrong(self, why: str) -> ComponentError:
        return ComponentError(f"{self.part}: the weights {self.file} {why}; {ADVICE[self.task]}")

    def _predict(self, model: Any, rgb: Sequence[NDArray[np.uint8]], **more: Any) -> list[Any]:
        """Ask the model about pictures; ultralytics takes arrays as BGR."""
        bgr = [np.ascontiguousarray(picture[..., ::-1]) for picture in rgb]
        return model.predict(
            bgr,
            conf=self.conf,
            imgsz=self.imgsz,
            batch=len(bgr),
            device=self.device,
            verbose=False,
            **(_half_precision() if self.half else {}),
            **more,
        )


def _has_points(result: Any) -> bool:
    points = result.keypoints
    return points is not None and tuple(points.data.shape[1:]) == (POINTS, 3)


def _models() -> Path:
    """Name the folder that published models are kept in."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "emoframe" / "ultralytics"


def _download(file: Path) -> str:
    """Let ultralytics fetch a published model; say why it is not there then, or nothing."""
    import_quietly()
    from ultralytics.utils.downloads import attempt_download_asset

    try:
        attempt_download_asset(file)
    except OSError as error:
        return f"the download failed: {error}"
    return "" if file.is_file() else "ultralytics publishes no such model, or was not reached"


def _half_precision() -> dict[str, Any]:
    """Name the setting: ultralytics has renamed it."""
    from ultralytics.utils import DEFAULT_CFG_DICT

    return {"quantize": 16} if "quantize" in DEFAULT_CFG_DICT else {"half": True}


def _sha256(path: Path) -> str:
    """Hash a file, or the names and contents of all files of a folder."""
    if path.is_file():
        return file_hash(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(path).as_posix()} {file_hash(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
