"""Clips: what a labeler gets of a video, in a file that exists only while it is asked about.

Decided here:
    * A clip is known by the hash of the video's bytes, and the file that is shown is named by the
      hash of its own: a blurred copy of a video is another file than a sharp one.
    * Keypoints are of the one person who is followed, so that person's face is the only one that
      they know. Blurring therefore hides more, by `emoframe.perception.faces`: everything outside
      of the person's box too, where bystanders are, and the whole picture where the person is not
      seen. Somebody else inside of the box stays.
    * A single picture is a video of one picture that lasts a second, so that a service that takes
      one picture a second does not miss it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from emoframe.core.errors import DataError
from emoframe.core.files import file_hash
from emoframe.labelling import Clip, Show
from emoframe.perception.faces import blur_face, person_box
from emoframe.perception.mp4 import encode
from emoframe.perception.video import probe, read, video_hash
from emoframe.records import Frames, Keypoints
from emoframe.skeleton import SkeletonLayout, layout
from emoframe.weak_labels.shown import film
from emoframe.weak_labels.shown.folder import own_folder
from emoframe.weak_labels.shown.marks import check_layout, marked, masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pictures = Iterator[tuple[NDArray[np.uint8], float]]

STILL_S = 1.0
"""Seconds that a single picture is shown."""


def clip_key(video: Path | None, keypoints: Keypoints | None) -> str:
    """Return what stands for a clip, whatever it is called.

    Args:
        video: The file, if there is one: then its bytes are hashed.
        keypoints: Else these are, as far as they are valid.

    Returns:
        Sha256 in hex.

    Raises:
        DataError: There is neither, or the video cannot be read.
    """
    if video is not None:
        return video_hash(video)
    if keypoints is None:
        raise DataError("a clip needs a video or keypoints, and this one has neither; give one")
    digest = hashlib.sha256(keypoints.layout.encode())
    valid = keypoints.valid
    xy = np.where(valid[..., None], keypoints.xy, 0).astype(np.float32)
    confidence = np.where(valid, keypoints.confidence, 0).astype(np.float32)
    box = np.zeros(0) if keypoints.box is None else np.nan_to_num(keypoints.box, nan=-1)
    cut = np.zeros(0) if keypoints.cut is None else keypoints.cut
    time_s = keypoints.time_s.astype(np.float64)
    for array in (xy, confidence, valid.astype(np.uint8), time_s, box.astype(np.float32), cut):
        digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextmanager
def opened(
    video: Path | None, show: Show, keypoints: Keypoints | None = None, *, pictures: bool = True
) -> Iterator[Clip]:
    """Open a clip; its file is deleted when the block ends.

    Args:
        video: The file; None where there are only keypoints.
        show: What of it may be seen, see above for what hides whom.
        keypoints: The person's keypoints, frame for frame; drawing and hiding need them.
        pictures: Whether anybody will look at it. If not, nothing is decoded or written, and the
            clip has no `path`.

    Yields:
        The clip. Its `frames` may be asked from several threads.

    Raises:
        DataError: The video cannot be read, the keypoints that are needed are missing or of another
            video, or there is no room for the file.
    """
    key = clip_key(video, keypoints)
    if video is None or not pictures:
        yield _unseen(key, video, keypoints)
        return
    with own_folder() as folder:
        source = probe(video)
        path = _film(video, show, keypoints, folder)
        shown = probe(path)
        fps = (source if show.frames == "one" else shown).fps or 25.0
        size, length_s = (shown.width, shown.height), shown.duration_s or 0.0
        yield Clip(key, path, length_s, fps, size, partial(_spread, path), keypoints)


def _unseen(key: str, video: Path | None, keypoints: Keypoints | None) -> Clip:
    """Describe a clip by what is known without looking at it."""
    if keypoints is None:
        assert video is not None, "clip_key refuses a clip of nothing"
        found = probe(video)
        length_s, fps, size = (
            found.duration_s or 0.0,
            found.fps or 25.0,
            (found.width, found.height),
        )
    else:
        times, size = keypoints.time_s, (0, 0)
        step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        step_s = step_s if step_s > 0 else 1 / 25  # times that stand still tell nothing
        length_s, fps = float(np.ptp(times)) + step_s if len(times) else 0.0, 1 / step_s
    return Clip(key, None, length_s, fps or 25.0, size, _no_frames, keypoints)


def _no_frames(count: int) -> Frames:
    """Say that there is nothing to look at."""
    raise DataError(
        f"{count} frames were asked for of a clip that was opened without its pictures; ask a "
        "labeler that reads keypoints only, or give the video"
    )


def _film(video: Path, show: Show, keypoints: Keypoints | None, folder: Path) -> Path:
    """Write the file to show and name it by its hash."""
    made = folder / "film.mp4"
    if show.frames == "one":
        encode(_pictures(video, show, keypoints, _middle(video, keypoints)), made, STILL_S)
    elif show != Show() or not film.copy(video, made):
        encode(_pictures(video, show, keypoints), made)
    return made.rename(folder / f"{file_hash(made, fresh=True)}.mp4")


def _middle(video: Path, keypoints: Keypoints | None) -> int:
    """Find the middle of the frames in which the person is seen; of all where nobody knows."""
    if keypoints is not None:
        seen = _seen(video, keypoints)
        return seen[len(seen) // 2]
    return sum(len(frames) for frames in read(video, chunk=16)) // 2


def _seen(video: Path, keypoints: Keypoints) -> list[int]:
    """Number the frames in which the person is seen, at least one."""
    seen = [t for t in range(len(keypoints)) if person_box(keypoints, t) is not None]
    if not seen:
        raise DataError(
            f"{video}: its keypoints find the person in no frame, so nothing would be left to "
            "show; leave it out, or extract it with another detector"
        )
    return seen


def _pictures(
    video: Path, show: Show, keypoints: Keypoints | None, only: int | None = None
) -> Pictures:
    """Decode a video and yield what may be seen of it, in bounded memory."""
    joints, count = _drawable(video, show, keypoints), 0
    for frames in read(video, chunk=16):
        for t, time_s, rgb in zip(frames.index.tolist(), frames.time_s, frames.rgb, strict=True):
            if keypoints is not None and t >= len(keypoints):
                raise _other(video, keypoints)
            if only is None or t == only:
                yield _allowed(rgb, show, keypoints, t, joints), float(time_s) * (only is None)
        count += len(frames)
    if keypoints is not None and count != len(keypoints):
        raise _other(video, keypoints)


def _drawable(video: Path, show: Show, keypoints: Keypoints | None) -> SkeletonLayout | None:
    """Return the layout of what is drawn or hidden by; None where nothing is."""
    if not show.draw and show.faces == "show" and show.background == "show":
        return None
    if keypoints is None:
        raise DataError(
            f"{video}: what is to be shown of it (draw, faces: blur, background: mask) needs the "
            "person's keypoints, and there are none; run emoframe extract first, and name the store"
        )
    _seen(video, keypoints)
    joints = layout(keypoints.layout)
    check_layout(joints, show.draw)
    return joints


def _allowed(
    rgb: NDArray[np.uint8],
    show: Show,
    keypoints: Keypoints | None,
    t: int,
    joints: SkeletonLayout | None,
) -> NDArray[np.uint8]:
    """Hide, then draw, so that a mark is never blurred."""
    if keypoints is None or joints is None:
        return rgb
    if show.faces == "blur":
        rgb = blur_face(rgb, keypoints, t, joints)
    if show.background == "mask":
        rgb = masked(rgb, keypoints, t)
    return marked(rgb, keypoints, t, joints, show.draw) if show.draw else rgb


def _other(video: Path, keypoints: Keypoints) -> DataError:
    return DataError(
        f"{video}: does not have the {len(keypoints)} frames of its keypoints; extract it again"
    )


def _spread(path: Path, count: int) -> Frames:
    """Decode `count` frames evenly spaced in time, and pass over the rest.

    Only what lies between a key frame and a wanted picture is decoded.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.pts is not None]
        times = np.unique([pts for pts, _ in packets])
        keys = np.unique([pts for pts, key in packets if key])
        index = _even(times, count)
        rgb, at, decoded = [], None, iter(())
        for pts in times[index].tolist():
            key = int(keys[max(0, int(np.searchsorted(keys, pts, "right")) - 1)])
            if at is None or key > at:
                container.seek(key, stream=stream)
                decoded = container.decode(stream)
            frame = next((frame for frame in decoded if frame.pts >= pts), None)
            if frame is None:
                raise DataError(
                    f"{path.name}: is damaged at its end; look at the video, or mend it"
                )
            rgb.append(frame.to_ndarray(format="rgb24"))
            at = frame.pts
        assert stream.time_base is not None
        return Frames(np.stack(rgb), times[index] * float(stream.time_base), index)


def _even(times: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Number the frames that are nearest to `count` even steps; a single one is the middle one."""
    if count <= 1:
        return np.array([len(times) // 2])
    steps = np.linspace(times[0], times[-1], min(count, len(times)))
    return np.unique([int(np.abs(times - step).argmin()) for step in steps])
