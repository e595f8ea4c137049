"""A submission has the form that is asked for, opens nothing, and is never forgotten."""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.core.config import Config, check
from emoframe.core.errors import ConfigError, DataError
from emoframe.evidence.evaluate import saved_predictions
from emoframe.evidence.metrics import openings
from emoframe.evidence.submissions.form import Format, check_ids, load_format, render
from emoframe.evidence.submissions.ledger import after_leaderboard, entries, record_score
from emoframe.evidence.submissions.submit import known, submit
from emoframe.learning.data import prepare
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import CARD, load_run
from emoframe.records import Prediction

UNSCORED = shutil.ignore_patterns("openings*", "predictions-*", "scores-*", "card.md")
"""What others that share the run may have left."""

CLASSES = ("cross_part_0", "cross_part_1")
LABELS = {"cross_part_0": "0", "cross_part_1": "1"}
TOLD = [
    Prediction("video-0010", np.array([0.25, 0.75])),
    Prediction("video-0002", np.array([0.5, 0.5])),
]


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """A folder with a finished run in it, which may be changed."""
    shutil.copytree(finished, tmp_path / "runs" / "mine" / "seed-0", ignore=UNSCORED)
    return tmp_path / "runs" / "mine"


@pytest.fixture(scope="module")
def folds(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both folds of another experiment of the same data."""
    folder = tmp_path_factory.mktemp("folds") / "runs" / "row"
    for fold in (0, 1):
        given = [*tiny, "train.epochs=1", "train.val_fraction=0.5", "folds=2", f"fold={fold}"]
        api.train("quickstart", folder / f"fold-{fold}", given)
    return [folder / "fold-0", folder / "fold-1"]


def form(**given: object) -> Format:
    return check(Format, Config(given))


def test_the_form_decides_header_ids_labels_and_order() -> None:
    plain = form(columns={"video_id": "{id}", "label": "{class}"}, order="id")
    assert render(TOLD, CLASSES, plain) == (
        "video_id,label\nvideo-0002,cross_part_0\nvideo-0010,cross_part_1\n"
    )
    other = form(
        id="{number:03d}.mp4", labels=LABELS, header=False, separator=";", count=2,
        columns={"a": "{id}", "b": "{label}", "c": "{prob_cross_part_1:.2f}"},
    )  # fmt: skip
    assert render(TOLD, CLASSES, other) == "010.mp4;1;0.75\n002.mp4;0;0.50\n"


def test_expected_ids_are_each_there_once(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("2\n10\n")
    asked = {"id": "{number}", "ids": str(tmp_path / "ids.txt"), "order": "ids"}
    assert render(TOLD, CLASSES, form(**asked)).splitlines()[1].startswith("2,")
    told = "1 item .as 'b'. there more than once; 1 item .as 'a'. missing; 1 item .as 'c'. not exp"
    with pytest.raises(DataError, match=told):
        check_ids(["b", "b", "c"], ["a", "b"], None)
    with pytest.raises(DataError, match="2 items where the format expects 104"):
        render(TOLD, CLASSES, form(count=104))
    with pytest.raises(DataError, match="there more than once"):
        render(TOLD, CLASSES, form(id="same"))
    with pytest.raises(DataError, match="cannot be read from"):
        render(TOLD, CLASSES, form(ids=str(tmp_path / "absent.txt")))


def test_a_form_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"columns.a: \{label.__class__\} is not known"):
        form(columns={"a": "{label.__class__}"})
    with pytest.raises(ConfigError, match="needs the file `ids`"):
        form(order="ids")
    with pytest.raises(ConfigError, match="single character"):
        form(separator="")
    with pytest.raises(DataError, match="has texts for win"):
        render(TOLD, CLASSES, form(labels={"win": "1"}))
    with pytest.raises(DataError, match="prob_c"):
        render(TOLD, CLASSES, form(columns={"a": "{prob_c}"}))
    with pytest.raises(DataError, match="holds 0 numbers"):
        render([Prediction("a", np.array([1, 0]))], CLASSES, form(id="{number}"))


def test_shipped_forms_are_right_and_migas_says_that_it_is_unverified() -> None:
    assert load_format("submissions/csv").count is None
    miga = load_format("submissions/miga")
    assert miga.count == 104 and "unverified" in miga.note
    told = [Prediction(f"{n:04d}", np.array([0.4, 0.6])) for n in range(104)]
    lines = render(told, ("lose", "win"), miga).splitlines()
    assert lines[:2] == ["video_id,label", "0,1"] and len(lines) == 105


def test_a_submission_is_written_without_opening_test(runs: Path, tmp_path: Path) -> None:
    run = load_run(runs / "seed-0")
    done = submit([run], form(labels=LABELS), tmp_path / "out" / "mine.csv")
    with done.file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = predict_clips(run, prepare(run.experiment).test)
    assert {row["id"]: row["label"] for row in rows} == {p.id: str(p.predicted) for p in told}
    assert not openings(run.folder) and not (run.folder / "predictions-test.csv").exists()
    assert done.entry.ledger == runs / "submissions.jsonl" and done.entry.number == 1
    assert done.entry.told["runs"][0]["run"] == "mine/seed-0"
    assert len(done.entry.told["runs"][0]["weights"]) == 64
    again = submit([run], form(labels=LABELS), tmp_path / "again.csv")
    assert [one.number for one in again.same] == [1] and again.entry.number == 2


def test_runs_are_averaged_and_a_threshold_is_chosen_out_of_fold(
    folds: list[Path], finished: Path, tmp_path: Path
) -> None:
    runs = [load_run(folder) for folder in folds]
    each = [predict_clips(run, prepare(run.experiment).test) for run in runs]
    columns = {"id": "{id}", "p": "{prob_cross_part_1}"}
    done = submit(runs, form(columns=columns), tmp_path / "a.csv")
    with done.file.open(newline="") as file:
        shares = [float(row["p"]) for row in csv.DictReader(file)]
    assert shares == pytest.approx([(a.probability[1] + b.probability[1]) / 2
                                    for a, b in zip(*each, strict=True)])  # fmt: skip
    done = submit(runs, form(), tmp_path / "b.csv", "held")
    held = known(runs, "held")
    assert len(held) == 24 and all(one.label is not None for one in held)
    assert done.threshold and done.entry.told["threshold"]["value"] == done.threshold.value
    assert done.entry.told["threshold"]["on"] == "held"
    second = saved_predictions(runs[1], "held")[0]
    assert [one.probability.tolist() for one in held if one.id == second.id] == [
        second.probability.tolist()
    ]
    assert not any(openings(run.folder) for run in runs)
    with pytest.raises(DataError, match="held no fold out"):
        submit([finished], form(), tmp_path / "c.csv", "held")
    assert not (tmp_path / "c.csv").exists()


def test_runs_that_do_not_belong_together_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="given twice"):
        submit([runs / "seed-0", runs / "seed-0"], form(), tmp_path / "a.csv")
    other = shutil.copytree(runs / "seed-0", runs / "seed-1")
    card = json.loads((other / CARD).read_text())
    (other / CARD).write_text(json.dumps(card | {"protocol": "planted:other"}))
    with pytest.raises(DataError, match="never stand in one table"):
        submit([runs / "seed-0", other], form(), tmp_path / "a.csv")
    (other / CARD).write_text(json.dumps(card | {"mode": "transductive"}))
    (runs / "seed-0" / CARD).write_text(json.dumps(card | {"mode": "inductive"}))
    with pytest.raises(DataError, match="inductive"):
        submit([runs / "seed-0", other], form(), tmp_path / "a.csv")
    with pytest.raises(DataError, match="is for the protocol imigue"):
        submit([other], form(protocol="imigue:miga_emotion"), tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists() and not (runs / "submissions.jsonl").exists()


def test_a_run_that_began_after_a_score_came_back_is_marked(runs: Path, tmp_path: Path) -> None:
    before = load_run(runs / "seed-0")
    entry = submit([before], form(), tmp_path / "a.csv").entry
    other = shutil.copytree(before.folder, tmp_path / "runs" / "other" / "seed-0")
    card = json.loads((other / CARD).read_text())
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    (other / CARD).write_text(json.dumps(card | {"started": soon.isoformat()}))
    later = load_run(other)
    assert after_leaderboard(later) == []
    assert record_score(entry.name, 0.69).score == 0.69
    assert after_leaderboard(before) == []
    marked = after_leaderboard(later)
    assert [one.number for one in marked] == [1] and "returned 0.69" in str(marked[0])
    other = tmp_path / "runs" / "third"
    shutil.copytree(later.folder, other)
    card = json.loads((other / CARD).read_text())
    (other / CARD).write_text(json.dumps(card | {"protocol": "planted:other"}))
    assert after_leaderboard(load_run(other)) == []


def test_a_score_is_recorded_once_for_a_submission_that_there_is(runs: Path) -> None:
    ledger = runs / "submissions.jsonl"
    with pytest.raises(DataError, match="there is no such ledger"):
        record_score(f"{ledger}:1", 0.5)
    name = submit([runs / "seed-0"], form(), runs / "a.csv").entry.name
    with pytest.raises(DataError, match="is no number"):
        record_score(name, float("nan"))
    record_score(name, 0.5)
    with pytest.raises(DataError, match="is there already"):
        record_score(name, 0.6)
    assert [one.score for one in entries(ledger)] == [0.5]
    with ledger.open("a") as file:
        file.write("{half a li")
    with pytest.raises(DataError, match="is damaged"):
        after_leaderboard(load_run(runs / "seed-0"))


def test_the_command_writes_and_records(runs: Path) -> None:
    file = runs / "sub.csv"
    args = ["submit", str(runs / "seed-0"), "--format", "submissions/csv", "--out", str(file)]
    done = CliRunner().invoke(build_app(), args)
    assert done.exit_code == 0 and "6 items by 1 run (" in done.output, done.output
    name = f"{runs / 'submissions.jsonl'}:1"
    assert f"--entry {name}" in done.output
    done = CliRunner().invoke(build_app(), ["submit", "--entry", name, "--score", "0.7"])
    assert done.exit_code == 0 and "returned 0.7" in done.output
    done = CliRunner().invoke(build_app(), ["submit", str(runs), "--score", "0.7"])
    assert isinstance(done.exception, DataError)
