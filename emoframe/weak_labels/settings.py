"""How weak labels are made: the section `weak_labels` of a config.

Frozen dataclasses, which are the schema, see `emoframe.learning.experiment`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt

from emoframe.core.schema import Part


@dataclass(frozen=True)
class WeakLabels:
    """How a model is asked about the videos, once, with its answers in a store.

    Attributes:
        store: File of the label store.
        vlm_labeler: Who is asked.
        labeler: Who is in the store by this name and is read in place of `vlm_labeler`, such as the
            source of labels that were imported; empty for nobody.
        prompt: Name of a shipped prompt, or a YAML file.
        codebooks: What may be seen and how it is called: names of shipped codebooks, or YAML files.
        task: What was filmed and what the classes mean, in words for the model, without anything
            that is known of a particular video.
        rules: Prior rules that an argument must not break: a shipped set by name, or a YAML file.
        samples: Answers to each question.
        concurrency: Most calls at a time.
        attempts: Most calls for one answer where the server is busy or does not respond.
    """

    store: Path = Path("labels.sqlite")
    vlm_labeler: Annotated[dict[str, Any], Part("vlm_labeler")] = field(
        default_factory=lambda: {"type": "rules"}
    )
    labeler: str = ""
    prompt: str = "cot_rules_reflection"
    codebooks: tuple[str, ...] = ("facs", "imigue")
    task: str = ""
    rules: str = "post_match"
    samples: Annotated[int, Gt(0)] = 1
    concurrency: Annotated[int, Ge(1)] = 4
    attempts: Annotated[int, Ge(1)] = 6
