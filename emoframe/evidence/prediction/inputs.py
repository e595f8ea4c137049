"""What a run reads of a single video: extracted, taken from the stores, or handed over.

Decided here: nobody is asked about a video along the way, which might cost money or upload it. A
run that reads rationales takes that of the label store, if this video was labelled with the same
settings; one that reads what a data set brings along is handed it. An input that is not there is
left out with its reason, as in training; a video of which none is there cannot be judged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from emoframe.core.errors import DataError
from emoframe.learning.checks import AbsentError
from emoframe.learning.clips import Clips, Loader
from emoframe.learning.inputs import RATIONALE
from emoframe.learning.run import Run
from emoframe.learning.sources import answers, devices, from_store, keys_of, rationales, stored
from emoframe.perception.events import Row
from emoframe.perception.pipeline import How, OnProgress
from emoframe.perception.pipeline import extract as extract_videos
from emoframe.perception.read import read_track
from emoframe.perception.settings import Perception
from emoframe.perception.stages import stage_part
from emoframe.perception.video import video_hash
from emoframe.records import Input, Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout, layout
from emoframe.weak_labels.store import LabelStore

BOX = SkeletonLayout(name="box", joints=("person",))
"""The layout of who was followed and not measured."""


@dataclass(frozen=True)
class Perceived:
    """What was extracted of a video.

    Attributes:
        keypoints: Of the person; None where the run has no use for any, or there are none.
        failed: Why there are none although they were asked for.
        person: Who may be drawn: the keypoints, or the box alone; None where nobody was followed.
        layout: Names the joints of `person`.
    """

    keypoints: Keypoints | None = None
    failed: str = ""
    person: Keypoints | None = None
    layout: SkeletonLayout = BOX


@dataclass(frozen=True)
class Text:
    """A text that a run reads.

    Attributes:
        text: The text.
        source: Who wrote it and where it was taken from, in words.
    """

    text: str
    source: str


@dataclass(frozen=True)
class Given:
    """What a run reads of a video.

    Attributes:
        ref: The video.
        inputs: What there is of each input, by its name.
        absent: Why an input is not there, by its name.
        texts: The texts among them, and where each comes from.
    """

    ref: SampleRef
    inputs: Mapping[str, Input]
    absent: Mapping[str, str]
    texts: Mapping[str, Text] = field(default_factory=dict[str, Text])

    def clips(self, run: Run, others: Mapping[str, Mapping[str, Input]] | None = None) -> Clips:
        """Return the video, and others that are made of it, as the run sees them.

        Args:
            run: The run.
            others: Their inputs, by what they are called.
        """
        shown = {self.ref.id: self.inputs, **(others or {})}

        def loader(name: str) -> Loader:
            def load(ref: SampleRef) -> Input:
                if name not in shown[ref.id]:
                    raise AbsentError(self.absent.get(name, ""))
                return shown[ref.id][name]

            return load

        refs = [SampleRef(name, video=self.ref.video) for name in shown]
        return clips_of(run, refs, {name: loader(name) for name in run.experiment.features})


def clips_of(run: Run, refs: Sequence[SampleRef], loaders: Mapping[str, Loader]) -> Clips:
    """Return items as a run sees them when it judges."""
    wiring = run.wiring
    dims = wiring.frame_dims
    return Clips(refs, loaders, wiring.layout, run.experiment, training=False, frame_dims=dims)


def perceive(run: Run, video: Path, on_progress: OnProgress) -> Perceived:
    """Extract all that a run's perception makes of a video.

    Raises:
        EmoframeError: The run speaks another layout, or the store cannot be written.
    """
    sorts = {branch.sort for branch in run.experiment.model.branches.values()}
    if run.experiment.perception is None and sorts == {"text"}:
        return Perceived()
    perception = run.experiment.perception or Perception()
    _check_layout(run, perception)
    rows = extract_videos([video], perception, How(workers=0, devices=devices()),
                          on_progress=on_progress)  # fmt: skip
    failed = _failure(rows, _encoders(run))
    if failed:
        return Perceived(failed=f"{video}: {failed}")
    if perception.pose_estimator is None:
        return Perceived(person=_followed(perception, video))
    found = from_store(perception)(SampleRef(video.name, video=video))
    return Perceived(found, "", found, layout(found.layout))


def gather(run: Run, video: Path, seen: Perceived, texts: Mapping[str, str]) -> Given:
    """Return what a run reads of a video.

    Args:
        run: The run.
        video: The file.
        seen: What was extracted of it.
        texts: Texts that are handed over, by the name of the input.

    Raises:
        DataError: Not one of its inputs is there, or a text is for none of them.
    """
    _check_texts(run, texts)
    ref = SampleRef(video.name, video=video)
    clips = clips_of(run, [ref], _loaders(run, seen, texts))
    inputs: dict[str, Input] = {}
    absent: dict[str, str] = {}
    for name in clips.loaders:
        try:
            inputs[name] = clips.fetch_one(name, ref)
        except AbsentError as error:
            absent[name] = str(error)
    if not inputs:
        clips.fetch(ref)  # which says so
    said = {name: one for name, one in inputs.items() if isinstance(one, str)}
    sources = {
        name: Text(one, "handed over" if name in texts else _origin(run, video))
        for name, one in said.items()
    }
    return Given(ref, inputs, absent, sources)


def _check_layout(run: Run, perception: Perception) -> None:
    joints = run.wiring.layout
    if joints is None:
        return
    if perception.pose_estimator is None:
        raise DataError(f"{run.folder}: its perception section has no pose estimator")
    estimator = stage_part("pose_estimator", perception.pose_estimator)
    if estimator.part.layout != joints.name:
        raise DataError(
            f"{run.folder} was trained on keypoints of layout {joints.name!r}, and the "
            f"pose estimator {estimator.name!r} gives {estimator.part.layout!r}"
        )


def _failure(rows: Sequence[Row], encoders: Collection[str]) -> str:
    """Return why there is nobody to look at; what an encoder could not do is told by its input."""
    wrong = [row.reason for row in rows if row.status == "failed" and row.stage not in encoders]
    return wrong[0] if wrong else ""


def _followed(perception: Perception, video: Path) -> Keypoints:
    """Return the person of whom a box is known and no joint."""
    crop = keys_of(perception).crop
    track = read_track(perception.store, video, crop.name, crop.key)
    size = (len(track.time_s), 1)
    nothing = np.full((*size, 2), np.nan, np.float32)
    never = np.zeros(size, np.bool_)
    return Keypoints(
        nothing, never.astype(np.float32), never, track.time_s, BOX.name, track.box, track.cut
    )


def _encoders(run: Run) -> Collection[str]:
    """Name the stages of the frame encoders of a run."""
    return run.experiment.perception.frame_encoders if run.experiment.perception else ()


def _loaders(run: Run, seen: Perceived, texts: Mapping[str, str]) -> dict[str, Loader]:
    """Return where each input of one video comes from."""
    experiment = run.experiment
    found: dict[str, Loader] = {}
    for name, source in experiment.features.items():
        stage = source.partition("@")[0]
        if name in texts:
            found[name] = _constant(texts[name])
        elif experiment.model.branches[name].sort == "keypoints":
            found[name] = _absent(seen.failed) if seen.failed else _constant(seen.keypoints)
        elif source == RATIONALE:
            found[name] = rationales(experiment, "", run.classes)
        elif stage in _encoders(run):
            found[name] = from_store(stored(experiment), stage)
        else:
            found[name] = _absent(
                f"the run takes the input {name!r} from {source!r}, and that says nothing of a "
                "single video; hand a text over (`--text`, `texts`)"
            )
    return found


def _check_texts(run: Run, texts: Mapping[str, str]) -> None:
    known = [name for name, one in run.experiment.model.branches.items() if one.sort == "text"]
    wrong = [name for name in texts if name not in known]
    if wrong:
        raise DataError(
            f"{run.folder} reads no text {wrong[0]!r} (it reads {', '.join(known) or 'no text'})"
        )


def _origin(run: Run, video: Path) -> str:
    """Say who wrote the rationale of a video and when, as the label store knows it."""
    asked = answers(run.experiment, "", run.classes)
    with LabelStore(asked.settings.store, write=False) as store:
        first = store.answers(None, asked.prompt, asked.labeler, "ok", [video_hash(video)])[0]
        who = store.labeler(asked.labeler).name
    when = first.answered_at[:16].replace("T", " ")
    return (
        f"written by the labeler {who} on {when} UTC, to the prompt {asked.prompt[:12]}; taken "
        f"from the label store {str(asked.settings.store)!r}, nobody was asked anew"
    )


def _constant(value: Any) -> Loader:
    return lambda ref: value


def _absent(reason: str) -> Loader:
    def load(ref: SampleRef) -> NoReturn:
        raise AbsentError(reason if ref.id in reason else f"{ref.id}: {reason}")

    return load
