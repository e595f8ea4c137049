"""Body, face and hands from whichever estimator is best at each.

Decided here: the parts go through the video side by side, chunk by chunk, so that it is decoded
once and no more frames wait than the parts are apart; parts that are given alike are one part, and
run once. Nothing is reconciled: a hand and the wrist that it hangs on may come from two parts and
disagree by what these disagree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import zip_longest
from typing import Annotated, Any

import numpy as np

from emoframe.core.errors import ComponentError
from emoframe.core.registry import create
from emoframe.core.schema import Part
from emoframe.interfaces import PoseEstimator
from emoframe.records import Frames, Keypoints, Track
from emoframe.skeleton import OPENPOSE_137

Estimator = Annotated[dict[str, Any], Part("pose_estimator")]
MOST_WAITING = 4
"""Chunks that one part may read before another has read the first of them."""


class Merge:
    """Takes body, face and hands from different pose estimators.

    All must give `openpose_137`. A joint keeps the coordinates, the confidence and the mask of the
    part that it comes from; confidences of different parts need not mean the same.

    Args:
        body: Part that the 25 joints of the body come from.
        face: Part that the 70 points of the face come from.
        hands: Part that the 42 joints of the hands come from.
        device: Where the parts compute: `cpu`, `cuda:0`, ...

    Raises:
        ComponentError: A part has another layout.
    """

    layout = OPENPOSE_137.name

    def __init__(
        self, *, body: Estimator, face: Estimator, hands: Estimator, device: str = "cpu"
    ) -> None:
        given = {"body": body, "face": face, "hands": hands}
        alike = {
            group: [other for other in given if given[other] == given[group]] for group in given
        }
        self._source = {group: same[0] for group, same in alike.items()}
        self._parts: dict[str, PoseEstimator] = {
            group: create("pose_estimator", given[group], {"device": device})
            for group in dict.fromkeys(self._source.values())
        }
        for group, part in self._parts.items():
            if part.layout != self.layout:
                raise ComponentError(
                    f"pose_estimator merge: the part for {group}, {given[group].get('type')!r}, "
                    f"gives {part.layout}; all parts must give {self.layout}, choose another one"
                )

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        Args:
            chunks: The frames of one video, in order; read once.
            track: The person in it.

        Raises:
            ComponentError: A part cannot work, or does not give one `Keypoints` per chunk.
        """
        readers = _side_by_side(chunks, [*self._parts])
        with ExitStack() as opened:
            streams: list[Iterator[Keypoints]] = []
            for part, reader in zip(self._parts.values(), readers, strict=True):
                streams.append(part.estimate(reader, track))
                opened.callback(_close, streams[-1])
            for found in zip_longest(*streams):
                yield self._joined(dict(zip(self._parts, found, strict=True)))

    def fingerprint(self) -> dict[str, str]:
        """Return the hashes of the parts' weights, each under the name of what it measures.

        Raises:
            ComponentError: The weights of a part are not to be found.
        """
        hashes = {
            group: getattr(part, "fingerprint", dict)() for group, part in self._parts.items()
        }
        return {
            f"{group}.{name}": text
            for group, source in self._source.items()
            for name, text in hashes[source].items()
        }

    def _joined(self, found: dict[str, Keypoints | None]) -> Keypoints:
        """Take each group from its part; `found` is by the first group of each part."""
        lengths = {group: len(one) if one else 0 for group, one in found.items()}
        whole = next((one for one in found.values() if one), None)
        if whole is None or len({*lengths.values()}) > 1:
            raise ComponentError(
                "pose_estimator merge: its parts must give one `Keypoints` per chunk, and gave "
                f"different numbers of frames for the same chunk: {lengths}"
            )
        for group, one in found.items():
            if one and not np.array_equal(one.time_s, whole.time_s):
                raise ComponentError(
                    f"pose_estimator merge: the part for {group} gave other times, from "
                    f"{one.time_s[0]:g} s, for the chunk from {whole.time_s[0]:g} s; parts must "
                    "keep the order of the chunks and the times of their frames"
                )
        xy, confidence, valid = whole.xy.copy(), whole.confidence.copy(), whole.valid.copy()
        for group, source in self._source.items():
            joints, one = np.array(OPENPOSE_137.group(group)), found[source] or whole
            xy[:, joints] = one.xy[:, joints]
            confidence[:, joints] = one.confidence[:, joints]
            valid[:, joints] = one.valid[:, joints]
        return replace(whole, xy=xy, confidence=confidence, valid=valid)


def _side_by_side(chunks: Iterable[Frames], names: Sequence[str]) -> list[Iterator[Frames]]:
    """Let several read one stream; a chunk waits only until the last of them has read it."""
    source = iter(chunks)
    waiting: dict[str, deque[Frames]] = {name: deque() for name in names}

    def reader(name: str) -> Iterator[Frames]:
        while True:
            if not waiting[name]:
                chunk = next(source, None)
                if chunk is None:
                    return
                for queue in waiting.values():
                    queue.append(chunk)
                del chunk  # so that nothing here keeps it alive while the parts work
            slowest = max(waiting, key=lambda other: len(waiting[other]))
            if len(waiting[slowest]) > MOST_WAITING:
                raise ComponentError(
                    f"pose_estimator merge: the part for {name} has read {MOST_WAITING} chunks "
                    f"more than the one for {slowest}; parts must give one `Keypoints` per chunk "
                    "before they read on"
                )
            yield waiting[name].popleft()

    return [reader(name) for name in names]


def _close(stream: Iterator[Keypoints]) -> None:
    """Let a part clean up now and not when it is garbage."""
    if isinstance(stream, Generator):
        stream.close()
