"""What ranking prompts promises: pairs, other subjects, and ties that are called ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emoframe import label as api
from emoframe.core.errors import DataError
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.labels.rank_prompts import chosen_elsewhere, rank_prompts, ranked, report
from emoframe.evidence.stats import Interval
from emoframe.weak_labels.store import LabelStore

Made = Callable[..., Material]
GOLD = [0, 1] * 40


def said(right: float, seed: int) -> list[int]:
    """Say the truth so often."""
    hit = np.random.default_rng(seed).random(len(GOLD)) < right
    return [true if one else 1 - true for true, one in zip(GOLD, hit, strict=True)]


def test_a_clear_winner_is_said_to_be_one_and_the_others_behind(made: Made) -> None:
    found = ranked([made(GOLD, said(0.5, 1), name="poor"), made(GOLD, GOLD, name="good")])
    assert [one.material.prompt.name for one in found] == ["good", "poor"]
    assert [one.place for one in found] == ["highest", "behind"]
    told = report(found)
    assert told.sections[0].lines[0].startswith("good is better than each of the others")
    assert told.sections[0].rows[1]["detectable"] < found[1].behind.value  # pyright: ignore


def test_what_these_videos_cannot_tell_apart_is_a_tie(made: Made) -> None:
    found = ranked([made(GOLD, said(0.6, seed), name=f"p{seed}") for seed in (1, 2)])
    assert found[1].place == "tie with the highest"
    assert isinstance(found[1].behind, Interval)
    assert found[1].behind.low <= 0 < found[1].behind.high
    assert report(found).sections[0].lines[0].startswith("These videos tell no difference: all 2")


def test_only_videos_that_all_prompts_answered_count_and_an_abstention_is_wrong(made: Made) -> None:
    one = made(GOLD, GOLD, name="one")
    other = made(GOLD, [None] * 40 + GOLD[40:], name="other").where(
        lambda row: row.item < "item-070"
    )
    found = ranked([one, other])
    assert {len(each.material.rows) for each in found} == {70}
    assert found[1].accuracy.value == pytest.approx(30 / 70)  # pyright: ignore
    with pytest.raises(DataError, match="0 training videos are answered under all 2 prompts"):
        ranked([one, made([], [], name="other")])


def test_the_best_of_many_alike_is_judged_on_subjects_that_did_not_choose_it(made: Made) -> None:
    found = ranked([made(GOLD, said(0.5, seed), name=f"p{seed}") for seed in range(30)])
    best = found[0].accuracy
    assert isinstance(best, Interval)
    assert best.value > 0.58, "the best of thirty coins looks good"
    assert chosen_elsewhere(found).value < best.value - 0.05


def test_calibration_is_fitted_on_others_and_told_where_it_cannot_be(made: Made) -> None:
    sure = [(0.2, 0.8) if true else (0.45, 0.55) for true in GOLD]
    found = ranked(
        [made(GOLD, [1] * 80, confidence=sure, name="shy"), made(GOLD, GOLD, name="bare")]
    )
    mended = {one.material.prompt.name: one.mended for one in found}
    assert mended["shy"].value == 1.0  # pyright: ignore
    assert found[1].accuracy.value == 0.5  # pyright: ignore
    assert mended["bare"] == "not measurable: 0 items state confidences"


def test_money_and_tokens_stand_beside_and_an_unknown_price_is_no_number(made: Made) -> None:
    rows = report(ranked([made(GOLD, GOLD), made(GOLD, GOLD, name="b", usd=None)])).sections[0].rows
    assert {row["usd"] for row in rows} == {"0.8000", "unknown"}
    assert rows[0]["tokens in"] == 8000


def test_a_prompt_that_came_after_a_look_at_test_is_stamped(world: Any) -> None:
    names = ["simple", "cot"]
    for name in names:
        api.label(world.experiment(name), which=api.Which("train"))
        with LabelStore(world.root / "labels.sqlite") as store:
            store.add_opening("films", "runs/1")
    told = rank_prompts(world.experiment(), names)
    stamps = {row["prompt"].partition("@")[0]: row["stamp"] for row in told.sections[0].rows}
    assert stamps == {"simple": "", "cot": "after test was opened"}
    assert "cot may have been written with test in mind" in told.sections[0].lines[1]


def test_a_prompt_that_nobody_was_asked_is_told_with_what_to_run(world: Any) -> None:
    api.label(world.experiment(), which=api.Which("train"))
    with pytest.raises(DataError, match="fewer than two prompts"):
        rank_prompts(world.experiment(), ["simple", "simple"])
    with pytest.raises(DataError, match=r"run emoframe label CONFIG weak_labels.prompt=cot"):
        rank_prompts(world.experiment(), ["simple", "cot"])


def test_simulated_labels_are_marked_in_every_line(made: Made) -> None:
    told = report(ranked([made(GOLD, GOLD, simulated=True), made(GOLD, GOLD, name="b")]))
    assert all(line.startswith("[simulated]") for one in told.sections for line in one.lines)
    assert all(row["marks"] == "simulated" for one in told.sections for row in one.rows)
