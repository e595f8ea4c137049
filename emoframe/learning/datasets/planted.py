"""Generated videos with a planted, known truth, to test claims without any data.

Nothing here says anything about real people. Decided here: all planted signal lives in the face
(joints 25 to 94), because the paper's network encodes body, face and hands apart and averages each
over time before they meet, so that what happens in two groups at the same moment is invisible to it
by construction; and because comparisons can then be run on the face alone, at a third of the cost.
Frame features and text are drawn for the class alone and not for the keypoints, so that the three
inputs are independent given the class, and what joining them is worth is known. Which network
should win in which world is written down before any comparison was run.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from zlib import crc32

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from emoframe.interfaces import Split
from emoframe.learning.datasets.planted_amounts import Amounts
from emoframe.learning.datasets.planted_events import AlongEdge, CrossPart, Null
from emoframe.learning.datasets.planted_figure import FACE, posture, raised
from emoframe.learning.datasets.planted_frames import direction, frame_features
from emoframe.learning.datasets.planted_inputs import PlantedInputs
from emoframe.learning.datasets.planted_judges import matched_filter
from emoframe.learning.datasets.planted_labels import MORE, check_classes, dealt, lean
from emoframe.learning.datasets.planted_motion import RealTracks, Synthetic
from emoframe.learning.datasets.planted_teacher import Teacher
from emoframe.learning.datasets.planted_text import rationale
from emoframe.learning.datasets.planted_worlds import Plant, Slow, StaticPosture
from emoframe.records import Features, Keypoints, SampleRef
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout

WORLDS = {
    "cross_part": CrossPart,
    "along_edge": AlongEdge,
    "static_posture": StaticPosture,
    "slow": Slow,
    "null": Null,
}


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

    Beside `keypoints` there are `frames`, frame features, and `text`, a rationale. Each tells of
    the class by an amount that is normal about the mean of the class (`frame_signal`,
    `text_signal`: the distance d' of two neighbouring means): with two classes nobody scores more
    on it than Phi(d'/2). In the null world neither tells anything, whatever its signal.

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
        unlabelled: Further videos of train, made like the others, of which no label is told.
        frame_signal: How much frame features tell; 0 for nothing.
        frames_every: They are of each n-th frame.
        frame_width: D, numbers of each token.
        text_signal: How much the text tells; 0 for nothing.
        text_copies: Share of the texts that tell of the class that a teacher names, right or wrong,
            and not of the true one. The teacher is the first answer of the labeler `simulated`
            about the generated keypoints.
        teacher_accuracy: Its `accuracy`.
        teacher_seed: Its `seed`.
        leak: The text names the true class, for reports to find.
        seed: Decides every video.

    Shape:
        load: xy (frames, 137, 2), confidence and valid (frames, 137); x (tokens, frame_width) and
            valid (tokens,), tokens = frames / frames_every
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
        unlabelled: Annotated[int, Ge(0)] = 0,
        frame_signal: Annotated[float, Ge(0)] = 0.0,
        frames_every: Annotated[int, Gt(0)] = 5,
        frame_width: Annotated[int, Gt(0)] = 32,
        text_signal: Annotated[float, Ge(0)] = 0.0,
        text_copies: Annotated[float, Ge(0), Le(1)] = 0.0,
        teacher_accuracy: Annotated[float, Ge(0), Le(1)] = 0.644,
        teacher_seed: int = 0,
        leak: bool = False,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        check_classes(events, shares)
        self._more = {
            "unlabelled": unlabelled, "frame_signal": frame_signal, "frames_every": frames_every,
            "frame_width": frame_width, "text_signal": text_signal, "text_copies": text_copies,
            "teacher_accuracy": teacher_accuracy, "teacher_seed": teacher_seed, "leak": leak,
        }  # fmt: skip
        self.sizes = {"train": train, "test": test, MORE: unlabelled}
        self.videos_per_subject, self.shares, self.seed = videos_per_subject, shares, seed
        self.amplitude, self.confound = amplitude, confound
        self.world = WORLDS[world](events, frames)
        self.motion = RealTracks(real_tracks, frames) if real_tracks else Synthetic(frames)
        self.protocol = f"planted:{world}" + (f":{real_tracks.stem}" if real_tracks else "")
        self.classes = tuple(f"{world}_{k}" for k in range(len(events)))
        told = float(world != "null")
        self.signals = {"frames": frame_signal, "text": text_signal}
        self.amounts = {n: Amounts(told * d, len(events)) for n, d in self.signals.items()}
        self.frames_every, self.text_copies, self.leak = frames_every, text_copies, leak
        self.direction = direction(self._generator("frames", "direction"), frame_width)
        self.teacher = Teacher(teacher_accuracy, teacher_seed, self.classes)

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split; those of `test` without labels, the unlabelled ones last."""
        labels: dict[str, int | None] = dict(self._labels[split])
        if split == "test":
            labels = dict.fromkeys(labels)
        else:
            labels |= dict.fromkeys(self._labels[MORE])
        return [SampleRef(id_, label, self._subject(id_)) for id_, label in labels.items()]

    def hidden_labels(self) -> Mapping[str, int]:
        """Return the true class of each unlabelled training item by its id.

        For simulated teachers, and for judging weak labels of generated data. Real data have none,
        and no training may read them.
        """
        return dict(self._labels[MORE])

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels."""
        return dict(self._labels["test"])

    def load(self, ref: SampleRef) -> PlantedInputs:
        """Return the inputs of an item, each of which is generated when it is asked for."""
        item = ref.id
        return PlantedInputs(
            lambda: self._video(item), lambda: self._frames(item), lambda: self._text(item)
        )

    def fingerprint(self) -> dict[str, str]:
        """Return what decides the videos beside their names, labels and subjects."""
        rates, frames = self.world.rates.tolist(), self.motion.frames
        world = [rates, self.amplitude, self.confound, frames, self.seed]
        known = inspect.signature(Planted).parameters
        more = {name: repr(x) for name, x in self._more.items() if x != known[name].default}
        return {"world": repr(world), **more, **self.motion.fingerprint()}

    def event_frames(self, item: str) -> NDArray[np.int64]:
        """Return the planted truth of an item in the order of time.

        Returns:
            (movements, 3): first frame, length in frames, and kind: 0 an event, 1 a decoy.
        """
        return self._plant(item).truth

    def oracle_accuracy(self) -> float:
        """Return the accuracy on test of who knows what was planted, and how often it is."""
        return self._share(self._likelihood("keypoints"))

    def matched_filter_accuracy(self) -> float:
        """Return the accuracy on test of who sees the noisy points and knows the form of an event.

        It looks for that form where events are, and learns from train from which height on a peak
        counts, and the mean score of each class; it takes the class whose mean is nearest.
        """
        unit = self.amplitude * self.motion.scale or 1.0
        labels = {split: self._labels[split] for split in ("train", "test")}
        found = {
            split: [self.world.evidence(raised(self._video(item))) / unit for item in items]
            for split, items in labels.items()
        }
        true = {split: np.array(list(items.values())) for split, items in labels.items()}
        return matched_filter(self.world, found, true)

    def ceilings(self) -> dict[str, float]:
        """Return the scores on test that a trained network can be held against.

        Of frames and text where they have a signal, and then of who knows everything; who does
        better than that has found a leak.
        """
        found = {
            "oracle": self.oracle_accuracy(),
            "matched filter": self.matched_filter_accuracy(),
        }
        known = {n: self._likelihood(n) for n, signal in self.signals.items() if signal}
        found |= {f"oracle of {name}": self._share(one) for name, one in known.items()}
        if known:
            everything = self._likelihood("keypoints") + sum(known.values())
            found["oracle of all"] = self._share(everything)
        return found

    def _likelihood(self, name: str) -> NDArray[np.float64]:
        """Return how likely each class makes what was planted in an input, (test videos, K)."""
        items = self._labels["test"]
        if name == "keypoints":
            known = [self._plant(item).known for item in items]
            return self.world.log_likelihood(np.array(known, float))
        share = self.text_copies if name == "text" else 0.0
        amounts = [self._amount(name, item)[0] for item in items]
        return self.amounts[name].log_likelihood(np.array(amounts), self.teacher.said_for(share))

    def _share(self, likelihood: NDArray[np.float64]) -> float:
        """Return how often the most likely class of a test video is the true one."""
        return float(np.mean(likelihood.argmax(1) == list(self._labels["test"].values())))

    @functools.cached_property
    def _labels(self) -> dict[str, dict[str, int]]:
        """True class of each item by its id, of `train`, `test` and `MORE`."""
        generators = {part: self._generator(part, "labels") for part in self.sizes}
        return dealt(generators, self.sizes, self.shares)

    def _label(self, item: str) -> int:
        return self._labels[item.partition("-")[0]][item]

    def _subject(self, item: str) -> str:
        split, _, number = item.partition("-")
        return f"{split}-subject-{int(number) // self.videos_per_subject:03d}"

    def _generator(self, item: str, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, crc32(item.encode()), crc32(purpose.encode())])

    def _plant(self, item: str) -> Plant:
        return self.world.plant(self._generator(item, "events"), self._label(item))

    @functools.cached_property
    def _lean(self) -> dict[str, float]:
        """How far each training subject leans."""
        labels = self._labels["train"] | self._labels[MORE]
        return lean(labels, self._subject, len(self.classes))

    def _video(self, item: str) -> Keypoints:
        keypoints = self.motion.keypoints(self._generator(item, "motion"))
        subject = self._subject(item)
        leaning = self.confound * self._lean.get(subject, 0.0)
        xy, scale = keypoints.xy, self.motion.scale
        xy += scale * posture(self._generator(subject, "posture"), leaning)
        xy[:, FACE, 1] -= scale * self.amplitude * self._plant(item).up
        return keypoints

    def _amount(self, name: str, item: str) -> tuple[float, np.random.Generator]:
        """Return the amount of an input of an item, and what draws the rest of it."""
        generator, label = self._generator(item, name), self._label(item)
        if name == "text" and generator.random() < self.text_copies:
            label = self.teacher.says(self._video(item), label)
        return self.amounts[name].draw(generator, label), generator

    def _frames(self, item: str) -> Features:
        amount, generator = self._amount("frames", item)
        subject = self._generator(self._subject(item), "frames")
        time_s = self.motion.step_s * np.arange(self.motion.frames, dtype=np.float64)
        time_s = time_s[:: self.frames_every]
        return frame_features(generator, amount, subject, self.direction, time_s)

    def _text(self, item: str) -> str:
        amount, generator = self._amount("text", item)
        length_s = self.motion.step_s * self.motion.frames
        verdict = f"All in all this is {self.classes[self._label(item)]}." if self.leak else ""
        return rationale(generator, amount, self.amounts["text"].centres[-1], length_s, verdict)
