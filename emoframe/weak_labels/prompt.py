"""Makes the question that every clip is asked, from a prompt's file, codebooks and prior rules.

The four shipped prompts share each word (`prompt_parts.yaml`) and differ in the steps that they
list, so that comparing them measures the steps and nothing else: direct question, chain of thought,
the same under prior rules, the same with reflection (W2S-25; exact wording unpublished, ours).

Decided here: a prompt is made of settings and class names alone. Nothing that is known of a video,
its label, its subject or its file name reaches this module, so none can reach a model. What forbids
to use identity and known results (`GUARD`) and what describes the answer are appended by code, to
users' own prompts too. Templates run in jinja's sandbox, and an undefined name is a mistake.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jinja2 import DictLoader, StrictUndefined, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import field_validator

from emoframe.core.errors import DataError, Problem
from emoframe.labelling import Mark, Prompt, Show
from emoframe.weak_labels.answers.fields import STEPS, Step, answer_schema, outline
from emoframe.weak_labels.codebook import load_codebooks, load_rules
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.words import folded
from emoframe.weak_labels.yaml_files import FOLDER, Plain, Words, read, read_file, shipped

GUARD = """\
These rules stand above everything else that you are told:
- Judge nonverbal behaviour only: what face, gaze, head, hands and body do.
- Do not identify anybody and do not guess who it is. Should you recognise the person, the place or
  the event, neither use nor mention it.
- Do not read scoreboards, banners, captions, logos or any other text in the picture.
- Do not use any result, score or report that you know of, and do not infer one from the setting."""
"""What every prompt ends with; a file cannot switch it off. No sentence keeps a model from knowing
a famous face: how much that matters is measured, see `emoframe labels probe`."""
ANSWER = (
    "Answer with one JSON object and nothing else. It has these fields, all of them required:\n"
)
LONGEST_CLASS = 100


class ShowFile(Plain):
    """What of the clip is shown along; see `emoframe.labelling.Show`."""

    draw: tuple[Mark, ...] = ()
    faces: Literal["show", "blur"] = "show"
    background: Literal["show", "mask"] = "show"
    frames: Literal["all", "one"] = "all"


class PromptFile(Plain):
    """A prompt as its author writes it; what is not given comes from `base`, then from ours.

    Attributes:
        base: A prompt to extend: a shipped one by name, or a YAML file by path.
        steps: What the model goes through, in this order; decides which fields the answer has.
        system: Template of the system instruction.
        text: Template of the question.
        show: What of the clip is shown along.
    """

    base: Words | None = None
    steps: tuple[Step, ...] | None = None
    system: Words | None = None
    text: Words | None = None
    show: ShowFile | None = None

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if steps is None:
            return None
        if [*steps] != [step for step in STEPS if step in steps] or "judge" not in steps:
            raise ValueError(f"must be some of {', '.join(STEPS)}, in this order, and judge")
        for step, before in (("map", "observe"), ("rules", "weigh"), ("reflect", "rules")):
            if step in steps and before not in steps:
                raise ValueError(f"has {step}, which needs {before}")
        return steps


class PromptParts(Plain):
    """The words of all shipped prompts, each once."""

    system: Words
    text: Words
    parts: dict[str, str]


def prompt_names() -> list[str]:
    """Return the names of the shipped prompts."""
    return shipped("prompts")


def build_prompt(settings: WeakLabels, classes: Sequence[str]) -> Prompt:
    """Make the question that every clip is asked.

    Args:
        settings: Names the prompt's file, the codebooks and the prior rules, and says what was
            filmed.
        classes: Names of the classes, in the order of the data set.

    Raises:
        DataError: A file or a template cannot be read, or a class name cannot be asked for.
    """
    _check_classes(classes)
    file = _inherited(settings.prompt, ())
    steps = file.steps
    if steps is None:
        raise DataError(
            f"prompt {settings.prompt!r}: steps is missing; list some of {', '.join(STEPS)}, or "
            f"name a base ({', '.join(prompt_names())})"
        )
    books, rules = load_codebooks(settings.codebooks), load_rules(settings.rules)
    show = Show(**(file.show or ShowFile()).model_dump())
    given = {
        "task": settings.task.strip(),
        "classes": [*classes],
        "codebooks": books,
        "rules": rules,
        "steps": [*steps],
        "show": show,
    }
    ours = read_file(PromptParts, FOLDER / "prompt_parts.yaml", "file of prompt parts")
    system = _rendered("system", file.system or ours.system, ours.parts, given, settings.prompt)
    text = _rendered("text", file.text or ours.text, ours.parts, given, settings.prompt)
    schema = answer_schema(steps, classes, [book.system for book in books], [*rules])
    seen = {book.system: {code: entry.name for code, entry in book.codes.items()} for book in books}
    return Prompt(
        name=Path(settings.prompt).stem,
        system=f"{system}\n\n{GUARD}",
        text=f"{text}\n\n{ANSWER}{outline(schema)}",
        schema=schema,
        classes=tuple(classes),
        codes=seen if "observe" in steps else {},
        rules={n: rule.text for n, rule in rules.items()} if "rules" in steps else {},
        show=show,
    )


def prompt_problems(settings: WeakLabels) -> list[Problem]:
    """Find what is wrong with the files that a section `weak_labels` names, all of it at once."""
    tries: dict[str, Callable[[], object]] = {
        "codebooks": lambda: load_codebooks(settings.codebooks),
        "rules": lambda: load_rules(settings.rules),
        "prompt": lambda: _inherited(settings.prompt, ()),
    }
    found: list[Problem] = []
    for key, attempt in tries.items():
        try:
            attempt()
        except DataError as error:
            found.append(Problem(f"weak_labels.{key}", str(error)))
    if not found:
        try:
            build_prompt(settings, ("one", "other"))
        except DataError as error:
            found.append(Problem("weak_labels.prompt", str(error)))
    return found


def _inherited(name: str, children: tuple[Path, ...]) -> PromptFile:
    """Read a prompt's file and fill in from its base what it does not give."""
    path = Path(name).resolve()
    if path in children:
        raise DataError(f"{name}: base: this prompt has itself for a base")
    file = read(PromptFile, name, "prompts", "prompt")
    if file.base is None:
        return file
    beside = Path(name).parent / file.base
    ours = file.base in prompt_names() or not beside.is_file()
    base = _inherited(file.base if ours else str(beside), (*children, path))
    own = {key: getattr(file, key) for key in file.model_fields_set}
    return base.model_copy(update=own)


def _rendered(
    key: str, template: str, parts: Mapping[str, str], given: Mapping[str, Any], name: str
) -> str:
    environment = ImmutableSandboxedEnvironment(
        loader=DictLoader(dict(parts)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    try:
        text = environment.from_string(template).render(given)
    except TemplateSyntaxError as error:
        raise DataError(
            f"prompt {name!r}: {key} is no template, see its line {error.lineno}: {error.message}"
        ) from error
    except Exception as error:  # what a user's template computes may fail in any way
        raise DataError(
            f"prompt {name!r}: {key} cannot be filled in: {error} (a template may use "
            f"{', '.join(given)}, and include {', '.join(parts)})"
        ) from error
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _check_classes(classes: Sequence[str]) -> None:
    """Refuse class names that an answer could not name.

    Raises:
        DataError: There are fewer than two, one is empty, too long or breaks a line, or two differ
            in nothing but case and spaces.
    """
    if len(classes) < 2:
        raise DataError(f"a prompt needs two classes or more, got {len(classes)}: {list(classes)}")
    for name in classes:
        broken = any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)
        if not name or name != name.strip() or broken or len(name) > LONGEST_CLASS:
            raise DataError(
                f"class {name[:LONGEST_CLASS]!r}: a name must be one line of 1 to {LONGEST_CLASS} "
                "characters without spaces around it; rename it in the data set"
            )
    first: dict[str, str] = {}
    for name in classes:
        if (twin := first.get(folded(name))) is not None:
            raise DataError(f"the classes {twin!r} and {name!r} differ too little to be told apart")
        first[folded(name)] = name
