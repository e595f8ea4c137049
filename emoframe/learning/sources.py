"""Where each input of the model comes from: the data set, a stage of the store, or a label store.

From a store comes what exactly the settings of the experiment produced, or the stage that
`features` names by its key, and nothing else. A video that is not here is found by its name in the
data set, where the store knows that: features travel without their videos. What an item has not
got, because its stage failed or nobody was asked, is an `AbsentError`, which is no mistake yet.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from emoframe.core.errors import DataError
from emoframe.interfaces import Dataset
from emoframe.learning.answers import Answers
from emoframe.learning.checks import AbsentError, check_features, check_sort
from emoframe.learning.clips import Loader
from emoframe.learning.experiment import Experiment
from emoframe.learning.inputs import DATASET, OWN_POSES, RATIONALE
from emoframe.learning.rationales import Rationales
from emoframe.perception.entries import entries, find_hash
from emoframe.perception.index import DamagedError
from emoframe.perception.read import features_of, finished, keypoints_of
from emoframe.perception.settings import Perception
from emoframe.perception.stages import StageKeys, build_parts, stage_keys
from emoframe.perception.store import Stage
from emoframe.perception.video import video_hash
from emoframe.records import Features, Input, Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout, layout


def loaders(experiment: Experiment, dataset: Dataset) -> dict[str, Loader]:
    """Return the loader of each input."""
    return {
        name: _loader(experiment, dataset, name, source)
        for name, source in experiment.features.items()
    }


def _loader(experiment: Experiment, dataset: Dataset, name: str, source: str) -> Loader:
    if source == DATASET:
        return from_dataset(dataset, name)
    if source == RATIONALE:
        return rationales(experiment, name_of(experiment, dataset), dataset.classes)
    return from_store(stored(experiment), source, name_of(experiment, dataset))


def name_of(experiment: Experiment, dataset: Dataset) -> str:
    """Return what the ledger calls a data set: its own name, else its type."""
    return getattr(dataset, "name", "") or experiment.dataset["type"]


def from_dataset(dataset: Dataset, name: str) -> Loader:
    """Return a loader of what the data set brings along."""

    def load(ref: SampleRef) -> Input:
        brought = dataset.load(ref)
        if name not in brought:
            raise AbsentError(
                f"{ref.id}: the data set brings no input {name!r} along (it brings "
                f"{', '.join(brought) or 'none'}); give it one, or name another source in "
                f"`features.{name}`"
            )
        return brought[name]

    return load


def from_store(perception: Perception, source: str = "", dataset: str = "") -> Loader:
    """Return a loader of keypoints, or of frame features, in the store.

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

    def load(ref: SampleRef) -> Keypoints | Features:
        if ref.video is None:
            raise DataError(f"{ref.id}: the data set names no video to take {name} features from")
        here = ref.video.is_file()
        digest = video_hash(ref.video) if here else travelled(ref.id, ref.video)
        try:
            stage = finished(perception.store, digest, name, key, str(ref.video))
        except DamagedError:
            raise
        except DataError as error:  # it failed, or was never asked for
            raise AbsentError(str(error)) from error
        return _record(stage)

    return load


def _record(stage: Stage) -> Keypoints | Features:
    """Turn a stored stage back into what it was made from."""
    return keypoints_of(stage) if "layout" in stage.meta else features_of(stage)


def keys_of(perception: Perception) -> StageKeys:
    """Compute the keys of every stage of a config."""
    return stage_keys(build_parts(perception, devices()[0]))


def pose_key(experiment: Experiment) -> str:
    """Return what tells the keypoints that a labeler may read from others: their stage's key.

    Empty where the data set brings them along: what stands for a clip then is a hash of them.
    """
    if experiment.perception is None or experiment.features.get("keypoints") == DATASET:
        return ""
    keys = keys_of(experiment.perception)
    return keys.pose.key if keys.pose else ""


def answers(experiment: Experiment, dataset: str, classes: Sequence[str]) -> Answers:
    """Return what a labeler said with the settings of an experiment; nothing is read yet.

    Args:
        experiment: The experiment.
        dataset: What the label store calls its data set; empty for a video that is in none.
        classes: Names of the classes.

    Raises:
        EmoframeError: The settings make no prompt or no labeler.
    """
    assert experiment.weak_labels is not None  # the experiment has checked this
    key = functools.partial(pose_key, experiment)
    return Answers(experiment.weak_labels, dataset, classes, key)


def rationales(experiment: Experiment, dataset: str, classes: Sequence[str]) -> Rationales:
    """Return the loader of what it wrote; arguments and errors are those of `answers`."""
    return Rationales(answers(experiment, dataset, classes), experiment.view.text.rationale)


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


def first_inputs(
    load: Mapping[str, Loader], refs: Sequence[SampleRef], experiment: Experiment
) -> dict[str, Input]:
    """Return each input of the first item that has it, which the others must be like.

    Raises:
        DataError: No item has an input, or it is of another sort than its branch.
    """
    found: dict[str, Input] = {}
    for name, fetch in load.items():
        branch, why = experiment.model.branches[name], ""
        for ref in refs:
            try:
                one = fetch(ref)
            except AbsentError as error:
                if len(load) == 1:  # and then the item cannot be used at all
                    raise
                why = why or str(error)
                continue
            check_sort(name, one, branch.sort, ref.id)
            found[name] = check_features(one, None, ref.id) if isinstance(one, Features) else one
            break
        else:
            raise DataError(f"no training item has the input {name!r}; the first: {why}")
    return found


def joint_layout(
    experiment: Experiment, dataset: Dataset, firsts: Mapping[str, Input]
) -> SkeletonLayout | None:
    """Return the layout of the model's keypoints: the data set's, or that of what is stored.

    Args:
        experiment: The experiment.
        dataset: Its data set.
        firsts: Each input of one item.

    Returns:
        The layout; None where no input is keypoints.

    Raises:
        DataError: The data set brings keypoints along and names no layout, or its own and those of
            the store differ.
    """
    found: dict[str, SkeletonLayout] = {}
    for name, one in firsts.items():
        if not isinstance(one, Keypoints):
            continue
        if experiment.features[name] != DATASET:
            found[name] = layout(one.layout)
        elif dataset.layout is None:
            raise DataError(
                f"data set {experiment.dataset['type']!r} brings keypoints along and names no "
                "layout; give it a `layout`"
            )
        else:
            found[name] = dataset.layout
    if len({one.name for one in found.values()}) > 1:
        said = ", ".join(f"{name}: {one.name}" for name, one in found.items())
        raise DataError(f"all inputs of keypoints must have one layout, and have {said}")
    return next(iter(found.values()), None)
