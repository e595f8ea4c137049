"""Prices are dated rows: the longest name wins, an unknown model has no price."""

from __future__ import annotations

from pathlib import Path

import pytest

from emoframe.core.errors import DataError
from emoframe.labelling import Usage
from emoframe.weak_labels.asking.price import SHIPPED, cost, find, no_price, prices

MILLION = Usage(input=1_000_000)


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        ("gemini-2.5-flash", 0.30, 2.50),
        ("gemini-2.5-flash-lite", 0.10, 0.40),
        ("gpt-4o", 2.50, 10.0),
        ("gpt-4o-mini", 0.15, 0.60),
        ("gpt-4.1", 2.0, 8.0),
        ("gpt-4.1-mini", 0.40, 1.60),
    ],
)
def test_the_shipped_prices_per_million_tokens(model: str, asked: float, said: float) -> None:
    assert cost(model, MILLION) == pytest.approx(asked)
    assert cost(model, Usage(output=600_000, thoughts=400_000)) == pytest.approx(said)
    assert cost(model, MILLION, batch=True) == pytest.approx(asked / 2)


def test_a_long_prompt_is_dearer_as_a_whole() -> None:
    assert cost("gemini-2.5-pro", Usage(200_000, 1000)) == pytest.approx(0.25 + 0.01)
    assert cost("gemini-2.5-pro", Usage(200_001, 1000)) == pytest.approx(0.5 + 0.015, rel=1e-4)


def test_what_came_from_a_cache_costs_its_share() -> None:
    assert cost("gemini-2.5-flash", Usage(1000, cached=1000)) == pytest.approx(0.0003 / 4)
    assert cost("gemini-2.5-flash", Usage(1000, cached=400)) == pytest.approx(0.0003 * 0.7)


def test_a_labeler_without_a_model_is_free_and_an_unknown_model_has_no_price() -> None:
    assert cost("", MILLION) == 0.0
    assert cost("gpt-7", MILLION) is None
    assert cost("gpt-4only", MILLION) is None
    assert "did you mean 'gpt-4.1'" in no_price("gtp-4.1")
    for other in ("gpt-4.2", "gpt-5.9", "gemini-4-pro"):
        assert "did you mean" not in no_price(other), "another version is no slip of the pen"
    assert "--prices" in no_price("gpt-4.2")


def test_the_longest_name_wins_and_a_shorter_one_is_told() -> None:
    own, dated, sister = map(find, ("gpt-4o", "models/gpt-4o-mini-2024-07-18", "gpt-4o-audio"))
    assert own is not None
    assert dated is not None
    assert sister is not None
    assert (own.name, dated.name, sister.name) == ("gpt-4o", "gpt-4o-mini", "gpt-4o")
    assert own.said == "gpt-4o is priced (2025, https://platform.openai.com/docs/pricing)"
    assert "gpt-4o-audio is priced as gpt-4o, which begins so (2025" in sister.said
    assert find("gpt-7") is None


def test_every_shipped_row_has_a_date_and_a_source() -> None:
    assert "check before you trust" in SHIPPED.read_text()
    assert all(row.as_of and row.source for row in prices().values())


def test_a_table_of_ones_own_overrules_and_adds(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "as_of: 2026-02-28\nmodels:\n"
        "  gpt-4o: {tiers: [{input: 1, output: 2}]}\n"
        "  qwen: {tiers: [{input: 3, output: 4}], source: our contract}\n"
    )
    table = prices(file)
    assert cost("gpt-4o", MILLION, table=table) == 1.0
    assert cost("qwen:72b", MILLION, table=table) == 3.0
    assert cost("gpt-4.1", MILLION, table=table) == 2.0
    assert table["qwen"].as_of == "2026-02-28"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {a: {tiers: [{input: -1, output: x}]}}", r"greater than or equal to 0\n.*output"),
        ("models: {a: {tiers: [{input: .nan, output: 1}]}}", "valid number"),
        ("models: {a: {tiers: [{input: 1, outputs: 1}]}}", "outputs is unknown"),
        ("models: {a: {tiers: []}}", r"yaml:1: models.a.tiers must begin with the shortest"),
        ("models: {a: {tiers: [{input: 1, output: 1, up_to: 5}]}}", "the last has none"),
        ("models: {a: {tiers: [{input: 1, output: 1}, {input: 1, output: 1}]}}", "larger `up_to`"),
        ("models: {a: {tiers: [{input: 1, output: 1}]}, a: {}}", "'a' is given twice"),
        ("models: [", "this table of prices is no YAML"),
        ("- a", "a table of prices must be a mapping"),
    ],
)
def test_a_broken_table_is_told_with_all_that_is_wrong(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(DataError, match=told):
        prices(tmp_path / "prices.yaml")
    with pytest.raises(
        DataError, match=r"missing.yaml: this file cannot be read \(no such file or directory\)$"
    ):
        prices(tmp_path / "missing.yaml")
