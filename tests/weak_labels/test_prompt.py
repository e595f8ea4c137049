"""What a prompt promises: made of settings and class names alone, guarded, comparable, hashed."""

from __future__ import annotations

import dataclasses
import inspect
import json
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emoframe.core.errors import DataError
from emoframe.labelling import Prompt
from emoframe.records import SampleRef
from emoframe.weak_labels.prompt import GUARD, build_prompt, prompt_names, prompt_problems
from emoframe.weak_labels.settings import WeakLabels

CLASSES = ("win", "lose")
ORDER = ("simple", "cot", "cot_rules", "cot_rules_reflection")
FIELDS = ("units", "evidence", "corrections", "confidences", "abstain", "note")


def made(prompt: str = "cot_rules_reflection", **settings: Any) -> Prompt:
    return build_prompt(WeakLabels(prompt=prompt, **settings), CLASSES)


def own(folder: Path, text: str, name: str = "own.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def sentences_of(prompt: Prompt) -> set[str]:
    """Lines of a prompt, whatever number a step has."""
    return {line.lstrip("0123456789. ") for line in prompt.text.splitlines()}


def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in [*schema.get("properties", {}).values(), schema.get("items", {})]:
        if inner:
            yield from objects(inner)


def test_the_shipped_prompts_are_the_four_of_the_ablation() -> None:
    assert set(prompt_names()) == set(ORDER)


def test_a_single_step_has_no_number() -> None:
    assert "\nJudge. State for each class" in made("simple").text
    assert "\n1. Observe. " in made().text


def test_each_prompt_says_all_that_the_one_before_it_says_and_its_own_step() -> None:
    prompts = [made(name) for name in ORDER]
    for less, more in pairwise(prompts):
        assert sentences_of(less) < sentences_of(more)
        assert less.system == more.system
    own_step = [sentences_of(b) - sentences_of(a) for a, b in pairwise(prompts)]
    assert any("Weigh." in line for line in own_step[0])
    assert any("itching" in line for line in own_step[1])
    assert any("Reflect." in line for line in own_step[2])
    assert not any("itching" in line or "Reflect." in line for line in own_step[0])


def test_fields_of_a_step_that_a_prompt_lacks_are_left_out_of_its_answer() -> None:
    asked = {name: tuple(made(name).schema["properties"]) for name in ORDER}
    assert asked["simple"] == FIELDS[3:]
    assert asked["cot"] == asked["cot_rules"] == (*FIELDS[:2], *FIELDS[3:])
    assert asked["cot_rules_reflection"] == FIELDS
    cot, ruled = (made(name).schema["properties"]["evidence"]["items"] for name in ORDER[1:3])
    assert set(ruled["properties"]) - set(cot["properties"]) == {"rules"}


@pytest.mark.parametrize("name", ORDER)
def test_the_schema_is_one_that_gemini_and_openais_strict_mode_accept(name: str) -> None:
    known = {"type", "enum", "items", "properties", "description", "required"}
    for node in objects(dict(made(name).schema)):
        assert set(node) <= known | {"additionalProperties"}
        assert isinstance(node["type"], str)
        assert all(node.get("enum", ["x"]))  # Gemini refuses empty words
        if node["type"] == "object":
            assert node["required"] == [*node["properties"]]
            assert node["additionalProperties"] is False


def test_classes_and_codebooks_are_enumerated_in_the_order_of_the_data_set() -> None:
    prompt = build_prompt(WeakLabels(), ["lose", "win", "draw"])
    rows = prompt.schema["properties"]
    assert rows["confidences"]["items"]["properties"]["class"]["enum"] == ["lose", "win", "draw"]
    assert rows["units"]["items"]["properties"]["system"]["enum"] == ["FACS", "IMIGUE"]
    assert prompt.classes == ("lose", "win", "draw")
    assert '"lose", "win", "draw"' in prompt.text


def test_a_prompt_is_made_of_settings_and_class_names_alone() -> None:
    """Permuting gold, subjects and file names changes no byte: they have no way in."""
    assert [*inspect.signature(build_prompt).parameters] == ["settings", "classes"]
    refs = [SampleRef(f"v{n}", n % 2, f"Player {n}", Path(f"won_{n}.mp4")) for n in range(8)]
    shuffled = [ref.label for ref in refs]
    random.Random(0).shuffle(shuffled)
    permuted = [
        dataclasses.replace(ref, label=label, subject=f"Other {n}", video=Path(f"lost_{n}.mp4"))
        for n, (ref, label) in enumerate(zip(refs, shuffled, strict=True))
    ]
    asked = []
    for items in (refs, permuted):
        prompts = [made() for _ in items]
        asked += [json.dumps(dataclasses.asdict(prompt)) for prompt in prompts]
        for item, prompt in zip(items, prompts, strict=True):
            said = json.dumps(dataclasses.asdict(prompt))
            assert str(item.subject) not in said
            assert Path(str(item.video)).stem not in said
    assert len(set(asked)) == 1


def test_settings_that_do_not_reach_the_model_do_not_change_the_prompt(tmp_path: Path) -> None:
    here = made()
    there = made(
        store=tmp_path / "won_by_nadal.sqlite", vlm_labeler={"type": "x"}, samples=3, concurrency=9
    )
    assert here == there
    copy = own(tmp_path, "base: cot_rules_reflection\n", "secret_name.yaml")
    assert made(copy).hash == here.hash
    assert made(copy).name == "secret_name"


def test_everything_that_reaches_the_model_changes_the_hash(tmp_path: Path) -> None:
    base = "base: cot\n"
    prompts = [
        *[made(name) for name in ORDER],
        made("cot", task="An interview."),
        made("cot", codebooks=("facs",)),
        made("cot", codebooks=("imigue", "facs")),
        build_prompt(WeakLabels(prompt="cot"), ("lose", "win")),
        build_prompt(WeakLabels(prompt="cot"), ("win", "loss")),
        made(own(tmp_path, base + "system: You watch.\n", "a.yaml")),
        made(own(tmp_path, base + "show: {faces: blur}\n", "b.yaml")),
        made(own(tmp_path, base + "show: {frames: one}\n", "c.yaml")),
        made(own(tmp_path, base + "show: {draw: [box, landmarks]}\n", "d.yaml")),
        made(own(tmp_path, base + "text: Judge {{ classes | join(' or ') }}.\n", "e.yaml")),
    ]
    assert len({prompt.hash for prompt in prompts}) == len(prompts)


def test_rules_matter_only_to_prompts_that_have_the_step(tmp_path: Path) -> None:
    rules = own(tmp_path, "rules:\n  R1: {text: A nod may be a tic.}\n")
    assert made("cot", rules=rules).hash == made("cot").hash
    assert made("cot_rules", rules=rules).hash != made("cot_rules").hash
    assert made("cot_rules", rules=rules).rules == {"R1": "A nod may be a tic."}


@pytest.mark.parametrize("name", ORDER)
def test_every_prompt_forbids_to_use_identity_and_known_results(name: str) -> None:
    assert made(name).system.endswith(GUARD)
    for word in ("identify", "scoreboards", "banners", "text in the picture", "result"):
        assert word in GUARD


def test_a_users_prompt_cannot_switch_the_guard_or_the_form_of_the_answer_off(
    tmp_path: Path,
) -> None:
    path = own(tmp_path, "base: simple\nsystem: '{{ '\ntext: '{% raw %}{% endraw %}Who?'\n")
    with pytest.raises(DataError, match="system is no template"):
        made(path)
    prompt = made(
        own(tmp_path, "base: simple\nsystem: Hello\ntext: '{% raw %}{{{% endraw %} Who?'\n")
    )
    assert prompt.system.endswith(GUARD)
    assert prompt.text.startswith("{{ Who?")
    assert "- confidences: list of objects" in prompt.text


def test_a_users_prompt_may_extend_ours_and_include_its_parts(tmp_path: Path) -> None:
    first = own(
        tmp_path,
        'base: cot\ntext: |\n  {% include "task" %}\n  {% include "steps" %}\n  Be quick.\n'
        "show: {draw: [box], faces: blur}\n",
        "first.yaml",
    )
    second = own(tmp_path, "base: first.yaml\nsteps: [weigh, judge]\n", "second.yaml")
    prompt = made(second, task="A talk.")
    assert "Be quick." in prompt.text
    assert "What was filmed: A talk." in prompt.text
    assert "Observe." not in prompt.text
    assert (prompt.show.draw, prompt.show.faces) == (("box",), "blur")
    assert [*prompt.schema["properties"]] == ["evidence", "confidences", "abstain", "note"]
    assert "units" not in prompt.schema["properties"]["evidence"]["items"]["properties"]
    assert made(first).codes["FACS"]["12"] == "Lip Corner Puller"


def test_marks_in_the_picture_are_explained_to_the_model(tmp_path: Path) -> None:
    assert "in the drawn box" not in made().text
    assert "in the drawn box" in made(own(tmp_path, "base: cot\nshow: {draw: [box]}\n")).text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text: Hello\n", "steps is missing"),
        ("steps: [judge, observe]\n", "own.yaml:1: steps must be some of observe, map"),
        ("steps: [observe]\n", "and judge"),
        ("steps: [map, judge]\n", "has map, which needs observe"),
        ("steps: [observe, weigh, reflect, judge]\n", "has reflect, which needs rules"),
        ("steps: [judge, dance]\n", "own.yaml:1: steps.1"),
        ("base: cot\nprompt: Hello\n", "own.yaml:2: prompt is unknown"),
        ("base: cott\n", "did you mean 'cot'"),
        ("base: own.yaml\n", "has itself for a base"),
        ("base: cot\nshow: {faces: hide}\n", "own.yaml:2: show.faces"),
        ("base: cot\nshow: {draw: [hat]}\n", "own.yaml:2: show.draw"),
        ("base: cot\ntext: '{{ gold }}'\n", "'gold' is undefined"),
        ("base: cot\ntext: '{{ classes.__class__ }}'\n", "unsafe"),
        ("base: cot\ntext: '{% include \"/etc/passwd\" %}'\n", "/etc/passwd"),
        ("base: cot\ntext: '{{ 1 / 0 }}'\n", "division"),
        ("base: cot\ntext: |\n  one\n  {% if %}\n", "see its line 2"),
        ("base: cot\ntext: ''\n", "own.yaml:2: text is empty"),
    ],
)
def test_a_mistake_in_a_prompt_is_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        made(own(tmp_path, text))
    assert says in str(caught.value)


def test_class_names_may_be_anything_in_any_language() -> None:
    hostile = ('{{ gold }} "{% raw %}', "it's } { \\", "勝ち", "خسارة", "<b>&amp;", "R1: none")
    prompt = build_prompt(WeakLabels(), hostile)
    assert prompt.classes == hostile
    label = prompt.schema["properties"]["confidences"]["items"]["properties"]["class"]
    assert label["enum"] == [*hostile]
    for name in hostile:
        assert json.dumps(name, ensure_ascii=False) in prompt.text


@pytest.mark.parametrize(
    "classes",
    [
        ["win"], [], ["win", "win"], ["win", " Win"], ["win", "WIN"], ["win", ""], ["win", "a\nb"],
        ["win", "a\u2028b"], ["win", "a\0"], ["win", "x" * 101], ["win", "lose "], ["ﬁt", "fit"],
    ],
)  # fmt: skip
def test_class_names_that_an_answer_could_not_name_are_refused(classes: list[str]) -> None:
    with pytest.raises(DataError, match=r"class"):
        build_prompt(WeakLabels(), classes)


def test_every_file_that_cannot_be_used_is_a_problem_of_its_own(tmp_path: Path) -> None:
    twice = tmp_path / "twice.yaml"
    twice.write_text("system: X\nabout: a\ncodes:\n  P1: {name: a}\n  P1: {name: b}\n")
    settings = WeakLabels(prompt="cot_rule", codebooks=("facs", str(twice)), rules="nobody")
    found = {problem.path: problem.text for problem in prompt_problems(settings)}
    assert set(found) == {f"weak_labels.{key}" for key in ("codebooks", "rules", "prompt")}
    assert "P1" in found["weak_labels.codebooks"] and "cot_rules" in found["weak_labels.prompt"]
    assert not prompt_problems(WeakLabels())
