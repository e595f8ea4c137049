"""Reading the store: stages as the records that they were made from.

What is read is what exactly these settings produced, or a stage that is named by its key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emoframe.core.errors import DataError
from emoframe.perception.encode import restored
from emoframe.perception.store import Stage, Store
from emoframe.perception.video import video_hash
from emoframe.records import Features, Keypoints, Track


def finished(store: Path, digest: str, name: str, key: str, item: str) -> Stage:
    """Return a stage that was made well.

    Args:
        store: Folder of the store.
        digest: Hash of the video's bytes.
        name: Name of the stage.
        key: Its key.
        item: What to call the video in a sentence.

    Raises:
        DataError: It is not there for this key, or has failed.
    """
    stage = Store(Path(store)).stage(digest, name, key)
    if not stage.exists():
        raise DataError(
            f"{item}: the store {str(store)!r} has no {name} features of it for these settings and "
            "versions; run emoframe extract first"
        )
    if stage.status == "failed":
        reason = stage.reason.removeprefix(f"{Path(item).name}: ")
        raise DataError(f"{item}: has no {name} features: {reason}")
    return stage


def read_track(store: Path, video: Path, name: str, key: str) -> Track:
    """Read the track of a video from the store.

    Args:
        store: Folder of the store.
        video: The file.
        name: Name of the stage, `crop`.
        key: Its key, see `emoframe.perception.stages.stage_keys`.

    Raises:
        DataError: The video is not there, or was not or could not be extracted with these settings.
    """
    return track_of(finished(store, video_hash(video), name, key, str(video)))


def read_keypoints(store: Path, video: Path, name: str, key: str) -> Keypoints:
    """Read the keypoints of a video from the store; arguments and errors as in `read_track`."""
    return keypoints_of(finished(store, video_hash(video), name, key, str(video)))


def read_features(store: Path, video: Path, name: str, key: str) -> Features:
    """Read frame features of a video from the store; arguments and errors as in `read_track`."""
    return features_of(finished(store, video_hash(video), name, key, str(video)))


def track_of(stage: Stage) -> Track:
    """Turn a stored stage back into a track.

    Raises:
        DataError: The stage is not there, has failed or is damaged.
    """
    kept: dict[str, Any] = stage.read()
    return Track(**kept, policy=str(stage.meta.get("policy", "")))


def keypoints_of(stage: Stage) -> Keypoints:
    """Turn a stored stage back into keypoints.

    Raises:
        DataError: The stage is not there, has failed or is damaged.
    """
    if "layout" not in stage.meta:
        raise DataError(f"{stage.folder}: the stage {stage.name} holds no keypoints")
    return Keypoints(**stage.read(), layout=stage.meta["layout"])


def features_of(stage: Stage) -> Features:
    """Turn a stored stage back into frame features.

    Raises:
        DataError: The stage is not there, has failed or is damaged.
    """
    if "joints" not in stage.meta:
        raise DataError(f"{stage.folder}: the stage {stage.name} holds no frame features")
    return restored(stage.read(), stage.meta)
