"""What training reads: labels and rationales by item, and a sentence for each that is lacking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emoframe.core.errors import DataError
from emoframe.weak_labels.read import missing, rationales, weak_labels
from emoframe.weak_labels.store import LabelStore


@pytest.fixture
def store(tmp_path: Path, parts: Any) -> LabelStore:
    """Three items: one with two samples, one blocked, one never asked; and a twin of the first."""
    store = LabelStore(tmp_path / "labels.sqlite")
    store.add_prompt(parts.prompt)
    store.add_labeler(parts.labeler)
    clips = {"one": parts.clip, "blocked": parts.other_clip, "new": "c3" * 32, "twin": parts.clip}
    store.add_items("imigue", clips)
    for sample, label in ((1, None), (0, 1)):
        key = parts.key._replace(sample=sample)
        weak = replace(parts.label, label=label, rationale=f"full {sample}")
        store.settle(store.reserve(key, 0.01), parts.answer(key, label=weak))
    key = parts.key._replace(clip=parts.other_clip)
    blocked = parts.answer(key, status="blocked", reason="SAFETY", label=None)
    store.settle(store.reserve(key, 0.01), blocked)
    return store


def test_labels_come_by_item_in_the_order_of_the_samples(store: LabelStore, parts: Any) -> None:
    found = weak_labels(store, "imigue", parts.prompt.hash, parts.labeler.key)
    assert {item: [one.label for one in labels] for item, labels in found.items()} == {
        "one": [1, None], "twin": [1, None],
    }  # fmt: skip
    assert found == weak_labels(store, "imigue", parts.prompt.hash[:8], parts.labeler.key[:8])


def test_rationales_come_in_either_view(store: LabelStore, parts: Any) -> None:
    told = (store, "imigue", parts.prompt.hash, parts.labeler.key)
    assert rationales(*told)["one"] == ["full 0", "full 1"]
    assert rationales(*told, view="no_verdict", items=["one"]) == {"one": ["smiles", "smiles"]}


def test_what_is_lacking_is_told_with_its_reason(store: LabelStore, parts: Any) -> None:
    told = (store, "imigue", parts.prompt.hash, parts.labeler.key)
    assert missing(*told) == {
        "blocked": "ended in blocked: SAFETY", "new": "was never asked about",
    }  # fmt: skip
    with pytest.raises(DataError) as caught:
        weak_labels(*told, items=["one", "blocked", "new", "stranger"])
    text = str(caught.value)
    assert "3 of 4 items of imigue have no weak label" in text
    assert "blocked: ended in blocked: SAFETY; new: was never asked about; stranger:" in text
    assert "run emoframe label" in text


def test_labels_come_in_the_order_of_the_classes_that_is_asked_for(
    store: LabelStore, parts: Any
) -> None:
    told = (store, "imigue", parts.prompt.hash, parts.labeler.key)
    (first, silent) = weak_labels(*told, classes=("loss", "win"))["one"]
    assert (first.label, first.classes, first.confidence) == (0, ("loss", "win"), (0.2, 0.7))
    assert silent.label is None
    (wider, _) = weak_labels(*told, classes=("draw", "win", "loss"))["one"]
    assert (wider.label, wider.confidence) == (2, None), "no confidence is made up"
    with pytest.raises(DataError, match="knows the class 'win', which is none of lose, draw"):
        weak_labels(*told, classes=("lose", "draw"))


def test_prompt_and_labeler_go_by_the_names_that_people_see(store: LabelStore, parts: Any) -> None:
    by_hash = weak_labels(store, "imigue", parts.prompt.hash, parts.labeler.key)
    assert weak_labels(store, "imigue", "cot", "gemini") == by_hash
    named = f"cot@{parts.prompt.hash[:8]}", parts.labeler.name
    assert weak_labels(store, "imigue", *named) == by_hash


def test_only_the_first_of_many_are_named(store: LabelStore, parts: Any) -> None:
    items = [f"x{n}" for n in range(300)]
    with pytest.raises(DataError, match="and 295 more") as caught:
        weak_labels(store, "imigue", parts.prompt.hash, parts.labeler.key, items)
    assert len(str(caught.value)) < 600


def test_a_data_set_prompt_or_labeler_that_is_not_there_is_a_sentence(
    store: LabelStore, parts: Any
) -> None:
    with pytest.raises(DataError, match="no item of the data set 'imigu'; did you mean 'imigue'"):
        weak_labels(store, "imigu", parts.prompt.hash, parts.labeler.key)
    with pytest.raises(DataError, match="prompt 'ffff'"):
        weak_labels(store, "imigue", "ffff", parts.labeler.key)
    with pytest.raises(DataError, match="labeler 'ffff'"):
        missing(store, "imigue", parts.prompt.hash, "ffff")
