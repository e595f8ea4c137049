"""Generated 137-point videos with a planted, known truth, to test claims without any data.

Nothing here says anything about real people. Decided here: all planted signal lives in the face
(joints 25 to 94), because the paper's network encodes body, face and hands apart and averages each
over time before they meet, so that what happens in two groups at the same moment is invisible to it
by construction; and because comparisons can then be run on the face alone, at a third of the cost.
Which network should win in which world is written down before any comparison was run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from zlib import crc32

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.interfaces import Split
from emoframe.learning.datasets.planted_events import AlongEdge, CrossPart, Null
from emoframe.learning.datasets.planted_figure import FACE, posture, raised
from emoframe.learning.datasets.planted_motion import RealTracks, Synthetic
from emoframe.learning.datasets.planted_worlds import Plant, Slow, StaticPosture, nearest_mean
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout

WORLDS = {
    "cross_part": CrossPart,
    "along_edge": AlongEdge,
    "static_posture": StaticPosture,
    "slow": Slow,
    "null": Null,
}
STRAYING = 0.4
"""Share of the training videos whose label is dealt out anew; the others follow the subject."""


class Planted:
    """Videos of somebody who sways and talks, in which the class decides one known thing.

    The worlds, and what is expected in each:

    - `cross_part`: brows, eyes and corners of the mouth, which no skeleton edge joins, twitch
      together for 6 to 11 frames; how often depends on the class. Each also twitches alone, as
      often in every class. Expected: offsets and dense sampling help; mlp >= gcn.
    - `along_edge`: waves run over neighbouring joints; how often depends on the class. As many
      joints move in the same way without being neighbours, so that each joint moves equally often
      in every class. Expected: gcn wins, since it shares its weights over joints.
    - `static_posture`: brows are held higher in one class. Expected: offsets do not help.
    - `slow`: brows are raised for a third of the video, mostly in one class. Expected: 16 frames
      suffice.
    - `null`: as `cross_part`, equally often in all classes. Expected: nothing beats chance.

    The defaults are the one preset of all comparisons: who knows the truth scores .90, and events
    are no larger than the sway's standard deviation (amplitude <= 6 pixels). In train subjects have
    mostly one label and a mouth that sits higher or lower with it; in test they have not.

    Args:
        world: What the class decides; in YAML, "null" stands in quotes.
        train: Training videos.
        test: Test videos, as many of each class.
        videos_per_subject: Videos of each subject; no subject is in both splits.
        frames: Frames of a video, at 25 per second.
        events: Mean number of events in a video of each class; its length is the number of classes.
            `static_posture` and `slow` use its length only.
        amplitude: Height of what is planted in pixels of a face 84 wide; `static_posture` shifts by
            half of it per standard deviation.
        confound: How far posture leans with the label in train, in its standard deviations.
        shares: Share of each class in train, up to a factor.
        real_tracks: A `.pose` file or a folder of OpenPose JSON: windows of this track take the
            place of the generated sway, speech, noise and lost hands.
        seed: Decides every video.

    Shape:
        load: xy (frames, 137, 2), confidence and valid (frames, 137)
    """

    layout: SkeletonLayout = OPENPOSE_137
    synthetic = True

    def __init__(
        self,
        *,
        world: Literal["cross_part", "along_edge", "static_posture", "slow", "null"] = "cross_part",
        train: Annotated[int, Gt(0)] = 200,
        test: Annotated[int, Gt(0)] = 200,
        videos_per_subject: Annotated[int, Gt(0)] = 5,
        frames: Annotated[int, Gt(0)] = 512,
        events: tuple[float, ...] = (3.0, 9.0),
        amplitude: Annotated[float, Ge(0)] = 6.0,
        confound: Annotated[float, Ge(0)] = 0.5,
        shares: tuple[float, ...] = (0.6, 0.4),
        real_tracks: Path | None = None,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        _check_classes(events, shares)
        self.sizes: dict[Split, int] = {"train": train, "test": test}
        self.videos_per_subject, self.shares, self.seed = videos_per_subject, shares, seed
        self.amplitude, self.confound = amplitude, confound
        self.world = WORLDS[world](events, frames)
        self.motion = RealTracks(real_tracks, frames) if real_tracks else Synthetic(frames)
        self.protocol = f"planted:{world}" + (f":{real_tracks.stem}" if real_tracks else "")
        self.classes = tuple(f"{world}_{k}" for k in range(len(events)))

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split; those of `test` without labels."""
        return [
            SampleRef(id_, label if split == "train" else None, self._subject(id_))
            for id_, label in self._labels[split].items()
        ]

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels."""
        return dict(self._labels["test"])

    def load(self, ref: SampleRef) -> Mapping[str, Keypoints]:
        """Generate the keypoints of an item."""
        return {"keypoints": self._video(ref.id)}

    def fingerprint(self) -> dict[str, str]:
        """Return what decides the videos beside their names, labels and subjects."""
        world = [
            self.world.rates.tolist(),
            self.amplitude,
            self.confound,
            self.motion.frames,
            self.seed,
        ]
        return {"world": repr(world), **self.motion.fingerprint()}

    def event_frames(self, item: str) -> NDArray[np.int64]:
        """Return the planted truth of an item in the order of time.

        Returns:
            (movements, 3): first frame, length in frames, and kind: 0 an event, 1 a decoy.
        """
        return self._plant(item).truth

    def oracle_accuracy(self) -> float:
        """Return the accuracy on test of who knows what was planted, and how often it is."""
        labels = self._labels["test"]
        known = np.array([self._plant(item).known for item in labels], float)
        return float(np.mean(self.world.judge(known) == list(labels.values())))

    def matched_filter_accuracy(self) -> float:
        """Return the accuracy on test of who sees the noisy points and knows the form of an event.

        It looks for that form where events are, and learns from train from which height on a peak
        counts, and the mean score of each class; it takes the class whose mean is nearest.
        """
        unit = self.amplitude * self.motion.scale or 1.0
        found = {
            split: [self.world.evidence(raised(self._video(item))) / unit for item in labels]
            for split, labels in self._labels.items()
        }
        train, test = (np.array(list(self._labels[s].values())) for s in ("train", "test"))
        best = (-1.0, 0.0)
        for threshold in self.world.thresholds:
            scores, judged = (
                np.array([self.world.score(evidence, threshold) for evidence in found[split]])
                for split in ("train", "test")
            )
            fit = _balanced(nearest_mean(scores, train, scores), train)
            if fit > best[0]:
                best = fit, float(np.mean(nearest_mean(scores, train, judged) == test))
        return best[1]

    def ceilings(self) -> dict[str, float]:
        """Return the scores on test that a trained network can be held against."""
        return {
            "oracle": self.oracle_accuracy(),
            "matched filter": self.matched_filter_accuracy(),
        }

    @functools.cached_property
    def _labels(self) -> dict[Split, dict[str, int]]:
        """Deal labels out: by subject and by `shares` in train, evenly and at random in test."""
        count = len(self.classes)
        borders = np.cumsum(self.shares)[:-1] / np.sum(self.shares)
        train = np.searchsorted(
            borders, (np.arange(self.sizes["train"]) + 0.5) / self.sizes["train"]
        )
        generator = self._generator("train", "labels")
        strayed = np.flatnonzero(generator.random(len(train)) < STRAYING)
        train[strayed] = train[generator.permutation(strayed)]
        test = self._generator("test", "labels").permutation(np.arange(self.sizes["test"]) % count)
        return {"train": _named("train", train), "test": _named("test", test)}

    def _label(self, item: str) -> int:
        return self._labels["train" if item.startswith("train") else "test"][item]

    def _subject(self, item: str) -> str:
        split, _, number = item.partition("-")
        return f"{split}-subject-{int(number) // self.videos_per_subject:03d}"

    def _generator(self, item: str, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, crc32(item.encode()), crc32(purpose.encode())])

    def _plant(self, item: str) -> Plant:
        return self.world.plant(self._generator(item, "events"), self._label(item))

    @functools.cached_property
    def _lean(self) -> dict[str, float]:
        """Mean label of each training subject, from -1 (the first class) to 1 (the last)."""
        own: dict[str, list[int]] = {}
        for item, label in self._labels["train"].items():
            own.setdefault(self._subject(item), []).append(label)
        last = len(self.classes) - 1
        return {who: 2 * float(np.mean(labels)) / last - 1 for who, labels in own.items()}

    def _video(self, item: str) -> Keypoints:
        keypoints = self.motion.keypoints(self._generator(item, "motion"))
        subject = self._subject(item)
        lean = self.confound * self._lean.get(subject, 0.0)
        xy, scale = keypoints.xy, self.motion.scale
        xy += scale * posture(self._generator(subject, "posture"), lean)
        xy[:, FACE, 1] -= scale * self.amplitude * self._plant(item).up
        return keypoints


def _check_classes(events: tuple[float, ...], shares: tuple[float, ...]) -> None:
    if len(events) < 2 or not all(0 <= rate < np.inf for rate in events):
        raise DataError(
            f"planted: events is {list(events)}; give the mean number of events of each of two or "
            "more classes, none below 0"
        )
    if len(shares) != len(events) or not all(0 < share < np.inf for share in shares):
        raise DataError(
            f"planted: shares is {list(shares)} and events names {len(events)} classes; give one "
            "share above 0 for each"
        )


def _named(split: Split, labels: NDArray[np.int64]) -> dict[str, int]:
    return {f"{split}-{n:05d}": int(label) for n, label in enumerate(labels)}


def _balanced(judged: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float(np.mean([np.mean(judged[labels == k] == k) for k in np.unique(labels)]))
