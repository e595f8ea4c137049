"""What a plan promises: an upper bound, before anything is sent, with the date of its price."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from emoframe.labelling import Question, Usage
from emoframe.weak_labels.asking.plan import plan
from emoframe.weak_labels.asking.price import prices

_spec = importlib.util.spec_from_file_location("scripted", Path(__file__).with_name("scripted.py"))
assert _spec
assert _spec.loader
scripted = importlib.util.module_from_spec(_spec)
sys.modules["scripted"] = scripted
_spec.loader.exec_module(scripted)
Clips, Scripted = scripted.Clips, scripted.Scripted
COST, PROMPT, RECORD = scripted.COST, scripted.PROMPT, scripted.RECORD


def test_a_plan_sums_the_most_that_is_left_and_asks_nobody() -> None:
    labeler = Scripted()
    found = plan(Clips().asked(4, samples=2), labeler, RECORD, PROMPT)
    assert labeler.asked == []
    assert (found.videos, found.questions) == (4, 8)
    assert found.usage == Usage(80_000, 8_000)
    assert found.usd == pytest.approx(80 * COST)
    assert found.batch_usd is None
    assert "gpt-4o is priced" in found.price
    assert "2025" in found.price
    assert (found.model, found.prompt, found.warnings) == ("gpt-4o", PROMPT.hash, ())


def test_a_labeler_that_takes_batches_has_a_price_for_them() -> None:
    class Patient(Scripted):
        def submit(self, name: str, questions: list[Question]) -> str:
            raise AssertionError

    found = plan(Clips().asked(1), Patient(), RECORD, PROMPT)
    assert found.batch_usd == pytest.approx(5 * COST)


def test_an_unknown_price_is_a_warning_and_no_number() -> None:
    found = plan(Clips().asked(1), Scripted(), replace(RECORD, model="oracle-1"), PROMPT)
    assert found.usd is None
    assert "oracle-1: no price is known" in found.warnings[0]


def test_a_table_of_ones_own_counts(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("as_of: '2031-02'\nmodels: {gpt-4o: {tiers: [{input: 1, output: 0}]}}\n")
    found = plan(Clips().asked(1), Scripted(), RECORD, PROMPT, prices(mine))
    assert found.usd == pytest.approx(0.01)
    assert "2031-02" in found.price


def test_what_charges_nothing_costs_nothing() -> None:
    found = plan(Clips().asked(1), Scripted(), replace(RECORD, model=""), PROMPT)
    assert (found.usd, found.price) == (0.0, "nothing is charged")


def test_what_cannot_be_opened_or_counted_is_told_and_left_out_of_the_sums() -> None:
    class Sums(Scripted):
        def tokens(self, question: Question) -> Usage:
            if question.clip.key == Clips().asked(1)[0].clip:
                raise ZeroDivisionError("no frames")
            return super().tokens(question)

    found = plan(Clips(broken=[1]).asked(3), Sums(), RECORD, PROMPT)
    assert found.usage == Usage(10_000, 1_000)
    assert found.warnings == (
        "item-0: is not in the sums: ZeroDivisionError: no frames",
        "item-1: is not in the sums: clip-1.mp4: is truncated or damaged",
    )
