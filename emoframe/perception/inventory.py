"""What lies in a store: its folders, and their indexes judged before anything in them is believed.

The ledger, the upkeep and the bundles all read stages that they did not write: of other settings,
of a killed process, of a bundle from elsewhere. So an index is checked here as a whole, and the
names in it can be no path: a shard is called as the store calls it, or the index is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from emoframe.core.errors import DataError
from emoframe.perception.store import FORMAT, INDEX, DamagedError

SHORT = 16
"""Digits of a hash in the name of a folder."""
LOCK = "lock"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
VideoHash = Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]
StageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
ShardName = Annotated[str, Field(pattern=r"^shard-[0-9]{5,9}\.safetensors$")]


@dataclass(frozen=True)
class Shard:
    """One line of an index.

    Attributes:
        file: Its name in the folder of the stage.
        frames: Number of frames in it.
        bytes: Its size.
        sha256: Hash of its content.
    """

    file: ShardName
    frames: Annotated[int, Field(gt=0)]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


@dataclass(frozen=True)
class Index:
    """What the index of a stage says, see `emoframe.perception.store`.

    Attributes:
        format: Version of the layout.
        name: Name of the part.
        key: Full key.
        status: How it ended.
        reason: Why it failed; empty where it did not.
        shards: The files; none where it failed.
        meta: What was written along with the arrays.
    """

    format: int
    name: StageName
    key: Sha256
    status: Literal["ok", "failed"]
    reason: str
    shards: list[Shard]
    meta: dict[str, Any]

    @property
    def frames(self) -> int:
        """Number of frames stored."""
        return sum(shard.frames for shard in self.shards)

    @property
    def tokens(self) -> int:
        """Number of vectors where a frame encoder says so, else of frames."""
        said = self.meta.get("tokens")
        return said if isinstance(said, int) else self.frames

    @property
    def folder(self) -> str:
        """Name of the folder that the stage lies in."""
        return f"{self.name}-{self.key[:SHORT]}"


_INDEX = TypeAdapter(Index)


def parse_index(content: bytes, where: Path | str) -> Index:
    """Read an index and check it as a whole.

    Args:
        content: The file.
        where: How to call it in an error.

    Raises:
        DamagedError: It is no index of a stage.
    """
    try:
        index = _INDEX.validate_python(json.loads(content))
    except ValidationError as error:
        raise DamagedError(f"{where}: is no index of a stage ({first_problem(error)})") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where}: is no index of a stage ({error})") from error
    names = [shard.file for shard in index.shards]
    if index.format != FORMAT or len({*names}) < len(names) or (index.status == "ok") != any(names):
        raise DamagedError(f"{where}: is no index of a stage that this version of emoframe writes")
    return index


def read_index(folder: Path) -> Index | None:
    """Read the index of a stage's folder; None where there is none, so that no stage is there.

    Raises:
        DamagedError: It cannot be read or belongs to something else.
    """
    file = folder / INDEX
    try:
        index = parse_index(file.read_bytes(), file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DamagedError(f"{file}: cannot be read ({error.strerror})") from error
    if index.folder != folder.name:
        raise DamagedError(f"{file}: belongs to {index.folder}")
    return index


def first_problem(error: ValidationError) -> str:
    """Say the first thing that is wrong with a file that pydantic has judged."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


def video_folders(root: Path) -> list[Path]:
    """Return the folder of each video in a store, sorted.

    Raises:
        DataError: There is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no store here; give the folder of one")
    return [one for one in sorted(root.iterdir()) if _is_hash(one.name) and _is_folder(one)]


def stage_folders(video: Path) -> list[Path]:
    """Return the folder of each stage of a video, finished or not, sorted."""
    parts = ((one, *one.name.rpartition("-")) for one in sorted(video.iterdir()))
    return [one for one, name, _, key in parts if name and _is_hash(key) and _is_folder(one)]


def stages(root: Path) -> Iterator[tuple[Path, Index | DamagedError]]:
    """Yield the folder of every stage that a store has, with its index or what is wrong with it."""
    for video in video_folders(root):
        for folder in stage_folders(video):
            try:
                index = read_index(folder)
            except DamagedError as error:
                yield folder, error
                continue
            if index is not None:
                yield folder, index


def file_hash(file: Path) -> str:
    """Return the sha256 of a file in hex, read piece by piece."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _is_hash(name: str) -> bool:
    return len(name) == SHORT and not {*name} - {*"0123456789abcdef"}


def _is_folder(path: Path) -> bool:
    """Whether it is a folder of the store itself: a link may lead anywhere."""
    return path.is_dir() and not path.is_symlink()
