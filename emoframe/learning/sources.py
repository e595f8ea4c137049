"""Where each input of the model comes from: the data set, or a stage of the store.

From the store comes what exactly the settings of the experiment produced, and nothing else.
"""

from __future__ import annotations

import torch

from emoframe.core.errors import DataError
from emoframe.interfaces import Dataset
from emoframe.learning.clips import Loader
from emoframe.learning.experiment import Experiment, Perception
from emoframe.perception.stages import StagePart, read_keypoints, stage_keys, stage_part
from emoframe.records import Keypoints, SampleRef


def loaders(experiment: Experiment, dataset: Dataset) -> dict[str, Loader]:
    """Return the loader of each input."""
    return {
        name: from_dataset(dataset, name) if source == "dataset" else _from_store(experiment)
        for name, source in experiment.features.items()
    }


def from_dataset(dataset: Dataset, name: str) -> Loader:
    """Return a loader of what the data set brings along."""

    def load(ref: SampleRef) -> Keypoints:
        brought = dataset.load(ref)
        if name not in brought:
            raise DataError(
                f"{ref.id}: the data set brings no input {name!r} along (it brings "
                f"{', '.join(brought) or 'none'}); name a stage of the store in `features.{name}`"
            )
        return brought[name]

    return load


def from_store(perception: Perception) -> Loader:
    """Return a loader of the keypoints that these settings, and no others, have produced."""
    detector, pose_estimator = stage_parts(perception)
    keys = stage_keys(detector, pose_estimator, perception.crop)

    def load(ref: SampleRef) -> Keypoints:
        if ref.video is None:
            raise DataError(f"{ref.id}: the data set names no video to take keypoints from")
        return read_keypoints(perception.store, ref.video, pose_estimator.name, keys.pose)

    return load


def stage_parts(perception: Perception) -> tuple[StagePart, StagePart]:
    """Build the detector and the pose estimator of a config."""
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    return (
        stage_part("detector", perception.detector, device),
        stage_part("pose_estimator", perception.pose_estimator, device),
    )


def _from_store(experiment: Experiment) -> Loader:
    assert experiment.perception is not None  # the experiment has checked this
    return from_store(experiment.perception)
