"""Test labels come through one door, which writes down that it was opened."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

import emoframe
from emoframe import api
from emoframe.core.errors import ConfigError, DataError, RunError
from emoframe.core.schema import plain
from emoframe.evidence.evaluate import saved_predictions
from emoframe.evidence.metrics import correctness, open_test, openings, pooled, score
from emoframe.evidence.tables.compare import Trained, compare
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


def random(items: int, classes: int, seed: int = 0) -> list[Prediction]:
    generator = np.random.default_rng(seed)
    labels = np.arange(items) % classes
    shares = generator.dirichlet(np.ones(classes), items) + 0.3 * np.eye(classes)[labels]
    shares /= shares.sum(1, keepdims=True)
    return [
        Prediction(f"i{n}", share, int(label), f"s{n // 4}")
        for n, (share, label) in enumerate(zip(shares, labels, strict=True))
    ]


@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_are_scored_as_by_scikit_learn(classes: int) -> None:
    items = random(80, classes)
    found = score(items, [f"c{k}" for k in range(classes)])
    truth = np.array([one.label for one in items])
    share = np.stack([one.probability for one in items])
    area = roc_auc_score(truth, share[:, 1] if classes == 2 else share, multi_class="ovr")
    assert found.auc.value == pytest.approx(area)
    assert "20 subjects" in found.auc.method
    assert found.auc.low < found.auc.value < found.auc.high
    distance = ((share - np.eye(classes)[truth]) ** 2).sum(1).mean()
    assert found.brier.value == pytest.approx(distance)
    if classes == 2:
        assert found.brier.value == pytest.approx(2 * brier_score_loss(truth, share[:, 1]))
    assert 0 <= found.ece.low <= found.ece.value <= found.ece.high <= 1


def test_the_calibration_error_has_15_bins_of_equal_width() -> None:
    sure = [0.61, 0.65, 0.72, 0.99, 0.98]  # bins 9, 9, 10, 14, 14
    right = [1, 0, 1, 1, 0]
    items = [
        Prediction(f"i{n}", np.array([1 - p, p]), hit, f"s{n}")
        for n, (p, hit) in enumerate(zip(sure, right, strict=True))
    ]
    expected = (abs(1.26 - 1) + abs(0.72 - 1) + abs(1.97 - 1)) / 5
    assert score(items, ["lose", "win"]).ece.value == pytest.approx(expected)


def test_what_one_class_or_one_subject_cannot_tell_is_said() -> None:
    one = score(predictions([0, 0, 0], [0, 1, 0]), ["lose", "win"])
    assert one.auc == "not measurable: all items are of one class"
    assert "one class only" in one.balanced_accuracy.method
    assert one.recall == pytest.approx({"lose": 2 / 3})
    anna = [replace(p, subject="anna") for p in random(12, 2)]
    assert score(anna, ["lose", "win"]).auc == "not measurable: 12 items of 1 subject"
    lone = [replace(p, subject=f"s{p.label}") for p in random(12, 2)]
    assert "single subject" in str(score(lone, ["lose", "win"]).auc)
    written = json.dumps(plain(one) | {"confusion": one.confusion.tolist()}, allow_nan=False)
    assert "not measurable" in written


def test_a_class_that_no_item_has_is_no_part_of_a_mean() -> None:
    items = random(40, 2)
    three = [replace(p, probability=np.append(p.probability, 0.0)) for p in items]
    found, known = score(three, ["a", "b", "c"]), score(items, ["a", "b"])
    assert found.auc.value == pytest.approx(known.auc.value)
    assert found.recall == known.recall
    assert found.macro_f1 == known.macro_f1


def test_the_table_has_every_score_with_its_size() -> None:
    row = score(random(40, 2), ["lose", "win"]).table().iloc[0]
    assert row.index.tolist() == [
        "accuracy", "interval", "balanced_accuracy", "majority", "macro_f1", "auc", "ece", "brier",
        "items", "subjects",
    ]  # fmt: skip
    assert (row["items"], row["subjects"]) == (40, 10)
    assert score(predictions([0, 1], [0, 1]), ["a", "b"]).table().iloc[0]["subjects"] == "unknown"


@pytest.mark.parametrize(
    ("probability", "label", "says"),
    [
        ([np.nan, np.nan], 0, "a run that gives NaN has diverged"),
        ([1.5, -0.5], 0, r"must be in \[0, 1\]"),
        ([0.2, 0.3, 0.5], 0, "of 3 classes cannot be scored in the 2"),
        ([0.5, 0.5], 2, "label 2 is outside"),
    ],
)
def test_what_is_no_prediction_is_refused(probability: list[float], label: int, says: str) -> None:
    with pytest.raises(DataError, match=says):
        score([Prediction("a", np.array(probability), label)], ["lose", "win"])


def test_over_seeds_the_mean_is_given_and_no_item_is_counted_twice() -> None:
    runs = [random(60, 2, seed) for seed in range(3)]
    found = pooled(correctness(runs))
    each = [score(run, ["lose", "win"]) for run in runs]
    for name in ("auc", "ece", "brier"):
        mean = np.mean([getattr(one, name).value for one in each])
        assert found[name].value == pytest.approx(mean)
        assert "15 subjects" in found[name].method
    with pytest.raises(DataError, match="no labelled item"):
        correctness([])


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
