"""A whole-body model in a file: found, checked, and asked about people in pictures.

Decided here: nothing is downloaded, a missing file is a sentence that names one to fetch; a model
is tried on a black picture when it loads, since many exports do not state the sizes of what they
give; pictures go in as RGB, the order that mmpose trains in, whereas rtmlib's own examples hand
BGR over. rtmlib cuts out, scales and decodes. Its class for models is not used: it prints when it
opens one, takes one person at a time, and its session has a thread for each core, which spin while
they wait, although other workers need the cores.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe import ComponentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = list[NDArray[np.float32]]

PUBLISHED = "https://download.openmmlab.com/mmpose/v1/projects/rtmw/onnx_sdk/"
DEFAULT = "rtmw-dw-x-l_simcc-cocktail14_270e-384x288_20231122"
POINTS = 133
MEAN, STD = np.array((123.675, 116.28, 103.53)), np.array((58.395, 57.12, 57.375))
"""What mmpose normalises red, green and blue by, in 8-bit values."""
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "mps": "CoreMLExecutionProvider",
}
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""Distributions of onnxruntime; which of them is installed says where it computes, not what."""


class Model:
    """A whole-body SimCC model that is ready to work.

    Args:
        file: The ONNX file.
        device: Where it computes: `cpu`, `cuda:0`, ...

    Attributes:
        batched: Whether it takes several people at once.

    Raises:
        ComponentError: The file holds no such model, or the device cannot be used.
    """

    def __init__(self, file: Path, device: str) -> None:
        self._session: Any = _opened(file, device)
        if device.startswith("cuda") and "CUDAExecutionProvider" not in (
            self._session.get_providers()
        ):
            raise ComponentError(
                f"pose_estimator rtmpose: onnxruntime cannot compute on {device!r}; install "
                "onnxruntime-gpu in place of onnxruntime, or compute on 'cpu'"
            )
        self._input, self.batched, self._size = _taken(file, self._session)
        self._split = self._try(file, self._size)

    def measure(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        boxes: Sequence[NDArray[np.float32]],
        padding: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Measure one person in each of N pictures.

        Args:
            pictures: RGB, each (H, W, 3).
            boxes: Left, top, right, bottom of the person in each, in pixels.
            padding: What the sides of the boxes are multiplied by.

        Returns:
            The 133 points in pixels of the pictures, (N, 133, 2), and their scores, (N, 133).
        """
        from rtmlib.tools.pose_estimation.post_processings import get_simcc_maximum

        cut = [
            self._cut(picture, box, padding) for picture, box in zip(pictures, boxes, strict=True)
        ]
        images = np.stack([image for image, _, _ in cut]).transpose(0, 3, 1, 2).astype(np.float32)
        step = len(images) if self.batched else 1
        found = [self._run(images[n : n + step]) for n in range(0, len(images), step)]
        joined = [np.concatenate(axis) for axis in zip(*found, strict=True)]
        centre, scale = (np.stack([one[n] for one in cut])[:, None] for n in (1, 2))
        xy, score = get_simcc_maximum(*joined)
        xy = xy / self._split / self._size * scale + centre - scale / 2
        return xy.astype(np.float32), score.astype(np.float32)

    def _cut(
        self, picture: NDArray[np.uint8], box: NDArray[np.float32], padding: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
        """Return the model's picture of a person, and the centre and size of what it shows."""
        from rtmlib.tools.pose_estimation.pre_processings import bbox_xyxy2cs, top_down_affine

        affine: Any = top_down_affine  # its annotations say dict where it takes arrays
        centre, scale = bbox_xyxy2cs(box, padding)
        image, scale = affine(self._size, scale, centre, picture)
        return (image - MEAN) / STD, centre, scale

    def _run(self, images: NDArray[np.float32]) -> Arrays:
        return self._session.run(None, {self._input: images})

    def _try(self, file: Path, size: tuple[int, int]) -> float:
        """Return into how many steps the model splits a pixel, by its answer to a black picture."""
        try:
            found = self._run(np.zeros((1, 3, size[1], size[0]), np.float32))
        except Exception as error:  # whatever onnxruntime raises for what it cannot compute
            raise _wrong(file, f"it does not run: {_first_line(error)}") from error
        shapes = [np.shape(one) for one in found]
        split = shapes[0][-1] / size[0] if shapes[0] else 0.0
        if split < 1 or shapes != [(1, POINTS, int(side * split)) for side in size]:
            raise _wrong(file, f"for {size[0]}x{size[1]} pixels it gives {shapes}")
        return split


def find(weights: str) -> Path:
    """Find the weights by path, or by name in the folder of models.

    Raises:
        ComponentError: They are in neither place.
    """
    given = Path(weights).expanduser()
    bare = given.name == str(given)
    kept = _models() / f"{given.name.removesuffix('.onnx')}.onnx"
    for file in (given, *([kept] if bare else [])):
        if file.is_file():
            return file
    raise ComponentError(
        f"pose_estimator rtmpose: the weights {weights!r} are not here; fetch a whole-body model "
        f"such as {PUBLISHED}{DEFAULT}.zip, take end2end.onnx out of it, and "
        + (f"put it at {kept}" if bare else "give weights=PATH of it")
    )


def _models() -> Path:
    """Name the folder that named models are looked for in."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "emoframe" / "rtmlib"


def runtime_version() -> str:
    """Return the version of onnxruntime, whichever distribution it comes from."""
    for name in RUNTIMES:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "absent"


def _opened(file: Path, device: str) -> Any:
    """Open a model on the worker's share of threads, which do not spin while they wait."""
    import onnxruntime

    kind, _, number = device.partition(":")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        if kind not in PROVIDERS:
            raise ValueError(f"there is no such device; known are {', '.join(PROVIDERS)}")
        settings = {"device_id": number} if number else {}
        return onnxruntime.InferenceSession(
            str(file), options, providers=[(PROVIDERS[kind], settings)]
        )
    except Exception as error:  # whatever a wrong file or device makes onnxruntime raise
        raise ComponentError(
            f"pose_estimator rtmpose: the weights {file} cannot be opened on {device!r}: "
            f"{_first_line(error)}"
        ) from error


def _threads() -> int:
    """Return how many threads the worker may use; 0, all cores, where nobody has said."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def _taken(file: Path, session: Any) -> tuple[str, bool, tuple[int, int]]:
    """Return the name of the input, whether it takes batches, and its width and height."""
    inputs = session.get_inputs()
    shape = list(inputs[0].shape)
    sides = [side for side in shape[2:] if isinstance(side, int)]
    batched = not isinstance(shape[0] if shape else 0, int)
    fits = len(shape) == 4 and shape[1] == 3 and len(sides) == 2 and (batched or shape[0] == 1)
    if len(inputs) > 1 or not fits or inputs[0].type != "tensor(float)":
        given = " and ".join(f"{one.type} of {one.shape}" for one in inputs)
        raise _wrong(file, f"it takes {given}")
    return inputs[0].name, batched, (sides[1], sides[0])


def _wrong(file: Path, why: str) -> ComponentError:
    return ComponentError(
        f"pose_estimator rtmpose: {file} is no whole-body SimCC model of {POINTS} points ({why}); "
        f"give the end2end.onnx of RTMPose, DWPose or RTMW for the whole body, such as "
        f"{PUBLISHED}{DEFAULT}.zip"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
