"""What every command prints: nothing that does anything to a terminal, and tables that fit."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from emoframe.cli.app import build_app
from emoframe.cli.output import harmless, note, one_line, rows, say
from emoframe.core.plugins import loaded

NASTY = "\x1b[2J\x1b]0;owned\x07 busy\nall is well\u202e\u2028.\udcff"
ILL = f'''
import emoframe
from emoframe.labelling import CallError, Question, Reply, Usage

@emoframe.component("vlm_labeler", "ill")
class Ill:
    """Answers with terminal codes."""

    uploads, simulated, reads_keypoints, reads_video, model = False, False, False, False, ""

    def __init__(self) -> None: ...

    def ask(self, question: Question) -> Reply:
        raise CallError({NASTY!r}, status="refused")

    def tokens(self, question: Question) -> Usage:
        return Usage()
'''


def test_text_of_others_is_written_in_letters() -> None:
    shown = harmless(NASTY)
    assert not [one for one in shown if unicodedata.category(one)[0] == "C" and one != "\n"]
    assert "\\x1b[2J" in shown
    assert "busy\nall" in shown
    assert "busy all is well" in one_line(NASTY)
    assert harmless("é 表 1\u00a0000 🙂") == "é 表 1\u00a0000 🙂"


def test_whatever_is_printed_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    say(NASTY)
    note(NASTY)
    rows([{"reason": NASTY}])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def test_a_service_injects_nothing_by_the_reasons_it_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ill.py").write_text(ILL)
    before = dict(loaded().offers)
    plugin = loaded().load_file(tmp_path / "ill.py")
    items = ["dataset.train=2", "dataset.test=1", "dataset.frames=16"]
    asked = ["label", "quickstart", *items, "weak_labels.vlm_labeler.type=ill"]
    try:
        shown = CliRunner().invoke(build_app(), asked)
        listed = CliRunner().invoke(build_app(), ["labels", "ls", "labels.sqlite"])
    finally:
        loaded().plugins.remove(plugin)
        loaded().manager.unregister(name=plugin.name)
        for key in [key for key in loaded().offers if key not in before]:
            del loaded().offers[key]
    assert shown.exit_code == 1, shown.output
    for output in (shown.output, listed.output):
        assert "busy all is well" in output, "on one line, so that it cannot pass for another one"
        assert "\x1b" not in output
        assert "\x07" not in output


def test_short_columns_stay_whole_where_long_ones_are_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emoframe.cli.output.PIPED", 60)
    told: dict[str, Any] = {"item": "film-00001", "status": "unparsable", "note": "word " * 30}
    rows([told])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) > 3
    assert lines[1].startswith("film-00001  unparsable  word word")
