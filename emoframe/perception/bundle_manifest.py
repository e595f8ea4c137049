"""What a bundle says of itself: the manifest, checked as a whole before anything is believed.

A bundle is a zip, stored without compression (features hardly shrink): `manifest.json`, and the
files of finished stages as they lie in a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from emoframe.core.errors import DataError
from emoframe.perception.index import SHORT, Sha256, StageName, VideoHash, first_problem
from emoframe.perception.paths import last_name

FORMAT = 1
MANIFEST = "manifest.json"
STAGES = "stages"
PIECE = 2**20
"""Bytes that are copied at a time."""


@dataclass(frozen=True)
class BundledItem:
    """What a video's hash stands for.

    Attributes:
        dataset: The data set.
        id: The item in it.
        video_hash: Hash of the video.
        file: Name of the video file, without folders.
    """

    dataset: str
    id: str
    video_hash: VideoHash
    file: str


@dataclass(frozen=True)
class BundledStage:
    """One finished stage of one video.

    Attributes:
        video_hash: Hash of the video, in 16 digits at least.
        name: Name of the part.
        key: Its full key.
        files: Hash of each of its files.
    """

    video_hash: VideoHash
    name: StageName
    key: Sha256
    files: dict[str, Sha256]

    @property
    def folder(self) -> str:
        """Where its files go in a store."""
        return f"{self.video_hash[:SHORT]}/{self.name}-{self.key[:SHORT]}"

    def member(self, file: str) -> str:
        """Return the name in the bundle of one of its files."""
        return f"{STAGES}/{self.folder}/{file}"


@dataclass(frozen=True)
class BundledSettings:
    """What a key is a hash of, without folders.

    Attributes:
        name: Name of the part.
        content: Its settings, versions, weights and what it reads.
    """

    name: StageName
    content: dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds.

    Attributes:
        format: Version of this layout.
        emoframe: Version that made it.
        created: When, as ISO 8601 in UTC.
        terms: Terms of the data set; `redistribute` is `yes`, `no`, `ask` or `unknown`.
        terms_accepted: Whether its maker said that these terms allow it all the same.
        samples: What the hashes stand for.
        stages: What it holds.
        settings: What each key is a hash of, where it is known.
    """

    format: Annotated[int, Field(ge=1)]
    emoframe: str
    created: str
    terms: dict[str, Any]
    terms_accepted: bool
    samples: list[BundledItem]
    stages: list[BundledStage]
    settings: dict[Sha256, BundledSettings]


def parse_manifest(content: bytes) -> Manifest:
    """Read a manifest and check it as a whole.

    Raises:
        DataError: It is none, or a newer emoframe wrote it.
    """
    try:
        manifest = _MANIFEST.validate_json(content)
    except ValidationError as error:
        raise DataError(f"its {MANIFEST} is none of emoframe's ({first_problem(error)})") from error
    if manifest.format > FORMAT:
        raise DataError(f"emoframe {manifest.emoframe} made it, which is newer; use that version")
    folders = [stage.folder for stage in manifest.stages]
    if len({*folders}) < len(folders):
        raise DataError(f"its {MANIFEST} names a stage twice")
    for item in manifest.samples:
        if item.file != last_name(item.file):
            raise DataError(f"its {MANIFEST} names a file {item.file!r}, which is more than a name")
    return manifest


_MANIFEST = TypeAdapter(Manifest)
