"""Where each input of the model comes from: the data set, or a stage of the store.

From the store comes what exactly the settings of the experiment produced, or the stage that
`features` names by its key, and nothing else. A video that is not here is found by its name in the
data set, where the store knows that: features travel without their videos.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from emoframe.core.errors import DataError
from emoframe.interfaces import Dataset
from emoframe.learning.clips import Loader
from emoframe.learning.experiment import OWN_POSES, Experiment
from emoframe.perception.entries import entries, find_hash
from emoframe.perception.read import finished, keypoints_of
from emoframe.perception.settings import Perception
from emoframe.perception.stages import StageKeys, build_parts, stage_keys
from emoframe.perception.video import video_hash
from emoframe.records import Keypoints, SampleRef


def loaders(experiment: Experiment, dataset: Dataset) -> dict[str, Loader]:
    """Return the loader of each input."""
    return {
        name: from_dataset(dataset, name)
        if source == "dataset"
        else from_store(stored(experiment), source, name_of(experiment, dataset))
        for name, source in experiment.features.items()
    }


def name_of(experiment: Experiment, dataset: Dataset) -> str:
    """Return what the ledger calls a data set: its own name, else its type."""
    return getattr(dataset, "name", "") or experiment.dataset["type"]


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


def from_store(perception: Perception, source: str = "", dataset: str = "") -> Loader:
    """Return a loader of keypoints in the store.

    Args:
        perception: Where the store is, and the settings that made its stages.
        source: Name of the stage, or `name@key` with as much of the key as tells it from others;
            empty for the pose estimator's.
        dataset: Name of the data set, by which videos that are not here are known.

    Raises:
        DataError: There is no such stage.
    """
    name, named, start = ("" if source == OWN_POSES else source).partition("@")
    if named:
        key = _named_key(perception.store, name, start)
    else:
        name, key = _own_key(keys_of(perception), name)

    @functools.cache  # asked in every epoch
    def travelled(item: str, video: Path) -> str:
        try:
            return find_hash(perception.store, dataset, item, file=video.name)
        except DataError as error:
            raise DataError(f"{video}: there is no such file, and {error}") from error

    def load(ref: SampleRef) -> Keypoints:
        if ref.video is None:
            raise DataError(f"{ref.id}: the data set names no video to take keypoints from")
        here = ref.video.is_file()
        digest = video_hash(ref.video) if here else travelled(ref.id, ref.video)
        return keypoints_of(finished(perception.store, digest, name, key, str(ref.video)))

    return load


def keys_of(perception: Perception) -> StageKeys:
    """Compute the keys of every stage of a config."""
    return stage_keys(build_parts(perception, devices()[0]))


def stored(experiment: Experiment) -> Perception:
    """Return the perception section of an experiment whose inputs come from the store."""
    assert experiment.perception is not None  # the experiment has checked this
    return experiment.perception


def _own_key(keys: StageKeys, name: str) -> tuple[str, str]:
    """Return name and key of a stage of these settings; the pose estimator's without a name."""
    if not name and keys.pose is None:
        raise DataError("the perception section has no pose estimator, so there are no keypoints")
    found = {stage.name: stage.key for stage in keys.all()}
    name = name or (keys.pose.name if keys.pose else "")
    return name, found[name]


def _named_key(store: Path, name: str, start: str) -> str:
    """Return the key in the store that begins as given."""
    known = sorted({entry.key for entry in entries(store) if entry.stage == name})
    found = [key for key in known if key.startswith(start)]
    if len(found) != 1:
        there = ", ".join(f"{name}@{key[:16]}" for key in known) or f"no stage {name!r}"
        what = "more than one key begins so" if found else "there is no such stage"
        raise DataError(f"features: {name}@{start}: {what} in the store {store}, which has {there}")
    return found[0]


def devices() -> tuple[str, ...]:
    """Return where parts compute: every GPU, or the CPU."""
    return tuple(f"cuda:{n}" for n in range(torch.cuda.device_count())) or ("cpu",)
