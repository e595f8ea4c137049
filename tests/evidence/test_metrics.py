"""Test labels come through one door, which writes down that it was opened."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import emoframe
from emoframe import api
from emoframe.core.errors import ConfigError, DataError, RunError
from emoframe.evidence.compare import Trained, compare
from emoframe.evidence.evaluate import saved_predictions
from emoframe.evidence.metrics import correctness, open_test, openings, pooled, score
from emoframe.learning.data import prepare
from emoframe.records import Prediction


def predictions(labels: list[int], guesses: list[int]) -> list[Prediction]:
    return [
        Prediction(f"i{n}", np.eye(2)[guess], label)
        for n, (label, guess) in enumerate(zip(labels, guesses, strict=True))
    ]


def test_scores_come_with_baseline_and_size() -> None:
    found = score(predictions([0, 0, 0, 1], [0, 0, 1, 1]), ["lose", "win"])
    assert found.accuracy.value == 0.75
    assert found.majority == 0.75
    assert found.balanced_accuracy.value == pytest.approx((2 / 3 + 1) / 2)
    assert found.recall == pytest.approx({"lose": 2 / 3, "win": 1.0})
    assert found.confusion.tolist() == [[2, 1], [0, 1]]
    assert found.count == 4


def test_seeds_are_no_new_items() -> None:
    one, other = predictions([0, 0, 1, 1], [0, 0, 1, 0]), predictions([0, 0, 1, 1], [0, 1, 1, 1])
    found = pooled(correctness([one, other]))["accuracy"]
    assert found.value == 0.75
    assert "4 items" in found.method
    with pytest.raises(DataError, match="different items"):
        correctness([one, other[:3]])


def test_views_vote_and_their_disagreement_is_told() -> None:
    hard = Prediction("a", np.array([0.6, 0.4]), 1, votes=(1, 0, 1))
    assert (hard.predicted, hard.voted) == (0, 1)
    assert hard.disagreement == pytest.approx(1 / 3)
    tied = Prediction("b", np.array([0.6, 0.4]), 0, votes=(1, 0))
    assert tied.voted == 0
    found = score([hard, tied], ["lose", "win"])
    assert (found.accuracy.value, found.hard_vote.value, found.views) == (0.5, 1.0, 3)
    assert found.disagreement == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert {"hard_vote", "disagreement", "views"} <= set(found.table().columns)


def test_one_view_casts_no_vote(finished: Path) -> None:
    found = api.evaluate(finished, "val")
    assert found.hard_vote is None
    assert not {"hard_vote", "disagreement"} & set(found.table().columns)


def test_nothing_labelled_is_nothing_to_score() -> None:
    with pytest.raises(DataError, match="no labelled item"):
        score([Prediction("a", np.array([0.5, 0.5]))], ["a", "b"])


def test_an_opening_is_recorded_before_the_labels_are_out(tmp_path: Path) -> None:
    dataset = emoframe.build("dataset", "planted", test=4)
    assert open_test(tmp_path, dataset, "final") == dataset.test_labels()
    assert [line["reason"] for line in openings(tmp_path)] == ["final"]
    with pytest.raises(RunError, match="needs a reason"):
        open_test(tmp_path, dataset, " ")
    with pytest.raises(RunError, match="cannot be recorded"):
        open_test(tmp_path / "absent", dataset, "final")


def test_only_open_test_asks_for_test_labels() -> None:
    root = Path(emoframe.__file__).parent
    callers = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "test_labels"
    ]
    # testing.py holds the contract, which looks at the ids alone
    assert sorted(set(callers)) == ["evidence/metrics.py", "testing.py"]


def test_a_run_scores_on_validation_without_opening_test(finished: Path) -> None:
    before = len(openings(finished))
    api.evaluate(finished, "val")
    assert len(openings(finished)) == before
    assert (finished / "predictions-val.csv").is_file()


def test_a_summary_says_how_often_test_was_opened(finished: Path) -> None:
    before = len(openings(finished))
    table = api.summary([api.load_run(finished)], "test", "checking the summary")
    assert f"opened {before + 1} times" in table.attrs["caption"]
    assert "oracle" in table.attrs["caption"]
    assert {"accuracy", "majority", "items"} <= set(table.columns)
    written = json.loads((finished / "scores-test.json").read_text())
    assert written["count"] == 6


def test_a_summary_of_different_protocols_is_refused_before_test_is_opened(finished: Path) -> None:
    run = api.load_run(finished)
    other = replace(run, card=run.card | {"protocol": "another"})
    before = len(openings(finished))
    with pytest.raises(DataError, match="and another never stand in one table"):
        api.summary([run, other], "test", "must not be opened")
    assert len(openings(finished)) == before


def test_a_validation_that_was_not_cut_by_subject_says_so(
    tmp_path: Path, tiny: list[str], finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    x, split = np.random.default_rng(0).normal(size=(30, 16, 5, 2)), ["train"] * 24 + ["test"] * 6
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(30) % 2, split=split)
    (tmp_path / "x.yaml").write_text(
        f"base: quickstart\ndataset: {{type: sequences, path: {tmp_path / 'x.npz'}}}\n"
    )
    overrides = [item for item in tiny if not item.startswith("dataset.")]
    run = api.train(tmp_path / "x.yaml", tmp_path / "run", [*overrides, "train.epochs=1"])
    says = "names no subject: validation was cut by item"
    assert says in caplog.text
    assert says in api.summary([run], "val").attrs["caption"]
    assert says in compare({"one": Trained([run])}).attrs["caption"]
    assert says not in api.summary([api.load_run(finished)], "val").attrs["caption"]


def test_every_view_is_sampled_anew_and_its_vote_is_kept(tmp_path: Path, tiny: list[str]) -> None:
    run = api.train("quickstart", tmp_path, [*tiny, "train.epochs=1", "view.votes=5"])
    found = api.evaluate(run, "val")
    assert found.views == 5 and found.hard_vote is not None
    saved = saved_predictions(run, "val")
    assert all(len(prediction.votes) == 5 for prediction in saved)
    clips = prepare(run.experiment).val
    first, second = clips.seen(0)[0], clips.seen(1)[0]
    assert not np.array_equal(first.times["keypoints"], second.times["keypoints"])
    np.testing.assert_array_equal(second.inputs["keypoints"], clips.seen(1)[0].inputs["keypoints"])


def test_fewer_views_than_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"view\.votes"):
        api.load("quickstart", ["view.votes=0"])
