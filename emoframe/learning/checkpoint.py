"""Checkpoints that survive a kill and can run no code.

mmengine writes its checkpoints in place, before validation, with pickled objects inside, and loads
them with pickle. Here one file per epoch is written after validation (temp file, fsync, rename),
holds plain tensors and numbers only, and is loaded with `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from emoframe.core.errors import RunError
from emoframe.core.files import replacing

BUFFER = "history_buffer"


class DivergedError(RunError):
    """A loss became no finite number; the checkpoints are those of before."""


def load_from_emoframe(filename: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Load a checkpoint without running anything that it may hold.

    The name begins with `load_from_` because mmengine prints what follows.

    Raises:
        RunError: The file is missing, truncated, or holds more than tensors and plain data.
    """
    path = Path(filename)
    if not path.is_file():
        raise RunError(f"{path}: there is no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(
            f"{path.name} holds more than tensors and plain data and was not loaded, because "
            f"loading it could run code: {_first_line(error)}"
        ) from error
    except Exception as error:  # torch raises a dozen types for broken files
        raise RunError(
            f"{path} is truncated or no checkpoint ({_first_line(error)}); delete the run folder "
            "and train again"
        ) from error
    meta = checkpoint.get("meta") if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict) or "state_dict" not in checkpoint:
        raise RunError(f"{path.name} is no checkpoint of emoframe: no 'state_dict' and 'meta'")
    # Runner.resume would execute meta['config'] as Python
    meta.pop("config", None)
    return checkpoint


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def to_plain(value: Any) -> Any:
    """Turn mmengine's buffers and numpy values into tensors and numbers, at any depth."""
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        # one entry is kept per training step; float64 keeps what mmengine computed
        state = {"log": torch.from_numpy(log.copy()), "count": torch.from_numpy(count.copy())}
        return {BUFFER: state, "max_length": value.max_length}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    plain = isinstance(value, (torch.Tensor, str, int, float, bool, type(None)))
    return value if plain else repr(value)


def from_plain(value: Any) -> Any:
    """Undo `to_plain` for buffers; numbers stay numbers."""
    if isinstance(value, dict) and BUFFER in value:
        state = value[BUFFER]
        return HistoryBuffer(state["log"].numpy(), state["count"].numpy(), value["max_length"])
    return {k: from_plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def save(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint of plain data atomically."""
    with replacing(path) as partial:
        torch.save(dict(checkpoint), partial)


def epochs(folder: Path) -> list[Path]:
    """Return the epoch checkpoints of a folder, oldest first."""
    return sorted(folder.glob("epoch_*.pth"), key=lambda path: int(path.stem.split("_")[1]))


class Selection:
    """Which epoch is best so far, by validation loss, and whether to go on.

    Attributes:
        best: Lowest validation loss.
        best_epoch: Its epoch, counted from 1; 0 before the first.
        history: One row per epoch: losses, accuracy, learning rate.
    """

    def __init__(self, patience: int) -> None:
        """Start with nothing seen."""
        self.patience = patience
        self.best = math.inf
        self.best_epoch = 0
        self.history: list[dict[str, float]] = []

    def see(self, row: dict[str, float]) -> bool:
        """Take one epoch's row in and say whether it is the best so far.

        Raises:
            DivergedError: The validation loss is not a number.
        """
        if not math.isfinite(row["val_loss"]):
            raise DivergedError(
                f"the validation loss of epoch {row['epoch']:g} is {row['val_loss']}; lower "
                "train.lr, or look at the data with `emoframe check`"
            )
        self.history.append(row)
        improved = row["val_loss"] < self.best
        if improved:
            self.best, self.best_epoch = row["val_loss"], int(row["epoch"])
        return improved

    @property
    def exhausted(self) -> bool:
        """Whether the patience has run out."""
        return len(self.history) - self.best_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"best": self.best, "best_epoch": self.best_epoch, "history": self.history}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from plain data."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.history = list(state["history"])
