"""Answers out and in: JSONL loses nothing, tables are for looking, labels of others come in."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from emoframe.core.errors import DataError
from emoframe.weak_labels.exchange.elsewhere import Known
from emoframe.weak_labels.exchange.intake import import_file, read_contents
from emoframe.weak_labels.exchange.listing import flat, listing
from emoframe.weak_labels.exchange.tables import dollars, micro
from emoframe.weak_labels.exchange.transfer import export, selected
from emoframe.weak_labels.store import Contents, LabelStore, now

Fill = Callable[[LabelStore], LabelStore]


def travelling(store: LabelStore) -> Contents:
    """Return what a file carries from one store to another: all but who agreed to an upload."""
    return replace(store.contents(), consents=())


@pytest.fixture
def store(tmp_path: Path, fill: Fill) -> LabelStore:
    return fill(LabelStore(tmp_path / "labels.sqlite"))


def written(store: LabelStore, name: str, **chosen: Any) -> Path:
    file = store.path.with_name(name)
    found = listing(store, **chosen)
    export(selected(store, found) if chosen else store.contents(), found, file)
    return file


def test_a_store_made_from_jsonl_is_the_store_that_it_came_from(
    store: LabelStore, tmp_path: Path
) -> None:
    file = written(store, "all.jsonl")
    again = LabelStore(tmp_path / "again.sqlite")
    done = import_file(again, file)
    assert done.refused == ()
    assert again.contents() == travelling(store)
    assert again.spent() == store.spent()
    assert written(again, "again.jsonl").read_bytes() == file.read_bytes()
    assert not any(import_file(again, file).new.values()), "twice is once"
    assert read_contents(file) == travelling(store)
    assert store.consent("imigue") and not again.consent("imigue"), "each agrees for themselves"


def test_every_line_is_strict_json_that_names_its_sort(store: LabelStore) -> None:
    lines = [json.loads(line) for line in written(store, "all.jsonl").read_text().splitlines()]
    assert [line["record"] for line in lines] == [
        "prompt", "labeler", "item", "item", "call", "call", "call", "call", "call",
        "answer", "answer", "review", "opening", "batch",
    ]  # fmt: skip
    answer = next(line for line in lines if line["record"] == "answer")
    assert answer["label"]["units"][0]["start_s"] == 1.234
    assert answer["marks"] == []


def test_an_import_from_another_store_is_the_same(store: LabelStore, tmp_path: Path) -> None:
    again = LabelStore(tmp_path / "again.sqlite")
    import_file(again, store.path)
    assert again.contents() == travelling(store)


def test_a_choice_goes_out_with_what_belongs_to_it_and_nothing_else(
    store: LabelStore, parts: Any, tmp_path: Path
) -> None:
    file = written(store, "some.jsonl", status="ok")
    again = LabelStore(tmp_path / "again.sqlite")
    assert import_file(again, file).refused == ()
    assert [one.key for one in again.answers()] == [parts.key]
    assert again.reviews() == []
    assert again.batches() == []
    assert list(again.items()) == [("imigue", "0001")]
    assert again.spent() == 0.0123


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_has_a_row_for_each_answer(store: LabelStore, form: str) -> None:
    file = written(store, f"table.{form}")
    table = pd.read_csv(file, dtype={"item": str}) if form == "csv" else pd.read_parquet(file)
    first = table.iloc[0]
    assert list(table["item"]) == ["0001", "0002"]
    assert list(table["status"]) == ["ok", "quota"]
    assert (first["label"], first["confidence.win"], first["tokens.thoughts"]) == ("win", 0.7, 3)
    assert (bool(first["simulated"]), bool(first["after_test_opened"])) == (False, False)
    assert json.loads(first["units"])[1]["name"] == "odd thing"
    assert first["model"] == "gemini-2.5-pro-001"


def test_a_cell_that_a_spreadsheet_would_run_is_made_harmless_in_csv_only(
    store: LabelStore, parts: Any
) -> None:
    bad = "=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "fine =1"
    for n, text in enumerate(bad):
        key = parts.key._replace(sample=n + 1)
        answer = parts.answer(key, label=replace(parts.label, rationale=text))
        store.settle(store.reserve(key, 0), answer)
    with written(store, "table.csv").open(newline="") as opened:
        rows = [row["rationale"] for row in csv.DictReader(opened)][1:-1]
    assert rows == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "'\tx", "fine =1"]
    assert "'=HYPERLINK" not in written(store, "table.jsonl").read_text()
    assert list(pd.read_parquet(written(store, "t.parquet"))["rationale"])[1:-1] == list(bad)


def test_what_nobody_may_overlook_stands_in_every_export(
    store: LabelStore, parts: Any, tmp_path: Path
) -> None:
    late = replace(parts.prompt, text="Better?")
    fake = replace(parts.labeler, key="fa" * 32, config={"type": "simulated"}, simulated=True)
    store.add_prompt(late)
    store.add_labeler(fake)
    key = parts.key._replace(prompt=late.hash, labeler=fake.key)
    store.settle(store.reserve(key, 0), parts.answer(key))
    (one,) = listing(store, "imigue", prompt=late.hash[:8])
    assert one.marks == ["simulated", "after test was opened"]
    (row,) = flat([one])
    assert (row["simulated"], row["after_test_opened"]) == (True, True)
    (line,) = [
        line
        for line in written(store, "a.jsonl").read_text().splitlines()
        if '"marks": ["s' in line
    ]
    assert json.loads(line)["marks"] == one.marks
    again = LabelStore(tmp_path / "again.sqlite")
    import_file(again, store.path.with_name("a.jsonl"))
    assert [one.marks for one in listing(again)] == [one.marks for one in listing(store)]


def test_labels_of_another_tool_come_in_under_the_items_that_the_store_knows(
    store: LabelStore, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.jsonl"
    rows: list[dict[str, Any]] = [
        {"item": "0001", "dataset": "imigue", "confidence": {"win": 0.9, "loss": 0.3},
         "rationale": "smiles", "model": "their-model", "at": "2024-05-06T07:08:09Z"},
        {"item": "0002", "label": "loss", "text": "raw", "simulated": True},
        {"clip": "dd" * 32, "confidence": {"win": 0.5, "loss": 0.5}},
        {"clip": "ee" * 32, "text": "I cannot say"},
    ]  # fmt: skip
    file.write_text("\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n")
    done = import_file(store, file, dataset="imigue")
    assert done.refused == ()
    assert done.new["answers"] == 4
    found = [one for one in listing(store) if one.labeler.config["type"] == "imported"]
    by_clip = {one.answer.key.clip: one for one in found}
    first, second = (by_clip[store.items()["imigue", item]] for item in ("0001", "0002"))
    assert (first.verdict, first.labeler.model, first.prompt.classes) == (
        "win", "their-model", ("win", "loss"),
    )  # fmt: skip
    assert first.answer.asked_at == "2024-05-06T07:08:09.000000+00:00"
    assert first.answer.label is not None
    assert "tells no verdict" in first.answer.label.notes[0]
    assert (second.verdict, second.marks) == ("loss", ["simulated"])
    abstains, unread = by_clip["dd" * 32].answer, by_clip["ee" * 32].answer
    assert abstains.label is not None
    assert abstains.label.label is None
    assert (unread.status, unread.label, unread.reply and unread.reply.text) == (
        "unparsable", None, "I cannot say",
    )  # fmt: skip
    assert not any(import_file(store, file, dataset="imigue").new.values()), "twice is once"


def test_a_table_of_another_tool_comes_in(store: LabelStore, tmp_path: Path) -> None:
    text = "item,label,confidence.win,confidence.loss,why\n0001,win,.8,.1,\n0002,,.2,,\n"
    file = tmp_path / "theirs.csv"
    file.write_text(text.replace(",why", "").replace(",\n", "\n"))
    assert import_file(store, file, "imigue", "ann").new["answers"] == 2
    made = store.labelers()[-1].key
    first, second = (one.answer for one in listing(store, "imigue", labeler=made))
    assert first.label is not None
    assert (first.label.confidence, first.label.label) == ((0.8, 0.1), 0)
    assert (second.status, second.label) == ("unparsable", None), "win .2 is no win"
    assert "lack the class 'loss'" in second.reason
    (tmp_path / "more.csv").write_text(text)
    done = import_file(store, tmp_path / "more.csv", "imigue")
    assert done.new["answers"] == 2, "an empty column more is no harm"


def test_no_part_of_a_micro_dollar_is_lost() -> None:
    assert [micro(usd) for usd in (0.0123, 0.1, 1e-7, 0.0, None)] == [12300, 100_000, 1, 0, None]
    assert all(micro(dollars(count)) == count for count in range(0, 10**6, 997))


def test_a_label_of_no_class_of_the_data_set_is_refused_row_by_row(
    store: LabelStore, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text(
        "item,label,confidence.losse,confidence.loss,confidence.win\n"
        "0001,losse,,,\n0001,,.4,,.6\n0002,loss,,.7,.1\n"
    )
    done = import_file(store, file, "imigue", "ann")
    told = "'losse' is no class of 'imigue'; did you mean 'loss'? (its classes are win, loss)"
    assert list(done.refused) == [f"{file}:{n}: {told}" for n in (2, 3)]
    (taken,) = listing(store, labeler="ann")
    assert taken.answer.label is not None
    assert taken.answer.label.classes == ("win", "loss"), "the data set's order, not the file's"
    assert (taken.verdict, taken.answer.label.confidence) == ("loss", (0.1, 0.7))
    assert done.made == ((f"ann@{taken.answer.key.prompt[:8]}", taken.labeler.name),)
    assert done.unchecked == ()


def test_a_config_tells_an_empty_store_items_and_classes(tmp_path: Path) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text("item,label\na,lose\nb,losse\n")
    known = Known().more("films", {"a": "aa" * 32, "b": "bb" * 32}, ("lose", "win"))
    with LabelStore(tmp_path / "new.sqlite") as fresh:
        done = import_file(fresh, file, "films", known=known)
        (answer,) = fresh.answers()
    assert "theirs.csv:3: 'losse' is no class" in done.refused[0]
    assert answer.label is not None
    assert answer.label.classes == ("lose", "win")


def test_classes_that_nobody_can_check_are_told(tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_text(json.dumps({"clip": "dd" * 32, "label": "joy"}))
    assert import_file(LabelStore(tmp_path / "new.sqlite"), file).unchecked == ("joy",)


def test_a_line_that_cannot_be_used_is_told_and_the_others_are_taken(
    store: LabelStore, parts: Any, tmp_path: Path
) -> None:
    good = written(store, "all.jsonl").read_text().splitlines()
    lonely = next(line for line in good if '"record": "answer"' in line)
    lonely = lonely.replace(parts.labeler.key, "00" * 32)
    bad = [
        lonely, "not json", "[]", '{"record": "song"}', '{"record": "answer"}',
        '{"record": "review", "item": 3}', '{"item": "0001"}', '{"clip": "x", "labl": "win"}',
        '{"clip": "x", "confidence": {"win": 1.7}}', good[0][:40],
    ]  # fmt: skip
    file = tmp_path / "mixed.jsonl"
    file.write_text("\n".join([*bad, *good]))
    again = LabelStore(tmp_path / "again.sqlite")
    done = import_file(again, file)
    assert again.contents() == travelling(store)
    told = "\n".join(done.refused)
    assert len(done.refused) == len(bad)
    for text in (
        "mixed.jsonl:2: is no JSON object", "mixed.jsonl:3: is no JSON object",
        "mixed.jsonl:4: is no record", "mixed.jsonl:5: the answer has no 'clip'",
        "mixed.jsonl:6: is no review (dataset: Field required",
        "mixed.jsonl:7: the store knows no item '0001' of data set ''",
        "mixed.jsonl:8: is no label (labl: Extra inputs", "less than or equal to 1",
        "1 records name a prompt or labeler that is not there",
    ):  # fmt: skip
        assert text in told


@pytest.mark.parametrize(
    ("sort", "change", "told"),
    [
        ("call", {"state": "unknown", "reserved_usd": -100.0, "usd": None}, "reserved_usd: .*than"),
        ("call", {"usd": -100.0}, "usd: .*greater than"),
        ("call", {"reserved_usd": math.nan}, "reserved_usd: "),
        ("call", {"sample": 10**30}, "less than"),
        ("call", {"at": "yesterday"}, "at: 'yesterday' is no time"),
        ("call", {"at": "2026-01-01T00:00:00.000000"}, "is no time"),
        ("answer", {"usd": math.inf}, "usd: "),
        ("answer", {"label": {"classes": ["win"], "confidence": None, "label": 7, "rationale": "",
                              "rationale_no_verdict": ""}}, "no class number 7"),
        ("answer", {"label": {"classes": ["win"], "confidence": [], "label": None, "rationale": "",
                              "rationale_no_verdict": ""}}, "one confidence for each"),
    ],
)  # fmt: skip
def test_a_record_that_would_break_the_store_or_its_budget_stays_outside(
    store: LabelStore, tmp_path: Path, sort: str, change: dict[str, Any], told: str
) -> None:
    lines = written(store, "all.jsonl").read_text().splitlines()
    record = json.loads(next(line for line in lines if f'"record": "{sort}"' in line))
    (tmp_path / "odd.jsonl").write_text(json.dumps({**record, **change, "uid": "new"}) + "\n")
    before = store.contents(), store.spent()
    with pytest.raises(DataError, match=told):
        import_file(store, tmp_path / "odd.jsonl")
    assert (store.contents(), store.spent()) == before


def test_a_measure_of_unknown_labels_and_a_bottomless_line_cost_no_other_line(
    store: LabelStore, tmp_path: Path
) -> None:
    measure = {"record": "measure", "dataset": "d", "prompt": "0" * 64, "labeler": "0" * 64,
               "what": "w", "content": "{}", "at": now()}  # fmt: skip
    lines = [
        json.dumps(measure),
        "[" * 100_000,
        *written(store, "a.jsonl").read_text().splitlines(),
    ]
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    again = LabelStore(tmp_path / "again.sqlite")
    assert len(import_file(again, tmp_path / "b.jsonl").refused) == 2
    assert again.contents() == travelling(store)


def test_half_a_letter_from_a_model_stops_no_export(
    store: LabelStore, parts: Any, tmp_path: Path
) -> None:
    key = parts.key._replace(sample=1)
    answer = parts.answer(key, reply=replace(parts.reply, text="a\ud83d"))
    store.settle(store.reserve(key, 0), answer)
    assert "a\\ud83d" in written(store, "t.csv").read_text(encoding="utf-8")
    assert "a\\ud83d" in list(pd.read_parquet(written(store, "t.parquet"))["text"])
    again = LabelStore(tmp_path / "again.sqlite")
    import_file(again, written(store, "t.jsonl"))
    assert again.contents() == travelling(store), "JSONL loses nothing"


def test_a_clip_of_two_data_sets_keeps_the_mark_of_either(store: LabelStore, parts: Any) -> None:
    late = replace(parts.prompt, text="Better?")
    store.add_prompt(late)
    store.add_items("zoo", {"9": parts.clip})
    key = parts.key._replace(prompt=late.hash)
    store.settle(store.reserve(key, 0), parts.answer(key))
    assert {one.dataset: one.stamped for one in listing(store, prompt=late.hash)} == {
        "imigue": True, "zoo": False,
    }  # fmt: skip
    lines = map(json.loads, written(store, "a.jsonl").read_text().splitlines())
    told = [
        one["marks"] for one in lines if one["record"] == "answer" and one["prompt"] == late.hash
    ]
    assert told == [["after test was opened"]]


def test_units_come_in_from_either_sort_of_table(store: LabelStore, tmp_path: Path) -> None:
    unit = {"system": "FACS", "code": "12", "name": "n", "start_s": 0.0, "end_s": 1.0,
            "confidence": 1.0}  # fmt: skip
    row = {"item": "0001", "label": "win"}
    table = pd.DataFrame([{**row, "units": [unit, unit]}, {**row, "item": "0002", "units": []}])
    table.to_parquet(tmp_path / "a.parquet")
    pd.DataFrame([{**row, "units": json.dumps([unit, unit])}]).to_csv(tmp_path / "b.csv")
    text = (tmp_path / "b.csv").read_text().replace(",item", "clip,item", 1).replace("\n0,", "\n,")
    (tmp_path / "b.csv").write_text(text)
    for name in ("a.parquet", "b.csv"):
        assert import_file(store, tmp_path / name, "imigue").refused == ()
    made = [one.answer.label for one in listing(store) if one.labeler.config["type"] == "imported"]
    assert sorted(len(label.units) for label in made if label) == [0, 2, 2]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "x", "must end in .jsonl, .csv or .parquet"),
        ("a.jsonl", "{}", "holds nothing that can be taken in"),
        ("a.csv", "prompt_hash,item\n1,2\n", "from an export for spreadsheets"),
        ("a.csv", "", "is no readable table"),
        ("a.parquet", "x", "is no readable table"),
    ],
)
def test_a_file_of_another_sort_is_a_sentence(
    store: LabelStore, tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content)
    before = store.contents()
    with pytest.raises(DataError, match=told):
        import_file(store, tmp_path / name)
    with pytest.raises(DataError, match="cannot be read"):
        import_file(store, tmp_path / "missing.jsonl")
    assert store.contents() == before


def test_an_export_that_cannot_be_written_is_a_sentence(store: LabelStore) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        export(store.contents(), [], Path("/proc/out.jsonl"))
    with pytest.raises(DataError, match="must end in"):
        export(store.contents(), [], store.path.with_name("out.xlsx"))
