"""What the frame encoders of this plugin share: checks, batches, times and the module's loading."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from emoframe import ComponentError
from emoframe.records import Features
from emoframe_transformers.checkpoint import IMAGENET, Checkpoint, Precision, Scale

if TYPE_CHECKING:
    from torch import nn

    from emoframe.records import Frames, Keypoints


class TransformersEncoder(ABC):
    """A frame encoder whose weights are a checkpoint of transformers.

    A child has a `size`, an `out_dim` and a `_wrap`; those that come with the weights are read from
    their config alone.

    Args:
        weights: Folder or published name.
        every: Encode each n-th frame.
        batch: Vectors computed together.
        precision: Number format of the computation.
        device: Where it computes.
    """

    not_in_key = ("weights", "batch")

    name: ClassVar[str]
    classes: ClassVar[dict[str, str]]
    scale: ClassVar[Scale] = IMAGENET
    reads_keypoints: bool = False

    def __init__(
        self, *, weights: str, every: int, batch: int, precision: Precision, device: str
    ) -> None:
        self.weights = weights
        self.every = every
        self.batch = batch
        self.precision: Precision = precision
        self.device = device
        self.checkpoint = Checkpoint(f"frame_encoder {self.name}", weights, self.classes)

    @property
    @abstractmethod
    def size(self) -> int:
        """Side in pixels of the square pictures."""

    @property
    @abstractmethod
    def out_dim(self) -> int:
        """D, from the config of the weights."""

    @property
    def span(self) -> int:
        """Number of pictures that make up one vector."""
        return 1

    def encode(self, frames: Frames, keypoints: Keypoints | None) -> Features:
        """Turn each group of `span` pictures into one vector.

        Args:
            frames: T square pictures of `size` pixels, T a multiple of `span`.
            keypoints: Not used.

        Returns:
            T / `span` vectors in single precision, all of them valid.

        Raises:
            ComponentError: The pictures are not what was asked for, or the weights are not here or
                cannot be used.
        """
        groups = self._groups(frames)
        x = np.empty((len(groups), self.out_dim), np.float32)
        found = [vectors for _, vectors in self._run(groups)]  # on the device until all are queued
        if found:
            x[:] = np.concatenate([vectors.cpu().numpy() for vectors in found])
        return Features(x, np.ones(len(x), np.bool_), self._times(frames))

    def module(self) -> nn.Module:
        """Return a module from normalised pixels to vectors, to be fine-tuned.

        It is loaded anew in single precision, so training it does not change what `encode` gives.
        Pixels are (N, 3, H, W), or (N, T, 3, H, W) where `span` is not 1.

        Raises:
            ComponentError: The weights are not here or cannot be used.
        """
        return self._wrap(self.checkpoint.load("float32", self.device))

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file of the weights, fetched if need be.

        Raises:
            ComponentError: A file is not here and cannot be downloaded.
        """
        return self.checkpoint.fingerprint()

    @abstractmethod
    def _wrap(self, model: Any) -> nn.Module:
        """Make the module of a loaded model."""

    @cached_property
    def _loaded(self) -> tuple[nn.Module, Scale]:
        model = self.checkpoint.load(self.precision, self.device)
        return self._wrap(model), self.checkpoint.scale(self.scale)

    def _run(self, groups: Any) -> Any:
        module, scale = self._loaded
        return importlib.import_module("emoframe_transformers.modules").run(
            module, groups, self.batch, scale
        )

    def _groups(self, frames: Frames) -> Any:
        """Return the pictures, those of one vector together where `span` is not 1."""
        label, side, span = self.checkpoint.part, self.size, self.span
        if frames.rgb.shape[1:] != (side, side, 3):
            height, width = frames.rgb.shape[1:3]
            raise ComponentError(
                f"{label}: takes square pictures of {side} pixels and was given {width} x {height}"
            )
        if len(frames) % span:
            raise ComponentError(
                f"{label}: the weights take {span} frames for one vector and {len(frames)} were "
                f"given, which is no multiple of {span}"
            )
        return frames.rgb if span == 1 else frames.rgb.reshape(-1, span, side, side, 3)

    def _times(self, frames: Frames) -> Any:
        return frames.time_s.reshape(-1, self.span).mean(1)
