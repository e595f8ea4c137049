"""What the stages are made with, and the keys that say whether a stored one still holds.

Four sorts of stage follow one another: the detector's (decode, find everybody), `crop` (follow one
person), the pose estimator's and the frame encoders'. A key covers the part's settings with all
defaults, the versions of the code that runs (emoframe, the plugin, what it needs, the decoder), the
hash of its weights, and the keys of what it reads: another encoder leaves the poses as they are,
another detector changes all that follows. The device decides how fast, not what, and is left out;
so are the parameters that a part itself names in `not_in_key`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from emoframe.core.checker import Checker
from emoframe.core.errors import ConfigError, Problem
from emoframe.core.plugins import Offer
from emoframe.core.registry import create, registry
from emoframe.core.schema import kind_of, parameters, plain
from emoframe.perception.crop import CropSettings
from emoframe.perception.settings import Perception

CROP = "crop"
LIBRARIES = ("av", "numpy", "opencv-python", "opencv-python-headless", "scipy")


@dataclass(frozen=True)
class StagePart:
    """A part that is ready to work, with all that its results depend on.

    Attributes:
        name: What its stage is called in the store: its registered name, or a frame encoder's own.
        part: The instance; it may have `fingerprint()`, a dict of its weights' hashes.
        config: Its type and the parameters that decide its results, all defaults filled in.
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


@dataclass(frozen=True)
class Parts:
    """Everything that an extraction works with.

    Attributes:
        detector: Finds everybody.
        pose_estimator: Measures one person; None where no keypoints are wanted.
        frame_encoders: Turn pictures of that person into vectors.
        crop: How that person is chosen and followed.
    """

    detector: StagePart
    pose_estimator: StagePart | None = None
    frame_encoders: tuple[StagePart, ...] = ()
    crop: CropSettings = field(default_factory=CropSettings)


@dataclass(frozen=True)
class StageKey:
    """What a stage is called, for any video.

    Attributes:
        name: Name of the part, or `crop`.
        content: Everything that its result depends on: `config`, `versions`, `fingerprint`, and
            `reads`, the keys of the stages before it.
    """

    name: str
    content: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return a sha256 in hex; equal for equal contents whatever their order."""
        text = json.dumps(self.content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class StageKeys:
    """The stages of an extraction in their order.

    Attributes:
        detect: The detector's.
        crop: The followed person's.
        pose: The pose estimator's; None where there is none.
        frames: The frame encoders'.
    """

    detect: StageKey
    crop: StageKey
    pose: StageKey | None
    frames: tuple[StageKey, ...]

    def all(self) -> tuple[StageKey, ...]:
        """Return every stage."""
        return (self.detect, self.crop, *((self.pose,) if self.pose else ()), *self.frames)


def build_parts(perception: Perception, device: str = "cpu") -> Parts:
    """Build the parts of a config; heavy weights load when they are first used.

    Args:
        perception: The section.
        device: Where they compute, such as `cpu` or `cuda:0`.

    Raises:
        ConfigError: A node does not fit its part's parameters, or two stages have one name.
        ComponentError: There is no such part, or it cannot be imported.
    """
    pose = perception.pose_estimator
    parts = Parts(
        stage_part("detector", perception.detector, device),
        stage_part("pose_estimator", pose, device) if pose else None,
        tuple(
            stage_part("frame_encoder", node, device, name)
            for name, node in perception.frame_encoders.items()
        ),
        perception.crop,
    )
    taken = (parts.detector, parts.pose_estimator)
    names = [CROP, *(part.name for part in taken if part)]
    for encoder in parts.frame_encoders:
        if encoder.name in names or not re.fullmatch(r"[a-z][a-z0-9_]*", encoder.name):
            text = (
                f"cannot be the name of a stage: it must be lower case letters, digits and "
                f"underscores, and none of {', '.join(names)}"
            )
            raise ConfigError([Problem(f"perception.frame_encoders.{encoder.name}", text)])
    return parts


def stage_part(
    kind: str,
    node: Mapping[str, Any],
    device: str = "cpu",
    name: str = "",
    wiring: Mapping[str, Any] | None = None,
) -> StagePart:
    """Build a part from its config node.

    Args:
        kind: `detector`, `pose_estimator`, `frame_encoder` or `vlm_labeler`.
        node: `type` and parameters.
        device: Where it computes, such as `cpu` or `cuda:0`.
        name: Name of its stage; empty for its type.
        wiring: More that its constructor is given if it asks for it.

    Raises:
        ConfigError: The node does not fit the part's parameters.
        ComponentError: There is no such part, or it cannot be imported.
    """
    checker = Checker()
    filled = checker.part(kind, node, kind)
    if filled is None or checker.problems:
        raise ConfigError(checker.problems)
    part = create(kind, filled, {"device": device, **(wiring or {})})
    config = plain(_deciding(kind, filled))
    return StagePart(name or filled["type"], part, config, _versions(kind, filled))


def stage_keys(parts: Parts) -> StageKeys:
    """Compute what the stages of these parts are called in the store, for any video.

    Raises:
        ComponentError: The weights of a part are not to be found.
    """
    detect = _key(parts.detector, ())
    crop = StageKey(
        CROP,
        {
            "config": asdict(parts.crop),
            "versions": _libraries(),
            "fingerprint": {},
            "reads": [detect.key],
        },
    )
    pose = _key(parts.pose_estimator, (crop,)) if parts.pose_estimator else None
    frames = []
    for encoder in parts.frame_encoders:
        if encoder.part.reads_keypoints and pose is None:
            text = "reads keypoints; name a `pose_estimator`"
            raise ConfigError([Problem(f"perception.frame_encoders.{encoder.name}", text)])
        reads = (crop, pose) if pose and encoder.part.reads_keypoints else (crop,)
        frames.append(_key(encoder, reads))
    return StageKeys(detect, crop, pose, tuple(frames))


def _key(part: StagePart, reads: Sequence[StageKey]) -> StageKey:
    content = {
        "config": dict(part.config),
        "versions": {**_libraries(), **part.versions},
        "fingerprint": part.fingerprint(),
        "reads": sorted(stage.key for stage in reads),
    }
    return StageKey(part.name, content)


@functools.cache
def _libraries() -> Mapping[str, str]:
    """Return the versions of what every stage computes with."""
    found = {"emoframe": version("emoframe")}
    for package in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[package.removesuffix("-headless")] = version(package)
    return found


def _deciding(kind: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a part, and each part inside it, says does not decide its results."""
    left_out = getattr(registry(kind).get(node["type"]), "not_in_key", ())
    kept = {name: value for name, value in node.items() if name not in left_out}
    return kept | {name: _deciding(*inner) for name, inner in _inside(kind, node) if name in kept}


def _versions(kind: str, node: Mapping[str, Any]) -> dict[str, str]:
    """Say which code runs: the packages of a part and of the parts inside it."""
    found = _packages(registry(kind).offer(node["type"]))
    for name, inner in _inside(kind, node):
        found |= {f"{name}.{package}": text for package, text in _versions(*inner).items()}
    return found


def _inside(kind: str, node: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield the parameters of a part that hold a part, with its kind and node."""
    parts = registry(kind)
    for param in parameters(parts.get(node["type"]), parts.kind).values():
        if (held := kind_of(param.annotation)) and node.get(param.name):
            yield param.name, (held, node[param.name])


def _packages(offer: Offer) -> dict[str, str]:
    """Name the packages of one part, or the file where it lives in a file of its own."""
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
