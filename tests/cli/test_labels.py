"""The commands of the label store as their user meets them: tables, JSON, sentences, exit codes."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from emoframe.cli.app import main
from emoframe.labelling import Evidence, Prompt, Reply, Unit, WeakLabel
from emoframe.weak_labels.store import Answer, LabelerRecord, LabelStore, QuestionKey, now

CLIPS = ["c1" * 32, "c2" * 32]
PROMPT = Prompt("cot", "Look.", "Won or lost?", {}, ("win", "loss"), {"FACS": {"12": "Smile"}})
LATE = Prompt("cot2", "Look.", "Won, or lost?", {}, ("win", "loss"))
GEMINI = LabelerRecord("ab" * 32, {"type": "gemini"}, {}, "gemini-2.5-pro", True, False)
FAKE = LabelerRecord("fa" * 32, {"type": "simulated"}, {}, "", False, True)
LABEL = WeakLabel(
    ("win", "loss"), (0.7, 0.2), 0, "smiles \x1b[31mred", "smiles",
    (Unit("FACS", "12", "Smile", 1.0, 2.0, 0.8, "left", "C", ("joy",)),),
    (Evidence("win", "a smile", (0,), ("R1",), 0.9),),
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    returncode: int
    stdout: str
    stderr: str


def emoframe(*args: object) -> Shown:
    """Run a command as the console script does, but in this process, which is far quicker."""
    with (
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
        patch.object(sys, "argv", ["emoframe", "labels", *map(str, args)]),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return Shown(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def answer(key: QuestionKey, **changes: Any) -> Answer:
    told: dict[str, Any] = {
        "key": key, "status": "ok", "reason": "", "reply": Reply('{"raw": 1}', model="g-001"),
        "label": LABEL, "usd": 0.01, "calls": 1, "asked_at": now(), "answered_at": now(),
        "versions": {},
    }  # fmt: skip
    return Answer(**{**told, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "labels.sqlite"
    with LabelStore(path) as opened:
        for prompt, labeler in ((PROMPT, GEMINI), (LATE, FAKE)):
            opened.add_prompt(prompt)
            opened.add_labeler(labeler)
        opened.add_items("imigue", {"0001": CLIPS[0], "0002": CLIPS[1]})
        first, second = (QuestionKey(clip, PROMPT.hash, GEMINI.key, 0) for clip in CLIPS)
        opened.settle(opened.reserve(first, 0.05), answer(first))
        blocked = answer(second, status="blocked", reason="SAFETY\nsaid it", label=None)
        opened.settle(opened.reserve(second, 0.05), blocked)
        opened.reserve(second._replace(sample=1), 0.02)
        opened.add_opening("imigue", "runs/1")
        late = QuestionKey(CLIPS[0], LATE.hash, FAKE.key, 0)
        opened.settle(opened.reserve(late, 0.0), answer(late, usd=0.0))
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE call SET started = 'gone' WHERE state = 'open'")
    db.close()
    return path


def test_the_group_is_there_for_the_shell() -> None:
    command = [sys.executable, "-m", "emoframe", "labels", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    for name in ("ls", "show", "export", "import", "review-export", "review-import"):
        assert f"  {name} " in shown.stdout


def test_ls_lists_answers_what_must_be_known_of_them_and_what_they_cost(store: Path) -> None:
    shown = emoframe("ls", store)
    assert shown.returncode == 0, shown.stderr
    (late,) = [line for line in shown.stdout.splitlines() if "cot2" in line]
    assert (
        late
        == f"imigue, cot2@{LATE.hash[:8]}, simulated@fafafafa (simulated, after test was opened)"
    )
    assert shown.stdout.count("simulated, after") == 1
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "SAFETY said it" in shown.stdout
    assert "3 answers (1 blocked, 2 ok, 1 after test was opened, 1 simulated)" in shown.stderr
    assert "$0.0400 spent, of it $0.0200 in 1 calls unknown, see --unknown" in shown.stderr
    chosen = emoframe("ls", store, "--status", "ok", "--labeler", "abab", "--dataset", "imigue")
    assert "1 answer (1 ok)" in chosen.stderr
    (one,) = json.loads(emoframe("ls", store, "--prompt", LATE.hash[:6], "--json").stdout)
    assert (one["item"], one["simulated"], one["after_test_opened"]) == ("0001", True, True)


def test_ls_unknown_lists_calls_whose_end_nobody_knows(store: Path) -> None:
    shown = emoframe("ls", store, "--unknown")
    assert shown.returncode == 0, shown.stderr
    assert "it may have been paid" in shown.stdout
    assert "1 unknown calls; $0.0400 spent" in shown.stderr
    (call,) = json.loads(emoframe("ls", store, "--unknown", "--json").stdout)
    assert (call["clip"], call["sample"], call["reserved_usd"]) == (CLIPS[1], 1, 0.02)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--status", "okay", "status 'okay': is not in .*did you mean 'ok'"),
        ("--dataset", "imige", "data set 'imige': .*did you mean 'imigue'"),
        ("--prompt", "zz", "prompt 'zz': there is none; known are"),
        ("--labeler", "zz", "labeler 'zz': there is none; known are gemini@abab"),
    ],
)
def test_a_choice_that_is_none_is_a_sentence(
    store: Path, option: str, value: str, told: str
) -> None:
    shown = emoframe("ls", store, option, value)
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr
    assert re.search(told, shown.stderr), shown.stderr


def test_show_tells_all_about_an_item_and_harms_no_terminal(store: Path) -> None:
    shown = emoframe("show", store, "0001")
    assert shown.returncode == 0, shown.stderr
    for text in (
        "imigue 0001  clip c1c1", "[simulated]  [after test was opened]", "win 0.70, loss 0.20",
        "0: 1.00-2.00 s  FACS 12 Smile, 0.80, left, C, joy", "for win (0.90; 0, R1): a smile",
        "\\x1b[31mred", "$0.0100, 1 call, ", "  g-001; ended by stop\n",
    ):  # fmt: skip
        assert text in shown.stdout
    assert "\x1b" not in shown.stdout
    assert '{"raw": 1}' not in shown.stdout
    assert '{"raw": 1}' in emoframe("show", store, "c2c2", "--raw").stdout
    assert len(json.loads(emoframe("show", store, "0001", "--json").stdout)) == 2


@pytest.mark.parametrize("name", ["cot2", f"cot2@{LATE.hash[:8]}", LATE.hash[:6]])
def test_what_a_table_prints_names_it_again(store: Path, name: str) -> None:
    assert "Won, or lost?" in emoframe("show", store, name).stdout
    assert "1 answer (1 ok" in emoframe("ls", store, "--prompt", name).stderr
    for labeler in ("simulated", "simulated@fafafafa", "fafa"):
        assert "1 answer (1 ok" in emoframe("ls", store, "--labeler", labeler).stderr


def test_a_name_of_several_is_a_sentence_that_names_them(store: Path) -> None:
    other = replace(PROMPT, text="Well?")
    with LabelStore(store) as opened:
        opened.add_prompt(other)
    for command in (("show", store, "cot"), ("ls", store, "--prompt", "cot")):
        shown = emoframe(*command)
        assert shown.returncode == 2
        assert "prompt 'cot': several are called so: " in shown.stderr
        for one in (PROMPT, other):
            assert f"cot@{one.hash[:8]}" in shown.stderr


def test_show_tells_a_prompt_whole(store: Path) -> None:
    shown = emoframe("show", store, LATE.hash[:10])
    assert "Won, or lost?" in shown.stdout
    told = json.loads(emoframe("show", store, LATE.hash[:10], "--json").stdout)
    assert (told["hash"], told["text"]) == (LATE.hash, "Won, or lost?")
    nothing = emoframe("show", store, "0009")
    assert nothing.returncode == 2
    assert "'0009' is no item with an answer, no clip and no prompt" in nothing.stderr


def test_answers_go_out_and_come_in(store: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "all.jsonl", tmp_path / "again.sqlite"
    assert "3 answers" in emoframe("export", store, out).stderr
    came = emoframe("import", again, out)
    assert came.returncode == 0, came.stderr
    assert "2 prompts, 2 labelers, 2 items, 4 calls, 3 answers" in came.stderr
    assert "$0.0400 more count as spent" in came.stderr
    assert LabelStore(again).contents() == LabelStore(store).contents()
    assert "new are none" in emoframe("import", again, store).stderr
    assert emoframe("export", store, tmp_path / "t.csv", "--status", "ok").returncode == 0
    assert (tmp_path / "t.csv").read_text().count("\n") == 3
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("item,label\n0001,win\n0009,win\n")
    some = emoframe("import", store, theirs, "--dataset", "imigue", "--from", "ann")
    assert some.returncode == 1
    assert "theirs.csv:3: the store knows no item '0009'" in some.stderr
    assert "1 answers" in some.stderr
    assert re.search(r"of the labeler imported@\w{8}, prompt ann@\w{8}", some.stderr)
    assert "win" in emoframe("ls", store, "--labeler", "ann").stdout


def test_an_import_that_brings_nothing_leaves_no_store_behind(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("item,label\n0001,win\n")
    refused = emoframe("import", tmp_path / "new" / "labels.sqlite", theirs)
    assert refused.returncode == 2
    assert "the store knows no item '0001'" in refused.stderr
    review = emoframe("review-import", tmp_path / "labels.sqlite", theirs)
    assert "there is no such label store" in review.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["theirs.csv"]


def test_labels_go_to_label_studio_and_come_back_as_gold(store: Path, tmp_path: Path) -> None:
    videos = ("--videos", "/v/{item}.mp4", "--labeler", "abab")
    done = emoframe("review-export", store, tmp_path / "out", *videos)
    assert done.returncode == 0, done.stderr
    assert "1 tasks. In Label Studio, paste label_config.xml" in done.stderr
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    result = task["predictions"][0]["result"]
    annotation = {"result": result, "completed_by": 1, "updated_at": "2026-01-01T00:00:00Z"}
    good = {"data": task["data"], "annotations": [annotation]}
    (tmp_path / "back.json").write_text(json.dumps([good, {"data": {}}]))
    came = emoframe("review-import", store, tmp_path / "back.json")
    assert came.returncode == 1
    assert "1 reviews are new, 0 were there" in came.stderr
    assert "back.json, task 2: is no annotated task" in came.stderr
    assert LabelStore(store).reviews("imigue")[0].label == "win"


def test_a_store_that_is_not_there_is_a_sentence_and_is_not_made(tmp_path: Path) -> None:
    for command in (("ls",), ("show", "x"), ("export", "a.csv")):
        name, *rest = command
        shown = emoframe(name, tmp_path / "missing.sqlite", *rest)
        assert shown.returncode == 2
        assert "there is no such label store; `emoframe label` makes it" in shown.stderr
    assert list(tmp_path.iterdir()) == []
