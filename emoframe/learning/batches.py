"""Which clips make up a batch, and which process of several gets them.

Decided here: `train.batch_size` is that of all processes together, so that their number changes no
batch and no loss. In training each batch is cut into equal shares; in validation batches are dealt
out whole. A short last batch may leave a process without a clip: it is given an empty one, which
counts nothing anywhere, since no process may miss a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

from emoframe.core.errors import RunError
from emoframe.learning import processes
from emoframe.learning.branches import Wiring
from emoframe.learning.clips import Clips, collate
from emoframe.learning.inputs import Sort
from emoframe.learning.stages import Train
from emoframe.records import Sample


class Shares(DefaultSampler):
    """The clips of this process, in an order that follows from seed and epoch.

    Where clips do not go up in processes, those that stand in are given as -1 - index.
    """

    def __iter__(self) -> Iterator[int]:
        """Yield indices."""
        for n, index in enumerate(super().__iter__()):
            place = n * self.world_size + self.rank
            yield index if place < len(self.dataset) else -1 - index  # type: ignore[arg-type]


class Shared(Dataset[Sample]):
    """Clips, of which a negative index -1 - n gives clip n emptied."""

    def __init__(self, clips: Clips) -> None:
        self.clips, self.metainfo = clips, clips.metainfo

    def __len__(self) -> int:
        """Number of items."""
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        """Return one clip, or an empty one."""
        return self.clips[index] if index >= 0 else _emptied(self.clips[-1 - index])


def training(clips: Clips, train: Train, seed: int, wiring: Wiring) -> DataLoader[Any]:
    """Return the shares of training batches that this process gets, in a new order each epoch.

    Args:
        clips: The clips.
        train: Its batch size is that of all processes.
        seed: Decides the orders.
        wiring: Widths of the inputs.

    Raises:
        RunError: The processes cannot share a batch evenly.
    """
    count = processes.count()
    if train.batch_size % count:
        raise RunError(
            f"train.batch_size is {train.batch_size}, which {count} processes cannot share "
            f"evenly; take a multiple of {count}"
        )
    shared = count > 1
    return DataLoader(
        Shared(clips) if shared else clips,
        train.batch_size // count,
        sampler=Shares(clips, shuffle=True, seed=seed),
        num_workers=train.workers,
        collate_fn=partial(_whole, sorts=clips.sorts, wiring=wiring) if shared else collate,
        pin_memory=torch.cuda.is_available(),
    )


def validation(clips: Clips, train: Train) -> DataLoader[Any]:
    """Return the batches of validation that this process gets, each clip once in all of them."""
    batches = list(BatchSampler(range(len(clips)), train.batch_size, drop_last=False))
    return DataLoader(
        clips,
        batch_sampler=batches[processes.rank() :: processes.count()],
        num_workers=train.workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


def _emptied(sample: Sample) -> Sample:
    """Return a clip of which nothing was measured and that teaches nothing."""
    inputs = {n: x if isinstance(x, str) else np.zeros_like(x) for n, x in sample.inputs.items()}
    masks = {name: np.zeros_like(mask) for name, mask in sample.masks.items()}
    goal = sample.goal and replace(sample.goal, weight=0.0)
    return replace(sample, inputs=inputs, masks=masks, goal=goal)


def _whole(samples: Sequence[Sample], sorts: Mapping[str, Sort], wiring: Wiring) -> dict[str, Any]:
    """Batch samples with every input, empty where no clip has it.

    Another process may have it, and all of them must run the same branches.
    """
    batch, size = collate(samples), len(samples)
    for name, sort in sorts.items():
        if name in batch["inputs"]:
            continue
        if sort == "text":
            batch["inputs"][name] = [""] * size
            continue
        joints = [len(wiring.layout.joints)] if sort == "keypoints" and wiring.layout else []
        width = wiring.in_channels if sort == "keypoints" else wiring.frame_dims[name]
        batch["inputs"][name] = torch.zeros(size, 1, *joints, width)
        batch["masks"][name] = torch.zeros(size, 1, *joints, dtype=torch.bool)
        batch["times"][name] = torch.zeros(size, 1)
    return batch
