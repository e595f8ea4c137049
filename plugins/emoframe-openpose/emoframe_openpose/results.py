"""The pose estimator `openpose_json`: OpenPose's results that were computed elsewhere.

Decided here: results are found by the name of the video (`Track.video`) and never guessed, since
taking another video's would be silent and wrong. There must be one result per frame, consecutively
numbered from wherever, so that frame and result cannot slip against each other.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from emoframe import ComponentError, DataError, read_openpose_people
from emoframe.skeleton import OPENPOSE_137
from emoframe_openpose.people import as_keypoints, measured, tracked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames, Keypoints, Track

Scale = Literal["source", "unit", "signed"]

RANGE = {"unit": (-0.5, 1.5), "signed": (-2.0, 2.0)}
"""Where coordinates may be: in the picture, or somewhat beside it, as guessed points are."""


class OpenPoseJson:
    """Reads the JSON files that OpenPose wrote with `--write_json`, one per frame of the video.

    Results of `clip.mp4` are all files of the folder `clip` in `folder`, or else the files
    `clip_<frame number>_keypoints.json` in `folder` itself. Of several people the one in the
    track's box is taken, frame by frame.

    Source: https://arxiv.org/abs/1812.08008; specification 3.1.

    Args:
        folder: Where the results are.
        scale: Unit of the coordinates: `source` pixels (`--keypoint_scale 0`, OpenPose's default),
            `unit` for 0 to 1 (`--keypoint_scale 3`), `signed` for -1 to 1 (`--keypoint_scale 4`).
            Results of scales 5 and 6 look like these and are not: they would be squeezed.
    """

    not_in_key = ("folder",)

    layout = OPENPOSE_137.name

    def __init__(self, *, folder: Path, scale: Scale = "source") -> None:
        self.folder = Path(folder)
        self.scale: Scale = scale

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        Args:
            chunks: The frames of one video, in order; of their pixels only the size counts.
            track: The person in it; a frame without a box is all masked.

        Raises:
            DataError: The results are not there, are not OpenPose's, are of another scale, or are
                not as many as the frames.
        """
        yield from map(partial(self._measure, self._files(track), track), chunks)

    def fingerprint(self) -> dict[str, str]:
        """Return a hash of the names, sizes and times of all results.

        Not of their content, which for thousands of videos takes hours to read. It holds for the
        life of the part: results that change while they are read belong to the next run.

        Raises:
            ComponentError: There is no such folder, or one of its results cannot be reached.
        """
        return {"results": self._hash}

    @cached_property
    def _hash(self) -> str:
        if not self.folder.is_dir():
            raise ComponentError(
                f"pose_estimator openpose_json: there is no folder {self.folder}; give folder=PATH "
                "of what OpenPose wrote with --write_json"
            )
        found = sorted(_listed(self.folder, file) for file in _results(self.folder))
        return hashlib.sha256("".join(found).encode()).hexdigest()

    def _measure(self, files: list[Path], track: Track, chunk: Frames) -> Keypoints:
        height, width = chunk.rgb.shape[1:3]
        points = np.zeros((len(chunk), OPENPOSE_137.num_joints, 3), np.float32)
        for n, t in enumerate(chunk.index):
            if track.valid[t]:
                people = _in_pixels(
                    read_openpose_people(files[t]), self.scale, (width, height), files[t]
                )
                points[n] = tracked(people, track.box[t])
        seen = np.tile([0, 0, width, height], (len(chunk), 1))
        return as_keypoints(points, seen, chunk, track)

    def _files(self, track: Track) -> list[Path]:
        """Return the result of each frame of the video."""
        video = track.video
        if video is None:
            raise DataError(
                f"pose_estimator openpose_json: which of the results in {self.folder} belong to "
                "this video cannot be told, as its track does not name it; set Track.video"
            )
        own = self.folder / video.stem
        where, prefix = (own, "") if own.is_dir() else (self.folder, f"{video.stem}_")
        found = _numbered(where, prefix)
        if not found:
            raise DataError(
                f"{video}: {self.folder} has no results for it; they are looked for in {own} and "
                f"as {self.folder / video.stem}_000000000000_keypoints.json; OpenPose writes them "
                f"with --video {video.name} --write_json {own}"
            )
        numbers, frames = [number for number, _ in found], len(track.time_s)
        first, last = numbers[0], numbers[-1]
        if numbers != list(range(first, first + frames)):
            raise DataError(
                f"{where}: holds {len(found)} results of {video.name}, numbered {first} to {last}, "
                f"where the video has {frames} frames; one per frame is needed, numbered without "
                "gaps (no --frame_step, --frame_first or --process_real_time; where OpenPose drops "
                "frames of the video, give it the frames as pictures with --image_dir)"
            )
        return [file for _, file in found]


def _results(folder: Path) -> Iterator[Path]:
    """Yield every result in a folder, also where folders in it are links to others."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent).resolve()
        folders[:] = [  # a link to a folder around it would be followed for ever
            name for name in folders if not here.is_relative_to(Path(parent, name).resolve())
        ]
        yield from (Path(parent, name) for name in names if name.endswith("_keypoints.json"))


def _listed(folder: Path, file: Path) -> str:
    """Say which result this is and whether it was written again."""
    try:
        said = file.stat()
    except OSError as error:
        broken = " (a link to nothing)" if file.is_symlink() else ""
        raise ComponentError(
            f"pose_estimator openpose_json: {file} cannot be reached{broken}: {error.strerror}; "
            "put it back, or remove it and the other results of its video"
        ) from error
    return f"{file.relative_to(folder).as_posix()} {said.st_size} {said.st_mtime_ns}\n"


def _numbered(where: Path, prefix: str) -> list[tuple[int, Path]]:
    """Return number and file of each result whose name begins so, in the order of the numbers."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for file in where.glob(f"{glob.escape(prefix)}*_keypoints.json"):
        named = re.fullmatch(r"(.*?)(\d+)_keypoints\.json", file.name, re.DOTALL)
        if named:
            found.setdefault(named[1], []).append((int(named[2]), file))
    if prefix:  # other videos' names may begin with this one's
        return sorted(found.get(prefix, []))
    if len(found) > 1:
        names = ", ".join(repr(name) for name in sorted(found)[:5])
        raise DataError(
            f"{where}: holds results of several videos, whose names begin with {names}; give each "
            "video a folder of its own"
        )
    return sorted(next(iter(found.values()), []))


def _in_pixels(
    people: NDArray[np.float32], scale: Scale, size: tuple[int, int], file: Path
) -> NDArray[np.float32]:
    """Turn everybody's points (P, 137, 3) into source pixels.

    OpenPose divides by width and height less one, so that the last pixel is 1.
    """
    xy = people[measured(people), :2]
    if not len(xy):
        return people
    if scale == "source":
        fits = len(xy) == 1 or np.abs(xy).max() > 1
    else:
        fits = RANGE[scale][0] <= xy.min() and xy.max() <= RANGE[scale][1]
    if not fits:
        raise DataError(
            f"{file}: its coordinates, {xy.min():g} to {xy.max():g}, are not in the scale "
            f"{scale!r}; set scale to source (pixels), unit (0 to 1) or signed (-1 to 1), as "
            "--keypoint_scale 0, 3 or 4 was given"
        )
    if scale != "source":
        share = people[..., :2] if scale == "unit" else (people[..., :2] + 1) / 2
        people[..., :2] = share * np.subtract(size, 1)
    return people
