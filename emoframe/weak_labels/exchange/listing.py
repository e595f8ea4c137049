"""Answers as people read them: under the name of the item, with what must be known of each.

Decided here: every listing and every export of answers is made from this one, so that none can
forget to say that labels are simulated, or that their prompt came after a look at the test labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from emoframe.labelling import Prompt, Reply, Status, WeakLabel
from emoframe.weak_labels.exchange.names import find_labeler, find_prompt
from emoframe.weak_labels.plain import as_json
from emoframe.weak_labels.store import Answer, LabelerRecord, LabelStore

SIMULATED = "simulated"
STAMP = "after test was opened"


@dataclass(frozen=True)
class Listed:
    """One answer about one item.

    Attributes:
        dataset: Name of the data set; empty where the clip belongs to none.
        item: The item; empty where the clip belongs to none.
        answer: The answer.
        prompt: What was asked.
        labeler: Who was asked.
        stamped: Whether the prompt was first used after the data set's test had been opened.
    """

    dataset: str
    item: str
    answer: Answer
    prompt: Prompt
    labeler: LabelerRecord
    stamped: bool

    @property
    def simulated(self) -> bool:
        """Whether no model ever saw the clip."""
        label = self.answer.label
        return self.labeler.simulated or bool(label and label.simulated)

    @property
    def marks(self) -> list[str]:
        """What nobody may overlook."""
        return [SIMULATED] * self.simulated + [STAMP] * self.stamped

    @property
    def verdict(self) -> str:
        """Name of the class; empty for an abstention, and where there is no label."""
        label = self.answer.label
        return "" if label is None or label.label is None else label.classes[label.label]


def listing(
    store: LabelStore,
    dataset: str | None = None,
    prompt: str | None = None,
    labeler: str | None = None,
    status: Status | None = None,
) -> list[Listed]:
    """Return the answer to each question, once for each item that its clip stands for.

    Args:
        store: The label store.
        dataset: Only items of this data set.
        prompt: Only this prompt, see `find_prompt`.
        labeler: Only this labeler, see `find_labeler`.
        status: Only what ended so.

    Raises:
        DataError: There is no such prompt or labeler.
    """
    prompt = find_prompt(store, prompt).hash if prompt else None
    labeler = find_labeler(store, labeler).key if labeler else None
    prompts = {one.hash: one.prompt for one in store.prompts()}
    labelers = {one.key: one for one in store.labelers()}
    names = _names(store, dataset)
    stamped = {name: store.stamped(name) for name in {name for name, _ in store.items(dataset)}}
    found = [
        Listed(
            name,
            item,
            one,
            prompts[one.key.prompt],
            labelers[one.key.labeler],
            one.key.prompt in stamped.get(name, ()),
        )
        for one in store.answers(dataset, prompt, labeler, status)
        for name, item in names.get(one.key.clip, [("", "")])
    ]
    return sorted(found, key=lambda one: (one.dataset, one.item, one.answer.key))


def _names(store: LabelStore, dataset: str | None) -> dict[str, list[tuple[str, str]]]:
    """Return the (data set, item)s of each clip."""
    names = defaultdict[str, list[tuple[str, str]]](list)
    for name, clip in store.items(dataset).items():
        names[clip].append(name)
    return dict(names)


def flat(found: Iterable[Listed]) -> list[dict[str, Any]]:
    """Write answers as rows of one table, all with the same columns."""
    found = list(found)
    classes = list(dict.fromkeys(name for one in found for name in one.prompt.classes))
    return [_flat(one, classes) for one in found]


def _flat(one: Listed, classes: list[str]) -> dict[str, Any]:
    answer, reply = one.answer, one.answer.reply or Reply("")
    label = answer.label or WeakLabel((), None, None, "", "")
    stated = dict(zip(label.classes, label.confidence or (), strict=False))
    told = asdict(label)
    return {
        "dataset": one.dataset, "item": one.item, "clip": answer.key.clip,
        "prompt": one.prompt.name, "prompt_hash": answer.key.prompt,
        "labeler": one.labeler.name, "labeler_key": answer.key.labeler,
        "model": reply.model or one.labeler.model, "sample": answer.key.sample,
        "status": answer.status, "reason": answer.reason, "label": one.verdict,
        **{f"confidence.{name}": stated.get(name) for name in classes},
        "simulated": one.simulated, "after_test_opened": one.stamped,
        "rationale": label.rationale, "rationale_no_verdict": label.rationale_no_verdict,
        **{name: as_json(told[name]) for name in ("units", "evidence", "corrections", "notes")},
        "text": reply.text, "finish": reply.finish, "usd": answer.usd, "calls": answer.calls,
        **{f"tokens.{name}": count for name, count in asdict(reply.usage).items()},
        "asked_at": answer.asked_at, "answered_at": answer.answered_at,
    }  # fmt: skip
