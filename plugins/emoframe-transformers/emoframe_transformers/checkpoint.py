"""A model of transformers by its files: its config, its hash, and the loaded module.

Decided here: the class is chosen by the weights' own config among those that a part knows; only
safetensors are read, which cannot run code; a checkpoint that lacks a parameter, or a statistic of
a batch norm, is refused, since the library would fill it with random numbers and go on.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from emoframe import ComponentError, file_hash
from emoframe_transformers.hub import CONFIG, INDEX, NESTED, WEIGHTS, Files, library

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["float32", "bfloat16", "float16"]
UNUSED = "num_batches_tracked"
"""A count that a batch norm needs in training alone; older checkpoints do not have it."""


class Scale(NamedTuple):
    """How a model wants its pixels: `(value * factor - mean) / std`, by channel.

    Attributes:
        mean: Mean of red, green and blue in [0, 1].
        std: Their standard deviations.
        factor: What 8-bit values are multiplied by.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    factor: float = 1 / 255


IMAGENET = Scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""ImageNet's mean and standard deviation, see W2S-07 and the checkpoints of DINOv2 and X-CLIP."""
CLIP = Scale((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Those of CLIP's training pictures, https://arxiv.org/abs/2103.00020."""


class Checkpoint:
    """One set of weights; nothing is read before it is asked for.

    Attributes:
        part: Who uses it, for the messages.
        files: Where its files are.
        classes: The class of transformers for each `model_type` that the part knows.
    """

    def __init__(self, part: str, weights: str, classes: Mapping[str, str]) -> None:
        self.part = part
        self.files = Files(part, weights)
        self.classes = classes

    @cached_property
    def config(self) -> Any:
        """The model's config, read without the weights.

        Raises:
            ComponentError: It is not here, is broken, or is of a model that the part does not know.
        """
        file = self.files.find(CONFIG)
        kind = str(self._json(file).get("model_type"))
        if kind not in self.classes:
            raise ComponentError(
                f"{self.part}: the weights {self.files.weights!r} are of a model of type {kind!r}; "
                f"it takes {' or '.join(map(repr, self.classes))} ({CONFIG}: model_type)"
            )
        return self.attempt(
            lambda: self._model_class(kind).config_class.from_pretrained(file.parent)
        )

    def scale(self, otherwise: Scale) -> Scale:
        """Read how the checkpoint wants its pixels.

        Args:
            otherwise: What holds for one that does not say.

        Raises:
            ComponentError: The file is broken, or is not here and cannot be downloaded.
        """
        _, said = self._of_pixels()
        factor = said.get("rescale_factor", otherwise.factor) if said.get("do_rescale", True) else 1
        if not said.get("do_normalize", True):
            return Scale((0.0,) * 3, (1.0,) * 3, factor)
        mean, std = (said.get(f"image_{key}", getattr(otherwise, key)) for key in ("mean", "std"))
        return Scale(tuple(mean), tuple(std), factor)

    def processor(self, name: str) -> Any:
        """Return an image processor of transformers with the checkpoint's settings.

        Args:
            name: Its class; its own defaults hold for a checkpoint that says nothing.

        Raises:
            ComponentError: The file is broken, or is not here and cannot be downloaded.
        """
        cls = getattr(library(), name)
        _, said = self._of_pixels()
        return self.attempt(lambda: cls.from_dict(said)) if said else cls()

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file that decides what the model says.

        Raises:
            ComponentError: A file is not here and cannot be downloaded.
        """
        found = [self.files.find(CONFIG), *self._weights(), self._of_pixels()[0]]
        return {file.name: file_hash(file) for file in found if file}

    def load(self, precision: Precision, device: str, **settings: Any) -> nn.Module:
        """Load the model, in evaluation mode.

        Args:
            precision: Number format of the weights.
            device: Where they are put.
            settings: Passed on to the constructor of the model.

        Raises:
            ComponentError: The weights are not here, or cannot be used.
        """
        config, kind = self.config, self._json(self.files.find(CONFIG))["model_type"]
        file = self._weights()[0]
        torch = importlib.import_module("torch")
        model, info = self.attempt(
            lambda: self._model_class(kind).from_pretrained(
                file.parent,
                config=config,
                dtype=getattr(torch, precision),
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **settings,
            )
        )
        lacking = sorted(name for name in info["missing_keys"] if not name.endswith(UNUSED))
        if lacking:
            raise ComponentError(
                f"{self.part}: {file} lacks {len(lacking)} weights of its model, {lacking[0]!r} "
                "the first; it is no complete checkpoint, so take it from its source again"
            )
        return self.attempt(lambda: model.to(device)).eval()

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Do what wrong files, a wrong size or a wrong device may make impossible.

        Raises:
            ComponentError: It was; the sentence holds what the library said.
        """
        try:
            return action()
        except Exception as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise ComponentError(
                f"{self.part}: the weights {self.files.weights!r} cannot be used: {why}"
            ) from error

    def _weights(self) -> list[Path]:
        """Return the file of the weights, or the index of several and these, fetched if need be."""
        split = self.files.here(WEIGHTS) is None and (
            self.files.here(INDEX) or (self.files.look_for(WEIGHTS) is None)
        )
        index = self.files.look_for(INDEX) if split else None
        if index is None:
            return [self.files.find(WEIGHTS)]
        parts = {str(part) for part in self._json(index).get("weight_map", {}).values()}
        if wrong := sorted(part for part in parts if Path(part).name != part):
            raise ComponentError(
                f"{self.part}: {index} names {wrong[0]!r}, which is no file's name"
            )
        return [index, *map(self.files.find, sorted(parts))]

    def _model_class(self, kind: str) -> Any:
        return getattr(library(), self.classes[kind])

    def _of_pixels(self) -> tuple[Path | None, dict[str, Any]]:
        """Return what is said on scaling pixels, and where; None and nothing where nothing is."""
        for name in self.files.of_pixels():
            file = self.files.look_for(name)
            said: Any = self._json(file) if file else None
            if said and name == NESTED:  # it has other blocks too, and may have none for pictures
                said = said.get("image_processor")
            if isinstance(said, dict):
                return file, said
        return None, {}

    def _json(self, file: Path) -> dict[str, Any]:
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ComponentError(f"{self.part}: {file} is no JSON: {error}") from error
        if not isinstance(said, dict):
            raise ComponentError(f"{self.part}: {file} holds no mapping")
        return said
