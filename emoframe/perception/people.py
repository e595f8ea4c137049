"""What is kept of every picture: who is in it, what they look like, and how much it changed.

Detection is slow and a crop setting is a matter of taste, so pixels are looked at here, once, and
`emoframe.perception.crop` decides from what is kept. Decided here: a look is a colour histogram of
the upper and the lower half of a box, since clothes and hair tell people apart from any camera, and
no weights are needed; its bins overlap, so that a little more light or a slightly moved box changes
it little. It tells apart who is dressed differently and no more. Few places of a
frame are taken, so what is read back are the sightings alone, or long videos would need much room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emoframe.core.errors import ComponentError
from emoframe.records import Boxes, Frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PEOPLE = 8
"""Most boxes that are kept of a frame, the surest ones."""
SMALLEST = 1.0
"""Least width and height in pixels of what is in the picture of a box; less shows nobody."""
BINS = (3, 5, 5)
"""Levels of lightness, of red against green, and of both against blue."""
LOOK = 2 * 3 * 5 * 5
"""Length of a look: upper and lower half, `BINS` each."""
POINTS, SIDE = 24, 0.2
"""A box is sampled in 24 x 24 points; a fifth on either side is mostly background."""
CHROMA, DARK = 3.0, 30.0
"""A third of full colour fills the bins, for people are pale; the dark counts as colourless."""
CELLS, CELL = (18, 32), 4
"""A picture is compared in 18 x 32 cells of 4 x 4 points: a pan moves it by less than a cell."""
LAGS = 3
"""A picture is compared with as many before it: one that shows again what was there is no cut."""
BLOCK = 512
"""Frames or sightings whose looks are floats at a time; all of a long video would be large."""


@dataclass(frozen=True)
class Seen:
    """Everybody in every frame of a video, as `observe` kept them.

    Attributes:
        box: Left, top, right, bottom in source pixels, within the picture, surest first, NaN for
            nobody, (T, B, 4).
        score: The detector's confidence, NaN for nobody, shape (T, B).
        look: Appearance of each box, shape (T, B, `LOOK`); compare by the cosine.
        change: How much each picture differs from those 1, 2 and 3 frames before, as the mean over
            the picture in grey levels from 0 to 255, shape (T, `LAGS`). What would lie before the
            first picture is that picture.
        time_s: Presentation time in seconds, shape (T,).
        size: Width and height of the picture in pixels.
    """

    box: NDArray[np.float32]
    score: NDArray[np.float32]
    look: NDArray[np.uint8]
    change: NDArray[np.float32]
    time_s: NDArray[np.float64]
    size: tuple[int, int]


def observe(chunks: Iterable[tuple[Frames, list[Boxes]]]) -> Iterator[dict[str, NDArray]]:
    """Keep of each chunk what following a person needs; the pixels are let go.

    Args:
        chunks: Consecutive frames of one video, and who a detector found in each.

    Yields:
        The arrays of `Seen` by name, for the frames of the chunk.

    Raises:
        ComponentError: The detector gave more or fewer answers than frames.
    """
    last: NDArray[np.int32] | None = None
    for frames, found in chunks:
        if len(found) != len(frames):
            raise ComponentError(
                f"the detector gave {len(found)} results for {len(frames)} frames; it must give "
                "one `Boxes` per frame, an empty one where nobody is seen"
            )
        cells = _cells(frames.rgb)
        last = np.repeat(cells[:1], LAGS, axis=0) if last is None else last
        cells = np.concatenate([last, cells])
        last = cells[len(cells) - LAGS :]
        box, score = _surest(found, (frames.rgb.shape[2], frames.rgb.shape[1]))
        look, time_s = _looks(frames.rgb, box), frames.time_s
        del frames, found  # so that no second chunk is alive while the next one is decoded
        change = _change(cells)
        yield {"box": box, "score": score, "look": look, "change": change, "time_s": time_s}


class Sightings(NamedTuple):
    """The N usable boxes of a video, frame by frame.

    Attributes:
        frame: The frame of each, not descending, shape (N,).
        box: As in `Seen`, shape (N, 4).
        look: As in `Seen`, shape (N, `LOOK`).
    """

    frame: NDArray[np.intp]
    box: NDArray[np.float32]
    look: NDArray[np.uint8]

    def by_frame(self) -> Iterator[tuple[int, int, NDArray[np.float32], NDArray[np.float32]]]:
        """Yield each frame in which somebody is, its first sighting, its boxes and unit looks."""
        frames, starts = np.unique(self.frame, return_index=True)
        edges = [*starts.tolist(), len(self.frame)]
        for begin in range(0, len(frames), BLOCK):
            here = range(begin, min(begin + BLOCK, len(frames)))
            looks = unit(self.look[edges[begin] : edges[here.stop]])
            for n in here:
                own = slice(edges[n], edges[n + 1])
                part = slice(own.start - edges[begin], own.stop - edges[begin])
                yield int(frames[n]), own.start, self.box[own], looks[part]

    def total(self, members: NDArray[np.intp]) -> NDArray[np.float32]:
        """Sum up the unit looks of some of them, shape (`LOOK`,)."""
        total = np.zeros(LOOK, np.float32)
        for n in range(0, len(members), BLOCK):
            total += unit(self.look[members[n : n + BLOCK]]).sum(axis=0)
        return total


def sightings(
    parts: Iterable[Seen], min_score: float
) -> tuple[Sightings, NDArray[np.float32], NDArray[np.float64], tuple[int, int]]:
    """Join consecutive parts of a video, at least one, without the many places of nobody.

    Args:
        parts: Each is let go when the next is asked for.
        min_score: Boxes of a lower score are left out.

    Returns:
        Everybody, and `change`, `time_s` and `size` of the whole video.
    """
    kept: list[tuple[NDArray, ...]] = []
    looks = bytearray()  # grows in place, where joining arrays would hold all of them twice
    size, frames = (0, 0), 0
    for part in parts:
        frame, place = np.nonzero(part.score >= min_score)
        looks += part.look[frame, place].tobytes()
        kept.append((frame + frames, part.box[frame, place], part.change, part.time_s))
        size, frames = part.size, frames + len(part.time_s)
    frame, box, change, time_s = map(np.concatenate, zip(*kept, strict=True))
    look = np.frombuffer(looks, np.uint8).reshape(-1, LOOK)
    return Sightings(frame, box, look), change, time_s, size


def unit(look: NDArray) -> NDArray[np.float32]:
    """Bring looks, shape (..., `LOOK`), to unit length, so that a product is their cosine."""
    look = np.asarray(look, np.float32)
    return look / np.linalg.norm(look, axis=-1, keepdims=True)


def _surest(
    found: list[Boxes], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lay the boxes of each frame side by side, cut to the picture, leaving out what is none."""
    box = np.full((len(found), MOST_PEOPLE, 4), np.nan, np.float32)
    score = np.full((len(found), MOST_PEOPLE), np.nan, np.float32)
    for n, people in enumerate(found):
        xyxy = np.reshape(people.xyxy, (-1, 4))
        real = np.isfinite(xyxy).all(1)
        xyxy = np.clip(xyxy, 0, np.tile(size, 2))
        real &= (xyxy[:, 2:] - xyxy[:, :2] >= SMALLEST).all(1)
        real = np.flatnonzero(real & np.isfinite(people.score))
        first = real[np.argsort(-people.score[real], kind="stable")[:MOST_PEOPLE]]
        box[n, : len(first)], score[n, : len(first)] = xyxy[first], people.score[first]
    return box, score


def _cells(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Shrink pictures to sums over cells, (T, cells); whole numbers, so that chunks do not show."""
    rows, columns = (
        np.minimum((np.arange(cells * CELL) + 0.5) * side / (cells * CELL), side - 1).astype(int)
        for cells, side in zip(CELLS, rgb.shape[1:3], strict=True)
    )
    points = rgb[:, rows[:, None], columns].reshape(len(rgb), CELLS[0], CELL, CELLS[1], CELL, 3)
    return points.sum((2, 4), np.int32).reshape(len(rgb), -1)


def _change(cells: NDArray[np.int32]) -> NDArray[np.float32]:
    """Compare each picture but the first `LAGS` with those before it, (T, `LAGS`)."""
    now, points = cells[LAGS:], cells.shape[1] * CELL**2
    differences = [np.abs(now - cells[LAGS - lag : -lag]).sum(1) for lag in range(1, LAGS + 1)]
    return (np.stack(differences, axis=1) / points).astype(np.float32)


def _looks(rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Describe each box, (T, B, `LOOK`): the square roots of a histogram, to unit length 255.

    The cosine of two such vectors is the Bhattacharyya coefficient of the histograms.
    """
    frame, place = np.nonzero(np.isfinite(box[..., 0]))
    pixels = _points(rgb, frame, box[frame, place])
    root = np.sqrt(_histograms(*_colours(pixels)))
    look = np.zeros((*box.shape[:2], LOOK), np.uint8)
    look[frame, place] = np.rint(255 * root / np.linalg.norm(root, axis=1, keepdims=True))
    return look


def _points(
    rgb: NDArray[np.uint8], frame: NDArray[np.intp], box: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Pick points of N boxes, evenly apart, (N, 24, 24, 3)."""
    down = (np.arange(POINTS) + 0.5) / POINTS
    across = SIDE + (1 - 2 * SIDE) * down
    x = box[:, :1] + (box[:, 2:3] - box[:, :1]) * across
    y = box[:, 1:2] + (box[:, 3:] - box[:, 1:2]) * down
    x, y = x.astype(int), y.astype(int)
    return rgb[frame[:, None, None], y[:, :, None], x[:, None, :]].astype(np.float32)


def _colours(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Split colours into lightness and two ratios that more light leaves alone, each in [0, 1]."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    total = red + green + blue
    strength = CHROMA / (total + DARK)
    return [
        total / 765,
        np.clip((red - green) * strength + 0.5, 0, 1),
        np.clip((red + green - 2 * blue) * strength / 2 + 0.5, 0, 1),
    ]


def _histograms(*axes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Count N grids of colours, each point shared among the bins nearest to it, (N, `LOOK`)."""
    count, rows = axes[0].shape[:2]
    base = np.arange(count)[:, None] * 2 + (np.arange(rows) >= rows / 2)
    base = base[..., None] * (LOOK // 2)
    place = [np.clip(x * bins - 0.5, 0, bins - 1) for x, bins in zip(axes, BINS, strict=True)]
    low = [np.minimum(p.astype(int), bins - 2) for p, bins in zip(place, BINS, strict=True)]
    above = [p - floor for p, floor in zip(place, low, strict=True)]
    histogram = np.zeros(count * LOOK)
    for corner in product((0, 1), repeat=len(BINS)):
        near = np.ravel_multi_index([n + c for n, c in zip(low, corner, strict=True)], BINS)
        share = np.prod([a if c else 1 - a for a, c in zip(above, corner, strict=True)], axis=0)
        histogram += np.bincount((base + near).ravel(), share.ravel(), count * LOOK)
    return histogram.reshape(count, LOOK)
