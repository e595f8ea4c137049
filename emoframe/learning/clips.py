"""Clips as the model sees them: raw inputs from the data set or the store, viewed and batched.

A data set only names its items and hands over what it brings along. Where an input comes from, how
it is sampled and which random numbers that takes is decided here, once, for every data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.utils.data

from emoframe.core.errors import DataError
from emoframe.learning.augment import Augmentation, in_space, in_time
from emoframe.learning.experiment import Experiment
from emoframe.learning.features import keypoint_features, rng, sample_frames
from emoframe.records import Keypoints, Sample, SampleRef, Target, View
from emoframe.skeleton import SkeletonLayout

Loader = Callable[[SampleRef], Keypoints]
"""Fetches one input of one item."""
KEPT_BYTES = 2**30
"""Memory, for each `Clips`, for views that look the same in every epoch; what finds no room is
computed again, and so is everything in loader workers, which live for one epoch."""


class Clips(torch.utils.data.Dataset[Sample]):
    """Items of a data set as samples; what is drawn at random follows from `View` alone.

    Args:
        refs: The items.
        loaders: Where each input comes from, by the input's name.
        layout: The layout that the keypoints must have.
        experiment: View settings and seed.
        training: Whether sampling is random and clips are augmented.
    """

    metainfo: Mapping[str, Any] = {}

    def __init__(
        self,
        refs: Sequence[SampleRef],
        loaders: Mapping[str, Loader],
        layout: SkeletonLayout,
        experiment: Experiment,
        *,
        training: bool,
    ) -> None:
        self.refs = list(refs)
        self.loaders = dict(loaders)
        self.layout = layout
        self.settings = experiment.view
        self.seed = experiment.seed
        self.training = training
        self.epoch = 0
        self.view = 0
        self._kept: dict[tuple[str, int], Sample] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        """Number of items."""
        return len(self.refs)

    def __getitem__(self, index: int) -> Sample:
        """Return one view of one item."""
        ref = self.refs[index]
        if (ref.id, self.view) in self._kept:
            return self._kept[ref.id, self.view]
        epoch = self.epoch if self.training else 0
        sample, same = self.sample(ref, View(self.seed, epoch, self.view, self.training))
        size = sum(array.nbytes for array in sample.inputs.values())
        in_worker = torch.utils.data.get_worker_info() is not None
        if same and size <= self._room and not in_worker:
            self._kept[ref.id, self.view] = sample
            self._room -= size
        return sample

    def seen(self, view: int) -> Clips:
        """Return the same clips as another view shows them; view 0 is the same each time."""
        other = copy(self)
        other.view = view
        other._kept, other._room = {}, 0  # looked at once only
        return other

    def sample(self, ref: SampleRef, view: View) -> tuple[Sample, bool]:
        """Return a view of an item, and whether it looks the same in every epoch.

        Raises:
            DataError: The item's keypoints do not fit the layout.
        """
        settings = self.settings.keypoints
        inputs: dict[str, Any] = {}
        masks: dict[str, Any] = {}
        times: dict[str, Any] = {}
        same = True
        augmented = view.training and settings.augment != Augmentation()
        for name, load in self.loaders.items():
            keypoints = check_keypoints(load(ref), self.layout, ref.id)
            generator = rng(view, ref.id) if view.training or view.index else None
            change, clock = None, 1.0
            if generator and augmented:
                keypoints, clock = in_time(keypoints, settings.augment, generator)
                change = partial(
                    in_space, settings=settings.augment, layout=self.layout, generator=generator
                )
            same &= not view.training or (not augmented and len(keypoints) <= settings.frames)
            frames = sample_frames(len(keypoints), settings.frames, generator)
            inputs[name], masks[name] = keypoint_features(
                keypoints, settings, frames, change, clock
            )
            times[name] = (keypoints.time_s[frames] - keypoints.time_s[0]) * clock
        present = {name: bool(mask.any()) for name, mask in masks.items()}
        return Sample(ref.id, inputs, masks, times, present, ref.label), same


def check_keypoints(keypoints: Keypoints, layout: SkeletonLayout, item: str) -> Keypoints:
    """Return the keypoints if they have a frame, the layout's joints, and no invented values.

    Raises:
        DataError: They have not.
    """
    total, joints = keypoints.xy.shape[:2] if keypoints.xy.ndim == 3 else (0, 0)
    if total == 0:
        raise DataError(f"{item}: has no frame of keypoints")
    if joints != layout.num_joints:
        raise DataError(
            f"{item}: has {joints} joints, and the layout {layout.name!r} has {layout.num_joints}"
        )
    broken = keypoints.valid & ~np.isfinite(keypoints.xy).all(-1)
    if broken.any():
        frame, joint = map(int, np.argwhere(broken)[0])
        raise DataError(
            f"{item}: joint {layout.joints[joint]} of frame {frame} is marked valid and is NaN; "
            "a missing joint must be masked"
        )
    return keypoints


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """Batch samples, padded to the longest of them and masked.

    Returns:
        `inputs` x_NTVC, `masks` mask_NTV, `times` time_NT and `present` mask_N by input name,
        `ids`, and `labels` (N,) with -1 where the label is not to be known.
    """
    names = samples[0].inputs
    return {
        "ids": [sample.id for sample in samples],
        "inputs": {n: _padded([s.inputs[n] for s in samples]) for n in names},
        "masks": {n: _padded([s.masks[n] for s in samples]) for n in names},
        "times": {n: _padded([s.times[n].astype(np.float32) for s in samples]) for n in names},
        "present": {n: torch.tensor([s.present[n] for s in samples]) for n in names},
        "labels": torch.tensor([-1 if s.target is None else s.target for s in samples]),
    }


def _padded(arrays: Sequence[np.ndarray[Any, Any]]) -> torch.Tensor:
    longest = max(len(array) for array in arrays)
    batch = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(batch, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(batch)


def gold(labels: torch.Tensor, num_classes: int) -> Target:
    """Turn label indices into targets of full weight; `labels` (N,) holds no -1."""
    count = len(labels)
    return Target(
        torch.nn.functional.one_hot(labels, num_classes).float(),
        torch.ones(count, device=labels.device),
        torch.zeros(count, dtype=torch.bool, device=labels.device),
        torch.arange(count, device=labels.device),
    )
