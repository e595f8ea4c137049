"""A comparison is paired by item and tested by subject; what could not be detected is not bold."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from emoframe import api
from emoframe.core.errors import DataError, RunError
from emoframe.evidence.evaluate import SHARED
from emoframe.evidence.significance import sign_flip
from emoframe.evidence.stats import paired
from emoframe.evidence.tables.compare import side_by_side
from emoframe.evidence.tables.formats import html, latex, markdown, save, terminal
from emoframe.evidence.tables.judged import Judged, of_csv
from emoframe.evidence.tables.pairs import aligned
from emoframe.records import Prediction

CLASSES = ("lose", "win")
Csv = Callable[[str], Path]


def row(name: str, *right: Sequence[int], subjects: int = 20) -> Judged:
    """Make a row by who is right about which item, one sequence per seed."""
    return Judged(
        name,
        [
            [
                Prediction(
                    f"v{n:02}",
                    np.array([0.7, 0.3]) if hit == (n % 2 == 0) else np.array([0.3, 0.7]),
                    n % 2,
                    f"s{n % subjects}",
                )
                for n, hit in enumerate(seed)
            ]
            for seed in right
        ],
        tuple(range(len(right))),
        protocol="made",
        classes=CLASSES,
    )


HALF = [n % 4 < 2 for n in range(80)]
MORE = [n % 4 < 2 or n % 10 < 7 for n in range(80)]
SWAPPED = [not hit if n in (0, 3) else hit for n, hit in enumerate(HALF)]


@pytest.fixture
def csv(tmp_path: Path) -> Csv:
    """Return a function that writes a CSV file."""

    def write(text: str) -> Path:
        (tmp_path / "other.csv").write_text(text)
        return tmp_path / "other.csv"

    return write


def table_of(*rows: Judged) -> list[dict]:
    return side_by_side({one.name: one for one in rows}, "held").to_dict("records")


def test_a_difference_is_over_items_and_tested_by_subject() -> None:
    first, other = row("a", HALF), row("b", MORE)
    line = table_of(first, other)[1]
    gap = np.array(MORE, float) - np.array(HALF, float)
    assert line["difference"].value == pytest.approx(gap.mean())
    assert line["difference"].low == pytest.approx(
        paired(first.right, other.right, first.subjects)[1].low
    )
    assert line["p"].p == sign_flip(gap, first.subjects).p
    won, lost = int((gap > 0).sum()), int((gap < 0).sum())
    assert line["McNemar"].p == pytest.approx(binomtest(won, won + lost).pvalue)


def test_p_values_are_corrected_for_having_asked_of_all_rows() -> None:
    lines = table_of(row("a", HALF), row("b", MORE), row("c", SWAPPED))
    assert lines[1]["p (Holm)"] == pytest.approx(min(1, 2 * lines[1]["p"].p))
    assert side_by_side({"a": row("a", HALF), "b": row("b", MORE)}, "held").attrs["bold"] == ["b"]


def test_what_is_smaller_than_could_be_detected_is_never_bold() -> None:
    table = side_by_side({"a": row("a", HALF), "c": row("c", SWAPPED)}, "held")
    assert table.attrs["bold"] == []
    assert "no row differs from the first by more than could be detected" in table.attrs["caption"]
    for printed in (markdown(table), latex(table), html(table, "x")):
        assert not any(mark in printed for mark in ("**", r"\textbf", "<b>"))


def test_who_says_the_same_cannot_be_tested_and_no_p_of_1_is_made_up() -> None:
    table = side_by_side({"a": row("a", HALF), "b": row("b", HALF)}, "held")
    assert "p" not in table and "McNemar" not in table
    assert (
        "note: b: p not measurable: no item of 80 was judged differently"
        in (table.attrs["caption"])
    )


def test_one_table_is_printed_in_every_format(tmp_path: Path) -> None:
    table = side_by_side({"a_1": row("a_1", HALF, MORE), "<b> | 50 %": row("b", MORE, MORE)}, "val")
    assert r"<b> \| 50 %" in markdown(table)
    assert r"a\_1" in latex(table) and r"\bottomrule" in latex(table) and r"50 \%" in latex(table)
    assert "&lt;b&gt;" in html(table, "x")
    save(table, tmp_path, "val")
    suffixes = {path.suffix for path in tmp_path.glob("ablation-val.*")}
    assert suffixes == {".csv", ".json", ".md", ".tex", ".html"}
    whole = json.loads((tmp_path / "ablation-val.json").read_text())
    assert whole["rows"][0]["by seed"] == "0: 0.500; 1: 0.850"
    wide = [
        sum(max(len(x) for cell in cells for x in cell.split("\n")) + 1 for cells in columns)
        for part in terminal(table)
        for columns in [zip(part.head, *part.rows, strict=True)]
    ]
    assert max(wide) <= 100


def test_rows_of_both_modes_never_stand_in_one_table() -> None:
    one, two = (
        replace(row("a", HALF), mode="inductive"),
        replace(row("b", HALF), mode="transductive"),
    )
    with pytest.raises(DataError, match="a is inductive and b is transductive"):
        table_of(one, two)
    assert len(table_of(one, row("gold alone", MORE))) == 2


def test_who_was_not_shown_to_beat_the_most_frequent_class_is_named() -> None:
    table = side_by_side({"a": row("a", HALF), "b": row("b", MORE)}, "held")
    assert "always naming the most frequent class: a\n" in table.attrs["caption"]


def test_folds_that_share_people_say_so_beside_those_that_do_not() -> None:
    people, items = row("people", HALF), replace(row("items", MORE), note=SHARED)
    table = side_by_side({"people": people, "items": items}, "held")
    assert f"note: items: {SHARED}" in table.attrs["caption"]
    assert "nor from its subject" not in table.attrs["caption"]


def test_what_was_judged_on_other_items_is_refused_by_name() -> None:
    whole, part = row("a", HALF), row("b", HALF[:78])
    with pytest.raises(DataError, match=r"a and b were judged on other items: 2 items \(as 'v78'"):
        aligned(whole, part)
    moved = replace(whole, name="c", predictions=[[replace(p, label=0) for p in whole.items]])
    with pytest.raises(DataError, match="40 items .* with another label"):
        aligned(whole, moved)


def test_a_file_says_the_same_in_every_seed_of_a_run() -> None:
    run = row("run", HALF, MORE)
    seeds = [
        [one for n, one in enumerate(seed) if (n + s) % 4] for s, seed in enumerate(run.predictions)
    ]
    ragged = replace(run, predictions=seeds)
    line = table_of(ragged, row("file", [True] * 80))[1]
    right = [one.predicted == one.label for seed in seeds for one in seed]
    assert line["difference"].value == pytest.approx(1 - np.mean(right))


REFERENCE = row("run", HALF[:4])
GOOD = "video_id,prob\nv00,0.1\nv01,0.9\nv02,0.6\nv03,0.5\n"


def test_prob_is_of_the_second_class_or_of_the_one_that_is_named(csv: Csv) -> None:
    read = of_csv(csv(GOOD), REFERENCE).predictions[0]
    assert [list(one.probability) for one in read[:2]] == [[0.9, 0.1], pytest.approx([0.1, 0.9])]
    assert [one.label for one in read] == [0, 1, 0, 1]
    turned = of_csv(csv(GOOD), REFERENCE, positive="lose").predictions[0]
    assert list(turned[0].probability) == [0.1, 0.9]
    both = csv("id,prob_win,prob_lose\nv03,.2,.8\nv02,.2,.8\nv01,.2,.8\nv00,.3,.7\n")
    assert list(of_csv(both, REFERENCE).items[0].probability) == pytest.approx([0.7, 0.3])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("video_id,prob\n", "has a header and no row"),
        ("name,prob\nv00,1\n", "has no column video_id (it has name, prob)"),
        (GOOD.replace("v03,0.5\n", ""), "1 item (as 'v03') missing"),
        (GOOD.replace("v03,", "v03x,"), "1 item (as 'v03x') unknown to run; did you mean 'v03'"),
        (GOOD + "v00,0.3\n", "1 item (as 'v00') there more than once"),
        (
            GOOD.replace("0.9", "1.9"),
            "1 row with what is no probability from 0 to 1, as prob '1.9' in",
        ),
        (GOOD.replace("0.9", "nan"), "as prob 'nan' in line 3"),
        (GOOD.replace("0.9", ""), "as prob '' in line 3"),
        (GOOD.replace("prob", "score"), "lacks the column prob_lose, prob_win"),
        (
            "video_id,prob_win,prob_lose\n" + "".join(f"v{n:02},.9,.9\n" for n in range(4)),
            "add up to",
        ),
    ],
)
def test_a_file_that_is_not_of_these_items_is_refused_with_a_sentence(
    text: str, says: str, csv: Csv
) -> None:
    with pytest.raises(DataError) as refused:
        of_csv(csv(text), REFERENCE)
    assert says in str(refused.value)


def test_a_single_column_is_for_two_classes_that_are_known(csv: Csv) -> None:
    with pytest.raises(DataError, match="--positive 'wim' is no class; did you mean 'win'"):
        of_csv(csv(GOOD), REFERENCE, positive="wim")
    with pytest.raises(DataError, match="for two classes, and there are 3"):
        of_csv(csv(GOOD), replace(REFERENCE, classes=("a", "b", "c")))


def test_what_is_no_run_and_no_file_is_refused(csv: Csv, tmp_path: Path, finished: Path) -> None:
    file = csv(GOOD)
    for sources, says in (
        ([file], "there is no run among these"),
        ([file, tmp_path / "none"], "there is no .*none"),
        ([finished, finished], "is given twice"),
        ([finished, tmp_path], "is no run, and no folder of an ablation's row"),
    ):
        with pytest.raises(RunError, match=says):
            api.compare(sources)


def test_test_is_compared_for_a_reason_alone(finished: Path, csv: Csv) -> None:
    with pytest.raises(RunError, match="needs a reason"):
        api.compare([finished, csv(GOOD)], "test")
