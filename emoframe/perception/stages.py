"""What a stage is made with, the key that says whether a stored one still holds, and reading it.

A key covers the part's settings with all defaults, the versions of the code that runs (emoframe,
the plugin, what it needs, the decoder), the hash of its weights, and the keys of what it reads. The
device is left out: it decides how fast, not what.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from emoframe.core.checker import Checker
from emoframe.core.errors import ConfigError, DataError
from emoframe.core.plugins import Offer
from emoframe.core.registry import create, registry
from emoframe.core.schema import plain
from emoframe.perception.crop import CropSettings
from emoframe.perception.store import Stage, Store
from emoframe.perception.video import video_hash
from emoframe.records import Keypoints, Track


def stage_key(
    config: Mapping[str, Any],
    versions: Mapping[str, str],
    fingerprint: Mapping[str, str],
    reads: Sequence[str] = (),
) -> str:
    """Hash everything that the result of a stage depends on.

    Args:
        config: Its settings, all defaults filled in, plain data.
        versions: Version of each package that takes part.
        fingerprint: Hash of each file of weights.
        reads: Keys of the stages that it reads.

    Returns:
        A sha256 in hex; equal for equal contents whatever their order.
    """
    content = {
        "config": config,
        "versions": versions,
        "fingerprint": fingerprint,
        "reads": sorted(reads),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class StagePart:
    """A part that is ready to work, with all that its results depend on.

    Attributes:
        name: Its registered name, which becomes the name of its stage.
        part: The instance; it may have `fingerprint()`, a dict of its weights' hashes.
        config: Its parameters, all defaults filled in.
        versions: Version of each package that takes part, by name.
    """

    name: str
    part: Any
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of each file of weights; empty where the part has none of its own."""
        hashes = getattr(self.part, "fingerprint", None)
        return dict(hashes()) if hashes else {}


class StageKeys(NamedTuple):
    """The keys of the two stages of a video, see `stage_key`."""

    track: str
    pose: str


def stage_part(kind: str, node: Mapping[str, Any], device: str = "cpu") -> StagePart:
    """Build a part from its config node.

    Args:
        kind: `detector` or `pose_estimator`.
        node: `type` and parameters.
        device: Where it computes, such as `cpu` or `cuda:0`.

    Raises:
        ConfigError: The node does not fit the part's parameters.
        ComponentError: There is no such part, or it cannot be imported.
    """
    checker = Checker()
    filled = checker.part(kind, node, kind)
    if filled is None or checker.problems:
        raise ConfigError(checker.problems)
    name = filled.pop("type")
    part = create(kind, {"type": name, **filled}, {"device": device})
    return StagePart(name, part, plain(filled), _versions(registry(kind).offer(name)))


def stage_keys(detector: StagePart, pose_estimator: StagePart, crop: CropSettings) -> StageKeys:
    """Compute what the stages of these settings are called in the store, for any video.

    Raises:
        ComponentError: The weights of a part are not to be found.
    """
    decoder = {"av": version("av")}
    settings = {"type": detector.name, **detector.config}
    track = stage_key(
        {"detector": settings, "crop": asdict(crop)},
        {**decoder, **detector.versions},
        detector.fingerprint(),
    )
    pose = stage_key(
        {"pose_estimator": {"type": pose_estimator.name, **pose_estimator.config}},
        {**decoder, **pose_estimator.versions},
        pose_estimator.fingerprint(),
        reads=[track],
    )
    return StageKeys(track, pose)


def read_track(store: Path, video: Path, name: str, key: str) -> Track:
    """Read the track of a video from the store.

    Args:
        store: Folder of the store.
        video: The file.
        name: Name of the detector.
        key: `stage_keys(...).track`.

    Raises:
        DataError: The video is not there, or was not or could not be extracted with these settings.
    """
    return track_of(_finished(store, video, name, key))


def read_keypoints(store: Path, video: Path, name: str, key: str) -> Keypoints:
    """Read the keypoints of a video from the store.

    Args:
        store: Folder of the store.
        video: The file.
        name: Name of the pose estimator.
        key: `stage_keys(...).pose`.

    Raises:
        DataError: The video is not there, or was not or could not be extracted with these settings.
    """
    stage = _finished(store, video, name, key)
    return Keypoints(**stage.read(), layout=stage.meta["layout"])


def _finished(store: Path, video: Path, name: str, key: str) -> Stage:
    stage = Store(Path(store)).stage(video_hash(video), name, key)
    if not stage.exists():
        raise DataError(
            f"{video}: the store {store} has no {name} features of it for these settings and "
            "versions; run emoframe extract first"
        )
    if stage.status == "failed":
        raise DataError(f"{video}: has no {name} features: {stage.reason}")
    return stage


def track_of(stage: Stage) -> Track:
    """Turn a stored stage back into a track.

    Raises:
        DataError: The stage is not there, has failed or is damaged.
    """
    kept: dict[str, Any] = stage.read()
    return Track(**kept, policy=stage.meta["policy"])


def _versions(offer: Offer) -> dict[str, str]:
    """Say which code runs: the packages, or the file where a part lives in a file of its own."""
    found = {"emoframe": version("emoframe"), "provider": _provider(offer.distribution)}
    for need in offer.component.needs:
        package = re.split(r"[^\w.-]", need)[0]
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def _provider(distribution: str) -> str:
    source = Path(distribution)
    return hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else distribution
