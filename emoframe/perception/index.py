"""The index of a stage: what makes a stage, and what is judged before anything in it is believed.

Stages are read that this process did not write: of other settings, of a killed process, of a bundle
from elsewhere, of a disk that went bad. So an index is checked here as a whole and nowhere else,
and the names in it can be no path: a shard is called as the store calls it, or the index is
refused. What `meta` holds is free; who reads a part of it has to expect that it is missing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from emoframe.core.errors import DataError

FORMAT = 1
INDEX = "index.json"
LOCK = "lock"
SHORT = 16
"""Digits of a hash in the name of a folder."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
VideoHash = Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]
StageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
ShardName = Annotated[str, Field(pattern=r"^shard-[0-9]{5,9}\.safetensors$")]
Status = Literal["ok", "failed"]


class DamagedError(DataError):
    """Files of a store that are not what was written; what to do about it is the user's choice."""


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
    status: Status
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


def parse_index(content: bytes) -> Index:
    """Read an index and check it as a whole.

    Raises:
        DataError: It is no index of a stage; the sentence lacks the place, which the caller knows.
    """
    try:
        index = _INDEX.validate_python(json.loads(content))
    except ValidationError as error:
        raise DataError(f"is no index of a stage ({first_problem(error)})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"is no index of a stage ({error})") from error
    names = [shard.file for shard in index.shards]
    if index.format != FORMAT or len({*names}) < len(names) or (index.status == "ok") != any(names):
        raise DataError("is no index of a stage that this version of emoframe writes")
    return index


def read_index(folder: Path) -> Index | None:
    """Read the index of a stage's folder; None where there is none, so that no stage is there.

    Raises:
        DamagedError: It cannot be read or belongs to something else.
    """
    try:
        index = parse_index((folder / INDEX).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise damaged(folder, f"its {INDEX} cannot be read ({error.strerror})") from error
    except DataError as error:
        raise damaged(folder, f"its {INDEX} {error}") from error
    if index.folder != folder.name:
        raise damaged(folder, f"its {INDEX} belongs to {index.folder}")
    return index


def damaged(
    place: Path, why: str, remedy: str = "delete this folder and extract again"
) -> DamagedError:
    """Say what is wrong with files of a store, and what to do."""
    return DamagedError(f"{place}: {why}; {remedy}")


def first_problem(error: ValidationError) -> str:
    """Say the first thing that is wrong with a file that pydantic has judged."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
