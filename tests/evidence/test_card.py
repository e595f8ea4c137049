"""A model card says what a run is, from its own files, and says what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from emoframe import api
from emoframe.evidence.card import write
from emoframe.evidence.submissions.form import Format
from emoframe.evidence.submissions.ledger import record_score
from emoframe.evidence.submissions.submit import submit
from emoframe.learning.run import CARD, load_run

UNSCORED = shutil.ignore_patterns("openings*", "predictions-*", "scores-*", "card.md")
"""What others that share the run may have left."""


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return shutil.copytree(finished, tmp_path / "runs" / "mine" / "seed-0", ignore=UNSCORED)


def edit(run: Path, **changes: object) -> None:
    file = run / CARD
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_run_that_was_never_scored_says_so(run: Path) -> None:
    text = write(run).read_text()
    assert text.count("NEVER SCORED") == 1 and "scored on nothing" in text
    assert "Not scored on val and test: those numbers are missing." in text
    assert "never opened the test labels" in text
    assert "SYNTHETIC" in text and "weak ones included | 20 |" in text


def test_every_number_is_that_of_the_runs_files(run: Path) -> None:
    val, test = api.evaluate(run), api.evaluate(run, "test", "final | result")
    text = write(run).read_text()
    for scores in (val, test):
        assert str(scores.accuracy) in text and scores.accuracy.method in text
        assert str(scores.brier) in text
    assert "| accuracy | " + f"{test.accuracy} | {val.accuracy} |" in text
    assert "| cross_part_0 | 3 | " in text and "over 3 subjects with 2 to 2 items each" in text
    assert "opened 1 time by" in text and "final \\| result" in text
    card = load_run(run).card
    assert card["data_hash"] in text and f"| torch | {card['libraries']['torch']} |" in text
    assert "those numbers are missing" not in text and "built-in" not in text
    assert str(run) not in text


def test_weak_labels_mode_and_outcomes_are_told(run: Path) -> None:
    weak = {
        "mode": "transductive", "hash": "abc", "items": 5, "weight": 3.0, "simulated": True,
        "used": {"cross_part_0": 1, "cross_part_1": 2},
    }  # fmt: skip
    assert "It stands in for hidden emotion" not in write(run).read_text()
    edit(run, weak=weak, mode="transductive", protocol="imigue:miga_emotion/incomplete")
    text = write(run).read_text()
    assert "TRANSDUCTIVE" in text and "| weak labels | 3 of 5 items |" in text
    assert "cross_part_0: 1, cross_part_1: 2" in text
    assert "What was annotated is the outcome of a match" in text
    assert "The copy of the data set is not whole" in text
    edit(run, protocol="imigue:micro_gesture")
    assert "outcome of a match" not in write(run).read_text()


def test_what_an_old_record_does_not_say_is_missing(run: Path) -> None:
    card = json.loads((run / CARD).read_text())
    for key in ("plugins", "python", "seen", "weak"):
        card.pop(key, None)
    (run / CARD).write_text(json.dumps(card))
    told = "missing: the run's record does not say"
    text = write(run).read_text()
    assert f"| plugins | {told} |" in text and f"| weak labels | {told} |" in text
    assert f"| subjects in both | {told} |" in text


def test_a_run_after_a_returned_score_is_marked(run: Path, tmp_path: Path) -> None:
    entry = submit([run], Format(), tmp_path / "a.csv").entry
    assert "LEADERBOARD-SELECTED" not in write(run).read_text()
    record_score(entry.name, 0.7)
    edit(run, started="2999-01-01T00:00:00+00:00")
    text = write(run).read_text()
    assert "LEADERBOARD-SELECTED" in text and "returned 0.7" in text
