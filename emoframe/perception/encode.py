"""From a followed person to vectors: pictures cut out, letterboxed, batched, and laid out again.

A picture is scaled to a square with its proportions kept (W2S-08 leaves that open; a stretched or
centre-cropped person loses hands or shape), and the rest is filled with the mean colour of
ImageNet, about zero after an encoder's own normalisation. A token is masked unless all of its
frames show the person, in one shot. Vectors of joints are stored sparsely, where there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from emoframe.core.errors import ComponentError, DataError
from emoframe.perception.failures import nobody
from emoframe.records import Features, Frames, Keypoints, Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.interfaces import FrameEncoder

AT_ONCE = 64
"""About so many pictures are collected before an encoder is asked; it may batch them further."""
FILL = (124, 116, 104)
"""Mean colour of ImageNet, RGB."""


def letterbox(picture: NDArray[np.uint8], size: int) -> tuple[NDArray[np.uint8], float, NDArray]:
    """Scale a picture to a square, proportions kept, and fill the rest.

    Args:
        picture: Pixels, (H, W, 3).
        size: Side of the square.

    Returns:
        The square (size, size, 3), the factor, and the (x, y) at which the picture begins in it.
    """
    height, width = picture.shape[:2]
    factor = size / max(height, width)
    inner = max(1, round(width * factor)), max(1, round(height * factor))
    corner = (size - inner[0]) // 2, (size - inner[1]) // 2
    square = np.empty((size, size, 3), np.uint8)
    square[:] = FILL
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(np.ascontiguousarray(picture), inner, interpolation=how)
    square[corner[1] : corner[1] + inner[1], corner[0] : corner[0] + inner[0]] = scaled
    return square, factor, np.array(corner, np.float32)


@dataclass(frozen=True)
class _Shot:
    """One sampled frame: its square picture and joints in it, or nothing where nobody is seen."""

    index: int
    time_s: float
    scene: int
    square: NDArray[np.uint8] | None = None
    xy: NDArray[np.float32] | None = None


def encode(
    encoder: FrameEncoder,
    chunks: Iterable[Frames],
    track: Track,
    keypoints: Keypoints | None = None,
) -> Iterator[Features]:
    """Encode the followed person.

    Args:
        encoder: The part.
        chunks: The video.
        track: Where the person is.
        keypoints: The person's, on all frames; None unless the encoder reads them.

    Yields:
        The tokens in order; NaN where masked. Frames after the last whole token are left out.

    Raises:
        DataError: The video is too short for one token, has not as many frames as the track, or the
            encoder gave no number for it.
        ComponentError: The encoder does not give what it promises.
    """
    scenes = _scenes(track)
    total = len(track.time_s)
    size = max(encoder.span, AT_ONCE // encoder.span * encoder.span)
    held: list[_Shot] = []
    count = seen = 0
    for frames in chunks:
        seen += len(frames)
        if seen > total:
            break
        for n in np.flatnonzero(frames.index % encoder.every == 0):
            scene = int(scenes[frames.index[n]])
            held.append(_shot(encoder, frames, int(n), scene, track, keypoints))
            count += 1
        while len(held) >= size:
            yield _tokens(encoder, held[:size], keypoints)
            del held[:size]
    if seen != total:
        raise DataError(f"does not have the {total} frames in which the person was followed")
    if whole := len(held) // encoder.span * encoder.span:
        yield _tokens(encoder, held[:whole], keypoints)
    if count < encoder.span:
        lower = "; set its `every` lower" if encoder.every > 1 else ""
        raise DataError(
            f"has {count} frames at every {encoder.every}, and the frame encoder needs "
            f"{encoder.span} for one vector{lower}"
        )


def _scenes(track: Track) -> NDArray[np.int64]:
    """Number the stretches between shot cuts and changes of person, (T,)."""
    cut = track.cut if track.shot is None else track.cut | track.shot
    return np.cumsum(cut, dtype=np.int64)


def _shot(
    encoder: FrameEncoder,
    frames: Frames,
    n: int,
    scene: int,
    track: Track,
    keypoints: Keypoints | None,
) -> _Shot:
    """Cut the person out of frame n of a chunk; joints outside of the crop are not in it."""
    index, time_s = int(frames.index[n]), float(frames.time_s[n])
    if not track.valid[index]:
        return _Shot(index, time_s, scene)
    cut_out, corner = track.crop(frames.rgb[n], index)
    square, factor, inset = letterbox(cut_out, encoder.size)
    if keypoints is None:
        return _Shot(index, time_s, scene, square)
    at = keypoints.xy[index] - corner
    inside = ((at >= 0) & (at <= cut_out.shape[1::-1])).all(-1)
    return _Shot(
        index, time_s, scene, square, np.where(inside[:, None], at * factor + inset, np.nan)
    )


def _tokens(encoder: FrameEncoder, shots: list[_Shot], keypoints: Keypoints | None) -> Features:
    """Encode the tokens that are whole and leave the others masked."""
    groups = np.array([shot.square is not None for shot in shots]).reshape(-1, encoder.span)
    scenes = np.array([shot.scene for shot in shots]).reshape(-1, encoder.span)
    time_s = np.array([shot.time_s for shot in shots]).reshape(-1, encoder.span).mean(axis=1)
    whole: NDArray[np.bool_] = groups.all(axis=1) & (scenes == scenes[:, :1]).all(axis=1)
    joints = () if keypoints is None else (keypoints.xy.shape[1],)
    x = np.full((len(whole), *joints, encoder.out_dim), np.nan, np.float32)
    valid = np.zeros((len(whole), *joints), np.bool_)
    if whole.any():
        chosen = [s for s, good in zip(shots, np.repeat(whole, encoder.span), strict=True) if good]
        found = _asked(encoder, chosen, keypoints, (int(whole.sum()), *joints, encoder.out_dim))
        x[whole], valid[whole] = np.where(found.valid[..., None], found.x, np.nan), found.valid
    return Features(x, valid, time_s)


def _asked(
    encoder: FrameEncoder, shots: list[_Shot], keypoints: Keypoints | None, shape: tuple[int, ...]
) -> Features:
    """Ask the encoder, and hold it to its contract."""
    index = np.array([shot.index for shot in shots])
    time_s = np.array([shot.time_s for shot in shots])
    frames = Frames(np.stack([s.square for s in shots if s.square is not None]), time_s, index)
    own = None
    if keypoints is not None:
        xy = np.stack([s.xy for s in shots if s.xy is not None]).astype(np.float32)
        own = replace(
            keypoints,
            xy=xy,
            confidence=keypoints.confidence[index],
            valid=keypoints.valid[index] & np.isfinite(xy).all(-1),
            time_s=time_s,
            box=None,
            cut=None,
        )
    found = encoder.encode(frames, own)
    if found.x.shape != shape or found.valid.shape != shape[:-1]:
        raise ComponentError(
            f"the frame encoder gave vectors of shape {found.x.shape} and a mask of shape "
            f"{found.valid.shape} where {shape} and {shape[:-1]} were promised"
        )
    if not np.isfinite(found.x[found.valid]).all():
        raise DataError("the frame encoder gave a valid vector that is no finite number")
    return found


def stored(chunks: Iterable[Features], meta: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Lay features out for the store: half precision, and joints only where there is a vector.

    Args:
        chunks: The tokens in order.
        meta: Receives `tokens`, `dim`, `joints`, 0 for one vector per token, and `valid`, the share
            of vectors that were computed.

    Raises:
        DataError: None was computed.
    """
    times: list[float] = []
    count = total = 0
    for found in chunks:
        token = np.arange(len(times), len(times) + len(found))
        times += found.time_s.tolist()
        count, total = count + int(found.valid.sum()), total + found.valid.size
        if found.valid.ndim == 1:
            meta |= {"joints": 0, "dim": found.x.shape[-1]}
            yield {"x": _half(found.x), "valid": found.valid, "time_s": found.time_s}
        else:
            meta |= {"joints": found.valid.shape[1], "dim": found.x.shape[-1], "time_s": times}
            at, joint = np.nonzero(found.valid)
            if len(at):
                rows = {"x": _half(found.x[at, joint]), "token": token[at].astype(np.int32)}
                yield {**rows, "joint": joint.astype(np.int16)}
    if not count:
        raise nobody("not one vector was computed")
    meta |= {"tokens": len(times), "valid": {"vectors": count / total}}


def restored(arrays: Mapping[str, NDArray], meta: Mapping[str, Any]) -> Features:
    """Turn what `stored` made back into features, NaN where masked."""
    if not meta["joints"]:
        return Features(arrays["x"], arrays["valid"], arrays["time_s"])
    x = np.full((meta["tokens"], meta["joints"], meta["dim"]), np.nan, np.float16)
    valid = np.zeros(x.shape[:2], np.bool_)
    x[arrays["token"], arrays["joint"]] = arrays["x"]
    valid[arrays["token"], arrays["joint"]] = True
    return Features(x, valid, np.array(meta["time_s"]))


def _half(x: NDArray) -> NDArray[np.float16]:
    """Halve the bytes; what does not fit into half precision is a mistake, not an infinity."""
    with np.errstate(over="ignore"):
        half = x.astype(np.float16)
    if np.isinf(half).any():
        raise DataError("the frame encoder gave numbers above 65504, which are no features")
    return half
