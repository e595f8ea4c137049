"""Clips as the model sees them: raw inputs from the data set or the store, viewed and batched.

A data set only names its items and hands over what it brings along. Where an input comes from, how
it is sampled and which random numbers that takes is decided here, once, for every data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils.data
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.learning.augment import Augmentation, in_space, in_time
from emoframe.learning.checks import (
    AbsentError,
    check_features,
    check_keypoints,
    check_sort,
)
from emoframe.learning.experiment import Experiment
from emoframe.learning.features import keypoint_features, rng, sample_frames
from emoframe.learning.frames import frame_features, sample_tokens
from emoframe.learning.inputs import Sort
from emoframe.records import Features, Goal, Input, Keypoints, Sample, SampleRef, Target, View
from emoframe.skeleton import SkeletonLayout

Loader = Callable[[SampleRef], Any]
"""Fetches one input of one item, an `emoframe.records.Input`; raises `AbsentError` for none."""
KEPT_BYTES = 2**30
"""Memory, for each `Clips`, for views that look the same in every epoch; what finds no room is
computed again, and so is everything in loader workers, which live for one epoch."""


class Look(NamedTuple):
    """One input as one view shows it.

    Attributes:
        x: An array, or a text.
        mask: True where `x` holds data; None for a text.
        time_s: Time of each row of `x` from the first of the clip on; None for a text.
        same: Whether every epoch shows the same.
    """

    x: Any
    mask: NDArray[np.bool_] | None
    time_s: NDArray[np.float64] | None
    same: bool


class Clips(torch.utils.data.Dataset[Sample]):
    """Items of a data set as samples; what is drawn at random follows from `View` alone.

    Args:
        refs: The items.
        loaders: Where each input comes from, by the input's name.
        layout: The layout that the keypoints must have; None where no input is keypoints.
        experiment: View settings, seed, and what the branches take.
        training: Whether sampling is random and clips are augmented.
        frame_dims: Width that each input of frame features must have; None where none is.
        goals: What each item is to teach, by its id; items without one teach nothing.
    """

    metainfo: Mapping[str, Any] = {}

    def __init__(
        self,
        refs: Sequence[SampleRef],
        loaders: Mapping[str, Loader],
        layout: SkeletonLayout | None,
        experiment: Experiment,
        *,
        training: bool,
        frame_dims: Mapping[str, int] | None = None,
        goals: Mapping[str, Goal] | None = None,
    ) -> None:
        self.refs = list(refs)
        self.rows = {ref.id: row for row, ref in enumerate(self.refs)}
        self.goals = dict(goals or {})
        self.loaders = dict(loaders)
        self.layout = layout
        self.frame_dims = dict(frame_dims or {})
        self.sorts: dict[str, Sort] = {n: b.sort for n, b in experiment.model.branches.items()}
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
        size = sum(getattr(x, "nbytes", 0) or len(x) for x in sample.inputs.values())
        in_worker = torch.utils.data.get_worker_info() is not None
        if same and size <= self._room and not in_worker:
            self._kept[ref.id, self.view] = sample
            self._room -= size
        return sample

    def of(self, refs: Sequence[SampleRef], goals: Mapping[str, Goal] | None = None) -> Clips:
        """Return other items of the data set, sampled like these, with goals of their own."""
        other = copy(self)
        other.refs, other.goals = list(refs), dict(goals or {})
        other.rows = {ref.id: row for row, ref in enumerate(other.refs)}
        other._kept, other._room = {}, KEPT_BYTES
        return other

    def seen(self, view: int) -> Clips:
        """Return the same clips as another view shows them; view 0 is the same each time."""
        other = copy(self)
        other.view = view
        other._kept, other._room = {}, 0  # looked at once only
        return other

    def sample(self, ref: SampleRef, view: View) -> tuple[Sample, bool]:
        """Return a view of an item, and whether it looks the same in every epoch.

        Raises:
            DataError: An input does not fit its branch, or the item has none.
        """
        looks = {name: self._look(found, ref, view) for name, found in self.fetch(ref).items()}
        present = dict.fromkeys(self.loaders, False)
        present |= {n: look.mask is None or bool(look.mask.any()) for n, look in looks.items()}
        sample = Sample(
            ref.id,
            {name: look.x for name, look in looks.items()},
            {name: look.mask for name, look in looks.items() if look.mask is not None},
            {name: look.time_s for name, look in looks.items() if look.time_s is not None},
            present,
            self.goals.get(ref.id),
            self.rows.get(ref.id, 0),
        )
        return sample, all(look.same for look in looks.values())

    def fetch(self, ref: SampleRef) -> dict[str, Input]:
        """Return the inputs that an item has, held to what their branches take.

        Raises:
            DataError: One does not fit, or there is none.
        """
        found: dict[str, Input] = {}
        absent: list[AbsentError] = []
        for name in self.loaders:
            try:
                found[name] = self.fetch_one(name, ref)
            except AbsentError as error:
                absent.append(error)
        if found:
            return found
        if len(absent) == 1:
            raise absent[0]
        raise DataError(
            f"{ref.id}: has none of the inputs {', '.join(self.loaders)}: "
            f"{'; '.join(map(str, absent))}"
        )

    def fetch_one(self, name: str, ref: SampleRef) -> Any:
        """Return one input of an item, held to what its branch takes.

        Raises:
            AbsentError: The item has not got it.
            DataError: It does not fit.
        """
        item, found = ref.id, self.loaders[name](ref)
        check_sort(name, found, self.sorts[name], item)
        if isinstance(found, Keypoints):
            assert self.layout is not None  # there is one wherever an input is keypoints
            return check_keypoints(found, self.layout, item)
        if isinstance(found, Features):
            return check_features(found, self.frame_dims.get(name), item)
        if not found.strip():
            raise AbsentError(f"{item}: the text {name!r} is blank")
        return found

    def _look(self, found: Input, ref: SampleRef, view: View) -> Look:
        """Sample one input."""
        generator = rng(view, ref.id) if view.training or view.index else None
        if isinstance(found, Keypoints):
            return self._keypoints(found, view, generator)
        if isinstance(found, str):
            return Look(found, None, None, True)
        tokens = sample_tokens(found.time_s, self.settings.frames, generator)
        same = not view.training or len(tokens) == len(found)
        x, mask = frame_features(found, tokens)
        return Look(x, mask, found.time_s[tokens] - found.time_s[0], same)

    def _keypoints(
        self, keypoints: Keypoints, view: View, generator: np.random.Generator | None
    ) -> Look:
        settings = self.settings.keypoints
        augmented = view.training and settings.augment != Augmentation()
        change, clock = None, 1.0
        if generator and augmented and self.layout:
            keypoints, clock = in_time(keypoints, settings.augment, generator)
            change = partial(
                in_space, settings=settings.augment, layout=self.layout, generator=generator
            )
        same = not view.training or (not augmented and len(keypoints) <= settings.frames)
        frames = sample_frames(len(keypoints), settings.frames, generator)
        x, mask = keypoint_features(keypoints, settings, frames, change, clock)
        return Look(x, mask, (keypoints.time_s[frames] - keypoints.time_s[0]) * clock, same)


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """Batch samples, padded to the longest of them and masked.

    Returns:
        `inputs` x_NTVC, x_NTD or a list of texts, `masks` mask_NTV or mask_NT and `times` time_NT
        by input name, each left out where no sample has it (texts have neither mask nor time);
        `present` mask_N by name; `ids`; `target`, in which a sample without a goal has weight 0,
        None where no sample has one.
    """
    names = samples[0].present
    return {
        "ids": [sample.id for sample in samples],
        "inputs": _batched([sample.inputs for sample in samples], names),
        "masks": _batched([sample.masks for sample in samples], names),
        "times": _batched([sample.times for sample in samples], names),
        "present": {n: torch.tensor([s.present[n] for s in samples]) for n in names},
        "target": _target(samples),
    }


def _target(samples: Sequence[Sample]) -> Target | None:
    """Batch what samples are to teach."""
    goals = [sample.goal for sample in samples]
    known = next((goal for goal in goals if goal is not None), None)
    if known is None:
        return None
    nothing = Goal(np.zeros_like(known.prob_K), 0.0)
    filled = [goal or nothing for goal in goals]
    return Target(
        torch.from_numpy(np.stack([goal.prob_K for goal in filled])),
        torch.tensor([goal.weight for goal in filled], dtype=torch.float32),
        torch.tensor([goal.weak for goal in filled]),
        torch.tensor([sample.row for sample in samples]),
    )


def _batched(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """Batch each input that any row has."""
    batch: dict[str, Any] = {}
    for name in names:
        found = [row.get(name) for row in rows]
        known = [value for value in found if value is not None]
        if known and isinstance(known[0], str):
            batch[name] = [value or "" for value in found]
        elif known:
            batch[name] = _padded(found, known)
    return batch


def _padded(arrays: Sequence[Any], known: Sequence[NDArray[Any]]) -> torch.Tensor:
    """Stack arrays, None among them, padded to the longest; times become single precision."""
    kind = np.float32 if known[0].dtype == np.float64 else known[0].dtype
    longest = max(len(array) for array in known)
    batch = np.zeros((len(arrays), longest, *known[0].shape[1:]), kind)
    for row, array in zip(batch, arrays, strict=True):
        if array is not None:
            row[: len(array)] = array
    return torch.from_numpy(batch)
