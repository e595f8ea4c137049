"""What an extraction tells as it goes on: from a worker to whoever counts, shows and remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Item:
    """A video to extract.

    Attributes:
        video: The file.
        id: What the data set calls it.
        dataset: Name of the data set; empty for a video that is given by itself.
    """

    video: Path
    id: str
    dataset: str = ""


@dataclass(frozen=True)
class Begun:
    """A stage begins.

    Attributes:
        item: The video.
        digest: Hash of its bytes.
        stage: Name of the stage.
        key: Its key.
    """

    item: Item
    digest: str
    stage: str
    key: str


@dataclass(frozen=True)
class Progress:
    """Where an extraction is.

    Attributes:
        video: The file in flight.
        stage: Name of the part at work.
        done: Frames done.
        total: Frames to do; None where the video does not say.
    """

    video: Path
    stage: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Row:
    """What became of one stage of one video.

    Attributes:
        item: The video.
        stage: Name of the stage; a video that cannot be read ends at the first one.
        status: `ok` done now, `cached` done before, `failed` now or before.
        reason: Why it failed; empty where it did not.
        frames: Number of frames stored; of a frame encoder the number of vectors.
        valid: Share of the frames in which anything was measured, per layout group; as `person`
            those in which the person has a box, as `people` those with anybody.
        seconds: Time that it took now.
        digest: Hash of the video's bytes; empty where it cannot be read.
        key: Key of the stage.
        remembered: Whether this was so before, and is only told again.
    """

    item: Item
    stage: str
    status: Literal["ok", "cached", "failed"]
    reason: str = ""
    frames: int = 0
    valid: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    digest: str = ""
    key: str = ""
    remembered: bool = False

    @property
    def video(self) -> Path:
        """The file."""
        return self.item.video


@dataclass(frozen=True)
class Ready:
    """A worker has built its parts."""


@dataclass(frozen=True)
class Finished:
    """Nothing more is to be done for a video.

    Attributes:
        item: The video.
    """

    item: Item


@dataclass(frozen=True)
class Died:
    """The process that worked at a video is gone, and the video is not done.

    Attributes:
        item: The video.
        reason: How it ended.
    """

    item: Item
    reason: str


Event = Ready | Begun | Progress | Row | Finished | Died
Emit = Callable[[Event], None]
